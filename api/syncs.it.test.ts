import { once } from 'node:events';
import { createServer } from 'node:http';
import type { Server, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, expect, inject, test, vi } from 'vitest';
import { beginSyncRun, findSync } from '../db/syncs.ts';
import { reconcileSchedules } from '../temporal/schedules.ts';
import { startTestApp } from '../test/api.ts';
import { createTestNamespace, type TestNamespace } from '../test/namespace.ts';
import { startTestWorker } from '../test/worker.ts';
import type { runSync } from '../workflows/run-sync.ts';
import { queues } from '../workflows/messages.ts';

let app: Awaited<ReturnType<typeof startTestApp>>;
let temporal: TestNamespace;
let worker: Awaited<ReturnType<typeof startTestWorker>>;
let source: Server;
let base: string;

/** What the source answers by path. */
const pages = new Map<string, (response: ServerResponse, ifNoneMatch: string | undefined) => void>();
const asked: string[] = [];

beforeAll(async () => {
  temporal = await createTestNamespace();
  app = await startTestApp({ temporalNamespace: temporal.namespace });
  const address = new URL(inject('services').workerUrl);
  address.pathname = new URL(app.ownerUrl).pathname;
  worker = await startTestWorker({
    databaseUrl: address.href,
    namespace: temporal.namespace,
    env: { WAYBILL_ALLOW_NETWORKS: '127.0.0.1' },
  });
  source = createServer((request, response) => {
    asked.push(`${request.url} ${request.headers['if-none-match'] ?? ''}`.trim());
    pages.get(request.url!)!(response, request.headers['if-none-match']);
  }).listen(0, '127.0.0.1');
  await once(source, 'listening');
  base = `http://127.0.0.1:${(source.address() as AddressInfo).port}`;
});

afterAll(async () => {
  await worker?.stop();
  source?.closeAllConnections();
  source?.close();
  await app?.close();
  await temporal?.close();
});

const catalogue = (rows: [string, string][]) =>
  `sku,name,price\n${rows.map(([sku, price]) => `${sku},Thing ${sku},${price}\n`).join('')}`;
const serve = (path: string, body: string, headers: Record<string, string> = {}) =>
  pages.set(path, (response, ifNoneMatch) => {
    if (headers['etag'] && ifNoneMatch === headers['etag']) response.writeHead(304, headers).end();
    else response.writeHead(200, { 'content-type': 'text/csv', ...headers }).end(body);
  });

let names = 0;
async function addSync(path: string, more: object = {}): Promise<string> {
  const { status, body } = await app.call('POST', '/api/syncs', {
    body: {
      name: `feed ${++names}`,
      url: base + path,
      dataset: 'products',
      cron: '0 3 1 1 *',
      policy: 'auto',
      ...more,
    },
  });
  expect(body).toMatchObject({ paused: false, lastRun: null });
  expect(status).toBe(201);
  return body.id as string;
}

/** A run, now, without waiting minutes for a source that is down. */
async function run(
  syncId: string,
  token = app.tokens.admin,
): Promise<{ outcome: string; message: string | null; importId: string | null }> {
  const workflowId = `sync-${syncId}-${crypto.randomUUID()}`;
  await temporal.client.workflow.execute<typeof runSync>('runSync', {
    workflowId,
    taskQueue: queues.workflow,
    args: [{ syncId, tenantId: 'default', retryMs: 10 }],
  });
  const { body } = await app.call('GET', `/api/syncs/${syncId}/runs`, { token });
  return body.items.find(({ id }: { id: string }) => id === workflowId);
}

const importsOf = (syncId: string) =>
  app.owner<{ id: string; status: string; accounting: Record<string, number> }[]>`
    select import_id as id, status, accounting from waybill.imports where sync_id = ${syncId} order by created_at`;
const prices = async (prefix: string) =>
  Object.fromEntries(
    (
      await app.owner<{ sku: string; price: string }[]>`
        select sku, price::float8::text as price from catalog.products where sku like ${`${prefix}%`} order by sku`
    ).map(({ sku, price }) => [sku, price]),
  );

