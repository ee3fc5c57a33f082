/**
 * Pause and cancel in every phase of one run, on a file of several segments: how long until the database says so and no
 * backend of ours is busy any more, what is kept, and that the run still comes to its right end.
 */
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { afterAll, afterEach, beforeAll, expect, inject, it } from 'vitest';
import { startTestApp, type TestApp } from '../test/api.ts';
import { startProxy, type Proxy } from '../test/faults/proxy.ts';
import { reached, submit } from '../test/import.ts';
import { startTestWorker } from '../test/worker.ts';

const ROWS = 70_000;
const BAR_MS = 1000;

let app: TestApp;
let worker: Awaited<ReturnType<typeof startTestWorker>>;
let operator: pg.Client;
let line: Proxy;
beforeAll(async () => {
  app = await startTestApp({ partBytes: 16 * 1024 * 1024 });
  const store = new URL(inject('services').s3.endpoint);
  line = await startProxy({ host: store.hostname, port: Number(store.port) });
  worker = await startTestWorker({
    databaseUrl: app.workerUrl,
    namespace: app.namespace,
    // So that staging takes long enough to be met.
    env: { S3_ENDPOINT: `http://127.0.0.1:${line.port}`, WAYBILL_MAX_ROWS_PER_SECOND: '40000' },
  });
  operator = new pg.Client({ connectionString: app.ownerUrl });
  await operator.connect();
});
afterAll(async () => {
  await worker?.stop();
  await line?.close();
  await operator?.end();
  await app?.close();
});

afterEach(() => operator.query('rollback').then(() => {}));

const sku = (n: number) => `any-${String(n).padStart(6, '0')}`;
const csv = (): string =>
  [
    'sku,name,description',
    ...Array.from(
      { length: ROWS },
      (_, n) => `${sku(n + 1)},Thing,${'something to say about it '.repeat(5)}`,
    ),
  ].join('\n');

async function until<T>(what: string, look: () => Promise<T | false | null | undefined>): Promise<T> {
  for (const deadline = Date.now() + 45_000; ; await delay(5)) {
    const found = await look();
    if (found) return found;
    if (Date.now() > deadline) throw new Error(`never saw ${what}`);
  }
}

interface Row {
  status: string;
  phase: string | null;
  lock_key: number;
  incarnation: number;
}
const row = async (id: string): Promise<Row> =>
  (
    await app.owner<
      Row[]
    >`select status, phase, lock_key, incarnation from waybill.imports where import_id = ${id}`
  )[0]!;
const inPhase = (id: string, phase: string) =>
  until(`phase ${phase}`, async () => (await row(id)).phase === phase);
/** Statements of the worker that run, or wait for a lock, in this database. */
const busy = async (like = '') =>
  app.owner<{ query: string }[]>`select query from pg_stat_activity where datname = current_database()
    and application_name = 'waybill worker' and state = 'active' and query ~ ${like}`;
/**
 * A statement of the worker that the operator keeps from going on, and for so long that a request to stop could not
 * come with its first heartbeat.
 */
const held = (like: string) =>
  until(`a statement like ${like} that waits`, async () => {
    const { length } = await app.owner`select from pg_stat_activity where datname = current_database()
      and application_name = 'waybill worker' and wait_event_type = 'Lock' and query ~ ${like}
      and query_start < now() - interval '2.1 seconds'`;
    return length > 0;
  });

const took: Record<string, number> = {};
/** Presses the button, and waits until it has had its effect everywhere. */
async function press(id: string, what: 'pause' | 'cancel', phase: string): Promise<void> {
  const asked = performance.now();
  const answer = await app.call('POST', `/api/imports/${id}/${what}`, { body: {} });
  expect(answer.status, JSON.stringify(answer.body)).toBe(200);
  await until(`nothing busy after ${what} in ${phase}`, async () => (await busy()).length === 0);
  took[`${what} in ${phase}`] = Math.round(performance.now() - asked);
}
const resume = async (id: string) =>
  expect((await app.call('POST', `/api/imports/${id}/resume`, { body: {} })).status).toBe(200);

