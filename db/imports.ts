import type postgres from 'postgres';
import type { Mapping } from '../intake/types.ts';

/** A row of waybill.imports as the API shows it. */
export interface StoredImport {
  id: string;
  lockKey: number;
  tenantId: string;
  dataset: string;
  datasetVersion: number;
  fileName: string;
  status: string;
  phase: string | null;
  waitingFor: ({ what: string } & Record<string, unknown>) | null;
  accounting: Record<string, number> | null;
  bytes: number | null;
  policy: 'auto' | 'review' | 'guard';
  mode: 'upsert' | 'insert' | 'update' | 'add';
  allOr: 'nothing' | 'undone' | null;
  profile: string | null;
  profileVersion: number | null;
  sha256: string | null;
  contentSha256: string | null;
  source: { kind: 'upload' | 'object' | 'url' };
  objectKey: string | null;
  objectEtag: string | null;
  manifestKey: string | null;
  /** As they were given, in the names of the API. */
  options: Record<string, unknown>;
  errorReportKey: string | null;
  proofKey: string | null;
  inputAccepted: number | null;
  inputRejected: number | null;
  incarnation: number;
  planVersion: number;
  workflowRunId: string | null;
  error: { code: string; message: string; importId?: string } | null;
  createdBy: string;
  createdAt: Date;
  startedAt: Date | null;
  finishedAt: Date | null;
  updatedAt: Date;
}

export interface StoredPhase {
  name: string;
  startedAt: Date;
  finishedAt: Date | null;
}

/** The columns of StoredImport, from `waybill.imports i`. */
export const importColumns = (sql: postgres.Sql) => sql`
  i.import_id as id, i.lock_key as "lockKey", i.tenant_id as "tenantId", i.dataset, i.dataset_version as "datasetVersion", i.file_name as "fileName",
  i.status, i.phase, i.waiting_for as "waitingFor", i.accounting, i.file_size as bytes, i.policy, i.mode, i.all_or as "allOr", i.profile,
  i.profile_version as "profileVersion", i.file_sha256 as sha256, i.content_sha256 as "contentSha256",
  i.source, i.object_key as "objectKey", i.object_etag as "objectEtag", i.manifest_key as "manifestKey", i.options,
  i.error_report_key as "errorReportKey", i.proof_key as "proofKey", i.input_accepted as "inputAccepted",
  i.input_rejected as "inputRejected", i.incarnation, i.plan_version as "planVersion",
  i.workflow_run_id as "workflowRunId", i.error, i.created_by as "createdBy", i.created_at as "createdAt",
  i.started_at as "startedAt", i.finished_at as "finishedAt", i.updated_at as "updatedAt"`;

export async function findStoredImport(
  sql: postgres.Sql,
  tenantId: string,
  importId: string,
): Promise<StoredImport | null> {
  const [found] = await sql<StoredImport[]>`
    select ${importColumns(sql)} from waybill.imports i
    where i.import_id = ${importId} and i.tenant_id = ${tenantId}`;
  return found ?? null;
}

export interface ImportPlace {
  waiting: boolean;
  /** Text, because a Date would lose the microseconds that tell neighbours apart. */
  createdAt: string;
  id: string;
}

export interface ImportFilter {
  tenantId: string;
  status?: string[];
  dataset?: string;
  /** Part of the file name, or an id. */
  q?: string;
  waitingFirst: boolean;
  after?: ImportPlace;
  limit: number;
}

const likePattern = (text: string): string => `%${text.replaceAll(/[\\%_]/g, (c) => `\\${c}`)}%`;

/** A page of imports, the newest first; with `waitingFirst`, those that wait for a person before all others. */
export async function listImports(
  sql: postgres.Sql,
  filter: ImportFilter,
): Promise<(StoredImport & { place: ImportPlace })[]> {
  const { after } = filter;
  const waiting = filter.waitingFirst ? sql`(i.status = 'waiting')` : sql`false`;
  return sql<(StoredImport & { place: ImportPlace })[]>`
    select ${importColumns(sql)},
      json_build_object('waiting', ${waiting}, 'createdAt', i.created_at::text, 'id', i.import_id) as place
    from waybill.imports i
    where i.tenant_id = ${filter.tenantId}
      ${filter.status ? sql`and i.status = any(${filter.status})` : sql``}
      ${filter.dataset ? sql`and i.dataset = ${filter.dataset}` : sql``}
      ${filter.q ? sql`and (i.file_name ilike ${likePattern(filter.q)} or i.import_id = ${filter.q})` : sql``}
      ${
        after
          ? sql`and (${waiting}, i.created_at, i.import_id)
              < (${after.waiting}::boolean, ${after.createdAt}::timestamptz, ${after.id}::text)`
          : sql``
      }
    order by ${filter.waitingFirst ? sql`(i.status = 'waiting') desc,` : sql``} i.created_at desc, i.import_id desc
    limit ${filter.limit}`;
}

