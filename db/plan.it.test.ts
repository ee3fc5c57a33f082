import type pg from 'pg';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../test/database.ts';
import { connectPool } from './connect.ts';
import { requestStop } from './control.ts';
import { makePlan, planTable } from './plan.ts';
import { applyAll, receipt, stageRows, type StagedImport } from './staged.fixture.ts';

let database: TestDatabase;
let pool: pg.Pool;
beforeAll(async () => {
  database = await createTestDatabase();
  pool = connectPool(database.ownerUrl);
});
afterAll(async () => {
  await pool.end();
  await database.drop();
});
const stop = ({ importId }: { importId: string }) =>
  requestStop(pool, { importId, what: 'cancel', actor: 'test' });
afterEach(async () => {
  await pool.query('truncate catalog.products');
});

const ROWS = 45_000;
/** Keys k1 to k44998 in no order, one of them twice, one row blocked, one without a key. */
const stage = (keys = (n: string) => `'k' || ((${n} * 7919) % 44999)`): Promise<Omit<StagedImport, 'plan'>> =>
  stageRows(pool, ROWS, {}, async (table) => {
    await pool.query(
      `insert into ${table} select n, n + 1, 0, 0, n = 7, null, null,
         case when n = 9 then null when n = 8 then 'K2' else ${keys('n')} end, 'name ' || n, n from generate_series(1, ${ROWS}) n`,
    );
  });
const batches = async (importId: string) =>
  (
    await pool.query<{ batch: number; first_seq: number; rows: number; digest: string }>(
      'select batch, first_seq, rows, digest::text from waybill.batches where import_id = $1 order by batch',
      [importId],
    )
  ).rows;

