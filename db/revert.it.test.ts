import type pg from 'pg';
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { ownDatabase, watchWrites } from '../test/own-database.ts';
import { withTransaction } from './connect.ts';
import { requestStop, reopenImport, resumeImport, takeTurn } from './control.ts';
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
import { revertTable } from './later-imports.ts';
import { missingTable } from './missing-table.ts';
import { decisions, shapeOf, type OnConflict, type RevertRequest } from './revert-plan.ts';
import { applyAll, importWhole, stageImport, type ProductRow, type StagedImport } from './staged.fixture.ts';
import { describeTarget } from './target.ts';

const own = ownDatabase(watchWrites);
let pool: pg.Pool;
beforeAll(() => {
  pool = own.pool;
});
beforeEach(async () => {
  await pool.query('truncate public.write_log');
});

const records = async () =>
  (
    await pool.query(
      `select sku, name, price::float8 as price, quantity::float8 as quantity from catalog.products order by lower(sku)`,
    )
  ).rows;
const writes = async () =>
  (
    await pool.query<{ w: string }>(`select op || ' ' || sku as w from public.write_log order by sku, op`)
  ).rows.map(({ w }) => w);

const imported = (...args: [ProductRow[], Parameters<typeof stageImport>[2]?]) => importWhole(pool, ...args);

const SKIP: OnConflict = { changed: 'skip', seenLater: 'skip', referenced: 'skip' };

async function requestOf(
  staged: StagedImport,
  onConflict: OnConflict,
  revert: number,
): Promise<RevertRequest> {
  return {
    importId: staged.importId,
    lockKey: staged.lockKey,
    tenantId: 'default',
    target: await describeTarget(pool, 'catalog', 'products', 'products_key'),
    onConflict,
    revert,
  };
}

const begin = (staged: StagedImport, onConflict = SKIP, windowSeconds = 1000) =>
  beginRevert(pool, { importId: staged.importId, actor: 'Aiko', onConflict, reason: null, windowSeconds });

/** As far as the plan: begun, claimed, in its turn. */
async function planned(staged: StagedImport, onConflict = SKIP) {
  const claim = (await claimRevert(pool, staged.importId, 'run'))!;
  await takeTurn(pool, staged.importId, claim.epoch, 'catalog.products/default', 'turn');
  const plan = await planRevert(pool, await requestOf(staged, onConflict, claim.revert), claim.epoch);
  const last = (
    await pool.query<{ last: number }>(
      'select coalesce(max(batch), 0) as last from waybill.revert_batches where import_id = $1 and revert = $2',
      [staged.importId, claim.revert],
    )
  ).rows[0]!.last;
  const apply = (epoch = claim.epoch) =>
    revertBatches(pool, { importId: staged.importId, epoch, revert: claim.revert, first: 1, last });
  return { ...claim, plan, apply };
}

async function undo(staged: StagedImport, onConflict = SKIP) {
  await begin(staged, onConflict);
  const run = await planned(staged, onConflict);
  await run.apply();
  const row = await finishRevert(pool, { importId: staged.importId, epoch: run.epoch });
  const [revert] = await listReverts(pool, staged.importId);
  return { status: row.status, ...revert! };
}
const result = (some: object) => ({ removed: 0, restored: 0, gone: 0, skipped: 0, failed: 0, ...some });

