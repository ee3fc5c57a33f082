import { randomUUID } from 'node:crypto';
import type { Sql } from 'postgres';

export type SyncOutcome = 'unchanged' | 'imported' | 'waiting' | 'failed' | 'skipped';

export interface SyncSettings {
  name: string;
  url: string;
  dataset: string;
  profile: string | null;
  policy: 'auto' | 'review' | 'guard';
  mode: 'upsert' | 'insert' | 'update' | 'add';
  cron: string;
  timeZone: string;
}

export interface SyncRun {
  runId: string;
  outcome: SyncOutcome | null;
  message: string | null;
  importId: string | null;
  startedAt: Date;
  finishedAt: Date | null;
}

export interface Sync extends SyncSettings {
  syncId: string;
  tenantId: string;
  paused: boolean;
  note: string | null;
  /** Rises with each change; the schedule is up to date when `scheduledRevision` is the same. */
  revision: number;
  scheduledRevision: number;
  /** The schedule as Temporal described it when it was last made from this definition. */
  scheduledAs: string | null;
  createdBy: string;
  createdAt: Date;
  deletedAt: Date | null;
}

/** What a run fetches, and what a conditional request may say: nothing unless the last file took effect whole. */
export interface SyncSource extends Sync {
  etag: string | null;
  lastModified: string | null;
  /** Of the dataset that the last file was read for; the request is conditional only if it is that still. */
  readFor: number | null;
}

const columns = (sql: Sql) => sql`
  s.sync_id as "syncId", s.tenant_id as "tenantId", s.name, s.url, s.dataset, s.profile, s.policy, s.mode, s.cron,
  s.time_zone as "timeZone", s.paused, s.note, s.revision, s.scheduled_revision as "scheduledRevision",
  s.scheduled_as as "scheduledAs", s.created_by as "createdBy", s.created_at as "createdAt",
  s.deleted_at as "deletedAt"`;

const runColumns = (sql: Sql) => sql`
  r.run_id as "runId", r.outcome, r.message, r.import_id as "importId", r.started_at as "startedAt",
  r.finished_at as "finishedAt"`;

/** Null where the tenant has a sync of this name. */
export async function createSync(
  sql: Sql,
  tenantId: string,
  settings: SyncSettings,
  createdBy: string,
): Promise<Sync | null> {
  const [row] = await sql<Sync[]>`
    insert into waybill.syncs as s
      (sync_id, tenant_id, name, url, dataset, profile, policy, mode, cron, time_zone, created_by)
    values (${randomUUID()}, ${tenantId}, ${settings.name}, ${settings.url}, ${settings.dataset},
      ${settings.profile}, ${settings.policy}, ${settings.mode}, ${settings.cron}, ${settings.timeZone}, ${createdBy})
    on conflict (tenant_id, name) where deleted_at is null do nothing
    returning ${columns(sql)}`;
  return row ?? null;
}

export async function listSyncs(sql: Sql, tenantId: string): Promise<(Sync & { lastRun: SyncRun | null })[]> {
  const syncs = await sql<Sync[]>`
    select ${columns(sql)} from waybill.syncs s where s.tenant_id = ${tenantId} and s.deleted_at is null
    order by s.created_at, s.sync_id`;
  const runs = await sql<(SyncRun & { syncId: string })[]>`
    select distinct on (r.sync_id) r.sync_id as "syncId", ${runColumns(sql)} from waybill.sync_runs r
    where r.sync_id = any (${syncs.map((sync) => sync.syncId)})
    order by r.sync_id, r.started_at desc`;
  const last = new Map(runs.map((run) => [run.syncId, run]));
  return syncs.map((sync) => ({ ...sync, lastRun: last.get(sync.syncId) ?? null }));
}

export async function findSync(sql: Sql, tenantId: string, syncId: string): Promise<Sync | null> {
  const [row] = await sql<Sync[]>`
    select ${columns(sql)} from waybill.syncs s
    where s.tenant_id = ${tenantId} and s.sync_id = ${syncId} and s.deleted_at is null`;
  return row ?? null;
}

export function listSyncRuns(sql: Sql, syncId: string, limit: number): Promise<SyncRun[]> {
  return sql<SyncRun[]>`
    select ${runColumns(sql)} from waybill.sync_runs r where r.sync_id = ${syncId}
    order by r.started_at desc limit ${limit}`;
}