/** How many imports there are in each status, under the other filters of a list. */
export async function countImports(
  sql: postgres.Sql,
  filter: Pick<ImportFilter, 'tenantId' | 'dataset' | 'q'>,
): Promise<{ status: StoredImport['status']; count: number }[]> {
  return sql<{ status: StoredImport['status']; count: number }[]>`
    select i.status, count(*) as count
    from waybill.imports i
    where i.tenant_id = ${filter.tenantId}
      ${filter.dataset ? sql`and i.dataset = ${filter.dataset}` : sql``}
      ${filter.q ? sql`and (i.file_name ilike ${likePattern(filter.q)} or i.import_id = ${filter.q})` : sql``}
    group by i.status order by i.status`;
}

export interface StoredPlan {
  version: number;
  digest: string;
  counts: Record<string, number>;
  guard: unknown;
}

/** What belongs to an import beside its own row: phases, the plan in force, counts of issues. */
export async function findImportDetails(
  sql: postgres.Sql,
  importId: string,
): Promise<{ phases: StoredPhase[]; plan: StoredPlan | null; errors: number; warnings: number }> {
  const [phases, [rest]] = await Promise.all([
    listPhases(sql, importId),
    sql<{ plan: StoredPlan | null; errors: number; warnings: number }[]>`
      select
        (select json_build_object('version', p.version, 'digest', p.digest, 'counts', p.counts, 'guard', p.guard)
         from waybill.plans p where p.import_id = i.import_id and p.version = i.plan_version) as plan,
        coalesce(sum(c.count) filter (where c.severity = 'error'), 0)::bigint as errors,
        coalesce(sum(c.count) filter (where c.severity = 'warning'), 0)::bigint as warnings
      from waybill.imports i left join waybill.issue_counts c using (import_id)
      where i.import_id = ${importId} group by i.import_id, i.plan_version`,
  ]);
  return { phases, plan: rest?.plan ?? null, errors: rest?.errors ?? 0, warnings: rest?.warnings ?? 0 };
}

export async function listPhases(sql: postgres.Sql, importId: string): Promise<StoredPhase[]> {
  return sql<StoredPhase[]>`
    select name, started_at as "startedAt", finished_at as "finishedAt" from waybill.phases
    where import_id = ${importId} order by started_at, name`;
}

export interface AuditEvent {
  id: number;
  at: Date;
  actor: string;
  action: string;
  reason: string | null;
  detail: unknown;
}

/** What was done to an import, the newest first. */
export async function listActivity(
  sql: postgres.Sql,
  importId: string,
  page: { before?: number; limit: number },
): Promise<AuditEvent[]> {
  return sql<AuditEvent[]>`
    select audit_id as id, at, actor, action, reason, detail from waybill.audit
    where import_id = ${importId} ${page.before ? sql`and audit_id < ${page.before}` : sql``}
    order by audit_id desc limit ${page.limit}`;
}

/** Keeps why somebody did something, where the act itself has no room for it. */
export async function noteReason(
  sql: postgres.Sql,
  note: { tenantId: string; importId: string; actor: string; action: string; reason: string },
): Promise<void> {
  await sql`
    insert into waybill.audit (tenant_id, import_id, actor, action, reason)
    values (${note.tenantId}, ${note.importId}, ${note.actor}, ${note.action}, ${note.reason})`;
}

/** The mapping that is pinned to an import, or else the one that was proposed; null before the map phase. */
export async function findMapping(
  sql: postgres.Sql,
  importId: string,
): Promise<{ mapping: Mapping; confirmed: boolean } | null> {
  const [found] = await sql<{ proposed: Mapping | null; pinned: Mapping | null }[]>`
    select i.mapping_proposal as proposed, p.mapping as pinned
    from waybill.imports i left join waybill.profiles p
      on p.tenant_id = i.tenant_id and p.dataset = i.dataset and p.name = i.profile and p.version = i.profile_version
    where i.import_id = ${importId}`;
  const mapping = found?.pinned ?? found?.proposed;
  return mapping ? { mapping, confirmed: found!.pinned !== null } : null;
}