describe('undoing an import', () => {
  it('removes what it created, restores what it updated, leaves alone what it found equal; one write a record', async () => {
    await imported([
      { sku: 'a', name: 'A', price: '1' },
      { sku: 'b', name: 'B', price: '2' },
    ]);
    const before = await records();
    const second = await imported([
      { sku: 'a', name: 'A', price: '1' },
      { sku: 'b', name: 'BB', price: null },
      { sku: 'c', name: 'C', price: '3' },
    ]);
    await pool.query('truncate public.write_log');
    const undone = await undo(second);
    expect(undone).toMatchObject({
      status: 'reverted',
      state: 'done',
      counts: { records: 2, remove: 1, restore: 1, skip: 0 },
      result: result({ removed: 1, restored: 1 }),
    });
    expect(await records()).toEqual(before);
    expect(await writes()).toEqual(['U b', 'D c']);
  });

  it('of additions gives back the number before, where nobody changed it since', async () => {
    await imported(
      [
        { sku: 'a', quantity: '5' },
        { sku: 'b', quantity: '1' },
      ],
      { columns: ['quantity'] },
    );
    const more = await imported(
      [
        { sku: 'a', quantity: '3' },
        { sku: 'b', quantity: '1' },
      ],
      {
        mode: 'add',
        columns: ['quantity'],
      },
    );
    await pool.query(`update catalog.products set quantity = 7 where sku = 'b'`);
    expect(await undo(more)).toMatchObject({ result: result({ restored: 1, skipped: 1 }) });
    expect((await records()).map((r) => r.quantity)).toEqual([5, 7]);
  });

  it('of a cancelled run takes back what was written, and retry is over', async () => {
    const staged = await stageImport(pool, [{ sku: 'a', name: 'A' }]);
    await applyAll(pool, staged);
    await requestStop(pool, { importId: staged.importId, what: 'cancel', actor: 'test' });
    expect(await undo(staged)).toMatchObject({ status: 'reverted', result: result({ removed: 1 }) });
    expect(await records()).toEqual([]);
    expect((await reopenImport(pool, staged.importId, 'test'))?.status).toBe('reverted');
  });

  it('keeps to the columns that were written: what others changed beside them stays', async () => {
    await imported([{ sku: 'a', name: 'A', price: '1' }]);
    const second = await imported([{ sku: 'a', name: 'AA', price: '2' }]);
    await pool.query(`update catalog.products set description = 'by hand'`);
    await undo(second);
    const [row] = (await pool.query('select name, price::float8 as price, description from catalog.products'))
      .rows;
    expect(row).toEqual({ name: 'A', price: 1, description: 'by hand' });
  });
});