/** Removed, or one whose schedule was refused; its runs and imports stay. Null if it was removed before. */
export async function forgetSync(sql: Sql, syncId: string): Promise<Sync | null> {
  const [row] = await sql<Sync[]>`
    update waybill.syncs s set deleted_at = now(), revision = revision + 1
    where sync_id = ${syncId} and deleted_at is null
    returning ${columns(sql)}`;
  return row ?? null;
}

export async function pauseSync(
  sql: Sql,
  syncId: string,
  paused: boolean,
  note: string | null,
): Promise<Sync | null> {
  const [row] = await sql<Sync[]>`
    update waybill.syncs s set paused = ${paused}, note = ${note}, revision = revision + 1
    where sync_id = ${syncId} and deleted_at is null
    returning ${columns(sql)}`;
  return row ?? null;
}

/** Those that are, and those that were removed and whose schedule may still be there. */
export function listSyncsToReconcile(sql: Sql): Promise<Sync[]> {
  return sql<Sync[]>`
    select ${columns(sql)} from waybill.syncs s
    where s.deleted_at is null or s.scheduled_revision < s.revision order by s.sync_id`;
}

export async function markScheduled(sql: Sql, sync: Sync, scheduledAs: string | null): Promise<void> {
  await sql`
    update waybill.syncs set scheduled_revision = ${sync.revision}, scheduled_as = ${scheduledAs}
    where sync_id = ${sync.syncId}`;
}

/** Somebody paused or resumed the schedule on Temporal's side: so be it, unless it was changed here meanwhile. */
export async function adoptPause(sql: Sql, sync: Sync, paused: boolean, note: string | null): Promise<void> {
  await sql`
    update waybill.syncs set paused = ${paused}, note = ${note}
    where sync_id = ${sync.syncId} and revision = ${sync.revision}`;
}

// What a run does -------------------------------------------------------------------------------------------

/**
 * The last import of a sync that wrote, or may have written, to the target. The source is unchanged only against
 * this one: a file that came before it has been overwritten since.
 */
const lastEffective = (sql: Sql, syncId: string) => sql`
  select i.* from waybill.imports i
  where i.sync_id = ${syncId}
    and (i.status in ('completed', 'completed_with_issues', 'unproven', 'reverting', 'reverted')
      or exists (select from waybill.receipts r where r.import_id = i.import_id))
  order by i.created_at desc limit 1`;

/** True where the import `l` was read as the sync `s` would have a file read now; but for the dataset's version. */
const asReadNow = (sql: Sql) => sql`
  l.dataset = s.dataset and l.mode = s.mode
  and (s.profile is null or s.profile = l.profile and l.profile_version = (
    select p.version from waybill.profiles p
    where p.tenant_id = s.tenant_id and p.dataset = s.dataset and p.name = s.profile
    order by p.created_at desc, p.version desc limit 1))`;

/** Notes that a run began; null where the sync was removed. */
export async function beginSyncRun(sql: Sql, syncId: string, runId: string): Promise<SyncSource | null> {
  const [row] = await sql<SyncSource[]>`
    with sync as (
      select * from waybill.syncs where sync_id = ${syncId} and deleted_at is null
    ), run as (
      insert into waybill.sync_runs (sync_id, run_id) select sync_id, ${runId} from sync on conflict do nothing
    ), lost as (
      -- One run at a time: whichever is open still was ended in Temporal, or lost with its database.
      update waybill.sync_runs r set outcome = 'failed', finished_at = clock_timestamp(),
        message = 'The run was ended from outside, or lost, and said nothing. Look at its import, where it made one.'
      from sync where r.sync_id = sync.sync_id and r.run_id <> ${runId} and r.outcome is null
    ), last as (
      ${lastEffective(sql, syncId)}
    )
    select ${columns(sql)},
      case when l.same then s.etag end as etag, case when l.same then s.last_modified end as "lastModified",
      l.dataset_version as "readFor"
    from sync s left join lateral (
      select true as same, l.dataset_version from last l
      where l.status = 'completed' and l.file_sha256 = s.content_sha256 and l.source ->> 'url' = s.url
        and ${asReadNow(sql)}
    ) l on true`;
  return row ?? null;
}

/**
 * What a file with this hash would be: the same that the last import took in whole, or the same that still waits
 * for a person in another import. What was added is not added again, whatever of it was refused, whatever came in since
 * and whoever brought it: `begun` where the import that added some of it has not gone through, or was undone in part.
 */
