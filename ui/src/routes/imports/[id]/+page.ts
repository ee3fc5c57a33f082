import { listDatasets } from '#lib/services/datasets.ts';
import { showImport } from '#lib/services/imports.ts';
import type { PageLoad } from './$types';

export const load: PageLoad = async ({ fetch, params }) => {
  const [run, datasets] = await Promise.all([showImport(params.id, { fetch }), listDatasets({ fetch })]);
  return { run, dataset: datasets.find(({ name }) => name === run.dataset) ?? null };
};
