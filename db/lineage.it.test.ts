import type pg from 'pg';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../test/database.ts';
import { connectPool } from './connect.ts';
import { claimImport, proveImport, reopenImport, requestStop, takeTurn } from './control.ts';
import { keepHouse } from './keep.ts';
import { findRow, recordHistory } from './lineage.ts';
import type { Fate } from './ledger.ts';
import { indexLedger } from './plan.ts';
import { beginRevert, claimRevert, finishRevert, planRevert, revertBatches } from './revert.ts';
import { applyAll, importWhole, stageImport, type ProductRow, type StagedImport } from './staged.fixture.ts';
import { describeTarget, type Target } from './target.ts';

const TURN = 'catalog.products/default';
const DAY = 86_400;
const KEEP = { imagesSeconds: 7 * DAY, revertSeconds: 7 * DAY, ledgerSeconds: 400 * DAY };

let database: TestDatabase;
let pool: pg.Pool;
let worker: pg.Pool;
let target: Target;
beforeAll(async () => {
  database = await createTestDatabase();
  pool = connectPool(database.ownerUrl);
  worker = connectPool(database.workerUrl, { max: 4 });
  target = await describeTarget(pool, 'catalog', 'products', 'products_key');
});
afterAll(async () => {
  await Promise.all([pool.end(), worker.end()]);
  await database.drop();
});
beforeEach(async () => {
  await pool.query('truncate catalog.products');
  await pool.query('update waybill.imports set turn = null');
  await pool.query('delete from waybill.key_blocks');
  await pool.query('delete from waybill.key_maps');
});

/** As the worker, which owns what imports leave. */
async function imported(
  rows: ProductRow[],
  options?: Parameters<typeof stageImport>[2],
): Promise<StagedImport> {
  const staged = await importWhole(worker, rows, options);
  await indexLedger(worker, staged.lockKey);
  return staged;
}

const keep = () =>
  keepHouse(worker, KEEP, (_, error) => {
    throw error;
  });
const history = (sku: string, more: { fates?: Fate[]; before?: number; limit?: number } = {}) =>
  recordHistory(pool, { tenantId: 'default', turn: TURN, target, key: { sku }, limit: 20, ...more });

async function undo({ importId, lockKey }: StagedImport): Promise<void> {
  await beginRevert(worker, {
    importId,
    actor: 'Aiko',
    onConflict: { changed: 'skip', seenLater: 'skip', referenced: 'skip' },
    reason: null,
    windowSeconds: 1000,
  });
  const claim = (await claimRevert(worker, importId, 'run'))!;
  await takeTurn(worker, importId, claim.epoch, TURN, 'turn');
  const onConflict = { changed: 'skip', seenLater: 'skip', referenced: 'skip' } as const;
  await planRevert(
    worker,
    { importId, lockKey, tenantId: 'default', target, onConflict, revert: claim.revert },
    claim.epoch,
  );
  await revertBatches(worker, { importId, epoch: claim.epoch, revert: claim.revert, first: 1, last: 1 });
  await finishRevert(worker, { importId, epoch: claim.epoch });
}

describe('the history of a record', () => {
  // With and without the maps: they are made a while after the end.
  it.each(['before', 'after'])('has every row that met it, %s the maps are made', async (when) => {
    const first = await imported([
      { sku: 'a', name: 'A', price: '1' },
      { sku: 'b', name: 'B' },
    ]);
    const second = await imported([
      { sku: 'A', name: 'AA', price: '1' },
      { sku: 'a', name: 'AAA', price: '2' },
    ]);
    const third = await imported([{ sku: 'a', name: 'AAA', price: '2' }]);
    if (when === 'after') expect(await keep()).toMatchObject({ mapped: 3 });
    const { record, entries, next } = await history('a');
    expect(record).toMatchObject({ sku: 'a', name: 'AAA', price: '2.0000' });
    expect(next).toBeNull();
    expect(entries).toMatchObject([
      { importId: third.importId, fate: 'unchanged', record: 1, line: 2, before: null },
      {
        importId: second.importId,
        fate: 'updated',
        record: 2,
        key: ['a'],
        before: { name: 'A', price: '1.0000' },
        after: { name: 'AAA', price: '2.0000' },
      },
      {
        importId: second.importId,
        fate: 'duplicate',
        record: 1,
        winner: 2,
        values: { sku: 'A', name: 'AA' },
      },
      { importId: first.importId, fate: 'created', record: 1, before: null, after: { sku: 'a', name: 'A' } },
    ]);
    expect(entries.every(({ fate, at }) => (at === null) === (fate === 'duplicate'))).toBe(true);
    expect((await history('A', { fates: ['created', 'updated'] })).entries.map(({ fate }) => fate)).toEqual([
      'updated',
      'created',
    ]);
    const page = await history('a', { limit: 2 });
    expect(page.entries.map(({ importId }) => importId)).toEqual([
      third.importId,
      second.importId,
      second.importId,
    ]);
    const rest = await history('a', { limit: 2, before: page.next! });
    expect(rest.entries.map(({ importId }) => importId)).toEqual([first.importId]);
    expect(rest.next).toBeNull();
    expect((await history('zzz')).entries).toEqual([]);
  });

  it('has what a run did that went on after its map was made', async () => {
    const staged = await stageImport(worker, [{ sku: 'a', name: 'A' }]);
    const { importId } = staged;
    await requestStop(worker, { importId, what: 'cancel', actor: 'test' });
    expect(await keep()).toMatchObject({ mapped: 1 });
    await reopenImport(worker, importId, 'test');
    const { epoch } = (await claimImport(worker, importId, 'again'))!;
    await takeTurn(worker, importId, epoch, TURN, 'turn');
    await applyAll(worker, { ...staged, epoch });
    expect((await history('a')).entries).toMatchObject([{ importId, fate: 'created' }]);
    await requestStop(worker, { importId, what: 'cancel', actor: 'test' });
  });

  it('tells what was undone', async () => {
    const staged = await imported([{ sku: 'a', name: 'A' }]);
    await undo(staged);
    await keep();
    const { record, entries } = await history('a');
    expect(record).toBeNull();
    expect(entries).toMatchObject([{ fate: 'created', reverts: [{ revert: 1, outcome: 'removed' }] }]);
  });

  it('is of one tenant', async () => {
    await imported([{ sku: 'a', name: 'A' }]);
    await keep();
    const other = await recordHistory(pool, {
      tenantId: 'other',
      turn: TURN,
      target,
      key: { sku: 'a' },
      limit: 5,
    });
    expect(other).toEqual({ record: null, entries: [], next: null });
  });

  it('finds each of many keys, in blocks', async () => {
    const rows = Array.from({ length: 600 }, (_, n) => ({ sku: `k${n}`, name: `n${n}` }));
    const { lockKey } = await imported(rows);
    await keep();
    const blocks = await pool.query<{ n: number; rows: number }>(
      'select count(*)::int as n, sum(cardinality(entries))::int as rows from waybill.key_blocks where lock_key = $1',
      [lockKey],
    );
    expect(blocks.rows[0]).toEqual({ n: 32, rows: 600 });
    for (const n of [0, 17, 599])
      expect((await history(`k${n}`)).entries).toMatchObject([{ record: n + 1, fate: 'created' }]);
  });
});

