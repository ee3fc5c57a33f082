/** What somebody who runs Waybill sees of it from outside: metrics, logs, ceilings, events of a revert. */
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { choosePorts } from '../dev/ports.ts';
import { startTestApp, type TestApp } from '../test/api.ts';
import { reached, submit } from '../test/import.ts';
import { startTestWorker } from '../test/worker.ts';

const ROWS = 30_000;
const ROWS_PER_SECOND = 20_000;

let app: TestApp;
let worker: Awaited<ReturnType<typeof startTestWorker>>;
let operator: pg.Client;
let metricsUrl: string;
let id: string;
beforeAll(async () => {
  app = await startTestApp();
  const { port } = await choosePorts({ port: 0 });
  metricsUrl = `http://127.0.0.1:${port}/metrics`;
  worker = await startTestWorker({
    databaseUrl: app.workerUrl,
    namespace: app.namespace,
    env: {
      WAYBILL_METRICS: `127.0.0.1:${port}`,
      WAYBILL_LANES: '1',
      WAYBILL_MAX_ROWS_PER_SECOND: String(ROWS_PER_SECOND),
    },
  });
  operator = new pg.Client({ connectionString: app.ownerUrl });
  await operator.connect();
});
afterAll(async () => {
  await worker?.stop();
  await operator?.end();
  await app?.close();
});

const sku = (n: number) => `op-${String(n).padStart(6, '0')}`;
/** All new but a duplicate and two that are blocked. */
const file = (): string =>
  [
    'sku,name,price',
    ...Array.from({ length: ROWS - 3 }, (_, n) => `${sku(n + 1)},Thing,1`),
    `${sku(1)},Thing again,2`,
    'op-bad-1,Thing,dear',
    'op-bad-2,Thing,dearer',
  ].join('\n');

/** The sum of a metric's samples with these labels; null where there is none. */
async function metric(name: string, labels: Record<string, string> = {}): Promise<number | null> {
  const text = await (await fetch(metricsUrl)).text();
  const values = text.split('\n').flatMap((line) => {
    const [, found, given, value] = /^(\w+?)(?:_total)?(?:\{(.*)\})? (\S+)$/.exec(line) ?? [];
    const has = Object.entries(labels).every(([key, wanted]) => given?.includes(`${key}="${wanted}"`));
    return found === name && has ? [Number(value)] : [];
  });
  return values.length === 0 ? null : values.reduce((sum, value) => sum + value, 0);
}

async function until(what: string, look: () => Promise<boolean>): Promise<void> {
  for (const deadline = Date.now() + 30_000; !(await look()); await delay(20))
    if (Date.now() > deadline) throw new Error(`never saw ${what}`);
}

