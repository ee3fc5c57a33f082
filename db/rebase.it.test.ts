import type pg from 'pg';
import { beforeAll, describe, expect, it } from 'vitest';
import { ownDatabase } from '../test/own-database.ts';
import { approvePlan } from './approve.ts';
import { withClient } from './connect.ts';
import { proveImport, requestStop, resumeImport, takeTurn } from './control.ts';
import { indexLedger } from './plan.ts';
import { proofChecks } from './proof.ts';
import { rebasePlan } from './rebase.ts';
import { applyAll, land, receipt, stageImport, type StagedImport } from './staged.fixture.ts';

// Plans that are decided anew after the turn was lost, and their digests.

const own = ownDatabase((pool) =>
  pool.query(
    `create table public.papers (code text primary key, body json, places point[]);
     create table public.visits (code text primary key, at timestamptz, day date, share float8, took interval, raw bytea)`,
  ),
);
let pool: pg.Pool;
beforeAll(() => {
  pool = own.pool;
});

/** Paused, while `meanwhile` had the turn; then resumed, in its turn again and decided anew. */
async function loseTurn(staged: StagedImport, turn: string, meanwhile: () => Promise<void>) {
  await requestStop(pool, { importId: staged.importId, what: 'pause', actor: 'test' });
  await meanwhile();
  const { epoch } = (await resumeImport(pool, staged.importId, 'test'))!;
  expect(await takeTurn(pool, staged.importId, epoch, turn, 'turn')).toMatchObject({ moved: true });
  return { ...staged, epoch, plan: await rebasePlan(pool, { ...staged.request, epoch }) };
}

it('decides anew what has no equality of its own', async () => {
  const into = { schema: 'public', table: 'papers', index: 'papers_pkey', key: 'code' };
  const options = { into, columns: ['body', 'places'] };
  const paper = (code: string, body: string) => ({ sku: null, code, body, places: '{"(1,2)"}' });
  await land(pool, [paper('a', '{"n": 1}'), paper('b', '{"n": 1}')], options);
  const first = await stageImport(pool, [paper('a', '{"n": 2}'), paper('b', '{"n": 1}')], options);
  expect(first.plan.counts).toMatchObject({ updates: 1, unchanged: 1 });
  const again = await loseTurn(first, 'public.papers', () =>
    land(pool, [paper('a', '{"n": 2}'), paper('b', '{"n": 3}')], options),
  );
  expect(again.plan.counts).toMatchObject({ updates: 1, unchanged: 1 });
  expect(await applyAll(pool, again, 2)).toEqual(receipt({ updated: 1, unchanged: 1 }));
});

it('a digest is the same in every session, however it writes times, floats and bytes', async () => {
  const staged = await stageImport(
    pool,
    [
      {
        ...{ sku: null, code: 'a', at: '2026-01-31T23:30:00Z', day: '2026-01-31', share: '0.1' },
        ...{ took: '1 day 02:00:00', raw: '\\x00ff' },
      },
    ],
    {
      into: { schema: 'public', table: 'visits', index: 'visits_pkey', key: 'code' },
      columns: ['at', 'day', 'share', 'took', 'raw'],
    },
  );
  await withClient(pool, async (client) => {
    await client.query(
      `set timezone = 'Asia/Tokyo'; set datestyle = 'German'; set intervalstyle = 'iso_8601'; set extra_float_digits = -10; set bytea_output = 'escape'`,
    );
    await client.query('select from waybill.apply_batches($1, $2, 1, 1, 1)', [staged.importId, staged.epoch]);
    const { importId, lockKey } = staged;
    await indexLedger(pool, lockKey);
    const { accounting } = await proveImport(pool, importId);
    for (const { name, sql, expected } of await proofChecks(pool, { importId, lockKey, accounting })) {
      const { rows } = await client.query<Record<string, unknown>>(sql);
      expect(Number(Object.values(rows[0]!)[0]), name).toBe(expected);
    }
    await client.query('reset all');
  });
});