describe('what an import leaves, by age', () => {
  const aged = ({ importId }: StagedImport, days: number) =>
    pool.query(
      `update waybill.imports set finished_at = now() - make_interval(days => $2) where import_id = $1`,
      [importId, days],
    );
  const tables = async ({ lockKey }: StagedImport) =>
    (
      await pool.query<{ name: string }>(
        `select relname as name from pg_class where relnamespace = 'stage'::regnamespace and relkind = 'r' and relname ~ $1 order by 1`,
        [`^(plan|images|revert)_${lockKey}(_|$)`],
      )
    ).rows.map(({ name }) => name.replace(/_.*/, ''));

  it('keeps the ledger when values and images go, and its proof', async () => {
    const staged = await imported([
      { sku: 'a', name: 'A' },
      { sku: 'a', name: 'AA' },
    ]);
    const proof = await proveImport(pool, staged.importId);
    expect(proof.ok).toBe(true);
    await aged(staged, 8);
    expect(await keep()).toMatchObject({ narrowed: 1 });
    expect(await tables(staged)).toEqual(['plan']);
    expect(await proveImport(pool, staged.importId)).toEqual(proof);
    expect(await findRow(pool, staged.lockKey, 2)).toMatchObject({
      fate: 'created',
      key: ['a'],
      values: null,
      after: null,
    });
    expect((await history('a')).entries).toHaveLength(2);
    await expect(
      beginRevert(worker, {
        importId: staged.importId,
        actor: 'x',
        onConflict: { changed: 'skip', seenLater: 'skip', referenced: 'skip' },
        reason: null,
        windowSeconds: 100 * DAY,
      }),
    ).rejects.toMatchObject({ hint: 'window_over' });
    expect(await keep()).toEqual({ mapped: 0, narrowed: 0, dropped: 0 });
  });

  it('gives up the ledger in the end, and the maps of its month', async () => {
    const staged = await imported([{ sku: 'a', name: 'A' }]);
    await pool.query(
      `insert into waybill.outcomes (import_id, record, wave, batch, decision, outcome) values ($1, 1, 1, 1, 'create', 'failed')`,
      [staged.importId],
    );
    await pool.query(
      `insert into waybill.issues (import_id, ordinal, record, line, code, severity, value, message) values ($1, 1, 1, 2, 'x', 'error', 'private', 'no')`,
      [staged.importId],
    );
    await aged(staged, 450);
    await keep();
    expect(await keep()).toMatchObject({ dropped: 0 });
    expect(await tables(staged)).toEqual([]);
    for (const table of ['outcomes', 'issues'])
      expect(
        (await pool.query(`select from waybill.${table} where import_id = $1`, [staged.importId])).rowCount,
      ).toBe(0);
    expect((await history('a')).entries).toEqual([]);
    const left = await pool.query('select from waybill.key_maps where lock_key = $1', [staged.lockKey]);
    expect(left.rowCount).toBe(0);
  });

  it('of a run that cannot be gone on with is not opened again', async () => {
    const staged = await imported([{ sku: 'a', name: 'A' }]);
    await pool.query(`update waybill.imports set status = 'cancelled' where import_id = $1`, [
      staged.importId,
    ]);
    await aged(staged, 8);
    await keep();
    expect((await reopenImport(pool, staged.importId, 'test'))?.status).toBe('cancelled');
    await requestStop(pool, { importId: staged.importId, what: 'cancel', actor: 'test' });
  });
});
