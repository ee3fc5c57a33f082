import { once } from 'node:events';
import { createServer } from 'node:http';
import type { IncomingHttpHeaders, Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { Worker } from '@temporalio/worker';
import { pino } from 'pino';
import type { Sql } from 'postgres';
import { Webhook } from 'standardwebhooks';
import { afterAll, beforeAll, expect, inject, test, vi } from 'vitest';
import { createDeliveryActivities } from '../activities/deliver.ts';
import { createOutbound, parseNetworks } from '../activities/outbound.ts';
import type { Outbound } from '../activities/outbound.ts';
import { connectSql } from '../db/connect.ts';
import {
  changeEndpoint,
  createEndpoint,
  findEndpoint,
  listDeliveries,
  markDispatched,
  prepareDeliveries,
} from '../db/webhooks.ts';
import { createTestDatabase } from '../test/database.ts';
import type { TestDatabase } from '../test/database.ts';
import { createTestNamespace } from '../test/namespace.ts';
import type { TestNamespace } from '../test/namespace.ts';
import { queues } from '../workflows/messages.ts';
import { workflowBundle } from './bundle.ts';
import { dispatchOnce, restartLost, startDispatcher } from './dispatcher.ts';

const log = pino({ level: 'silent' });
let database: TestDatabase;
let temporal: TestNamespace;
let owner: Sql;
let api: Sql;
let worker: Worker;
let workerSql: Sql;
let outbound: Outbound;
let deliverer: Worker | undefined;
let running: Promise<unknown>;
const servers: Server[] = [];

/** Half a second for what is a day outside. */
const offsetsMs = [0, 50, 100, 200, 400];

beforeAll(async () => {
  expect(inject('services').temporalAddress).toBeTruthy();
  [database, temporal] = await Promise.all([createTestDatabase(), createTestNamespace()]);
  owner = connectSql(database.ownerUrl, { max: 2 });
  api = connectSql(database.apiUrl, { max: 4 });
  workerSql = connectSql(database.workerUrl, { max: 4 });
  outbound = createOutbound({ allow: parseNetworks('127.0.0.1') });
  worker = await Worker.create({
    connection: temporal.connection,
    namespace: temporal.namespace,
    taskQueue: queues.workflow,
    workflowBundle: { codePath: await workflowBundle(join(tmpdir(), 'waybill-test-bundle')) },
  });
  deliverer = await Worker.create({
    connection: temporal.connection,
    namespace: temporal.namespace,
    taskQueue: queues.delivery,
    activities: createDeliveryActivities({ sql: workerSql, outbound, timeoutMs: 1_000 }),
    maxConcurrentActivityTaskExecutions: 20,
  });
  running = Promise.all([worker.run(), deliverer.run()]);
});

afterAll(async () => {
  worker?.shutdown();
  deliverer?.shutdown();
  await running;
  for (const server of servers) {
    server.closeAllConnections();
    server.close();
  }
  await outbound?.close();
  await Promise.all([owner?.end(), api?.end(), workerSql?.end()]);
  await temporal?.close();
  await database?.drop();
});

interface Received {
  headers: IncomingHttpHeaders;
  body: string;
}

/** Answers each request with the next of `statuses`, then with the last one for ever. */
async function receiver(statuses: number[], headers: Record<string, string> = {}) {
  const received: Received[] = [];
  const server = createServer(async (request, response) => {
    received.push({ headers: request.headers, body: await text(request) });
    response.writeHead(statuses[Math.min(received.length, statuses.length) - 1]!, headers).end('said');
  }).listen(0, '127.0.0.1');
  servers.push(server);
  await once(server, 'listening');
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook?key=1`, received };
}

const endpointFor = (
  url: string,
  events = ['import.failed', 'import.cancelled'],
  datasets: string[] | null = null,
) => createEndpoint(api, 'default', { url, description: null, events, datasets, enabled: true }, 'test');

let imports = 0;
/** The status change writes the event, by trigger, in its own transaction. */
async function cancelAnImport(dataset = 'products'): Promise<string> {
  const id = `import-${++imports}`;
  await owner`
    insert into waybill.imports (import_id, tenant_id, dataset, dataset_version, source, file_name, status, created_by)
    values (${id}, 'default', ${dataset}, 1, '{"kind":"upload"}', 'a.csv', 'queued', 'test')`;
  await owner`select waybill.request_stop(${id}, 'cancel', 'test', 'because')`;
  return id;
}

const settled = (id: string, count: number) =>
  vi.waitFor(
    async () => {
      const deliveries = await listDeliveries(api, 'default', { importId: id }, 100, null);
      expect(deliveries.filter((delivery) => delivery.state !== 'pending')).toHaveLength(count);
      return deliveries;
    },
    { timeout: 20_000, interval: 50 },
  );

const dispatch = () =>
  dispatchOnce({ sql: api, databaseUrl: database.apiUrl, client: temporal.client, log, offsetsMs });

test('a receiver that fails twice and then accepts gets each event under one id, validly signed each time', async () => {
  const { url, received } = await receiver([500, 503, 200]);
  const endpoint = await endpointFor(url);
  const id = await cancelAnImport();
  expect(await dispatch()).toBe(1);
  const [delivery] = await settled(id, 1);

  expect(delivery).toMatchObject({
    state: 'delivered',
    type: 'import.cancelled',
    endpointId: endpoint.endpointId,
  });
  expect(delivery!.attempts.map(({ attempt, status }) => [attempt, status])).toEqual([
    [1, 500],
    [2, 503],
    [3, 200],
  ]);
  expect(delivery!.attempts[2]!.responseExcerpt).toBe('said');
  expect(new Set(received.map(({ headers }) => headers['webhook-id']))).toEqual(
    new Set([`evt_${delivery!.eventId}`]),
  );
  expect(new Set(received.map(({ body }) => body)).size).toBe(1);
  for (const { headers, body } of received) {
    expect(new Webhook(endpoint.secret).verify(body, headers as Record<string, string>)).toMatchObject({
      type: 'import.cancelled',
      data: { id, dataset: 'products', status: 'cancelled', error: { message: 'because' } },
    });
  }
  await changeEndpoint(api, 'default', endpoint.endpointId, { enabled: false });
});

test('a dead receiver is given up, and holds up nobody else', async () => {
  const closed = createServer().listen(0, '127.0.0.1');
  await once(closed, 'listening');
  const { port } = closed.address() as AddressInfo;
  closed.close();
  const good = await receiver([204]);
  const [dead, alive] = [await endpointFor(`http://127.0.0.1:${port}/`), await endpointFor(good.url)];
  const id = await cancelAnImport();
  await dispatch();
  await vi.waitFor(() => expect(good.received).toHaveLength(1), { timeout: 10_000 });
  const deliveries = await settled(id, 2);
  const of = (endpointId: string) => deliveries.find((delivery) => delivery.endpointId === endpointId)!;
  expect(of(alive.endpointId).state).toBe('delivered');
  expect(of(dead.endpointId)).toMatchObject({ state: 'given_up', nextAttemptAt: null });
  expect(of(dead.endpointId).attempts).toHaveLength(offsetsMs.length);
  expect(of(dead.endpointId).attempts[0]!.error).toContain('cannot be reached');
  for (const { endpointId } of [dead, alive])
    await changeEndpoint(api, 'default', endpointId, { enabled: false });
});