it('counts rows, time, waits, lanes and retries of a run', { timeout: 90_000 }, async () => {
  // Somebody is about to add the record of the last row: the last batch waits, and is then cut off from the database.
  await operator.query(
    `begin; insert into catalog.products (tenant_id, sku) values ('default', '${sku(ROWS - 3)}')`,
  );
  id = await submit(app, file());
  const blocked = async () =>
    (
      await app.owner<{ pid: number }[]>`select pid from pg_stat_activity where datname = current_database()
        and query ~ 'apply_batches' and wait_event_type = 'Lock'`
    )[0]?.pid;
  await until('a batch that waits', async () => (await blocked()) !== undefined);
  expect(await metric('waybill_active_lanes')).toBe(1);
  await app.owner`select pg_terminate_backend(${(await blocked())!})`;
  await operator.query('rollback');
  const { accounting } = await reached(app, id, 'completed_with_issues', 'completed', 'failed');
  expect(accounting).toMatchObject({ input: ROWS, created: ROWS - 3, duplicates: 1, blocked: 2 });

  const dataset = 'products';
  await until('the run counted', async () => (await metric('waybill_imports', { dataset })) === 1);
  expect(await metric('waybill_imports', { dataset, status: 'completed_with_issues' })).toBe(1);
  const outcomes = { created: ROWS - 3, duplicates: 1, blocked: 2, updated: 0, unchanged: 0, failed: 0 };
  for (const [outcome, count] of Object.entries(outcomes))
    expect([outcome, (await metric('waybill_rows', { dataset, outcome })) ?? 0]).toEqual([outcome, count]);
  expect(await metric('waybill_queue_wait_seconds_count', { dataset, kind: 'turn' })).toBe(1);
  expect(await metric('waybill_failed_attempts', { activity: 'apply', cause: 'database away' })).toBe(1);
  expect(await metric('waybill_active_lanes')).toBe(0);

  const phases = await app.owner<{ name: string; seconds: number }[]>`
    select name, extract(epoch from finished_at - started_at)::float8 as seconds from waybill.phases where import_id = ${id}`;
  expect(phases.map(({ name }) => name)).toEqual(
    expect.arrayContaining(['inspect', 'validate', 'apply', 'notify']),
  );
  for (const { name: phase, seconds } of phases) {
    expect(await metric('waybill_phase_seconds_count', { dataset, phase })).toBe(1);
    expect(await metric('waybill_phase_seconds_sum', { dataset, phase })).toBeCloseTo(seconds, 1);
    expect(await metric('waybill_phase_rows_per_second_sum', { dataset, phase })).toBeGreaterThan(0);
  }
  // The ceiling holds: three batches, and a rest after each.
  const apply = phases.find(({ name }) => name === 'apply')!;
  expect(apply.seconds).toBeGreaterThan((ROWS - 3) / ROWS_PER_SECOND - 0.1);
  // And Temporal's own.
  expect(await metric('temporal_request')).toBeGreaterThan(0);
  expect(await metric('temporal_activity_execution_failed', { activity_type: 'apply' })).toBe(1);
});

it('logs the import with every line of its run', () => {
  const lines = worker.lines().map((line) => JSON.parse(line) as { msg: string; import?: string });
  const ofTheRun = lines.filter(({ msg }) => !['polling', 'draining'].includes(msg));
  expect(ofTheRun.map(({ msg }) => msg)).toEqual(
    expect.arrayContaining(['database unavailable', 'import ended']),
  );
  expect(ofTheRun.filter((line) => line.import !== id)).toEqual([]);
});

it(
  'a revert keeps to the ceilings, and tells how far it is while it goes on',
  { timeout: 90_000 },
  async () => {
    const stream = await fetch(`${app.url}/api/imports/${id}/events`, {
      headers: { authorization: `Bearer ${app.tokens.viewer}` },
    });
    const began = Date.now();
    expect((await app.call('POST', `/api/imports/${id}/revert`, { body: {} })).status).toBe(200);
    const seen: number[] = [];
    let text = '';
    for await (const chunk of stream.body!.pipeThrough(new TextDecoderStream())) {
      text += chunk;
      for (const [, done] of text.matchAll(/"revert":\{[^}]*"done":(\d+)/g)) {
        if (!seen.includes(Number(done))) seen.push(Number(done));
      }
      if (text.includes('"status":"reverted"')) break;
    }
    expect(Date.now() - began).toBeGreaterThan(((ROWS - 3) / ROWS_PER_SECOND) * 1000 - 100);
    expect(Math.max(...seen)).toBeGreaterThan(0);
    expect(Math.max(...seen)).toBeLessThanOrEqual(ROWS - 3);
    // One lane: one activity has all batches; two lanes would share them.
    const history = await app.client.workflow.getHandle(`${id}-revert`).fetchHistory();
    const scheduled = history.events!.filter(
      (event) => event.activityTaskScheduledEventAttributes?.activityType?.name === 'applyRevert',
    );
    expect(scheduled).toHaveLength(1);
    expect(
      (await app.owner`select count(*)::int as n from catalog.products where sku like 'op-%'`)[0],
    ).toEqual({ n: 0 });
  },
);
