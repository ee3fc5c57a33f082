import { listRecords, showDataset } from '#lib/services/datasets.ts';
import type { PageLoad } from './$types';

export const load: PageLoad = async ({ fetch, params, parent, url }) => {
  const q = url.searchParams.get('q') ?? '';
  const cursor = url.searchParams.get('cursor');
  const tab = url.searchParams.get('tab') === 'fields' ? 'fields' : 'records';
  const [dataset, records] = await Promise.all([
    showDataset(params.name, { fetch }),
    listRecords(params.name, { limit: 100, ...(q ? { q } : {}), ...(cursor ? { cursor } : {}) }, { fetch }),
  ]);
  const { session } = await parent();
  return { dataset, records, q, cursor, admin: session?.role === 'admin', tab: tab as 'records' | 'fields' };
};