test('410 switches the endpoint off', async () => {
  const { url, received } = await receiver([410]);
  const endpoint = await endpointFor(url);
  const [delivery] = await cancelAnImport().then(async (id) => {
    await dispatch();
    return settled(id, 1);
  });
  expect(delivery).toMatchObject({ state: 'given_up' });
  expect(await findEndpoint(api, 'default', endpoint.endpointId)).toMatchObject({
    enabled: false,
    disabledReason: expect.stringContaining('410'),
  });
  await cancelAnImport();
  await dispatch();
  expect(received).toHaveLength(1);
});

test('an address that must not be reached is an attempt with its reason; a redirect is not followed', async () => {
  const target = await receiver([200]);
  const redirect = await receiver([307], { location: target.url });
  const inner = await endpointFor(target.url.replace('127.0.0.1', '127.0.0.2'));
  const away = await endpointFor(redirect.url);
  const id = await cancelAnImport();
  await dispatch();
  const deliveries = await settled(id, 2);
  const reasonOf = (endpointId: string) =>
    deliveries.find((delivery) => delivery.endpointId === endpointId)!.attempts[0]!.error;
  expect(reasonOf(inner.endpointId)).toContain('WAYBILL_ALLOW_NETWORKS');
  expect(reasonOf(away.endpointId)).toContain('redirects are not followed');
  expect(target.received).toHaveLength(0);
  for (const { endpointId } of [inner, away])
    await changeEndpoint(api, 'default', endpointId, { enabled: false });
});

test('Retry-After that asks for more than is left is the end', async () => {
  const { url } = await receiver([429], { 'retry-after': '3600' });
  const endpoint = await endpointFor(url);
  const id = await cancelAnImport();
  await dispatch();
  const [delivery] = await settled(id, 1);
  expect(delivery).toMatchObject({ state: 'given_up', attempts: [{ status: 429 }] });
  await changeEndpoint(api, 'default', endpoint.endpointId, { enabled: false });
});

