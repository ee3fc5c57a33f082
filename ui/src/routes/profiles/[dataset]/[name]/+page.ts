import { showDataset } from '#lib/services/datasets.ts';
import { listProfiles, showProfile } from '#lib/services/profiles.ts';
import type { PageLoad } from './$types';

export const load: PageLoad = async ({ fetch, params, parent, url }) => {
  const asked = Number(url.searchParams.get('version')) || undefined;
  const [dataset, { profile }, all] = await Promise.all([
    showDataset(params.dataset, { fetch }),
    showProfile(params.dataset, params.name, asked, { fetch }),
    listProfiles(params.dataset, { fetch }),
  ]);
  const { session } = await parent();
  return {
    dataset,
    profile,
    summary: all.find(({ name }) => name === params.name) ?? null,
    operator: session?.role !== 'viewer',
  };
};
