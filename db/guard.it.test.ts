import { expect, it } from 'vitest';
import { ownDatabase } from '../test/own-database.ts';
import { guardExamples, guardFigures } from './guard.ts';
import { stageImport } from './staged.fixture.ts';

const own = ownDatabase((pool) =>
  pool.query(`create table public.levels (code text primary key, depth int, step smallint);
    insert into public.levels values ('a', -5, -1), ('b', -6, -2), ('c', -7, -3)`),
);

it('shows what moves most, also where the difference is more than the column can hold', async () => {
  const { request, plan } = await stageImport(
    own.pool,
    [
      { sku: null, code: 'a', depth: '2147483647', step: '32767' },
      { sku: null, code: 'b', depth: '-6', step: '32767' },
    ],
    {
      policy: 'guard',
      columns: ['depth', 'step'],
      into: { schema: 'public', table: 'levels', index: 'levels_pkey', key: 'code' },
    },
  );
  const asked = { ...request, counts: plan.counts };
  expect((await guardFigures(own.pool, asked)).medians).toMatchObject([
    { field: 'depth' },
    { field: 'step' },
  ]);
  const reasons = ['depth', 'step'].map((field) => ({ kind: 'median' as const, field }));
  expect(await guardExamples(own.pool, asked, reasons)).toMatchObject([
    { key: 'a', field: 'depth', before: '-5', after: '2147483647' },
    { key: 'b', field: 'depth' },
    { key: 'b', field: 'step', before: '-2', after: '32767' },
    { key: 'a', field: 'step' },
  ]);
});
