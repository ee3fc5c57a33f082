import pg from 'pg';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { ownDatabase } from '../test/own-database.ts';
import { applyWhole, mustBeWhole, settleAllOr, undoWhatIsNotWhole } from './all-or.ts';
import {
  claimImport,
  finishImport,
  proveImport,
  reopenImport,
  requestStop,
  resumeImport,
  takeTurn,
} from './control.ts';
import { indexLedger, makePlan } from './plan.ts';
import { applyAll, land, stageImport, stageRows, type StagedImport } from './staged.fixture.ts';

const ROWS = 20_500;

const own = ownDatabase();
let pool: pg.Pool;
/** As somebody else at the database. */
let operator: pg.Client;
beforeAll(async () => {
  pool = own.pool;
  operator = new pg.Client({ connectionString: own.ownerUrl });
  await operator.connect();
});
afterAll(async () => {
  await operator.end();
});
afterEach(async () => {
  await operator.query('rollback');
});

const LAST = `part-${String(ROWS).padStart(6, '0')}`;

/** Planned, in three batches, to go in as a whole. */
async function staged(): Promise<StagedImport> {
  const rows = await stageRows(pool, ROWS, {}, (table) =>
    pool
      .query(
        `insert into ${table} select n, n + 1, 0, 0, false, null, null, 'part-' || lpad(n::text, 6, '0'), 'Part ' || n, n
         from generate_series(1, ${ROWS}) n`,
      )
      .then(() => {}),
  );
  await settleAllOr(pool, rows, 'nothing');
  return { ...rows, plan: await makePlan(pool, { ...rows.request, lanes: 1 }) };
}
const whole = ({ importId, epoch, plan }: StagedImport, signal = new AbortController().signal) =>
  applyWhole(pool, { importId, epoch, wave: 1, first: 1, last: plan.batches }, signal);

const inTarget = async () =>
  (await pool.query<{ n: number }>('select count(*)::int as n from catalog.products')).rows[0]!.n;
const receipts = async ({ importId }: StagedImport) =>
  (
    await pool.query<{ n: number; transactions: number; created: number }>(
      `select count(*)::int as n, count(distinct xmin::text)::int as transactions, coalesce(sum(created), 0)::int as created
       from waybill.receipts where import_id = $1`,
      [importId],
    )
  ).rows[0]!;
const nothing = { n: 0, transactions: 0, created: 0 };
const everything = { n: 3, transactions: 1, created: ROWS };

/** Somebody adds the record of the last row, and does not say whether to keep it: the last batch waits for that. */
const hold = () =>
  operator.query(`begin; insert into catalog.products (tenant_id, sku) values ('default', '${LAST}')`);
const heldAtTheEnd = ({ importId }: StagedImport) =>
  expect
    .poll(
      async () =>
        (
          await pool.query<{ pid: number; fraction: number }>(
            `select a.pid, (p.data ->> 'fraction')::float8 as fraction from pg_stat_activity a, waybill.progress p
             where a.datname = current_database() and a.query ~ 'apply_batches' and a.wait_event_type = 'Lock' and p.import_id = $1`,
            [importId],
          )
        ).rows[0],
      { timeout: 20_000 },
    )
    .toMatchObject({ fraction: 2 / 3 });

it('is seen as a whole or not at all, with every receipt in the same transaction', async () => {
  const run = await staged();
  await hold();
  const applied = whole(run);
  await heldAtTheEnd(run);
  expect([await inTarget(), await receipts(run)]).toEqual([0, nothing]);
  await operator.query('rollback');
  await applied;
  expect([await inTarget(), await receipts(run)]).toEqual([ROWS, everything]);
  // Killed after the commit and before anybody heard of it: done again, it is found done.
  await whole(run);
  expect([await inTarget(), await receipts(run)]).toEqual([ROWS, everything]);
  await indexLedger(pool, run.lockKey);
  expect(await proveImport(pool, run.importId)).toMatchObject({ ok: true, accounting: { created: ROWS } });
});

it('killed in the middle it leaves nothing, and is done again', async () => {
  const run = await staged();
  await hold();
  const applied = whole(run);
  applied.catch(() => {});
  await heldAtTheEnd(run);
  await pool.query(
    `select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and query ~ 'apply_batches' and wait_event_type = 'Lock'`,
  );
  await expect(applied).rejects.toThrow();
  expect([await inTarget(), await receipts(run)]).toEqual([0, nothing]);
  await operator.query('rollback');
  await whole(run);
  expect([await inTarget(), await receipts(run)]).toEqual([ROWS, everything]);
});

it('paused in under a second, it leaves nothing; what comes late is fenced; resumed, all of it goes in', async () => {
  const run = await staged();
  await hold();
  const applied = whole(run);
  applied.catch(() => {});
  await heldAtTheEnd(run);
  const asked = performance.now();
  expect((await requestStop(pool, { importId: run.importId, what: 'pause', actor: 'Aiko' }))?.status).toBe(
    'paused',
  );
  expect(performance.now() - asked).toBeLessThan(1000);
  await expect(applied).rejects.toThrow();
  await operator.query('rollback');
  expect([await inTarget(), await receipts(run)]).toEqual([0, nothing]);
  await expect(whole(run)).rejects.toMatchObject({ code: 'WB001' });

  await resumeImport(pool, run.importId, 'Aiko');
  const { epoch } = (await claimImport(pool, run.importId, 'again'))!;
  const { rows } = await pool.query<{ turn: string }>(
    'select turn from waybill.imports where import_id = $1',
    [run.importId],
  );
  await takeTurn(pool, run.importId, epoch, rows[0]!.turn, 'turn');
  await whole({ ...run, epoch });
  expect([await inTarget(), await receipts(run)]).toEqual([ROWS, everything]);
});