it(
  'a run paused in each of its phases comes to its right end, and its undoing too',
  { timeout: 180_000 },
  async () => {
    line.fault([worker.pid], { partitioned: true });
    const id = await submit(app, csv());
    await inPhase(id, 'download');
    await press(id, 'pause', 'download');
    expect((await row(id)).status).toBe('paused');

    line.fault([worker.pid], { bytesPerSecond: 1_000_000 });
    await resume(id);
    await inPhase(id, 'inspect');
    await until(
      'bytes read',
      async () => (await app.call('GET', `/api/imports/${id}/status`)).body.bytes_read > 0,
    );
    await press(id, 'pause', 'inspect');
    line.fault([worker.pid], {});

    await resume(id);
    const marks = async () => {
      const { lock_key, incarnation } = await row(id);
      const found = await app.owner<{ mark: string }[]>`
      select to_regclass(${`stage.marks_${lock_key}_${incarnation}`})::text as mark`;
      if (!found[0]!.mark) return [];
      return (
        await app.owner.unsafe<{ mark: string }[]>(
          `select segment || ' ' || xmin as mark from ${found[0]!.mark} order by 1`,
        )
      ).map(({ mark }) => mark);
    };
    await until('a segment staged', async () => (await marks()).length > 0);
    await press(id, 'pause', 'staging');
    const kept = await marks();
    expect(kept.length).toBeGreaterThan(0);

    // Behind somebody else's import, so that the staged rows can be locked before they are looked at.
    const other = await app.makeImport({ status: 'running', workflow_run_id: 'other' });
    await app.owner`insert into waybill.turns (turn, holder) select turn, ${other} from waybill.imports where import_id = ${id}
    on conflict (turn) do update set holder = excluded.holder`;
    await resume(id);
    await until(
      'the turn waited for',
      async () => (await app.call('GET', `/api/imports/${id}`)).body.waitingFor?.what === 'turn',
    );
    await operator.query(
      `begin; lock table stage.rows_${(await row(id)).lock_key}_1 in access exclusive mode`,
    );
    await app.owner`update waybill.imports set status = 'cancelled' where import_id = ${other}`;
    await app.client.workflow.getHandle(id).signal('turn');
    await held('stage.rows');
    // What was staged before was not staged again.
    expect(await marks()).toEqual(expect.arrayContaining(kept));
    expect((await row(id)).incarnation).toBe(1);
    await press(id, 'pause', 'planning');
    await operator.query('rollback');

    await operator.query(
      `begin; insert into catalog.products (tenant_id, sku) values ('default', '${sku(ROWS)}')`,
    );
    await resume(id);
    await held('apply_batches');
    await press(id, 'pause', 'apply');
    await operator.query('rollback');

    // Lets apply read the plan, and keeps the ledger's index from being made.
    await operator.query(`begin; lock table stage.plan_${(await row(id)).lock_key} in row exclusive mode`);
    await resume(id);
    await held('create unique index');
    await press(id, 'pause', 'notify');
    await operator.query('rollback');
    await resume(id);
    expect(await reached(app, id, 'completed', 'completed_with_issues', 'failed', 'unproven')).toMatchObject({
      status: 'completed',
      accounting: { input: ROWS, created: ROWS },
    });

    await operator.query(`begin; select from catalog.products where sku = '${sku(ROWS)}' for update`);
    expect((await app.call('POST', `/api/imports/${id}/revert`, { body: {} })).status).toBe(200);
    await held('revert_batches');
    await press(id, 'pause', 'revert');
    await operator.query('rollback');
    await resume(id);
    await reached(app, id, 'reverted');
    expect(await app.owner`select count(*)::int as n from catalog.products`).toEqual([{ n: 0 }]);
  },
);

it('a run that waits for a person can be cancelled', async () => {
  const id = await submit(app, 'colour,weight\nred,1\nblue,2\n');
  await reached(app, id, 'waiting');
  await press(id, 'cancel', 'map');
  expect((await row(id)).status).toBe('cancelled');
});

it('each of them within a second', () => {
  console.log('until nothing of ours is busy, ms:', took);
  expect(Object.keys(took)).toHaveLength(8);
  expect(Object.entries(took).filter(([, ms]) => ms >= BAR_MS)).toEqual([]);
});
