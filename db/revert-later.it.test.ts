import type pg from 'pg';
import { beforeAll, expect, it } from 'vitest';
import { ownDatabase } from '../test/own-database.ts';
import { takeTurn } from './control.ts';
import { revertTable } from './later-imports.ts';
import {
  beginRevert,
  claimRevert,
  finishRevert,
  planRevert,
  previewRevert,
  revertBatches,
} from './revert.ts';
import type { OnConflict } from './revert-plan.ts';
import { importWhole, type stageImport, type ProductRow, type StagedImport } from './staged.fixture.ts';
import { turnOf } from './target.ts';

// What later imports have to do with undoing an earlier one.

const own = ownDatabase((pool) =>
  pool.query(
    `insert into waybill.tenants values ('other', 'Other'); create table public.shared (code text primary key, label text)`,
  ),
);
let pool: pg.Pool;
beforeAll(() => {
  pool = own.pool;
});

const SKIP: OnConflict = { changed: 'skip', seenLater: 'skip', referenced: 'skip' };

const imported = (...args: [ProductRow[], Parameters<typeof stageImport>[2]?]) => importWhole(pool, ...args);

const preview = ({ request }: StagedImport) => previewRevert(pool, { ...request, onConflict: SKIP }, 10);

async function undo({ importId, request }: StagedImport, onConflict = SKIP): Promise<void> {
  await beginRevert(pool, { importId, actor: 'Aiko', onConflict, reason: 'why', windowSeconds: 1000 });
  const { epoch, revert } = (await claimRevert(pool, importId, 'run'))!;
  await takeTurn(pool, importId, epoch, turnOf(request.target, request.tenantId), 'turn');
  const { batches } = await planRevert(pool, { ...request, onConflict, revert }, epoch);
  await revertBatches(pool, { importId, epoch, revert, first: 1, last: batches });
  await finishRevert(pool, { importId, epoch });
}

it('one of which every row was blocked has seen its keys too', async () => {
  const first = await imported([
    { sku: 'a', name: 'A' },
    { sku: 'b', name: 'B' },
  ]);
  const later = await imported([{ sku: 'a', name: 'A' }], { mode: 'insert' });
  expect(later.plan).toMatchObject({ batches: 0, counts: { blocked: 1 } });
  expect(await preview(first)).toMatchObject({
    counts: { remove: 1, skip: 1, conflicts: { seenLater: 1 } },
    conflicts: [{ key: 'a', kinds: ['seenLater'], seenBy: { importId: later.importId } }],
  });
});

it('one that was undone and whose undoing is no longer kept counts with all its records', async () => {
  const first = await imported([
    { sku: 'a', name: 'A' },
    { sku: 'b', name: 'B' },
  ]);
  const later = await imported([{ sku: 'a', name: 'A2' }]);
  await undo(later);
  expect((await preview(first)).counts).toMatchObject({ remove: 2, skip: 0 });
  await pool.query(`drop table ${revertTable(later.lockKey, 1)}`);
  expect((await preview(first)).counts).toMatchObject({ remove: 1, skip: 1, conflicts: { seenLater: 1 } });
});

it('one of another tenant is in the way, and nobody learns whose it is', async () => {
  const into = { schema: 'public', table: 'shared', index: 'shared_pkey', key: 'code' };
  const row = { sku: null, code: 'a', label: 'A' };
  const options = { into, columns: ['label'] };
  const mine = await imported([row], options);
  const theirs = await imported([row], { ...options, tenantId: 'other' });
  expect((await preview(mine)).conflicts).toMatchObject([{ kinds: ['seenLater'], seenBy: null }]);
  await undo(mine, { ...SKIP, seenLater: 'force' });
  const audit = await pool.query(
    `select tenant_id, actor, action, reason, detail from waybill.audit where import_id = $1 and action <> 'cancel'`,
    [theirs.importId],
  );
  expect(audit.rows).toEqual([
    {
      tenant_id: 'other',
      actor: 'another tenant',
      action: 'records_undone',
      reason: null,
      detail: { records: 1 },
    },
  ]);
});