it('aborted by the workflow, the statement under way is cancelled at once', async () => {
  const run = await staged();
  await hold();
  const stop = new AbortController();
  const applied = whole(run, stop.signal);
  applied.catch(() => {});
  await heldAtTheEnd(run);
  const asked = performance.now();
  stop.abort();
  await expect(applied).rejects.toThrow();
  expect(performance.now() - asked).toBeLessThan(1000);
  expect([await inTarget(), await receipts(run)]).toEqual([0, nothing]);
});

it('one row that the table refuses, by a rule that the dataset does not know, and nothing goes in', async () => {
  const run = await staged();
  await pool.query(`alter table catalog.products add constraint not_that_dear check (price < ${ROWS})`);
  try {
    await expect(whole(run)).rejects.toMatchObject({
      code: 'atomic_refused',
      message: expect.stringMatching(new RegExp(`Line ${ROWS + 1}: .*"not_that_dear"`)) as string,
    });
  } finally {
    await pool.query('alter table catalog.products drop constraint not_that_dear');
  }
  expect([await inTarget(), await receipts(run)]).toEqual([0, nothing]);
  const { rows } = await pool.query('select from waybill.outcomes where import_id = $1', [run.importId]);
  expect(rows).toEqual([]);
});

const fail = (importId: string, epoch: number) =>
  finishImport(pool, { importId, epoch, error: { code: 'atomic_refused', message: 'x' } });
const toBeUndone = (importId: string) => undoWhatIsNotWhole(pool, importId);

it('all or undone: a revert that a person cancels stays cancelled, and the next run that fails is undone anew', async () => {
  const run = await stageImport(pool, [{ sku: 'A' }, { sku: 'B' }]);
  await settleAllOr(pool, run, 'undone');
  await applyAll(pool, run);
  expect(await toBeUndone(run.importId)).toBe(false);
  await fail(run.importId, run.epoch);
  expect(await toBeUndone(run.importId)).toBe(true);
  expect(await toBeUndone(run.importId)).toBe(true);
  await requestStop(pool, { importId: run.importId, what: 'cancel', actor: 'Aiko' });
  expect(await toBeUndone(run.importId)).toBe(false);

  await reopenImport(pool, run.importId, 'Aiko');
  const { epoch } = (await claimImport(pool, run.importId, 'again'))!;
  await fail(run.importId, epoch);
  expect(await toBeUndone(run.importId)).toBe(true);
  const { rows } = await pool.query(
    'select state from waybill.reverts where import_id = $1 order by revert',
    [run.importId],
  );
  expect(rows).toEqual([{ state: 'cancelled' }, { state: 'running' }]);
});

it('all or undone: what was refused in a batch that nobody heard of is found by whoever goes on', async () => {
  const run = await stageImport(pool, [
    { sku: 'A', price: '1' },
    { sku: 'B', price: '99' },
  ]);
  await settleAllOr(pool, run, 'undone');
  await mustBeWhole(pool, run.importId);
  await pool.query('alter table catalog.products add constraint cheap check (price < 50)');
  try {
    expect(await applyAll(pool, run)).toMatchObject({ created: 1, failed: 1 });
  } finally {
    await pool.query('alter table catalog.products drop constraint cheap');
  }
  await expect(mustBeWhole(pool, run.importId)).rejects.toMatchObject({
    code: 'atomic_refused',
    message: expect.stringMatching(/Line 3: .*"cheap"/) as string,
  });
});

it('all or undone: it is undone however long no worker was there to do it', async () => {
  const run = await stageImport(pool, [{ sku: 'A' }]);
  await settleAllOr(pool, run, 'undone');
  await applyAll(pool, run);
  await requestStop(pool, { importId: run.importId, what: 'cancel', actor: 'Aiko' });
  await pool.query(
    `update waybill.imports set finished_at = now() - interval '3 days' where import_id = $1`,
    [run.importId],
  );
  expect(await toBeUndone(run.importId)).toBe(true);
});

it('a missing record that could not be deleted is named by its key, for it has no line', async () => {
  await land(pool, [{ sku: 'A' }, { sku: 'Gone' }]);
  await pool.query(
    `create table public.shelves (product bigint references catalog.products (product_id));
     insert into public.shelves select product_id from catalog.products where sku = 'Gone'`,
  );
  try {
    const run = await stageImport(pool, [{ sku: 'A' }], {
      missing: { action: 'delete', scope: [{ column: 'sku', operator: 'not_empty' }], inactive: null },
    });
    await settleAllOr(pool, run, 'nothing');
    await expect(whole(run)).rejects.toMatchObject({
      code: 'atomic_refused',
      message: expect.stringMatching(
        /The record gone, which the file does not have, .*Something refers to this record.*add its row to the file/,
      ) as string,
    });
    expect(await inTarget()).toBe(2);
  } finally {
    await pool.query('drop table public.shelves');
  }
});