describe('conflicts are listed and left alone, or forced', () => {
  const conflicts = ({ importId, lockKey }: StagedImport, revert = 1) =>
    listConflicts(pool, { lockKey, importId, revert, after: 0, limit: 100 });

  it('a record that was changed, in a written column or, where it was created, in any', async () => {
    await imported([{ sku: 'u', name: 'U', price: '1' }]);
    const staged = await imported([
      { sku: 'u', name: 'UU', price: '1' },
      { sku: 'c', name: 'C', price: '1' },
      { sku: 'd', name: 'D', price: '1' },
      { sku: 'spelled', name: 'S', price: '1' },
      { sku: 'ok', name: 'OK', price: '1' },
    ]);
    await pool.query(`update catalog.products set name = 'by hand' where sku = 'u'`);
    await pool.query(`update catalog.products set description = 'by hand' where sku = 'c'`);
    await pool.query(`update catalog.products set active = false where sku = 'd'`);
    await pool.query(`update catalog.products set sku = 'SPELLED' where sku = 'spelled'`);
    const looked = await previewRevert(pool, await requestOf(staged, SKIP, 1), 10);
    expect(looked.counts).toMatchObject({ records: 5, remove: 1, skip: 4, conflicts: { changed: 4 } });
    expect(await undo(staged)).toMatchObject({ result: result({ removed: 1, skipped: 4 }) });
    const listed = await conflicts(staged);
    expect(listed.map(({ key }) => key)).toEqual(['c', 'd', 'spelled', 'u']);
    expect(listed[3]).toMatchObject({
      record: 1,
      line: 2,
      change: 'updated',
      kinds: ['changed'],
      decision: 'skip',
      before: { name: 'U', price: '1.0000' },
      left: { name: 'UU', price: '1.0000' },
      now: { name: 'by hand', price: '1.0000' },
      seenBy: null,
    });
    // Again, and by force this time: only what was left over.
    await pool.query('truncate public.write_log');
    expect(await undo(staged, { ...SKIP, changed: 'force' })).toMatchObject({
      revert: 2,
      counts: { records: 4 },
      result: result({ removed: 3, restored: 1 }),
    });
    expect(await records()).toEqual([{ sku: 'u', name: 'U', price: 1, quantity: null }]);
    expect(await writes()).toEqual(['D SPELLED', 'D c', 'D d', 'U u']);
  });

  it('a record that is gone: nothing to remove, nothing to restore', async () => {
    await imported([{ sku: 'u', name: 'U' }]);
    const staged = await imported([
      { sku: 'u', name: 'UU' },
      { sku: 'c', name: 'C' },
    ]);
    await pool.query('delete from catalog.products');
    expect(await undo(staged, { ...SKIP, changed: 'force' })).toMatchObject({
      result: result({ gone: 1, skipped: 1 }),
    });
    expect(await conflicts(staged)).toMatchObject([{ key: 'u', kinds: ['changed'], now: null }]);
  });

  it('a key that a later import had a row for, also one that found it equal', async () => {
    const staged = await imported([
      { sku: 'a', name: 'A' },
      { sku: 'b', name: 'B' },
      { sku: 'c', name: 'C' },
    ]);
    const later = await imported([
      { sku: 'a', name: 'A' },
      { sku: 'B', name: 'BB' },
    ]);
    expect(await undo(staged)).toMatchObject({
      counts: { conflicts: { changed: 1, seenLater: 2, referenced: 0 } },
      result: result({ removed: 1, skipped: 2 }),
    });
    expect((await conflicts(staged)).map((one) => [one.key, one.kinds, one.seenBy?.importId])).toEqual([
      ['a', ['seenLater'], later.importId],
      ['b', ['changed', 'seenLater'], later.importId],
    ]);
    // Undone itself, the later one is no longer in the way.
    await undo(later);
    expect(await undo(staged)).toMatchObject({ result: result({ removed: 2 }) });
    expect(await records()).toEqual([]);
    await expect(begin(staged)).rejects.toMatchObject({ code: 'WB409', hint: 'nothing_to_undo' });
  });

  it('by force, what a later import has too, and that import says so', async () => {
    const staged = await imported([{ sku: 'a', name: 'A' }]);
    const later = await imported([{ sku: 'a', name: 'A' }]);
    expect(await undo(staged, { ...SKIP, seenLater: 'force' })).toMatchObject({
      result: result({ removed: 1 }),
    });
    const audit = await pool.query(`select actor, action, detail from waybill.audit where import_id = $1`, [
      later.importId,
    ]);
    expect(audit.rows).toEqual([
      { actor: 'Aiko', action: 'records_undone', detail: { by: staged.importId, revert: 1, records: 1 } },
    ]);
  });

  it('an import that came before is not in the way of a later one', async () => {
    await imported([{ sku: 'a', name: 'A' }]);
    const later = await imported([{ sku: 'a', name: 'AA' }]);
    expect(await undo(later)).toMatchObject({ result: result({ restored: 1 }) });
  });

  it.each(['no action', 'cascade', 'set null'])(
    'a record that others refer to (on delete %s)',
    async (action) => {
      await pool.query(`create table public.orders (order_id int primary key,
      product_id bigint references catalog.products (product_id) on delete ${action})`);
      try {
        const staged = await imported([
          { sku: 'a', name: 'A' },
          { sku: 'b', name: 'B' },
          { sku: 'c', name: 'C' },
        ]);
        const order = (n: number, sku: string) =>
          pool.query('insert into public.orders select $1, product_id from catalog.products where sku = $2', [
            n,
            sku,
          ]);
        await order(1, 'a');
        await begin(staged, { changed: 'force', seenLater: 'force', referenced: 'skip' });
        const run = await planned(staged, { changed: 'force', seenLater: 'force', referenced: 'skip' });
        // And one that comes between the plan and the batch.
        await order(2, 'b');
        await run.apply();
        await finishRevert(pool, { importId: staged.importId, epoch: run.epoch });
        const [revert] = await listReverts(pool, staged.importId);
        expect(revert).toMatchObject({
          counts: { conflicts: { referenced: 1 } },
          result: result({ removed: 1, skipped: 2 }),
        });
        expect((await records()).map(({ sku }) => sku)).toEqual(['a', 'b']);
        expect((await pool.query('select product_id is null as lost from public.orders')).rows).toEqual([
          { lost: false },
          { lost: false },
        ]);
        expect(await conflicts(staged)).toMatchObject([
          { key: 'a', decision: 'skip', referencedBy: 'orders (orders_product_id_fkey)' },
          { key: 'b', decision: 'remove', outcome: 'skipped' },
        ]);
      } finally {
        await pool.query('drop table public.orders');
      }
    },
  );

  it('a record that is changed between the plan and its batch', async () => {
    await imported([{ sku: 'u', name: 'U' }]);
    const staged = await imported([
      { sku: 'u', name: 'UU' },
      { sku: 'c', name: 'C' },
    ]);
    await begin(staged);
    const run = await planned(staged);
    await pool.query(`update catalog.products set name = 'by hand'`);
    await run.apply();
    await finishRevert(pool, { importId: staged.importId, epoch: run.epoch });
    expect((await listReverts(pool, staged.importId))[0]).toMatchObject({
      state: 'done',
      result: result({ skipped: 2 }),
    });
    expect((await conflicts(staged)).map(({ outcome, message }) => [outcome, message])).toEqual([
      ['skipped', 'The record was changed while the import was being undone.'],
      ['skipped', 'The record was changed while the import was being undone.'],
    ]);
  });

  it('a record that the table refuses to have back fails alone', async () => {
    await pool.query('create unique index by_name on catalog.products (name)');
    try {
      await imported([
        { sku: 'a', name: 'A' },
        { sku: 'b', name: 'B' },
      ]);
      const staged = await imported([
        { sku: 'a', name: 'AA' },
        { sku: 'b', name: 'BB' },
      ]);
      await pool.query(`insert into catalog.products (tenant_id, sku, name) values ('default', 'z', 'A')`);
      expect(await undo(staged)).toMatchObject({ result: result({ restored: 1, failed: 1 }) });
      expect(await conflicts(staged)).toMatchObject([{ key: 'a', outcome: 'failed', message: /by_name/ }]);
    } finally {
      await pool.query('drop index catalog.by_name');
    }
  });
});

