import type pg from 'pg';
import { beforeAll, expect, it } from 'vitest';
import { ownDatabase } from '../test/own-database.ts';
import { proveImport, takeTurn } from './control.ts';
import { keepHouse } from './keep.ts';
import { makeKeyMap } from './key-map.ts';
import { recordHistory } from './lineage.ts';
import type { MissingRequest } from './missing.ts';
import { missingTable } from './missing-table.ts';
import { proofChecks, runProof } from './proof.ts';
import type { OnConflict } from './revert-plan.ts';
import {
  beginRevert,
  claimRevert,
  finishRevert,
  listConflicts,
  listReverts,
  planRevert,
  revertBatches,
} from './revert.ts';
import { applyAll, stageImport, type ProductRow, type StagedImport } from './staged.fixture.ts';
import { describeTarget } from './target.ts';

const own = ownDatabase();
let pool: pg.Pool;
beforeAll(() => {
  pool = own.pool;
});

const TURN = 'catalog.products/default';
const SKIP: OnConflict = { changed: 'skip', seenLater: 'skip', referenced: 'skip' };
const scope: MissingRequest['scope'] = [{ column: 'sku', operator: 'not_empty' }];
const remove: MissingRequest = { action: 'delete', scope, inactive: null };
const deactivate: MissingRequest = {
  action: 'deactivate',
  scope,
  inactive: { column: 'active', value: 'false' },
};
const rows = (...skus: string[]): ProductRow[] => skus.map((sku) => ({ sku, name: `${sku}!`, price: '1' }));
const content = async () =>
  (await pool.query('select * from catalog.products order by lower(sku)')).rows as object[];
const skus = async () =>
  (await pool.query<{ sku: string }>('select sku from catalog.products order by lower(sku)')).rows.map(
    ({ sku }) => sku,
  );

async function imported(...args: [ProductRow[], Parameters<typeof stageImport>[2]?]): Promise<StagedImport> {
  const staged = await stageImport(pool, ...args);
  await applyAll(pool, staged);
  await pool.query(
    `update waybill.imports set status = 'completed', finished_at = now() where import_id = $1`,
    [staged.importId],
  );
  return staged;
}

async function undo(staged: StagedImport, onConflict = SKIP) {
  const { importId, lockKey } = staged;
  await beginRevert(pool, { importId, actor: 'Aiko', onConflict, reason: null, windowSeconds: 1000 });
  const { epoch, revert } = (await claimRevert(pool, importId, 'run'))!;
  await takeTurn(pool, importId, epoch, TURN, 'turn');
  const target = await describeTarget(pool, 'catalog', 'products', 'products_key');
  await planRevert(pool, { importId, lockKey, tenantId: 'default', target, onConflict, revert }, epoch);
  const apply = () => revertBatches(pool, { importId, epoch, revert, first: 1, last: 9 });
  await apply();
  await apply();
  await finishRevert(pool, { importId, epoch });
  return {
    ...(await listReverts(pool, importId))[0]!,
    conflicts: await listConflicts(pool, { lockKey, importId, revert, after: 0, limit: 10 }),
  };
}

it('brings back what it deleted, with every value and its own number, and what it deactivated in that field alone', async () => {
  await imported(rows('A', 'B', 'C'));
  await pool.query(`update catalog.products set description = 'long', quantity = 3 where sku = 'B'`);
  const before = await content();
  const deleted = await imported(rows('A', 'D'), { missing: remove });
  expect(await skus()).toEqual(['A', 'D']);
  expect(await undo(deleted)).toMatchObject({
    state: 'done',
    result: { removed: 1, restored: 2, skipped: 0, failed: 0 },
  });
  expect(await content()).toEqual(before);

  const inactive = await imported(rows('A'), { missing: deactivate });
  await pool.query(`update catalog.products set price = 9 where sku = 'C'`);
  expect(await undo(inactive)).toMatchObject({ state: 'done', result: { restored: 2, skipped: 0 } });
  expect(await content()).toEqual(before.map((row, n) => (n === 2 ? { ...row, price: '9.0000' } : row)));
});

it('a record that is there again, or active again, is a conflict', async () => {
  await imported(rows('A', 'B', 'C'));
  const deleted = await imported(rows('A'), { missing: remove });
  await pool.query(`insert into catalog.products (tenant_id, sku, name) values ('default', 'B', 'another')`);
  const undone = await undo(deleted, { ...SKIP, changed: 'force' });
  expect(undone).toMatchObject({ state: 'done', result: { restored: 1, skipped: 1 } });
  expect(undone.conflicts).toMatchObject([
    {
      record: -1,
      key: 'b',
      change: 'deleted',
      kinds: ['changed'],
      decision: 'skip',
      before: { name: 'B!' },
      now: { name: 'another' },
    },
  ]);
  const inactive = await imported(rows('A'), { missing: deactivate });
  await pool.query(`update catalog.products set active = true where sku = 'C'`);
  expect(await undo(inactive)).toMatchObject({
    result: { restored: 1, skipped: 1 },
    conflicts: [{ key: 'c', change: 'deactivated' }],
  });
});

