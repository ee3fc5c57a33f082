import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { GATE } from './oracle.ts';
import type { Instance } from './instance.ts';

/** What is in flight now, in words for the table; null where nothing is: a fault then would prove nothing. */
export type Moment = () => Promise<string | null>;

const WITHIN_MS = 60_000;

/** Waits for the moment, looking as often as it can. */
export async function until(what: string, moment: Moment): Promise<string> {
  const deadline = Date.now() + WITHIN_MS;
  for (;;) {
    const found = await moment();
    if (found !== null) return found;
    if (Date.now() > deadline) throw new Error(`never saw ${what}`);
    await delay(2);
  }
}

export async function receipts(instance: Instance, importId: string): Promise<number> {
  const [row] = await instance.sql<{ n: number }>(
    'select count(*)::int as n from waybill.receipts where import_id = $1',
    [importId],
  );
  return row!.n;
}

/** Batch transactions that have written and not yet committed, by their backends. */
export async function openBatches(instance: Instance): Promise<number[]> {
  const rows = await instance.sql<{ pid: number }>(
    `select pid from pg_stat_activity where application_name = 'waybill worker' and state = 'active'
       and backend_xid is not null and query ~ 'apply_batches|revert_batches'`,
  );
  return rows.map((row) => row.pid);
}

export const batchOpen =
  (instance: Instance, importId: string, least = 1): Moment =>
  async () => {
    const open = await openBatches(instance);
    return open.length < least
      ? null
      : `${open.length} batch transactions, ${await receipts(instance, importId)} batches done`;
  };

const struck = new Map<string, Set<number>>();

/** As batchOpen, by a backend that no earlier strike on this run has met: what a dead worker's still do is not its own work. */
export const freshBatch =
  (instance: Instance, importId: string): Moment =>
  async () => {
    const known = struck.get(importId) ?? new Set();
    struck.set(importId, known);
    const open = await openBatches(instance);
    if (open.every((pid) => known.has(pid))) return null;
    for (const pid of open) known.add(pid);
    return `${open.length} batch transactions, ${await receipts(instance, importId)} batches done`;
  };

/** The COPY of a segment, with rows in it. */
export const copyOpen =
  (instance: Instance): Moment =>
  async () => {
    const rows = await instance.sql<{ rows: number }>(
      `select tuples_processed::int as rows from pg_stat_progress_copy where tuples_processed > 0 and relid::regclass::text like 'stage.rows%'`,
    );
    return rows.length === 0
      ? null
      : `COPY of ${rows.length} segments, ${rows.reduce((sum, row) => sum + row.rows, 0)} rows in`;
  };

/** The statement that makes the plan. */
export const planning =
  (instance: Instance): Moment =>
  async () => {
    const rows = await instance.sql(
      `select from pg_stat_activity where application_name = 'waybill worker' and state = 'active' and query ~ '^insert into stage.draft_'`,
    );
    return rows.length === 0 ? null : 'the plan being sorted';
  };

/** The object is being read: its copy on this host has begun and is not whole. */
export const objectRead =
  (instance: Instance, importId: string, size: number): Moment =>
  async () => {
    const folder = join(instance.data, 'spool', importId);
    try {
      for (const attempt of readdirSync(folder)) {
        const bytes = statSync(join(folder, attempt, 'raw')).size;
        if (bytes > size / 100 && bytes < size) return `object read to ${Math.round((100 * bytes) / size)}%`;
      }
    } catch (error) {
      // The copy comes and goes while we look.
      if (!['ENOENT', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
    }
    return null;
  };

/** Our backends that wait for the one with this pid. */
export async function waitingFor(instance: Instance, holder: number): Promise<number[]> {
  const rows = await instance.sql<{ pid: number }>(
    `select pid from pg_stat_activity where application_name like 'waybill%' and $1 = any(pg_blocking_pids(pid))`,
    [holder],
  );
  return rows.map((row) => row.pid);
}

export interface Hold {
  release(): Promise<void>;
  /** Asks for more in the same transaction: resolves when it has it. Never the one to end a deadlock. */
  ask(statement: string): Promise<void>;
  /** Backends that wait for it, in the middle of what they do. */
  caught(): Promise<number[]>;
}

/** Holds locks and says who of ours has run into them. */
export async function barrier(instance: Instance, ...statements: string[]): Promise<Hold> {
  const held = await instance.hold(...statements);
  return { ...held, caught: () => waitingFor(instance, held.pid) };
}

/** Closed, no batch gets further than its first write: its rows are written, its receipt is not. */
export const closeGate = (instance: Instance): Promise<Hold> =>
  barrier(instance, `select pg_advisory_xact_lock(${GATE})`);

export const caughtAt =
  (hold: Hold, least = 1): Moment =>
  async () => {
    const pids = await hold.caught();
    return pids.length < least ? null : `${pids.length} batch transactions, stopped before their receipts`;
  };