describe('a plan that two connections make', () => {
  it('decides what one connection decides, in key order, every record once', async () => {
    const one = await stage();
    await pool.query(
      `insert into catalog.products (tenant_id, sku, name, price)
       select 'default', 'K' || n, case when n % 2 = 0 then 'other' end, n from generate_series(1, 40000, 10) n`,
    );
    const content = async ({ lockKey }: { lockKey: number }) =>
      (
        await pool.query(
          `select count(*), bit_xor(hash_record_extended((_record, _decision, _winner, _k1, v_sku, v_name, v_price, s_name, s_price), 0))::text as content
           from ${planTable(lockKey)}`,
        )
      ).rows;
    const alone = await makePlan(pool, { ...one.request, lanes: 1 });
    const expected = await content(one);
    await stop(one);
    const two = await stage();
    const plan = await makePlan(pool, two.request);
    expect(await content(two)).toEqual(expected);
    expect(plan.counts).toEqual(alone.counts);
    const { counts } = plan;
    expect(counts.blocked).toBe(2);
    expect(Object.values(counts).reduce((sum, count) => sum + count, 0)).toBe(ROWS);

    const ranges = await batches(two.importId);
    expect(ranges.map(({ batch }) => batch)).toEqual([1, 2, 3, 4, 5, 6]);
    expect(ranges.reduce((sum, { rows }) => sum + rows, 0)).toBe(ROWS - counts.duplicates - counts.blocked);
    expect(ranges[3]!.first_seq, 'the second connection begins at a batch of its own').toBe(50_001);
    const disorder = await pool.query(
      `select 1 from (select _k1 <= lag(_k1) over (order by _seq) as wrong from ${planTable(two.lockKey)} where _seq is not null) x where wrong`,
    );
    expect(disorder.rowCount).toBe(0);
    expect(await applyAll(pool, { ...two, plan })).toEqual(
      receipt({ created: counts.creates, updated: counts.updates, unchanged: counts.unchanged }),
    );
    await stop(two);
  }, 60_000);

  it('is the same plan when it is made again, also where the sample would part the keys elsewhere', async () => {
    const staged = await stage();
    const { lockKey, importId } = staged;
    const first = await makePlan(pool, staged.request);
    const before = await batches(importId);
    expect((await makePlan(pool, staged.request)).digest, 'asked again in its epoch').toBe(first.digest);
    // As after a failure just before the last commit, with the staged rows written down in another order.
    await pool.query(`delete from waybill.waves where import_id = '${importId}'`);
    await pool.query(`delete from waybill.plans where import_id = '${importId}'`);
    await pool.query(
      `create unlogged table stage.again as select * from stage.rows_${lockKey}_1 order by v_sku desc`,
    );
    await pool.query(`truncate stage.rows_${lockKey}_1`);
    await pool.query(`insert into stage.rows_${lockKey}_1 select * from stage.again`);
    await pool.query('drop table stage.again');
    const second = await makePlan(pool, staged.request);
    expect(second.digest).toBe(first.digest);
    expect(await batches(importId)).toEqual(before);
    await stop(staged);
  }, 60_000);

  it('stops both connections at once when the run is stopped, and is made whole afterwards', async () => {
    const staged = await stage();
    // Both lanes wait for what a person holds on to: the longest statement there can be.
    const holder = await pool.connect();
    await holder.query('begin; lock table catalog.products in access exclusive mode');
    const pausing = new AbortController();
    const planning = makePlan(pool, staged.request, pausing.signal);
    planning.catch(() => {});
    const lanes = async () =>
      (
        await pool.query(
          `select 1 from pg_stat_activity where datname = current_database() and query like 'insert into stage.draft_%' and state = 'active'`,
        )
      ).rowCount;
    await expect.poll(lanes).toBe(2);
    const asked = performance.now();
    pausing.abort(new Error('paused'));
    await expect(planning).rejects.toThrow('paused');
    expect(performance.now() - asked).toBeLessThan(1000);
    // A backend says that it was cancelled a moment before its activity does.
    await expect.poll(lanes).toBe(0);
    await holder.query('rollback');
    holder.release();
    const plan = await makePlan(pool, staged.request);
    expect(plan.counts.creates + plan.counts.duplicates).toBe(ROWS - 2);
    await stop(staged);
  }, 60_000);

  it('a late attempt does not write into the draft of the one that came after it', async () => {
    const staged = await stage();
    const holder = await pool.connect();
    await holder.query('begin; lock table catalog.products in access exclusive mode');
    const late = makePlan(pool, staged.request);
    late.catch(() => {});
    const waiting = (like: string) =>
      expect
        .poll(
          async () =>
            (
              await pool.query(
                `select 1 from pg_stat_activity where datname = current_database() and query like $1 and wait_event_type = 'Lock'`,
                [like],
              )
            ).rowCount,
        )
        .toBeGreaterThan(0);
    await waiting('insert into stage.draft_%');
    const next = makePlan(pool, staged.request);
    await waiting('drop table if exists stage.draft_%');
    await holder.query('rollback');
    holder.release();
    const [first, second] = await Promise.allSettled([late, next]);
    // Whoever came through made it whole; the other found that plan, or left.
    const plans = [first, second].flatMap((end) => (end.status === 'fulfilled' ? [end.value.digest] : []));
    expect(new Set(plans).size).toBe(1);
    const rows = await pool.query(
      `select count(*)::int as n, count(distinct _record)::int as d from ${planTable(staged.lockKey)}`,
    );
    expect(rows.rows).toEqual([{ n: ROWS, d: ROWS }]);
    await stop(staged);
  }, 60_000);
});

it('reads keys in the collation of their column, also where two connections share them', async () => {
  await pool.query(`create table public.codes (code text collate "und-x-icu" not null, n int);
    create unique index codes_key on public.codes (code)`);
  const key = `case when n % 2 = 0 then 'B' else 'a' end || lpad(n::text, 6, '0')`;
  const all = `from generate_series(1, 40000) n`;
  await pool.query(`insert into public.codes select ${key}, 1 ${all}`);
  const into = { schema: 'public', table: 'codes', index: 'codes_key', key: 'code' };
  const run = await stageRows(pool, 40_000, { mode: 'update', columns: ['n'], into }, async (table) => {
    await pool.query(`insert into ${table} select n, n + 1, 0, 0, false, null, null, ${key}, 2 ${all}`);
  });
  expect((await makePlan(pool, run.request)).counts).toMatchObject({ updates: 40_000, blocked: 0 });
  await stop(run);
});