it('a number of its own that is taken again fails that record alone', async () => {
  await imported(rows('A', 'B', 'C'));
  const deleted = await imported(rows('A'), { missing: remove });
  await pool.query(
    `insert into catalog.products (product_id, tenant_id, sku) overriding system value
       select (r_product_id), 'default', 'TOOK' from stage.missing_${deleted.lockKey} where _k1 = 'b'`,
  );
  expect(await undo(deleted)).toMatchObject({ state: 'done', result: { restored: 1, failed: 1 } });
  expect(await skus()).toEqual(['A', 'C', 'TOOK']);
});

it('an import whose records a later one deactivated or deleted says so, and can be forced', async () => {
  const first = await imported(rows('A', 'B'));
  await imported(rows('A'), { missing: deactivate });
  const undone = await undo(first);
  expect(undone).toMatchObject({ result: { removed: 0, skipped: 2 } });
  expect(undone.conflicts.find(({ key }) => key === 'b')).toMatchObject({
    kinds: expect.arrayContaining(['seenLater']),
  });
});

it('the history of a record knows who deactivated, deleted and brought it back, with and without its map', async () => {
  await imported(rows('H1', 'H2'));
  const inactive = await imported(rows('H1'), { missing: deactivate });
  const deleted = await imported(rows('H1'), { missing: remove });
  await undo(deleted);
  const target = await describeTarget(pool, 'catalog', 'products', 'products_key');
  const history = async () =>
    (
      await recordHistory(pool, { tenantId: 'default', turn: TURN, target, key: { sku: 'H2' }, limit: 10 })
    ).entries.map(({ importId, record, line, fate, before, after, reverts }) => ({
      importId,
      record,
      line,
      fate,
      active: [before?.['active'], after?.['active']],
      reverts: reverts.map(({ outcome }) => outcome),
    }));
  const expected = [
    {
      importId: deleted.importId,
      record: -1,
      line: null,
      fate: 'deleted',
      active: ['false', undefined],
      reverts: ['restored'],
    },
    {
      importId: inactive.importId,
      record: -1,
      line: null,
      fate: 'deactivated',
      active: ['true', 'false'],
      reverts: [],
    },
    { record: 2, fate: 'created' },
  ];
  expect(await history()).toMatchObject(expected);
  for (const { importId, lockKey } of [inactive, deleted])
    await makeKeyMap(pool, { importId, lockKey, tenantId: 'default', turn: TURN, finishedAt: new Date() });
  expect(await history()).toMatchObject(expected);
});

it('when its values are dropped by age, who deleted a record is still known, and the proof still holds', async () => {
  await imported(rows('K1', 'K2'));
  const deleted = await imported(rows('K1'), { missing: remove });
  const { importId, lockKey } = deleted;
  await pool.query(`update waybill.imports set finished_at = now() - interval '1 day' where import_id = $1`, [
    importId,
  ]);
  const kept = await keepHouse(
    pool,
    { imagesSeconds: 3600, ledgerSeconds: 1e8, revertSeconds: 3600 },
    (id, error) => {
      if (id === importId) throw error;
    },
  );
  expect(kept.narrowed).toBe(1);
  const columns = await pool.query<{ name: string }>(
    `select attname as name from pg_attribute where attrelid = to_regclass($1) and attnum > 0 order by attnum`,
    [missingTable(lockKey)],
  );
  expect(columns.rows.map(({ name }) => name)).toEqual(['_record', '_seq', '_decision', '_k1']);
  const target = await describeTarget(pool, 'catalog', 'products', 'products_key');
  const history = await recordHistory(pool, {
    tenantId: 'default',
    turn: TURN,
    target,
    key: { sku: 'K2' },
    limit: 1,
  });
  expect(history.entries).toMatchObject([{ importId, fate: 'deleted', before: null }]);
  const { ok, accounting } = await proveImport(pool, importId);
  expect({ ok, accounting }).toMatchObject({ ok: true, accounting: { missing: 1, deleted: 1 } });
  const { checks } = await runProof(pool, await proofChecks(pool, { importId, lockKey, accounting }));
  expect(checks.filter((check) => !check.ok)).toEqual([]);
});