test('an endpoint hears only what it asked for, of the datasets that it asked for, of its tenant', async () => {
  const { url } = await receiver([200]);
  await owner`insert into waybill.tenants values ('other', 'Other')`;
  const others = { url, description: null, events: ['import.cancelled'], datasets: null, enabled: true };
  const endpoints = [
    await endpointFor(url, ['import.completed']),
    await endpointFor(url, ['import.cancelled'], ['clients']),
    await createEndpoint(api, 'other', others, 'test'),
  ];
  await cancelAnImport('products');
  expect((await prepareDeliveries(api, 100)).deliveries).toEqual([]);
  await dispatch();
  await cancelAnImport('clients');
  expect((await prepareDeliveries(api, 100)).deliveries).toMatchObject([
    { endpointId: endpoints[1]!.endpointId },
  ]);
  await dispatch();
  await changeEndpoint(api, 'default', endpoints[1]!.endpointId, { enabled: false });
});

test('a delivery whose workflow was lost is begun again; one to an endpoint that was switched off has ended', async () => {
  const { url, received } = await receiver([500, 500, 200]);
  const endpoint = await endpointFor(url);
  const deps = { sql: api, databaseUrl: database.apiUrl, client: temporal.client, log, offsetsMs: [0, 700] };
  const lost = await cancelAnImport();
  const { eventIds } = await prepareDeliveries(api, 100);
  await markDispatched(api, eventIds);
  await restartLost(deps);
  expect(received).toHaveLength(0);
  await owner`update waybill.deliveries set created_at = now() - interval '1 hour' where state = 'pending'`;
  await restartLost(deps);
  await vi.waitFor(() => expect(received).toHaveLength(1), { timeout: 10_000, interval: 20 });
  await changeEndpoint(api, 'default', endpoint.endpointId, { enabled: false });
  expect(await settled(lost, 1)).toMatchObject([{ state: 'given_up', attempts: [{ status: 500 }] }]);
});

test('a delivery that somebody ended in Temporal is given up', async () => {
  const { url, received } = await receiver([500]);
  const { endpointId } = await endpointFor(url);
  const day = 24 * 60 * 60 * 1000;
  const deps = { sql: api, databaseUrl: database.apiUrl, client: temporal.client, log, offsetsMs: [0, day] };
  const ended = await cancelAnImport();
  await dispatchOnce(deps);
  const due = async () =>
    await owner<{ event: number }[]>`
      select event_id as event from waybill.deliveries where endpoint_id = ${endpointId} and next_attempt_at > now()`;
  await vi.waitFor(async () => expect(await due()).toHaveLength(1), { timeout: 10_000, interval: 20 });
  expect(received).toHaveLength(1);
  const { event } = (await due())[0]!;
  await temporal.client.workflow.getHandle(`webhook-${event}-${endpointId}`).terminate();
  await owner`update waybill.deliveries set next_attempt_at = now() - interval '1 hour' where endpoint_id = ${endpointId}`;
  await restartLost(deps);
  expect(await settled(ended, 1)).toMatchObject([{ state: 'given_up', attempts: [{ status: 500 }] }]);
  await changeEndpoint(api, 'default', endpointId, { enabled: false });
});

test('of two dispatchers one works, and the other takes over when it stops; a repeat delivers nothing twice', async () => {
  const { url, received } = await receiver([200]);
  const endpoint = await endpointFor(url);
  const deps = { sql: api, databaseUrl: database.apiUrl, client: temporal.client, log, offsetsMs };
  const first = startDispatcher(deps);
  const holders = () => owner`
    select pid from pg_locks where locktype = 'advisory' and granted and objid = 7295003
      and database = (select oid from pg_database where datname = current_database())`;
  await vi.waitFor(async () => expect(await holders()).toHaveLength(1), { timeout: 10_000 });
  const second = startDispatcher(deps);
  await settled(await cancelAnImport(), 1);
  expect(received).toHaveLength(1);
  await first.stop();

  // The new leader finds an event whose workflow had been started before a crash kept it from being marked.
  await owner`update waybill.events set dispatched_at = null where event_id = (select max(event_id) from waybill.events)`;
  await settled(await cancelAnImport(), 1);
  await vi.waitFor(
    async () => expect(await owner`select from waybill.events where dispatched_at is null`).toHaveLength(0),
    { timeout: 10_000 },
  );
  await second.stop();
  expect(received).toHaveLength(2);
  await changeEndpoint(api, 'default', endpoint.endpointId, { enabled: false });
});
