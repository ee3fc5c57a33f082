import type postgres from 'postgres';
import { stagingTables } from './staging.ts';
import type { PlanCounts } from './stored-plan.ts';
import { importColumns, type StoredImport, type StoredPhase } from './imports.ts';

export interface AppliedRows {
  created: number;
  updated: number;
  unchanged: number;
  stale: number;
  failed: number;
}

/** Everything from which the progress of one import is told. */
export interface StoredProgress {
  import: StoredImport;
  /** The database's clock, in which all the times here are. */
  now: number;
  phases: { name: string; startedAt: number; finishedAt: number | null }[];
  lastResumeAt: number | null;
  /** What the worker noted of a phase that leaves neither marks nor receipts. */
  noted: Record<string, unknown> | null;
  plan: PlanCounts | null;
  receipts: AppliedRows & { deactivated: number; deleted: number; kept: number };
  /** Receipts of the last ten seconds in their order. */
  recent: (AppliedRows & { at: number })[];
  /** Of an import that is being undone: records so far, and in all once that is known. */
  revert: { revert: number; state: string; records: number | null; done: number } | null;
  /** Null where nothing is staged (any more). */
  marks: { accepted: number; rejected: number; blocked: number } | null;
}

const RECENT_SECONDS = 10;

/** One statement, and a second one for the marks while rows are being staged. Null: no such import. */
export async function findProgress(sql: postgres.Sql, importId: string): Promise<StoredProgress | null> {
  const [row] = await sql<(Omit<StoredProgress, 'import' | 'marks'> & StoredImport)[]>`
    select ${importColumns(sql)},
      extract(epoch from clock_timestamp())::float8 as now,
      (select coalesce(json_agg(json_build_object('name', p.name,
          'startedAt', extract(epoch from p.started_at), 'finishedAt', extract(epoch from p.finished_at))
          order by p.started_at), '[]')
        from waybill.phases p where p.import_id = i.import_id) as phases,
      (select extract(epoch from max(a.at))::float8 from waybill.audit a
        where a.import_id = i.import_id and a.action in ('resume', 'retry')) as "lastResumeAt",
      (select g.data from waybill.progress g where g.import_id = i.import_id) as noted,
      (select p.counts from waybill.plans p
        where p.import_id = i.import_id and p.version = i.plan_version) as plan,
      (select json_build_object('revert', v.revert, 'state', v.state, 'records', (v.counts ->> 'records')::float8,
          'done', (select coalesce(sum(c.rows), 0)::float8 from waybill.revert_batches c
            join waybill.revert_receipts x using (import_id, revert, batch)
            where c.import_id = v.import_id and c.revert = v.revert))
        from waybill.reverts v where v.import_id = i.import_id and i.status = 'reverting'
        order by v.revert desc limit 1) as revert,
      r.receipts, r.recent
    from waybill.imports i,
      lateral (
        select json_build_object('created', coalesce(sum(created), 0), 'updated', coalesce(sum(updated), 0),
            'unchanged', coalesce(sum(unchanged), 0), 'stale', coalesce(sum(stale), 0),
            'failed', coalesce(sum(failed), 0), 'deactivated', coalesce(sum(deactivated), 0),
            'deleted', coalesce(sum(deleted), 0), 'kept', coalesce(sum(kept), 0)) as receipts,
          coalesce(json_agg(json_build_object('at', extract(epoch from committed_at), 'created', created,
            'updated', updated, 'unchanged', unchanged, 'stale', stale, 'failed', failed) order by committed_at)
            filter (where committed_at > clock_timestamp() - make_interval(secs => ${RECENT_SECONDS})), '[]') as recent
        from waybill.receipts where import_id = i.import_id
      ) r
    where i.import_id = ${importId}`;
  if (!row) return null;
  const { now, phases, lastResumeAt, noted, plan, receipts, recent, revert, ...stored } = row;
  const staging = stored.phase === 'validate' && plan === null;
  const marks = staging ? await findMarks(sql, stored.lockKey, stored.incarnation) : null;
  return { import: stored, now, phases, lastResumeAt, noted, plan, receipts, recent, revert, marks };
}

async function findMarks(
  sql: postgres.Sql,
  lockKey: number,
  incarnation: number,
): Promise<StoredProgress['marks']> {
  try {
    const [sums] = await sql<NonNullable<StoredProgress['marks']>[]>`
      select coalesce(sum(accepted), 0)::bigint as accepted, coalesce(sum(rejected), 0)::bigint as rejected,
        coalesce(sum(blocked), 0)::bigint as blocked
      from ${sql.unsafe(stagingTables(lockKey, incarnation).marks)}`;
    return sums ?? null;
  } catch (error) {
    // Not made yet, or dropped already.
    if ((error as { code?: string }).code === '42P01') return null;
    throw error;
  }
}

/** What a run that went through undisturbed took. */
export interface CompletedRun {
  bytes: number;
  rows: number;
  created: number;
  updated: number;
  unchanged: number;
  phases: StoredPhase[];
}

/** The last undisturbed runs into a dataset that were large enough to learn a cost per row from. */
export async function completedRuns(
  sql: postgres.Sql,
  tenantId: string,
  dataset: string,
  atLeastRows: number,
): Promise<CompletedRun[]> {
  const runs = await sql<
    (Omit<CompletedRun, 'phases'> & { phases: { name: string; startedAt: string; finishedAt: string }[] })[]
  >`
    select i.file_size as bytes, i.input_accepted + i.input_rejected as rows,
      (i.accounting ->> 'created')::bigint as created, (i.accounting ->> 'updated')::bigint as updated,
      (i.accounting ->> 'unchanged')::bigint as unchanged,
      (select json_agg(json_build_object('name', p.name, 'startedAt', p.started_at, 'finishedAt', p.finished_at))
       from waybill.phases p where p.import_id = i.import_id and p.finished_at is not null) as phases
    from waybill.imports i
    where i.tenant_id = ${tenantId} and i.dataset = ${dataset}
      and i.status in ('completed', 'completed_with_issues')
      and i.input_accepted + i.input_rejected >= ${atLeastRows} and i.file_size > 0 and i.restarts = 0
      and exists (select from waybill.phases p where p.import_id = i.import_id)
      and not exists (select from waybill.audit a
        where a.import_id = i.import_id and a.action in ('pause', 'retry'))
    order by i.created_at desc limit 5`;
  return runs.map(({ phases, ...run }) => ({
    ...run,
    phases: phases.map(({ name, startedAt, finishedAt }) => ({
      name,
      startedAt: new Date(startedAt),
      finishedAt: new Date(finishedAt),
    })),
  }));
}
