import type pg from 'pg';
import { withCancellableTransaction } from './connect.ts';
import { applyOn, noteProgress, type Batches } from './control.ts';
import { missingTable } from './missing-table.ts';
import { beginRevert } from './revert.ts';

/** An import that goes in as a whole would not: nothing of it may stay. `message` is for a person. */
export class NotWhole extends Error {
  readonly code: 'atomic_blocked' | 'atomic_refused';
  constructor(code: NotWhole['code'], message: string) {
    super(message);
    this.code = code;
  }
}

/** Rows that one transaction takes unless the deployment says otherwise (WAYBILL_ATOMIC_ROWS). */
export const atomicRows = (env: NodeJS.ProcessEnv): number => {
  const rows = Number(env['WAYBILL_ATOMIC_ROWS'] || 1_000_000);
  if (!Number.isInteger(rows) || rows < 0)
    throw new Error(`WAYBILL_ATOMIC_ROWS is "${env['WAYBILL_ATOMIC_ROWS']}": give a number of rows.`);
  return rows;
};

/** Settles how an import that is wanted as a whole goes in, before it is planned; null: batch by batch. */
export async function settleAllOr(
  pool: pg.Pool,
  run: { importId: string; epoch: number },
  allOr: 'nothing' | 'undone' | null,
): Promise<void> {
  await pool.query(
    `update waybill.imports set all_or = $3 where import_id = $1 and epoch = $2 and all_or is distinct from $3`,
    [run.importId, run.epoch, allOr],
  );
}

const PER_ROW = 'Correct them in the file and import it again, or import it without "all or nothing".';

/**
 * Throws NotWhole where the import is wanted as a whole and rows of its plan are blocked, or some were refused in a batch
 * that is committed: a pause or a death may have come before anybody could say so.
 */
export async function mustBeWhole(client: pg.Pool | pg.PoolClient, importId: string): Promise<void> {
  const { rows } = await client.query<{ blocked: number; refused: number }>(
    `select (p.counts ->> 'blocked')::float8 as blocked,
       (select coalesce(sum(failed + stale + kept), 0)::float8 from waybill.receipts r where r.import_id = i.import_id) as refused
     from waybill.imports i
     join waybill.plans p on p.import_id = i.import_id and p.version = i.plan_version
     where i.import_id = $1 and i.all_or is not null`,
    [importId],
  );
  const blocked = rows[0]?.blocked ?? 0;
  if (blocked > 0)
    throw new NotWhole(
      'atomic_blocked',
      `${blocked === 1 ? '1 row is' : `${blocked.toLocaleString('en')} rows are`} blocked, and this import is all or nothing, so nothing was written. ${PER_ROW}`,
    );
  await mustHaveGoneIn(client, importId, rows[0]?.refused ?? 0);
}

/** Throws NotWhole where rows of the import were refused or found changed: the first of them, and what refused it. */
export async function mustHaveGoneIn(
  client: pg.Pool | pg.PoolClient,
  importId: string,
  refused: number,
): Promise<void> {
  if (refused === 0) return;
  const { rows } = await client.query<{ record: number; message: string | null; lock_key: number }>(
    `select o.record, o.message, i.lock_key from waybill.outcomes o join waybill.imports i using (import_id)
     where o.import_id = $1 and o.outcome in ('failed', 'stale') order by o.record limit 1`,
    [importId],
  );
  const [first] = rows;
  const many = refused === 1 ? 'a row' : `${refused.toLocaleString('en')} rows`;
  const because = first?.message ?? 'no reason was given.';
  const instead = 'import it without "all or nothing"';
  if (first && first.record < 0) {
    const key = await keyOfMissing(client, first.lock_key, first.record);
    throw new NotWhole(
      'atomic_refused',
      `The record ${key}, which the file does not have, could not be removed or made inactive, and this import is all or nothing. ${because} Settle that in the table, or add its row to the file, and import it again; or ${instead}.`,
    );
  }
  const place = first ? await lineOf(client, first.lock_key, first.record) : '';
  throw new NotWhole(
    'atomic_refused',
    `The table did not take ${many}, and this import is all or nothing. ${place}${because} Correct it and import the file again, or ${instead}.`,
  );
}

/** `Line N: `, where the row stands in the file. */
async function lineOf(client: pg.Pool | pg.PoolClient, lockKey: number, record: number): Promise<string> {
  const { rows } = await client.query<{ line: number }>(
    `select _line as line from stage.plan_${lockKey} where _record = $1`,
    [record],
  );
  return rows[0] ? `Line ${rows[0].line}: ` : '';
}

/** The key of a record that the file does not have, as a person knows it. */
async function keyOfMissing(
  client: pg.Pool | pg.PoolClient,
  lockKey: number,
  record: number,
): Promise<string> {
  const { rows } = await client.query<{ key: string }>(
    `select (select string_agg(v, ' / ' order by k) from jsonb_each_text(to_jsonb(m)) e (k, v) where k ~ '^_k[0-9]+$') as key
     from ${missingTable(lockKey)} m where _record = $1`,
    [record],
  );
  return rows[0]?.key ?? '(unknown)';
}

/**
 * Applies all batches in one transaction: each with its receipt, as anywhere else, and all of them seen by others at
 * once, or none. The first row that does not go in ends it. Aborted, the statement under way is cancelled.
 */
export async function applyWhole(pool: pg.Pool, batches: Batches, signal: AbortSignal): Promise<void> {
  const { importId, first, last } = batches;
  await withCancellableTransaction(pool, signal, async (client) => {
    await mustBeWhole(client, importId);
    // On another connection: nobody sees the rows themselves before they are committed.
    const prepared = (batches: number) =>
      noteProgress(pool, importId, { step: 'prepared', fraction: batches / (last - first + 1) });
    await prepared(0);
    for (let batch = first; batch <= last; batch++) {
      signal.throwIfAborted();
      const refused = await applyOn(client, { ...batches, first: batch, last: batch });
      await mustHaveGoneIn(client, importId, refused);
      await prepared(batch - first + 1);
    }
  });
}

/** No person asks for this undoing, so no window of theirs ends it: a worker may have been away for days. */
const EVER_SECONDS = 10 * 365 * 86_400;

const REASON = {
  cancelled: 'All or undone: it was cancelled.',
  failed: 'All or undone: it could not get through.',
};

/**
 * Begins to undo what an import has written that is to be there as a whole or not at all, and has ended without. True:
 * its undoing has to be started (again).
 */
export async function undoWhatIsNotWhole(pool: pg.Pool, importId: string): Promise<boolean> {
  const { rows } = await pool.query<{ status: 'cancelled' | 'failed' | 'reverting' }>(
    `select status from waybill.imports i
     where import_id = $1 and all_or = 'undone' and (status = 'reverting' or waybill.is_to_be_undone(i))`,
    [importId],
  );
  const [run] = rows;
  if (!run) return false;
  if (run.status === 'reverting') return true;
  await beginRevert(pool, {
    importId,
    actor: 'waybill',
    onConflict: { changed: 'skip', seenLater: 'skip', referenced: 'skip' },
    reason: REASON[run.status],
    windowSeconds: EVER_SECONDS,
  });
  return true;
}
