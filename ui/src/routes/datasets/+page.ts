import { listDatasets } from '#lib/services/datasets.ts';
import type { PageLoad } from './$types';

export const load: PageLoad = async ({ fetch }) => ({ datasets: await listDatasets({ fetch }) });
