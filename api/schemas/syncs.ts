import * as z from 'zod';
import { ImportId, Mode, Name, Policy, route, Time } from './common.ts';

const SyncRun = z
  .object({
    id: z.string(),
    outcome: z
      .enum(['unchanged', 'imported', 'waiting', 'failed', 'skipped'])
      .nullable()
      .meta({ description: 'Null while it runs.' }),
    message: z.string().nullable(),
    importId: ImportId.nullable(),
    startedAt: Time,
    finishedAt: Time.nullable(),
  })
  .meta({ id: 'SyncRun' });

const settings = {
  name: z.string().min(1).max(100),
  url: z.string().max(2000).meta({
    description: 'http or https, without a user name. Where it leads is checked whenever it is fetched.',
  }),
  dataset: Name,
  profile: Name.nullable(),
  policy: Policy,
  mode: Mode,
  cron: z.string().min(1).max(200).meta({ description: 'As crontab has it, e.g. `0 3 * * *`.' }),
  timeZone: z.string().min(1).max(64).meta({ description: 'An IANA name, e.g. `Asia/Tokyo`.' }),
};
const Sync = z
  .object({
    id: z.string(),
    ...settings,
    paused: z.boolean(),
    note: z.string().nullable().meta({ description: 'Why it is paused.' }),
    lastRun: SyncRun.nullable(),
    nextRuns: z.array(Time).meta({ description: 'The next five; none while it is paused.' }),
    createdBy: z.string(),
    createdAt: Time,
  })
  .meta({ id: 'Sync' });

const params = z.object({ id: z.string().regex(/^[A-Za-z0-9_-]{1,64}$/) });
const answer = { status: 200 as const, description: 'The sync.', schema: Sync };

export const listSyncs = route({
  id: 'listSyncs',
  method: 'get',
  path: '/api/syncs',
  tag: 'syncs',
  summary: 'Imports that fetch a URL by themselves, on a schedule',
  role: 'viewer',
  answer: {
    status: 200,
    description: 'All of them.',
    schema: z.object({ items: z.array(Sync) }).meta({ id: 'SyncList' }),
  },
});

export const createSync = route({
  id: 'createSync',
  method: 'post',
  path: '/api/syncs',
  tag: 'syncs',
  summary: 'Add a sync; it runs from now on',
  role: 'admin',
  idempotent: true,
  body: z.strictObject({
    ...settings,
    profile: settings.profile.default(null),
    policy: settings.policy.default('guard'),
    mode: settings.mode.default('upsert'),
    timeZone: settings.timeZone.default('UTC'),
  }),
  answer: { status: 201, description: 'The sync.', schema: Sync },
  problems: [409, 422, 503],
});

export const showSync = route({
  id: 'showSync',
  method: 'get',
  path: '/api/syncs/{id}',
  tag: 'syncs',
  summary: 'One sync',
  role: 'viewer',
  params,
  answer,
  problems: [404],
});

export const deleteSync = route({
  id: 'deleteSync',
  method: 'delete',
  path: '/api/syncs/{id}',
  tag: 'syncs',
  summary: 'Remove a sync; its imports stay',
  role: 'admin',
  params,
  answer: { status: 204, description: 'Removed.' },
  problems: [404],
});

export const runSync = route({
  id: 'runSync',
  method: 'post',
  path: '/api/syncs/{id}/run',
  tag: 'syncs',
  summary: 'Run now, unless a run is under way',
  role: 'operator',
  params,
  body: z.strictObject({}),
  answer,
  problems: [404, 503],
});

export const pauseSync = route({
  id: 'pauseSync',
  method: 'post',
  path: '/api/syncs/{id}/pause',
  tag: 'syncs',
  summary: 'No more runs by the clock until it is resumed',
  role: 'operator',
  params,
  body: z.strictObject({ note: z.string().min(1).max(500).optional() }),
  answer,
  problems: [404],
});

export const resumeSync = route({
  id: 'resumeSync',
  method: 'post',
  path: '/api/syncs/{id}/resume',
  tag: 'syncs',
  summary: 'Run by the clock again',
  role: 'operator',
  params,
  body: z.strictObject({}),
  answer,
  problems: [404],
});

export const listSyncRuns = route({
  id: 'listSyncRuns',
  method: 'get',
  path: '/api/syncs/{id}/runs',
  tag: 'syncs',
  summary: 'The last runs of a sync, the newest first',
  role: 'viewer',
  params,
  query: z.object({ limit: z.coerce.number().int().min(1).max(200).default(50) }),
  answer: {
    status: 200,
    description: 'Up to 200 runs.',
    schema: z.object({ items: z.array(SyncRun) }).meta({ id: 'SyncRunList' }),
  },
  problems: [404],
});

export const syncRoutes = [
  listSyncs,
  createSync,
  showSync,
  deleteSync,
  runSync,
  pauseSync,
  resumeSync,
  listSyncRuns,
];
