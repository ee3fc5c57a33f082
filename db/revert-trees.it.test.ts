import { afterEach, beforeEach, expect, it } from 'vitest';
import { ownDatabase } from '../test/own-database.ts';
import { takeTurn } from './control.ts';
import type { OnConflict } from './revert-plan.ts';
import {
  beginRevert,
  claimRevert,
  finishRevert,
  listConflicts,
  listReverts,
  planRevert,
  previewRevert,
  revertBatches,
} from './revert.ts';
import { applyAll, stageImport, type StagedImport } from './staged.fixture.ts';
import { describeTarget } from './target.ts';

/** A table that refers to itself, and to another. */
const own = ownDatabase((pool) =>
  pool.query(`create table public.kinds (kind text primary key);
    create table public.parts (code text primary key, parent text references public.parts, kind text references public.kinds)`),
);
beforeEach(() => own.pool.query(`insert into public.kinds values ('x'), ('y')`));
afterEach(() => own.pool.query('truncate public.parts, public.kinds'));

const options = {
  columns: ['parent'],
  into: { schema: 'public', table: 'parts', index: 'parts_pkey', key: 'code' },
};
const part = (code: string, parent: string | null = null) => ({ sku: null, code, parent });
const codes = async () =>
  (await own.pool.query<{ code: string }>('select code from public.parts order by 1')).rows.map(
    ({ code }) => code,
  );

async function undo({ importId, lockKey }: StagedImport) {
  const { pool } = own;
  await pool.query(
    `update waybill.imports set status = 'completed', finished_at = now() where import_id = $1`,
    [importId],
  );
  const onConflict: OnConflict = { changed: 'skip', seenLater: 'skip', referenced: 'skip' };
  const target = await describeTarget(pool, 'public', 'parts', 'parts_pkey');
  const request = { importId, lockKey, tenantId: 'default', target, onConflict };
  const { counts: preview } = await previewRevert(pool, request, 9);
  await beginRevert(pool, { importId, actor: 'Aiko', onConflict, reason: null, windowSeconds: 1000 });
  const { epoch, revert } = (await claimRevert(pool, importId, 'run'))!;
  await takeTurn(pool, importId, epoch, 'public.parts', 'turn');
  await planRevert(pool, { ...request, revert }, epoch);
  await revertBatches(pool, { importId, epoch, revert, first: 1, last: 9 });
  await finishRevert(pool, { importId, epoch });
  const [run] = await listReverts(pool, importId);
  const conflicts = await listConflicts(pool, { lockKey, importId, revert, after: 0, limit: 10 });
  return {
    preview,
    state: run!.state,
    result: run!.result,
    conflicts: conflicts.map(({ key, kinds, outcome }) => [key, ...kinds, outcome]),
  };
}
const result = (some: object) => ({ removed: 0, restored: 0, gone: 0, skipped: 0, failed: 0, ...some });

it('removes a tree that the import created, in whatever order its keys are', async () => {
  const tree = await stageImport(own.pool, [part('m'), part('a', 'm'), part('z', 'a')], options);
  await applyAll(own.pool, tree);
  expect(await undo(tree)).toMatchObject({
    preview: { remove: 3, skip: 0 },
    state: 'done',
    result: result({ removed: 3 }),
    conflicts: [],
  });
  expect(await codes()).toEqual([]);
});

it('keeps what somebody hung their own record on, and what holds that', async () => {
  const tree = await stageImport(own.pool, [part('m'), part('a', 'm'), part('b', 'm')], options);
  await applyAll(own.pool, tree);
  await own.pool.query(`insert into public.parts values ('own', 'a')`);
  expect(await undo(tree)).toMatchObject({
    // That it has to stay for the sake of another that stays is found on the way.
    preview: { remove: 2, skip: 1 },
    state: 'done',
    result: result({ removed: 1, skipped: 2 }),
    conflicts: [
      ['a', 'referenced', null],
      ['m', 'skipped'],
    ],
  });
  expect(await codes()).toEqual(['a', 'm', 'own']);
});

it('brings back a tree that the import deleted, although the table refuses another record of it', async () => {
  await own.pool.query(
    `insert into public.parts values ('z', null, 'x'), ('a', 'z', 'x'), ('k', null, 'y'), ('stays', null, null)`,
  );
  const deleting = await stageImport(own.pool, [part('stays')], {
    ...options,
    missing: {
      action: 'delete',
      scope: [{ column: 'code', operator: 'not_empty' }],
      inactive: null,
    },
  });
  await applyAll(own.pool, deleting);
  expect(await codes()).toEqual(['stays']);
  await own.pool.query(`delete from public.kinds where kind = 'y'`);
  expect(await undo(deleting)).toMatchObject({
    state: 'done',
    result: result({ restored: 2, failed: 1 }),
    conflicts: [['k', 'failed']],
  });
  expect(await codes()).toEqual(['a', 'stays', 'z']);
});