describe('who may undo, and when', () => {
  it('is refused while a run is open, after the window, and where nothing was changed', async () => {
    const open = await stageImport(pool, [{ sku: 'a', name: 'A' }]);
    await expect(begin(open)).rejects.toMatchObject({ code: 'WB409', hint: 'not_ended' });
    await applyAll(pool, open);
    await requestStop(pool, { importId: open.importId, what: 'cancel', actor: 'test' });
    await expect(begin(open, SKIP, -1)).rejects.toMatchObject({ code: 'WB409', hint: 'window_over' });
    const nothing = await imported([{ sku: 'a', name: 'A' }]);
    await expect(begin(nothing)).rejects.toMatchObject({ code: 'WB409', hint: 'nothing_to_undo' });
  });

  it('does each batch once, whoever comes late', async () => {
    const staged = await imported([{ sku: 'a', name: 'A' }]);
    await begin(staged);
    const first = await planned(staged);
    const second = await planned(staged);
    await expect(first.apply()).rejects.toMatchObject({ code: 'WB001' });
    await second.apply();
    // What is done is done, whatever the epoch.
    await first.apply();
    await second.apply();
    expect(await writes()).toEqual(['D a', 'I a']);
    await expect(finishRevert(pool, { importId: staged.importId, epoch: first.epoch })).rejects.toMatchObject(
      {
        code: 'WB001',
      },
    );
  });

  it('refuses a plan that is not as it was made', async () => {
    const staged = await imported([{ sku: 'a', name: 'A' }]);
    await begin(staged);
    const run = await planned(staged);
    await pool.query(`update ${revertTable(staged.lockKey, 1)} set _forced = true`);
    await expect(run.apply()).rejects.toMatchObject({ code: 'WB002' });
  });

  it('pauses, lets others have the turn, and decides anew what they touched', async () => {
    const rows = Array.from({ length: 10_001 }, (_, n) => ({ sku: `s${String(n).padStart(5, '0')}` }));
    await pool.query('alter table catalog.products disable trigger user');
    const staged = await imported(rows.slice(0, 1));
    await pool.query(
      `insert into ${'stage.plan_' + staged.lockKey} (_record, _line, _seq, _decision, _k1, v_sku)
       select n + 1, n + 2, n + 1, 'create', 's' || lpad(n::text, 5, '0'), 's' || lpad(n::text, 5, '0') from generate_series(1, 10000) n`,
    );
    await pool.query(
      `insert into catalog.products (tenant_id, sku) select 'default', 's' || lpad(n::text, 5, '0') from generate_series(1, 10000) n`,
    );
    await pool.query(`update waybill.batches set last_seq = 10001, rows = 10001 where import_id = $1`, [
      staged.importId,
    ]);
    await pool.query('alter table catalog.products enable trigger user');

    await begin(staged);
    const run = await planned(staged);
    expect(run.plan).toMatchObject({ counts: { remove: 10_001 }, batches: 2 });
    await revertBatches(pool, { importId: staged.importId, epoch: run.epoch, revert: 1, first: 1, last: 1 });
    const paused = await requestStop(pool, { importId: staged.importId, what: 'pause', actor: 'Aiko' });
    expect(paused).toMatchObject({ status: 'reverting', waiting_for: { what: 'resume', by: 'Aiko' } });
    await expect(run.apply()).rejects.toMatchObject({ code: 'WB001' });
    await imported([{ sku: 's10000', name: 'later' }]);
    expect(await resumeImport(pool, staged.importId, 'Aiko')).toMatchObject({
      status: 'reverting',
      waiting_for: null,
    });
    const again = await planned(staged);
    expect(again.plan).toMatchObject({ counts: { remove: 10_000, skip: 1, conflicts: { seenLater: 1 } } });
    await revertBatches(pool, {
      importId: staged.importId,
      epoch: again.epoch,
      revert: 1,
      first: 3,
      last: 3,
    });
    await expect(
      revertBatches(pool, { importId: staged.importId, epoch: again.epoch, revert: 1, first: 2, last: 2 }),
    ).rejects.toMatchObject({ code: 'WB001' });
    expect(await finishRevert(pool, { importId: staged.importId, epoch: again.epoch })).toMatchObject({
      status: 'reverted',
    });
    expect((await records()).map(({ sku }) => sku)).toEqual(['s10000']);
    expect((await listReverts(pool, staged.importId))[0]).toMatchObject({
      state: 'done',
      result: result({ removed: 10_000, skipped: 1 }),
    });
  });

  it('cancelled in the middle, the import stands as before and can be undone further', async () => {
    const staged = await imported([{ sku: 'a', name: 'A' }]);
    await begin(staged);
    await planned(staged);
    expect(
      await requestStop(pool, { importId: staged.importId, what: 'cancel', actor: 'Aiko' }),
    ).toMatchObject({
      status: 'completed',
    });
    expect((await listReverts(pool, staged.importId))[0]).toMatchObject({ state: 'cancelled' });
    const turn = await pool.query('select from waybill.turns where holder = $1', [staged.importId]);
    expect(turn.rowCount).toBe(0);
    const events = await pool.query(
      `select type from waybill.events where import_id = $1 and created_at > now() - interval '1 minute'`,
      [staged.importId],
    );
    expect(events.rows.filter(({ type }) => type === 'import.completed')).toHaveLength(1);
    expect(await undo(staged)).toMatchObject({ revert: 2, result: result({ removed: 1 }) });
  });

  it('leaves an audit trail', async () => {
    const staged = await imported([{ sku: 'a', name: 'A' }]);
    await undo(staged);
    const audit = await pool.query(
      `select actor, action, detail from waybill.audit where import_id = $1 and action like 'revert%' order by audit_id`,
      [staged.importId],
    );
    expect(audit.rows).toMatchObject([
      { actor: 'Aiko', action: 'revert', detail: { revert: 1, onConflict: SKIP } },
      { actor: 'Aiko', action: 'reverted', detail: { result: { removed: 1 } } },
    ]);
  });
});