describe('an older file', () => {
  const turn = 'catalog.products/default';
  const feed = { profile: 'feed' };
  const priced = (price: string, ...skus: string[]) => skus.map((sku) => ({ sku, price }));
  const prices = async () =>
    Object.fromEntries(
      (await pool.query(`select sku, price::float8 as price from catalog.products`)).rows.map(
        ({ sku, price }) => [sku, price],
      ),
    );

  it('asks before it writes over what a newer one of the same source has brought', async () => {
    const older = await stageImport(pool, priced('1', 'a', 'b', 'c', 'd'), feed);
    const held = await loseTurn(older, turn, () => land(pool, priced('2', 'b', 'c', 'x'), feed));
    expect(held.plan.hold).toEqual([expect.stringMatching(/newer file.*2 records.*lines 3, 4 of/)]);
    await expect(applyAll(pool, held, 2)).rejects.toMatchObject({ code: 'WB002' });
    expect(await prices()).toEqual({ b: 2, c: 2, x: 2 });
    const { importId, epoch, plan } = held;
    await approvePlan(pool, { importId, epoch, ...plan, actor: 'anna', endsWait: false });
    expect(await applyAll(pool, held, 2)).toEqual(receipt({ created: 2, updated: 2 }));
  });

  it('that a person has looked at leaves alone what has changed since, by hand or by a newer one still', async () => {
    await land(pool, priced('0', 'h', 'i', 'j'), feed);
    const older = await stageImport(pool, priced('1', 'h', 'i', 'j', 'k'), feed);
    const held = await loseTurn(older, turn, () => land(pool, priced('2', 'h'), feed));
    expect(held.plan.hold).toHaveLength(1);
    await pool.query(`update catalog.products set price = 5 where sku = 'i'`);
    await requestStop(pool, { importId: held.importId, what: 'pause', actor: 'test' });
    await land(pool, priced('3', 'j'), feed);
    const { epoch } = (await resumeImport(pool, held.importId, 'test'))!;
    await takeTurn(pool, held.importId, epoch, turn, 'turn');
    const { importId, plan } = held;
    await approvePlan(pool, { importId, epoch, ...plan, actor: 'anna', endsWait: false });
    const again = await rebasePlan(pool, { ...held.request, epoch });
    expect(again.hold).toEqual([]);
    expect(await applyAll(pool, { ...held, epoch, plan: again }, 3)).toEqual(
      receipt({ created: 1, updated: 1, stale: 2 }),
    );
    expect(await prices()).toMatchObject({ h: 1, i: 5, j: 3, k: 1 });
    await indexLedger(pool, held.lockKey);
    expect(await proveImport(pool, importId)).toMatchObject({ ok: true });
    await requestStop(pool, { importId, what: 'cancel', actor: 'test' });
  });

  it('that only inserts writes over nothing', async () => {
    const older = await stageImport(pool, priced('1', 'n'), { ...feed, mode: 'insert' });
    const again = await loseTurn(older, turn, () => land(pool, priced('2', 'n'), feed));
    expect(again.plan.hold).toEqual([]);
    await requestStop(pool, { importId: again.importId, what: 'cancel', actor: 'test' });
  });

  it.each([
    ['that is the same in those records', feed, priced('2', 'b')],
    ['of another source', { profile: 'other' }, priced('1', 'b')],
  ])('asks nothing of one %s', async (_, profile, rows) => {
    const older = await stageImport(pool, rows, profile);
    const again = await loseTurn(older, turn, () => land(pool, priced('2', 'b'), feed));
    expect(again.plan.hold).toEqual([]);
  });

  it('that comes in meanwhile is no newer one', async () => {
    const older = await stageImport(pool, priced('1', 'b'), feed);
    await requestStop(pool, { importId: older.importId, what: 'pause', actor: 'test' });
    const newer = await stageImport(pool, priced('2', 'b'), feed);
    const again = await loseTurn(newer, turn, async () => {
      const { epoch } = (await resumeImport(pool, older.importId, 'test'))!;
      await takeTurn(pool, older.importId, epoch, turn, 'turn');
      const plan = await rebasePlan(pool, { ...older.request, epoch });
      await applyAll(pool, { ...older, epoch, plan }, 2);
      await requestStop(pool, { importId: older.importId, what: 'cancel', actor: 'test' });
    });
    expect(again.plan.hold).toEqual([]);
    expect(await applyAll(pool, again, 2)).toEqual(receipt({ updated: 1 }));
  });
});
