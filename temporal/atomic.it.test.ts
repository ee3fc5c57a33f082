/** All or nothing, and all or undone, through a whole run: the file, the worker, Temporal. */
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { startTestApp, type TestApp } from '../test/api.ts';
import { reached, submit } from '../test/import.ts';
import { startTestWorker } from '../test/worker.ts';

/** Up to here in one transaction. */
const IN_ONE = 15_000;

let app: TestApp;
let worker: Awaited<ReturnType<typeof startTestWorker>>;
let operator: pg.Client;
const start = () =>
  startTestWorker({
    databaseUrl: app.workerUrl,
    namespace: app.namespace,
    env: { WAYBILL_ATOMIC_ROWS: String(IN_ONE) },
  });
beforeAll(async () => {
  app = await startTestApp();
  worker = await start();
  operator = new pg.Client({ connectionString: app.ownerUrl });
  await operator.connect();
});
afterAll(async () => {
  await worker?.stop();
  await operator?.end();
  await app?.close();
});

/** Nothing that one test leaves is in the way of the next. */
afterEach(async () => {
  await operator.query('rollback');
  for (const { id } of await app.owner<{ id: string }[]>`
    select import_id as id from waybill.imports where status in ('queued', 'running', 'paused', 'waiting')`)
    await app.call('POST', `/api/imports/${id}/cancel`, { body: {} });
});

const key = (name: string, n: number): string => `${name}-${String(n).padStart(6, '0')}`;
const csv = (name: string, rows: number, more: string[] = []): string =>
  [
    'sku,name,price',
    ...Array.from({ length: rows }, (_, n) => `${key(name, n + 1)},Part ${n + 1},5`),
    ...more,
  ].join('\n');
const show = async (id: string) => (await app.call('GET', `/api/imports/${id}`)).body;
const status = async (id: string) => (await app.call('GET', `/api/imports/${id}/status`)).body;
const inTarget = async (name: string): Promise<number> =>
  (
    await app.owner<
      { n: number }[]
    >`select count(*)::int as n from catalog.products where sku like ${`${name}-%`}`
  )[0]!.n;
const transactions = async (id: string): Promise<number> =>
  (
    await operator.query<{ n: number }>(
      'select count(distinct xmin::text)::int as n from waybill.receipts where import_id = $1',
      [id],
    )
  ).rows[0]!.n;
/** Somebody else is about to add the record of one of the rows: its batch waits to see what comes of it. */
const hold = (sku: string) =>
  operator.query(`begin; insert into catalog.products (tenant_id, sku) values ('default', '${sku}')`);

async function until<T>(what: string, look: () => Promise<T | false | null | undefined>): Promise<T> {
  for (const deadline = Date.now() + 45_000; ; await delay(20)) {
    const found = await look();
    if (found) return found;
    if (Date.now() > deadline) throw new Error(`never saw ${what}`);
  }
}

it(
  'is shown as prepared until it is committed; the worker killed in the middle leaves nothing, and it goes in once',
  { timeout: 120_000 },
  async () => {
    await hold(key('kill', 12_000));
    const id = await submit(app, csv('kill', 12_000), { atomic: true });
    const prepared = await until('rows that are prepared', async () => {
      const now = await status(id);
      return now.rows_prepared > 0 && now;
    });
    expect(prepared).toMatchObject({
      activity: 'prepared',
      rows_written: 0,
      status: 'running',
      step: 'apply',
    });
    expect(await show(id)).toMatchObject({ allOr: 'nothing' });
    expect(await inTarget('kill')).toBe(0);

    process.kill(worker.pid, 'SIGKILL');
    await worker.stop();
    worker = await start();
    await operator.query('rollback');
    const done = await reached(app, id, 'completed', 'completed_with_issues', 'failed');
    expect(done).toMatchObject({ status: 'completed', accounting: { input: 12_000, created: 12_000 } });
    expect([await inTarget('kill'), await transactions(id)]).toEqual([12_000, 1]);
  },
);

it('a blocked row, and nothing is written: refused at once, or when a person would approve it', async () => {
  const bad = ['blocked-x,Part,not a price'];
  const auto = await submit(app, csv('blocked', 50, bad), { atomic: true });
  await reached(app, auto, 'failed', 'completed', 'completed_with_issues');
  expect(await show(auto)).toMatchObject({
    status: 'failed',
    error: { code: 'atomic_blocked', message: expect.stringMatching(/1 row is blocked.*Correct/) as string },
    accounting: { created: 0, blocked: 1, notProcessed: 50 },
  });
  // Nothing has changed, so it is refused once more.
  expect((await app.call('POST', `/api/imports/${auto}/retry`, { body: {} })).status).toBe(200);
  await reached(app, auto, 'failed', 'completed', 'completed_with_issues');
  expect((await show(auto)).error.code).toBe('atomic_blocked');

  const review = await submit(app, csv('blocked', 50, bad), { atomic: true, policy: 'review' });
  await reached(app, review, 'waiting', 'failed');
  const { plan } = await show(review);
  expect(await app.call('POST', `/api/imports/${review}/approve`, { body: { plan } })).toMatchObject({
    status: 409,
    body: { code: 'atomic_blocked' },
  });
  expect((await app.call('POST', `/api/imports/${review}/cancel`, { body: {} })).status).toBe(200);
  expect(await inTarget('blocked')).toBe(0);
});

it('with more rows than that it goes in by batches, and cancelled it is undone by itself', async () => {
  await hold(key('undo', 20_500));
  const id = await submit(app, csv('undo', 20_500), { atomic: true });
  const written = await until('a batch that is committed', async () => (await status(id)).rows_written);
  expect(await show(id)).toMatchObject({ allOr: 'undone' });
  const there = await inTarget('undo');
  expect(there).toBeGreaterThanOrEqual(written);
  // The other lane may have committed meanwhile.
  expect(there).toBeLessThanOrEqual((await status(id)).rows_written);
  expect((await app.call('POST', `/api/imports/${id}/cancel`, { body: {} })).status).toBe(200);
  await operator.query('rollback');
  await reached(app, id, 'reverted');
  expect(await inTarget('undo')).toBe(0);
  const { body } = await app.call('GET', `/api/imports/${id}/revert`);
  expect(body.runs).toMatchObject(
    [{ state: 'done', requestedBy: 'waybill', reason: /cancelled/ }].map((run) => ({
      ...run,
      reason: expect.stringMatching(run.reason) as string,
    })),
  );
});

it('a refused row ends it there, and what was written before is undone', async () => {
  await operator.query(
    `alter table catalog.products add constraint short check (length(sku) < 13) not valid`,
  );
  try {
    const id = await submit(app, csv('more', 20_500, ['more-zzzzzzzzzz,Part,5']), { atomic: true });
    await reached(app, id, 'reverted', 'completed', 'completed_with_issues');
    expect(await show(id)).toMatchObject({
      status: 'reverted',
      error: { code: 'atomic_refused', message: expect.stringMatching(/Line 20502: .*"short"/) as string },
    });
    expect(await inTarget('more')).toBe(0);
  } finally {
    await operator.query('alter table catalog.products drop constraint short');
  }
});