it('bringing back deleted records reads those of its own batch, however many were deleted', async () => {
  await pool.query(
    `insert into catalog.products (tenant_id, sku) select 'default', 'GONE' || lpad(n::text, 6, '0') from generate_series(1, 20000) n`,
  );
  await pool.query('analyze catalog.products');
  const deleted = await imported([{ sku: 'a' }], {
    missing: { action: 'delete', scope: [{ column: 'sku', operator: 'not_empty' }], inactive: null },
  });
  await begin(deleted);
  const { epoch, revert } = (await claimRevert(pool, deleted.importId, 'run'))!;
  await takeTurn(pool, deleted.importId, epoch, 'catalog.products/default', 'turn');
  await planRevert(pool, await requestOf(deleted, SKIP, revert), epoch);
  const read = await withTransaction(pool, async (client) => {
    const soFar = async () =>
      (
        await client.query<{ rows: number }>(
          'select (seq_tup_read + idx_tup_fetch)::int as rows from pg_stat_xact_all_tables where relid = $1::regclass',
          [missingTable(deleted.lockKey)],
        )
      ).rows[0]!.rows;
    const before = await soFar();
    await client.query('select from waybill.revert_batches($1, $2, $3, 2, 2)', [
      deleted.importId,
      epoch,
      revert,
    ]);
    return (await soFar()) - before;
  });
  expect(read).toBe(10_000);
  expect((await records()).length).toBe(10_001);
});

it('undoing the rest meets what was undone before as a set, not row by row', async () => {
  const first = await imported([
    { sku: 'a', name: 'A' },
    { sku: 'b', name: 'B' },
  ]);
  await pool.query(`update catalog.products set name = 'x' where sku = 'b'`);
  await undo(first);
  const shape = await shapeOf(pool, await requestOf(first, { ...SKIP, changed: 'force' }, 2));
  const plan = await pool.query<{ 'QUERY PLAN': string }>(`explain ${await decisions(pool, shape)}`);
  const lines = plan.rows.map((row) => row['QUERY PLAN']).join('\n');
  expect(lines).toContain('Anti Join');
  expect(lines).not.toContain('SubPlan');
});
