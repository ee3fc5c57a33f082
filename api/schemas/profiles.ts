import * as z from 'zod';
import { ProfileDocument } from '../../datasets/profile.ts';
import { importParams, Name, route, Time } from './common.ts';
import { Mapping } from './mapping.ts';

const params = z.object({ name: Name });
/** Those that were made for a header have a hyphen and its digest in their names. */
const profileParams = z.object({ name: Name, profile: Name });

const ProfileSummary = z
  .object({
    name: z.string(),
    version: z.int().meta({ description: 'The latest one, which imports by this name get.' }),
    versions: z.int(),
    byPerson: z.boolean().meta({ description: 'A person has confirmed or written it.' }),
    madeBy: z.string(),
    createdAt: Time,
    imports: z.int().meta({ description: 'How many imports used it.' }),
  })
  .meta({ id: 'ProfileSummary' });

export const listProfiles = route({
  id: 'listProfiles',
  method: 'get',
  path: '/api/datasets/{name}/profiles',
  tag: 'profiles',
  summary: 'The profiles of a dataset: how its sources look',
  role: 'viewer',
  params,
  answer: {
    status: 200,
    description: 'All of them, those that a person made first.',
    schema: z.object({ items: z.array(ProfileSummary) }).meta({ id: 'ProfileList' }),
  },
  problems: [404],
});

export const showProfile = route({
  id: 'showProfile',
  method: 'get',
  path: '/api/datasets/{name}/profiles/{profile}',
  tag: 'profiles',
  summary: 'One version of a profile, as the document that can be imported elsewhere',
  role: 'viewer',
  params: profileParams,
  query: z.object({ version: z.coerce.number().int().positive().optional() }),
  answer: {
    status: 200,
    description: 'The latest version, or the one that was asked for.',
    schema: z
      .object({
        profile: ProfileDocument,
        mapping: Mapping.meta({ description: 'The same as imports are mapped with.' }),
      })
      .meta({ id: 'ProfileVersion' }),
  },
  problems: [404],
});

export const importProfile = route({
  id: 'importProfile',
  method: 'post',
  path: '/api/datasets/{name}/profiles',
  tag: 'profiles',
  summary: 'Keep a profile: the next version, unless one says the same',
  role: 'operator',
  params,
  body: ProfileDocument,
  answer: {
    status: 200,
    description: 'What it is kept as.',
    schema: z.object({
      name: z.string(),
      version: z.int(),
      created: z.boolean().meta({ description: 'False: there was such a version already.' }),
    }),
  },
  problems: [404, 422],
});

export const showSource = route({
  id: 'showSource',
  method: 'get',
  path: '/api/imports/{id}/source',
  tag: 'imports',
  summary: 'Where to fetch the file as it was uploaded, for a while',
  role: 'operator',
  params: importParams,
  answer: {
    status: 200,
    description: 'An address that needs no credential.',
    schema: z.object({
      url: z.string(),
      expires_in_seconds: z.int(),
      fileName: z.string(),
      bytes: z.int().nullable(),
      options: z
        .record(z.string(), z.unknown())
        .meta({ description: 'How the import read it, as `complete` takes it.' }),
    }),
  },
  problems: [404, 409],
});

export const profileRoutes = [listProfiles, showProfile, importProfile, showSource];
