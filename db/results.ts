import type pg from 'pg';
import { withClient } from './connect.ts';
import { ledgerRows, missingRows, type Fate } from './ledger.ts';
import { missingTable } from './missing-table.ts';
import { planTable } from './plan.ts';

/** The result files of a run; `duplicate` and `unchanged` are asked for by their own names. */
export const RESULT_KINDS = {
  written: ['created', 'updated'],
  failed: ['blocked', 'stale', 'failed'],
  'not-processed': ['notProcessed', 'skipped'],
  unchanged: ['unchanged'],
  duplicate: ['duplicate'],
} satisfies Record<string, Fate[]>;
export type ResultKind = keyof typeof RESULT_KINDS;

export interface ResultRow {
  record: number;
  offset: number;
  bytes: number;
  /** Cells as they were read, of rows that were rejected or blocked. */
  raw: string[] | null;
}

/** Where the ledger has its index by record, and where each page sorts it (a run that ended before its proof). */
const PAGE = { indexed: 2000, sorted: 50_000 };

/** Records that came to one of these, in the order of the file, a page at a time. */
export async function* resultRows(
  pool: pg.Pool,
  run: { importId: string; lockKey: number },
  kind: ResultKind,
): AsyncGenerator<ResultRow[]> {
  const fates: Fate[] = RESULT_KINDS[kind];
  const rows = ledgerRows(run.importId, run.lockKey, { columns: ['p._raw'], only: 'p._record > $1' });
  const [index] = (
    await pool.query<{ there: boolean }>('select to_regclass($1) is not null as there', [
      `${planTable(run.lockKey)}_record`,
    ])
  ).rows;
  const size = index!.there ? PAGE.indexed : PAGE.sorted;
  for (let after = 0; ;) {
    const page = await withClient(pool, async (client) => {
      // By the index, where there is one, never by a sort of the whole ledger for every page.
      const settings = index!.there
        ? 'set local enable_sort = off; set local max_parallel_workers_per_gather = 0;'
        : '';
      await client.query(`begin; ${settings} set local jit = off`);
      const found = await client.query<ResultRow>(
        `select _record as record, _offset as offset, _bytes as bytes, _raw as raw from (${rows}) l
         where fate = any($2) order by _record limit ${size}`,
        [after, fates],
      );
      await client.query('commit');
      return found.rows;
    });
    if (page.length > 0) yield page;
    if (page.length < size) return;
    after = page.at(-1)!.record;
  }
}

/** Records that were missing, a page at a time: what came of each, and its values as they were, as text by column. */
export async function* missingRecords(
  pool: pg.Pool,
  run: { importId: string; lockKey: number },
): AsyncGenerator<
  { seq: number; fate: Fate; message: string | null; before: Record<string, string | null> }[]
> {
  const rows = missingRows(run.importId, run.lockKey, {
    columns: ['to_jsonb(p) as whole'],
    only: 'p._seq > $1',
  });
  for (let after = 0; ;) {
    const page = await pool.query<{
      seq: number;
      fate: Fate;
      message: string | null;
      before: Record<string, string | null>;
    }>(
      `select _seq as seq, fate, message, (select coalesce(jsonb_object_agg(substr(k, 3), v), '{}') from jsonb_each_text(whole) e (k, v) where k like 'r\\_%') as before
       from (${rows} order by p._seq limit ${PAGE.indexed}) l order by _seq`,
      [after],
    );
    if (page.rows.length > 0) yield page.rows;
    if (page.rows.length < PAGE.indexed) return;
    after = page.rows.at(-1)!.seq;
  }
}

/** True where the import looked for missing records, and what it found is (still) there. */
export async function hasMissing(pool: pg.Pool, lockKey: number): Promise<boolean> {
  const [row] = (
    await pool.query<{ there: boolean }>('select to_regclass($1) is not null as there', [
      missingTable(lockKey),
    ])
  ).rows;
  return row!.there;
}

/** True where the ledger of an import is (still) there. */
export async function hasLedger(pool: pg.Pool, lockKey: number): Promise<boolean> {
  const [row] = (
    await pool.query<{ there: boolean }>('select to_regclass($1) is not null as there', [planTable(lockKey)])
  ).rows;
  return row!.there;
}
