import { listImports } from '#lib/services/imports.ts';
import { listDatasets } from '#lib/services/datasets.ts';
import { queryOf, readFilter } from '#lib/models/filter.ts';
import type { PageLoad } from './$types';

export const load: PageLoad = async ({ fetch, url, depends }) => {
  depends('waybill:imports');
  const filter = readFilter(url.searchParams);
  const [page, datasets] = await Promise.all([
    listImports(queryOf(filter), { fetch }),
    listDatasets({ fetch }),
  ]);
  return { filter, page, datasets };
};
