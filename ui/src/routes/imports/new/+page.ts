import { showLimits } from '#lib/services/access.ts';
import { listDatasets } from '#lib/services/datasets.ts';
import type { PageLoad } from './$types';

export const load: PageLoad = async ({ fetch, url }) => {
  const [datasets, limits] = await Promise.all([listDatasets({ fetch }), showLimits({ fetch })]);
  const wanted = url.searchParams.get('dataset');
  return { datasets, limits, wanted: datasets.some(({ name }) => name === wanted) ? wanted : null };
};
