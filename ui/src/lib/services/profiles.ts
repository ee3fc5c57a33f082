import type {
  ImportProfileData,
  ImportProfileResponse,
  ListProfilesData,
  ProfileList,
  ProfileSummary,
  ProfileVersion,
  ShowProfileData,
} from '../client/index.ts';
import { call, type CallOptions } from './http.ts';

export type { ProfileSummary };

export async function listProfiles(dataset: string, options?: CallOptions): Promise<ProfileSummary[]> {
  const answer = await call<ListProfilesData, ProfileList>(
    'GET',
    '/api/datasets/{name}/profiles',
    { path: { name: dataset } },
    options,
  );
  return answer.items;
}

export const showProfile = (
  dataset: string,
  profile: string,
  version: number | undefined,
  options?: CallOptions,
) =>
  call<ShowProfileData, ProfileVersion>(
    'GET',
    '/api/datasets/{name}/profiles/{profile}',
    { path: { name: dataset, profile }, query: version === undefined ? {} : { version } },
    options,
  );

export const importProfile = (dataset: string, document: ImportProfileData['body'], options?: CallOptions) =>
  call<ImportProfileData, ImportProfileResponse>(
    'POST',
    '/api/datasets/{name}/profiles',
    { path: { name: dataset }, body: document },
    options,
  );