export async function recogniseFile(
  sql: Sql,
  syncId: string,
  sha256: string,
  datasetVersion: number,
): Promise<{ kind: 'unchanged' | 'waiting' | 'begun'; importId: string } | null> {
  const [row] = await sql<{ kind: 'unchanged' | 'waiting' | 'begun'; importId: string }[]>`
    with last as (${lastEffective(sql, syncId)}), newest as (
      select * from waybill.imports where sync_id = ${syncId} order by created_at desc limit 1
    )
    select 'waiting' as kind, n.import_id as "importId" from newest n
    where n.file_sha256 = ${sha256} and n.status in ('queued', 'running', 'paused', 'waiting')
    union all
    select 'unchanged', l.import_id from last l join waybill.syncs s on s.sync_id = ${syncId}
    where l.file_sha256 = ${sha256} and l.status = 'completed' and l.dataset_version = ${datasetVersion} and ${asReadNow(sql)}
    union all
    select case when l.status in ('completed', 'completed_with_issues') then 'unchanged' else 'begun' end, l.import_id
    from waybill.imports l join waybill.syncs s on s.sync_id = ${syncId} and s.tenant_id = l.tenant_id and s.dataset = l.dataset
    where l.file_sha256 = ${sha256} and l.mode = 'add' and s.mode = 'add' and waybill.has_effect(l)
    limit 1`;
  return row ?? null;
}

/** What the source said of the file that is in the target now; the next request is conditional on it. */
export async function rememberSource(
  sql: Sql,
  syncId: string,
  source: { etag: string | null; lastModified: string | null; sha256: string },
): Promise<void> {
  await sql`
    update waybill.syncs set etag = ${source.etag}, last_modified = ${source.lastModified},
      content_sha256 = ${source.sha256}
    where sync_id = ${syncId}`;
}

export interface SyncImport {
  importId: string;
  datasetVersion: number;
  fileName: string;
  contentType: string | null;
  objectKey: string;
  objectEtag: string;
  size: number;
  sha256: string;
  source: { kind: 'url'; url: string; etag: string | null; lastModified: string | null };
}

/** The import of a run, queued. Calling it again changes nothing. */
export async function createSyncImport(sql: Sql, sync: Sync, runId: string, file: SyncImport): Promise<void> {
  // A sync settles by itself what is the same: an older file after a newer one is no duplicate.
  const options = {
    policy: sync.policy,
    mode: sync.mode,
    allow_duplicate: true,
    ...(sync.profile && { profile: sync.profile }),
  };
  await sql`
    with made as (
      insert into waybill.imports (import_id, tenant_id, dataset, dataset_version, source, file_name,
        content_type, object_key, object_etag, file_size, file_sha256, policy, mode, options, status, sync_id,
        created_by)
      values (${file.importId}, ${sync.tenantId}, ${sync.dataset}, ${file.datasetVersion},
        ${sql.json(file.source)}, ${file.fileName}, ${file.contentType}, ${file.objectKey}, ${file.objectEtag},
        ${file.size}, ${file.sha256}, ${sync.policy}, ${sync.mode}, ${sql.json(options)}, 'queued', ${sync.syncId},
        ${`sync ${sync.name}`})
      on conflict (import_id) do nothing
      returning import_id
    )
    update waybill.sync_runs set import_id = ${file.importId}
    where sync_id = ${sync.syncId} and run_id = ${runId}`;
}

export async function finishSyncRun(
  sql: Sql,
  syncId: string,
  runId: string,
  outcome: SyncOutcome,
  message: string | null,
): Promise<void> {
  await sql`
    update waybill.sync_runs set outcome = ${outcome}, message = ${message}, finished_at = clock_timestamp()
    where sync_id = ${syncId} and run_id = ${runId}`;
}

export interface ImportState {
  status: string;
  waitingFor: { what?: string; message?: string } | null;
  error: { code: string; message: string } | null;
  accounting: Record<string, number> | null;
  sha256: string | null;
  source: { etag?: string | null; lastModified?: string | null };
}

export async function importState(sql: Sql, importId: string): Promise<ImportState | null> {
  const [row] = await sql<ImportState[]>`
    select status, waiting_for as "waitingFor", error, accounting, file_sha256 as sha256, source
    from waybill.imports where import_id = ${importId}`;
  return row ?? null;
}
