import type pg from 'pg';
import { beforeAll, describe, expect, it } from 'vitest';
import { ownDatabase } from '../test/own-database.ts';
import { proveImport, requestStop } from './control.ts';
import { recordIssues } from './issues-of-plan.ts';
import type { MissingRequest } from './missing.ts';
import { indexLedger } from './plan.ts';
import { applyAll, land, stageImport, type ProductRow, type StagedImport } from './staged.fixture.ts';

// Tables that are not as simple as `products`, each its own.

const own = ownDatabase((pool) => pool.query('create extension citext'));
let pool: pg.Pool;
beforeAll(() => {
  pool = own.pool;
});

const remove: MissingRequest = {
  action: 'delete',
  scope: [{ column: 'sku', operator: 'not_empty' }],
  inactive: null,
};
const into = (table: string) => ({ schema: 'public', table, index: `${table}_pkey`, key: 'sku' });
const there = async (table: string) =>
  (await pool.query<{ sku: string }>(`select sku from public.${table} order by 1`)).rows.map(
    ({ sku }) => sku,
  );
const outcomes = async ({ importId }: StagedImport) =>
  (
    await pool.query<{ o: string }>(
      `select concat_ws(' ', record, outcome, code) as o from waybill.outcomes where import_id = $1 and record < 0 order by record desc`,
      [importId],
    )
  ).rows.map(({ o }) => o);

describe('a record that was changed since the plan', () => {
  it.each([
    ['citext', 'draft', 'DRAFT', ['A', 'B']],
    ['jsonpath', '$.a', '$.b', ['A', 'B']],
    ['jsonpath', '$.a', '$.a', ['A']],
    ['circle', '<(1,1),2>', '<(9,9),2>', ['A', 'B']],
  ])('of %s, from %s to %s', async (type, before, after, left) => {
    await pool.query(
      `drop table if exists public.noted; create table public.noted (sku text primary key, name text, note ${type} default '${before}')`,
    );
    const options = { into: into('noted'), columns: ['name'] };
    const row = (sku: string): ProductRow => ({ sku, name: 'x' });
    await land(pool, [row('A'), row('B')], options);
    const staged = await stageImport(pool, [row('A')], { ...options, missing: remove });
    await pool.query(`update public.noted set note = $1 where sku = 'B'`, [after]);
    await applyAll(pool, staged);
    expect(await there('noted')).toEqual(left);
    expect(await outcomes(staged)).toEqual(left.length > 1 ? ['-1 stale stale'] : []);
  });
});

it.each([
  ['the scope', { ...remove, scope: [{ column: 'supplier', operator: 'is', value: 'x' }] }],
  ['what makes a record inactive', { ...remove, inactive: { column: 'supplier', value: 'x' } }],
] as [string, MissingRequest][])('a column that is gone is named: %s', async (_, missing) => {
  await expect(stageImport(pool, [{ sku: 'A' }], { missing })).rejects.toThrow(
    'Missing records cannot be looked for: catalog.products has no column supplier (any more). Correct the scope, or what makes a record inactive.',
  );
});

it('a tree goes from its leaves, and a record that refers to itself goes with itself', async () => {
  await pool.query(
    'create table public.tree (sku text primary key, parent text references public.tree, name text)',
  );
  const options = { into: into('tree'), columns: ['parent', 'name'] };
  const leaf = (sku: string, parent: string | null): ProductRow => ({ sku, parent, name: 'x' });
  await land(
    pool,
    [leaf('A', null), leaf('B', null), leaf('C', 'B'), leaf('D', 'C'), leaf('S', 'S'), leaf('P', null)],
    options,
  );
  await pool.query(`update public.tree set parent = 'P' where sku = 'A'`);
  const staged = await stageImport(pool, [leaf('A', 'P')], { ...options, missing: remove });
  await applyAll(pool, staged);
  expect(await there('tree')).toEqual(['A', 'P']);
  expect(await outcomes(staged)).toEqual(['-4 failed referenced']);
  await indexLedger(pool, staged.lockKey);
  expect(await proveImport(pool, staged.importId)).toMatchObject({
    ok: true,
    accounting: { missing: 5, deleted: 4, kept: 1 },
  });
});

it('a record that is back and still inactive is said', async () => {
  const missing: MissingRequest = {
    action: 'deactivate',
    scope: [{ column: 'sku', operator: 'not_empty' }],
    inactive: { column: 'active', value: 'false' },
  };
  const row = (sku: string, name = 'x'): ProductRow => ({ sku, name, price: '1' });
  await land(pool, [row('A'), row('B'), row('C')]);
  await land(pool, [row('A')], { missing });
  const staged = await stageImport(pool, [row('A'), row('B', 'new'), row('C')], { missing });
  await applyAll(pool, staged);
  await recordIssues(pool, staged.importId, staged.lockKey);
  const issues = await pool.query(
    `select record, field, code, severity from waybill.issues where import_id = $1 order by record`,
    [staged.importId],
  );
  expect(issues.rows).toEqual(
    [2, 3].map((record) => ({ record, field: 'active', code: 'still_inactive', severity: 'warning' })),
  );
  await requestStop(pool, { importId: staged.importId, what: 'cancel', actor: 'test' });
  const told = await stageImport(pool, [{ ...row('B'), active: 'true' }], {
    columns: ['name', 'price', 'active'],
    missing,
  });
  await recordIssues(pool, told.importId, told.lockKey);
  expect((await pool.query('select from waybill.issues where import_id = $1', [told.importId])).rows).toEqual(
    [],
  );
});
