import { listDatasets } from '#lib/services/datasets.ts';
import type { PageLoad } from './$types';

export const load: PageLoad = async ({ fetch, parent }) => {
  const [{ session }, datasets] = await Promise.all([parent(), listDatasets({ fetch })]);
  return { datasets, admin: session?.role === 'admin' };
};