test('imports once, then reports unchanged, by ETag and by content; imports again what has changed', async () => {
  const one = catalogue([
    ['A1', '1.5'],
    ['A2', '2'],
  ]);
  serve('/feed.csv', one, { etag: '"v1"' });
  const syncId = await addSync('/feed.csv');

  expect(await run(syncId)).toMatchObject({ outcome: 'imported', message: null });
  const [first] = await importsOf(syncId);
  expect(first).toMatchObject({ status: 'completed', accounting: { input: 2, created: 2 } });
  expect(await prices('A')).toEqual({ A1: '1.5', A2: '2' });

  expect(await run(syncId)).toMatchObject({ outcome: 'unchanged', importId: null });
  expect(asked.at(-1)).toBe('/feed.csv "v1"');

  // An ETag that says 'changed' of the same bytes.
  serve('/feed.csv', one, { etag: '"v2"' });
  expect(await run(syncId)).toMatchObject({
    outcome: 'unchanged',
    message: expect.stringContaining(first!.id),
  });
  expect(await run(syncId)).toMatchObject({ outcome: 'unchanged' });
  expect(asked.at(-1)).toBe('/feed.csv "v2"');
  expect(await importsOf(syncId)).toHaveLength(1);

  serve(
    '/feed.csv',
    catalogue([
      ['A1', '1.5'],
      ['A2', '3'],
    ]),
    { etag: '"v3"' },
  );
  expect(await run(syncId)).toMatchObject({ outcome: 'imported' });
  expect(await prices('A')).toEqual({ A1: '1.5', A2: '3' });
  expect((await importsOf(syncId)).at(-1)).toMatchObject({ accounting: { updated: 1, unchanged: 1 } });

  // Yesterday's file again is not what is there now: it is imported, and not taken for unchanged.
  serve('/feed.csv', one, { etag: '"v1"' });
  expect(await run(syncId)).toMatchObject({ outcome: 'imported' });
  expect(await prices('A')).toEqual({ A1: '1.5', A2: '2' });
});

test('movements are added once, also where some of the file was refused', async () => {
  const moves = 'sku,name,quantity\nM1,Thing,5\nM2,Thing,six\n';
  serve('/moves.csv', moves, { etag: '"m1"' });
  const syncId = await addSync('/moves.csv', { mode: 'add' });
  const stock = async () =>
    (await app.owner`select quantity::float8 as n from catalog.products where sku = 'M1'`)[0]?.['n'];
  expect(await run(syncId)).toMatchObject({ outcome: 'imported' });
  const [first] = await importsOf(syncId);
  expect(first).toMatchObject({ status: 'completed_with_issues', accounting: { created: 1, blocked: 1 } });
  // A run that was lost meanwhile does not run for ever.
  await app.owner`insert into waybill.sync_runs (sync_id, run_id) values (${syncId}, 'lost')`;
  expect(await run(syncId)).toMatchObject({
    outcome: 'unchanged',
    message: expect.stringContaining(first!.id),
  });
  const { body } = await app.call('GET', `/api/syncs/${syncId}/runs`);
  expect(body.items.find(({ id }: { id: string }) => id === 'lost')).toMatchObject({
    outcome: 'failed',
    finishedAt: expect.any(String),
  });
  expect(await stock()).toBe(5);
  // Nor when it comes back after another one.
  serve('/moves.csv', 'sku,name,quantity\nM3,Thing,1\n', { etag: '"m2"' });
  expect(await run(syncId)).toMatchObject({ outcome: 'imported' });
  serve('/moves.csv', moves, { etag: '"m3"' });
  expect(await run(syncId)).toMatchObject({
    outcome: 'unchanged',
    message: expect.stringContaining(first!.id),
  });
  expect(await stock()).toBe(5);
  // In the middle, cancelled: some of it is there.
  await app.owner`update waybill.imports set status = 'cancelled' where import_id = ${first!.id}`;
  expect(await run(syncId)).toMatchObject({ outcome: 'failed', message: expect.stringContaining('undo it') });
  expect(await stock()).toBe(5);
});

test('the same file is read again for another version of its profile', async () => {
  serve('/profile.csv', 'Nr,Titel,Wert\nP1,Thing,1\n', { etag: '"p1"' });
  const keep = (fields: object) =>
    app.call('POST', '/api/datasets/products/profiles', {
      body: {
        waybillProfile: 1,
        dataset: 'products',
        name: 'feed',
        headers: ['Nr', 'Titel', 'Wert'],
        fields,
      },
    });
  const fields = { sku: { column: 'Nr' }, name: { column: 'Titel' }, price: { column: 'Wert' } };
  await keep(fields);
  const syncId = await addSync('/profile.csv', { profile: 'feed' });
  expect(await run(syncId)).toMatchObject({ outcome: 'imported' });
  expect(await run(syncId)).toMatchObject({ outcome: 'unchanged' });
  await keep({ ...fields, price: { constant: '7' } });
  expect(await run(syncId)).toMatchObject({ outcome: 'imported' });
  expect(await prices('P1')).toEqual({ P1: '7' });
});

