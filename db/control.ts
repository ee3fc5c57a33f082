import type pg from 'pg';
import type { Mapping } from '../intake/types.ts';
import { withClient } from './connect.ts';
import type { MappingAnswer } from './profiles.ts';

/** A row of waybill.imports, as far as the run needs it. */
export interface ImportRow {
  import_id: string;
  lock_key: number;
  tenant_id: string;
  dataset: string;
  dataset_version: number;
  profile: string | null;
  profile_version: number | null;
  source: { kind: 'upload' | 'object' | 'url'; [key: string]: unknown };
  file_name: string;
  object_key: string | null;
  object_etag: string | null;
  file_size: number | null;
  file_sha256: string | null;
  content_sha256: string | null;
  policy: 'auto' | 'review' | 'guard';
  mode: 'upsert' | 'insert' | 'update' | 'add';
  options: Record<string, unknown>;
  status: string;
  phase: string | null;
  waiting_for: Record<string, unknown> | null;
  epoch: number;
  incarnation: number;
  manifest_key: string | null;
  /** What the map phase proposed; with `answer`, what a person settled for the reading that comes next. */
  mapping_proposal: (Mapping & { answer?: MappingAnswer }) | null;
  input_accepted: number | null;
  input_rejected: number | null;
  plan_version: number;
  turn: string | null;
  turn_generation: number | null;
  /** It goes in as a whole: in one transaction, or is undone where it does not get through. */
  all_or: 'nothing' | 'undone' | null;
  accounting: Record<string, number> | null;
  error: { code: string; message: string } | null;
  workflow_run_id: string | null;
  sync_id: string | null;
  created_at: Date;
  updated_at: Date;
}

async function one(pool: pg.Pool | pg.PoolClient, sql: string, values: unknown[]): Promise<ImportRow | null> {
  const row = (await pool.query<ImportRow>(sql, values)).rows[0];
  // A function that returns no row at all comes back as a row of nulls.
  return row?.import_id ? row : null;
}

export const findImport = (pool: pg.Pool, importId: string) =>
  one(pool, 'select * from waybill.imports where import_id = $1', [importId]);

/** The run's first activity. Null: the import is over. */
export const claimImport = (pool: pg.Pool, importId: string, runId: string) =>
  one(pool, 'select * from waybill.claim($1, $2)', [importId, runId]);

export async function enterPhase(
  pool: pg.Pool,
  importId: string,
  epoch: number,
  phase: { name: string; nth: number },
): Promise<void> {
  await pool.query('select waybill.enter_phase($1, $2, $3, $4)', [importId, epoch, phase.name, phase.nth]);
}

/** How long a batch may go on holding the lock after a pause or cancel was asked for. */
const STOP_GRACE_MS = 500;

/**
 * Pauses or cancels, in under a second: waits for the batches under way, and ends the backends of those that will
 * not let go (they roll back and are done after the resume). Idempotent. Null: no such import.
 */
export async function requestStop(
  pool: pg.Pool,
  stop: { importId: string; what: 'pause' | 'cancel'; actor: string; reason?: string | null },
): Promise<ImportRow | null> {
  const call = () =>
    withClient(pool, async (client) => {
      await client.query('begin');
      await client.query(`set local lock_timeout = ${STOP_GRACE_MS}`);
      const row = await one(client, 'select * from waybill.request_stop($1, $2, $3, $4)', [
        stop.importId,
        stop.what,
        stop.actor,
        stop.reason ?? null,
      ]);
      await client.query('commit');
      return row;
    });
  for (let attempt = 1; ; attempt++) {
    try {
      return await call();
    } catch (error) {
      const code = (error as { code?: string }).code;
      if (code === 'WB404') return null;
      if (code !== '55P03' || attempt === 5) throw error;
      await pool.query(
        `select pg_terminate_backend(l.pid) from pg_locks l, waybill.imports i
         where i.import_id = $1 and l.locktype = 'advisory' and l.objsubid = 1 and l.granted and l.mode = 'ShareLock'
           and ((l.classid::bigint << 32) | l.objid::bigint) = i.lock_key
           and l.database = (select oid from pg_database where datname = current_database())`,
        [stop.importId],
      );
    }
  }
}

export const resumeImport = (pool: pg.Pool, importId: string, actor: string) =>
  one(pool, 'select * from waybill.resume($1, $2)', [importId, actor]);

/** Opens a failed, cancelled or unproven run again. */
export const reopenImport = (pool: pg.Pool, importId: string, actor: string) =>
  one(pool, 'select * from waybill.reopen($1, $2)', [importId, actor]);

/** Why `reopenImport` left an ended run as it is; none of these where it was not that. */
export async function retryHindrance(
  pool: pg.Pool,
  importId: string,
): Promise<{ undone: boolean; dropped: boolean }> {
  const { rows } = await pool.query<{ undone: boolean; dropped: boolean }>(
    `select exists (select from waybill.revert_receipts r where r.import_id = i.import_id) as undone,
       i.values_dropped_at is not null as dropped
     from waybill.imports i where i.import_id = $1`,
    [importId],
  );
  return rows[0] ?? { undone: false, dropped: false };
}

export interface TurnAnswer {
  held: boolean;
  ahead: number;
  /** Somebody else held the turn since our plan was decided. */
  moved: boolean;
}

