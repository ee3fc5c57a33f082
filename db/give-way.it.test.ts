import pg from 'pg';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../test/database.ts';
import { connectPool } from './connect.ts';
import { applyBatches, requestStop } from './control.ts';
import { readPressure } from './pressure.ts';
import { land, stageImport } from './staged.fixture.ts';

let database: TestDatabase;
let pool: pg.Pool;
const others: pg.Client[] = [];
beforeAll(async () => {
  database = await createTestDatabase();
  pool = connectPool(database.ownerUrl, { name: 'waybill worker' });
});
afterAll(async () => {
  await pool.end();
  await database.drop();
});
afterEach(async () => {
  await Promise.all(others.splice(0).map((client) => client.end()));
});

/** Somebody who works in the same tables. */
async function somebody(): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: database.ownerUrl, application_name: 'somebody' });
  await client.connect();
  others.push(client);
  return client;
}
const waitsForALock = (pid: number) =>
  expect
    .poll(async () => {
      const { rows } = await pool.query<{ type: string | null }>(
        'select wait_event_type as type from pg_stat_activity where pid = $1',
        [pid],
      );
      return rows[0]?.type;
    })
    .toBe('Lock');
const pidOf = async (client: pg.Client) =>
  (await client.query<{ pid: number }>('select pg_backend_pid() as pid')).rows[0]!.pid;
const rows = [
  { sku: 'a', name: 'new' },
  { sku: 'b', name: 'new' },
];
const price = (name: string) => `update catalog.products set price = 1 where sku = '${name}'`;
const applying = async () =>
  (
    await pool.query<{ pid: number }>(
      `select pid from pg_stat_activity where query like '%apply_batches%' and pid <> pg_backend_pid()
         and state = 'active' and datname = current_database()`,
    )
  ).rows[0]?.pid;

describe('beside others', () => {
  it('after a deadlock the batch is done again and the lanes of the run take turns', async () => {
    await land(
      pool,
      rows.map((row) => ({ ...row, name: 'old' })),
    );
    const staged = await stageImport(pool, rows);
    const { importId, epoch } = staged;
    const operator = await somebody();
    // The operator's own patience is longer: the batch is the one that the server gives up.
    await operator.query(`set deadlock_timeout = '60s'; begin; ${price('b')}`);
    const batch = applyBatches(pool, { importId, epoch, wave: 1, first: 1, last: 1 });
    await expect.poll(applying).toBeDefined();
    await waitsForALock((await applying())!);
    await operator.query(price('a'));
    await operator.query('commit');
    await batch;
    const { rows: found } = await pool.query(
      `select i.one_lane, r.updated from waybill.imports i join waybill.receipts r using (import_id) where import_id = $1`,
      [importId],
    );
    expect(found).toEqual([{ one_lane: true, updated: 2 }]);
    const records = await pool.query('select name, price::int from catalog.products order by sku');
    expect(records.rows).toEqual([
      { name: 'new', price: 1 },
      { name: 'new', price: 1 },
    ]);
    await requestStop(pool, { importId, what: 'cancel', actor: 'test' });
  });

  it('a lane that waits for the other one does not hold up a pause', async () => {
    const { importId, epoch, lockKey } = await stageImport(pool, [{ sku: 'c', name: 'new' }]);
    await pool.query('update waybill.imports set one_lane = true where import_id = $1', [importId]);
    const lane = await somebody();
    await lane.query('begin');
    await lane.query('select pg_advisory_xact_lock(7297, $1)', [lockKey]);
    const batch = applyBatches(pool, { importId, epoch, wave: 1, first: 1, last: 1 });
    batch.catch(() => {});
    await expect.poll(applying).toBeDefined();
    await waitsForALock((await applying())!);
    const asked = performance.now();
    await requestStop(pool, { importId, what: 'pause', actor: 'test' });
    expect(performance.now() - asked, 'nobody had to be ended').toBeLessThan(450);
    await lane.query('commit');
    await expect(batch).rejects.toMatchObject({ code: 'WB001' });
    await requestStop(pool, { importId, what: 'cancel', actor: 'test' });
  });

  it('sees who waits for a lock of a worker, and nobody else', async () => {
    await land(pool, rows);
    const [worker, operator, bystander] = [await pool.connect(), await somebody(), await somebody()];
    expect(await readPressure(pool)).toEqual({ lagMs: null, lockWaits: 0 });
    await bystander.query(`begin; ${price('b')}`);
    await worker.query(`begin; ${price('a')}`);
    const waiting = operator.query(price('a'));
    await expect.poll(async () => (await readPressure(pool)).lockWaits).toBe(1);
    const other = await somebody();
    const pid = await pidOf(other);
    const waitsForBystander = other.query(price('b'));
    await waitsForALock(pid);
    expect((await readPressure(pool)).lockWaits).toBe(1);
    await worker.query('commit');
    worker.release();
    await bystander.query('commit');
    await Promise.all([waiting, waitsForBystander]);
    expect((await readPressure(pool)).lockWaits).toBe(0);
  });
});