test('of a file that was fetched and found unchanged nothing stays in the store', async () => {
  serve('/same.csv', catalogue([['E1', '1']]));
  const { body } = await app.call('POST', '/api/syncs', {
    token: app.foreign.admin,
    body: { name: 'theirs', url: `${base}/same.csv`, dataset: 'products', cron: '0 3 1 1 *', policy: 'auto' },
  });
  for (const outcome of ['imported', 'unchanged', 'unchanged']) {
    expect(await run(body.id, app.foreign.admin)).toMatchObject({
      outcome,
      message: outcome === 'imported' ? null : expect.anything(),
    });
  }
  const [imported] = await importsOf(body.id);
  const [{ tenant }] = await app.owner<[{ tenant: string }]>`
    select tenant_id as tenant from waybill.syncs where sync_id = ${body.id}`;
  const keys = (await app.deps.store.list(`${tenant}/`)).map(({ key }) => key);
  expect(keys).toContain(`${tenant}/${imported!.id}/source`);
  expect(keys.filter((key) => !key.startsWith(`${tenant}/${imported!.id}/`))).toEqual([]);
  for (const key of keys) await app.deps.store.remove(key);
});

test.each<[string, (response: ServerResponse) => void, RegExp]>([
  [
    'a sign-in page with status 200',
    (response) =>
      response.writeHead(200, { 'content-type': 'text/csv' }).end('\n<!DOCTYPE html><html>Sign in</html>'),
    /web page, not a data file/,
  ],
  [
    'an empty file',
    (response) => response.writeHead(200, { 'content-type': 'text/csv' }).end(),
    /empty file/,
  ],
  ['a missing file', (response) => response.writeHead(404).end(), /404.*check the address/],
  ['a source that wants a password', (response) => response.writeHead(401).end(), /401.*credential/],
  ['a source that is down', (response) => response.writeHead(503).end(), /503/],
  [
    'a body that ends early',
    (response) => {
      response.writeHead(200, { 'content-type': 'text/csv', 'content-length': 5000 });
      response.write(catalogue([['B1', '1']]), () => response.destroy());
    },
    /closed the connection in the middle/,
  ],
  [
    'a redirect to where nobody may go',
    (response) => response.writeHead(302, { location: 'http://169.254.169.254/latest' }).end(),
    /WAYBILL_ALLOW_NETWORKS/,
  ],
])('%s fails the run in words, and leaves no import', async (_, answer, message) => {
  const path = `/bad-${++names}`;
  pages.set(path, answer);
  const syncId = await addSync(path);
  const found = await run(syncId);
  expect(found).toMatchObject({ outcome: 'failed', importId: null });
  expect(found.message).toMatch(message);
  expect(await importsOf(syncId)).toHaveLength(0);
  expect(await prices('B')).toEqual({});
});

test('a held import ends the run, and the same file the next night makes no second one', async () => {
  serve('/held.csv', catalogue([['C1', '1']]));
  const syncId = await addSync('/held.csv', { policy: 'review' });
  expect(await run(syncId)).toMatchObject({ outcome: 'waiting' });
  expect(await run(syncId)).toMatchObject({ outcome: 'waiting', importId: null });
  const imports = await importsOf(syncId);
  expect(imports).toMatchObject([{ status: 'waiting' }]);
  expect(await prices('C')).toEqual({});
  await temporal.client.workflow.getHandle(imports[0]!.id).signal('cancel', {});
});

test('a run by the button goes through the schedule, and shows in the list', async () => {
  serve('/button.csv', catalogue([['D1', '1']]));
  const syncId = await addSync('/button.csv', { cron: '30 4 * * *', timeZone: 'Asia/Tokyo' });
  expect((await app.call('POST', `/api/syncs/${syncId}/run`, { body: {} })).status).toBe(200);
  await vi.waitFor(
    async () => {
      const { body } = await app.call('GET', '/api/syncs');
      const sync = body.items.find(({ id }: { id: string }) => id === syncId);
      expect(sync.lastRun).toMatchObject({ outcome: 'imported' });
      expect(sync.nextRuns).toHaveLength(5);
      expect(sync.nextRuns[0]).toMatch(/T19:30:00/);
    },
    { timeout: 30_000, interval: 200 },
  );
});