export async function takeTurn(
  pool: pg.Pool,
  importId: string,
  epoch: number,
  turn: string,
  kind: 'turn' | 'slot',
): Promise<TurnAnswer> {
  const result = await pool.query<TurnAnswer>('select * from waybill.take_turn($1, $2, $3, $4)', [
    importId,
    epoch,
    turn,
    kind === 'slot',
  ]);
  return result.rows[0]!;
}

/** The first in line of every turn that nobody holds. */
export async function nextInLine(pool: pg.Pool): Promise<string[]> {
  const result = await pool.query<{ import_id: string }>(
    `select (select k.import_id from waybill.tickets k where k.turn = t.turn order by k.ticket limit 1) as import_id
     from waybill.turns t where t.holder is null and exists (select from waybill.tickets k where k.turn = t.turn)`,
  );
  return result.rows.map((row) => row.import_id);
}

export const waitForPerson = (pool: pg.Pool, importId: string, epoch: number, what: object) =>
  one(pool, 'select * from waybill.wait_for_person($1, $2, $3)', [importId, epoch, JSON.stringify(what)]);

export interface Proof {
  ok: boolean;
  accounting: Record<string, number>;
  checks: { name: string; ok: boolean; found: number; expected: number }[];
}

export async function proveImport(pool: pg.Pool | pg.PoolClient, importId: string): Promise<Proof> {
  return (await pool.query<{ proof: Proof }>('select waybill.prove($1) as proof', [importId])).rows[0]!.proof;
}

export const finishImport = (
  pool: pg.Pool,
  end: {
    importId: string;
    epoch: number;
    error?: { code: string; message: string } | null;
    proof?: Proof | null;
    proofKey?: string | null;
    reportKey?: string | null;
  },
) =>
  one(pool, 'select * from waybill.finish($1, $2, $3, $4, $5, $6)', [
    end.importId,
    end.epoch,
    end.error ? JSON.stringify(end.error) : null,
    end.proof ? JSON.stringify(end.proof) : null,
    end.proofKey ?? null,
    end.reportKey ?? null,
  ]);

/** How far a phase is that leaves neither marks nor receipts. */
export async function noteProgress(pool: pg.Pool, importId: string, data: object): Promise<void> {
  await pool.query(
    `insert into waybill.progress (import_id, data) values ($1, $2)
     on conflict (import_id) do update set data = excluded.data, updated_at = clock_timestamp()`,
    [importId, JSON.stringify(data)],
  );
}

export interface BatchRange {
  first: number;
  last: number;
  rows: number;
}

/**
 * Batches of the newest wave without receipt, as contiguous ranges: of the file's rows, and of missing records, which come behind them;
 * null where nobody has approved a plan.
 */
export async function pendingBatches(
  pool: pg.Pool,
  importId: string,
): Promise<{ wave: number; ranges: BatchRange[]; missing: BatchRange[] } | null> {
  const wave = (
    await pool.query<{ wave: number | null }>(
      'select max(wave) as wave from waybill.waves where import_id = $1',
      [importId],
    )
  ).rows[0]!.wave;
  if (wave === null) return null;
  const { rows } = await pool.query<BatchRange & { missing: boolean }>(
    `select min(batch) as first, max(batch) as last, sum(rows)::float8 as rows, missing from (
       select b.batch, b.rows, b.missing, b.batch - row_number() over (partition by b.missing order by b.batch) as run
       from waybill.batches b where b.import_id = $1 and b.wave = $2 and b.superseded_at is null and not exists (
         select from waybill.receipts r where (r.import_id, r.wave, r.batch) = (b.import_id, b.wave, b.batch))) g
     group by missing, run order by 1`,
    [importId, wave],
  );
  const of = (kind: boolean) => rows.flatMap(({ missing, ...range }) => (missing === kind ? [range] : []));
  return { wave, ranges: of(false), missing: of(true) };
}

const DEADLOCK = '40P01';

/** Batches of a wave, as an activity is told to apply them. */
export interface Batches {
  importId: string;
  epoch: number;
  wave: number;
  first: number;
  last: number;
}

/** On this connection; returns how many of their rows were refused by the target or found changed. */
export async function applyOn(client: pg.PoolClient, batches: Batches): Promise<number> {
  const { importId, epoch, wave, first, last } = batches;
  const { rows } = await client.query<{ refused: number }>(
    `select coalesce(sum(failed + stale + kept), 0)::float8 as refused from waybill.apply_batches($1, $2, $3, $4, $5)`,
    [importId, epoch, wave, first, last],
  );
  return rows[0]!.refused;
}

/**
 * One transaction: the batches first..last of the wave, each exactly once. Throws WB001, WB002 or the target's error.
 * After a deadlock the import's lanes take turns, to its end, and the batches are tried once more. Returns what
 * `applyOn` does.
 */
export async function applyBatches(pool: pg.Pool, batches: Batches): Promise<number> {
  const apply = () => withClient(pool, (client) => applyOn(client, batches));
  try {
    return await apply();
  } catch (error) {
    if ((error as { code?: string }).code !== DEADLOCK) throw error;
    await pool.query('update waybill.imports set one_lane = true where import_id = $1 and epoch = $2', [
      batches.importId,
      batches.epoch,
    ]);
    return apply();
  }
}
