import { listDatasets } from '#lib/services/datasets.ts';
import { listProfiles } from '#lib/services/profiles.ts';
import type { PageLoad } from './$types';

export const load: PageLoad = async ({ fetch }) => {
  const datasets = await listDatasets({ fetch });
  const profiles = await Promise.all(
    datasets.map(async ({ name }) =>
      (await listProfiles(name, { fetch })).map((profile) => ({ ...profile, dataset: name })),
    ),
  );
  return {
    datasets,
    profiles: profiles.flat().toSorted((a, b) => (a.createdAt < b.createdAt ? 1 : -1)),
  };
};