const scheduleOf = (syncId: string) => temporal.client.schedule.getHandle(`sync-${syncId}`);
const reconcile = () => reconcileSchedules({ sql: app.deps.sql, client: temporal.client, log: app.deps.log });

test('definition and schedule are reconciled both ways', async () => {
  serve('/r.csv', catalogue([]));
  const syncId = await addSync('/r.csv');
  expect((await scheduleOf(syncId).describe()).policies).toMatchObject({
    overlap: 'SKIP',
    catchupWindow: 3_600_000,
  });

  // Paused there, by a person in the Temporal Web UI: paused here.
  await scheduleOf(syncId).pause('the supplier moves house');
  await reconcile();
  expect((await app.call('GET', `/api/syncs/${syncId}`)).body).toMatchObject({
    paused: true,
    note: 'the supplier moves house',
    nextRuns: [],
  });
  // Resumed here: resumed there.
  expect((await app.call('POST', `/api/syncs/${syncId}/resume`, { body: {} })).body.paused).toBe(false);
  expect((await scheduleOf(syncId).describe()).state.paused).toBe(false);
  await reconcile();
  expect((await app.call('GET', `/api/syncs/${syncId}`)).body.paused).toBe(false);
  // Changed there: the definition wins.
  await scheduleOf(syncId).update((there) => ({
    ...there,
    spec: { cronExpressions: ['* * * * *'] },
    policies: { overlap: 'ALLOW_ALL' },
  }));
  await reconcile();
  const restored = await scheduleOf(syncId).describe();
  expect(restored.policies.overlap).toBe('SKIP');
  expect(restored.info.nextActionTimes[0]!.toISOString()).toMatch(/-01-01T03:00:00/);
  // Gone there: made again.
  await scheduleOf(syncId).delete();
  await reconcile();
  expect((await scheduleOf(syncId).describe()).state.paused).toBe(false);
  // Removed here: gone there, and a run that had begun does nothing.
  expect((await app.call('DELETE', `/api/syncs/${syncId}`)).status).toBe(204);
  await expect(scheduleOf(syncId).describe()).rejects.toThrow();
  expect(await findSync(app.deps.sql, 'default', syncId)).toBeNull();
  expect(await beginSyncRun(app.deps.sql, syncId, 'late')).toBeNull();
});

test('what cannot be a sync is refused, and nothing of it stays', async () => {
  const good = { name: 'n', url: `${base}/x`, dataset: 'products', cron: '0 3 * * *' };
  const refused = async (change: object, status: number, code: string) => {
    const { status: found, body } = await app.call('POST', '/api/syncs', { body: { ...good, ...change } });
    expect([found, body.code]).toEqual([status, code]);
  };
  await refused({ url: 'file:///etc/passwd' }, 422, 'invalid_url');
  await refused({ url: 'http://user:pass@example.com/' }, 422, 'invalid_url');
  await refused({ dataset: 'nothing' }, 422, 'unknown_dataset');
  await refused({ profile: 'nothing' }, 422, 'unknown_profile');
  await refused({ cron: 'whenever' }, 422, 'invalid_calendar');
  await refused({ timeZone: 'Moon/Crater' }, 422, 'invalid_calendar');
  await refused({ tenant_id: 'other' }, 400, 'invalid_request');
  const { body } = await app.call('GET', '/api/syncs');
  expect(body.items.filter(({ name }: { name: string }) => name === 'n')).toEqual([]);
  await addSync('/x', { name: 'n' });
  await refused({}, 409, 'name_taken');
});

test("another tenant's sync is unknown", async () => {
  const syncId = await addSync('/x');
  for (const [method, path] of [
    ['GET', ''],
    ['DELETE', ''],
    ['POST', '/run'],
    ['POST', '/pause'],
    ['POST', '/resume'],
    ['GET', '/runs'],
  ]) {
    const options = { token: app.foreign.admin, ...(method === 'POST' && { body: {} }) };
    expect((await app.call(method!, `/api/syncs/${syncId}${path}`, options)).status).toBe(404);
  }
});
