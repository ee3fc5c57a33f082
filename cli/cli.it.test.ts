import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, request as httpRequest } from 'node:http';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createServer as createTcpServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import type { Sql } from 'postgres';
import { afterAll, beforeAll, expect, inject, test, vi } from 'vitest';
import { mintToken } from '../db/access.ts';
import { connectSql } from '../db/connect.ts';
import { createTestDatabase, type TestDatabase } from '../test/database.ts';
import { createTestNamespace, type TestNamespace } from '../test/namespace.ts';
import { startTestWorker } from '../test/worker.ts';

const at = (path: string) => fileURLToPath(new URL(`../${path}`, import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'waybill-cli-'));
let database: TestDatabase;
let temporal: TestNamespace;
let owner: Sql;
let worker: Awaited<ReturnType<typeof startTestWorker>>;
let api: ChildProcess;
let port: number;
let token: string;
let proxy: Server | undefined;

async function freePort(): Promise<number> {
  const server = createTcpServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port: free } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return free;
}

async function startApi(): Promise<void> {
  const { temporalAddress, s3 } = inject('services');
  api = spawn(process.execPath, [at('api/main.ts')], {
    stdio: ['ignore', 'ignore', 'inherit'],
    env: {
      ...process.env,
      PORT: String(port),
      DATABASE_URL: database.apiUrl,
      TEMPORAL_ADDRESS: temporalAddress,
      TEMPORAL_NAMESPACE: temporal.namespace,
      S3_ENDPOINT: s3.endpoint,
      S3_BUCKET: s3.bucket,
      S3_ACCESS_KEY: s3.accessKey,
      S3_SECRET_KEY: s3.secretKey,
      S3_REGION: s3.region,
      WAYBILL_LOG: 'error',
      WAYBILL_PART_BYTES: String(5 * 1024 * 1024),
    },
  });
  await vi.waitFor(async () => expect((await fetch(`http://127.0.0.1:${port}/healthz`)).ok).toBe(true), {
    timeout: 30_000,
    interval: 100,
  });
}

beforeAll(async () => {
  [database, temporal, port] = await Promise.all([createTestDatabase(), createTestNamespace(), freePort()]);
  owner = connectSql(database.ownerUrl, { max: 2 });
  token = await mintToken(database.ownerUrl, { tenantId: 'default', role: 'admin', name: 'test' });
  [worker] = await Promise.all([
    startTestWorker({
      databaseUrl: database.workerUrl,
      namespace: temporal.namespace,
      env: { WAYBILL_ALLOW_NETWORKS: '127.0.0.1' },
    }),
    startApi(),
  ]);
});

afterAll(async () => {
  proxy?.closeAllConnections();
  proxy?.close();
  if (api) {
    api.kill('SIGTERM');
    await once(api, 'exit');
  }
  await worker?.stop();
  await owner?.end();
  await temporal?.close();
  await database?.drop();
  rmSync(folder, { recursive: true });
});

function start(args: string[], env: Record<string, string> = {}): ChildProcess {
  return spawn(process.execPath, [at('cli/main.ts'), ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: {
      ...process.env,
      WAYBILL_URL: `http://127.0.0.1:${port}`,
      WAYBILL_TOKEN: token,
      XDG_STATE_HOME: folder,
      ...env,
    },
  });
}

async function outcomeOf(child: ChildProcess) {
  const [stdout, stderr, [code]] = await Promise.all([
    text(child.stdout!),
    text(child.stderr!),
    once(child, 'exit'),
  ]);
  return { code: code as number, stdout, stderr };
}
const waybill = (...args: string[]) => outcomeOf(start(args));

let files = 0;
function fileOf(lines: string[]): string {
  const path = join(folder, `file-${++files}.csv`);
  writeFileSync(path, `sku,name,price\n${lines.join('\n')}\n`);
  return path;
}
const lines = (prefix: string, count: number) =>
  Array.from({ length: count }, (_, i) => `${prefix}-${i},Thing ${i},${i}.5`);
const rowsOf = async (prefix: string): Promise<number> =>
  (
    await owner<[{ count: number }]>`
      select count(*) as count from catalog.products where sku like ${`${prefix}-%`}`
  )[0].count;

test('import prints one document and says by its exit code how it went', async () => {
  const path = fileOf(lines('A', 50));
  const { code, stdout, stderr } = await waybill('import', path, '--dataset', 'products', '--json');
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  const doc = JSON.parse(stdout);
  expect(doc).toMatchObject({
    dataset: 'products',
    status: 'completed',
    phase: null,
    accounting: { input: 50, created: 50, notProcessed: 0 },
    error: null,
  });
  expect(await rowsOf('A')).toBe(50);

  const again = await waybill('import', path, '--dataset', 'products', '--json');
  expect(again.code).toBe(2);
  expect(JSON.parse(again.stdout)).toMatchObject({ status: 'failed', error: { code: 'duplicate_file' } });

  const allowed = await waybill('import', path, '-d', 'products', '--allow-duplicate');
  expect(allowed.code).toBe(0);
  expect(allowed.stdout).toMatch(/completed\n {2}50 records: 50 unchanged\n/);

  const listed = await waybill('imports', '--json');
  expect(JSON.parse(listed.stdout).items).toHaveLength(3);
  expect((await waybill('watch', doc.id)).code).toBe(0);
});

test('bad rows: exit 3, and errors shows and saves them', async () => {
  const path = fileOf([...lines('B', 20), 'B-x,Wrong price,abc', 'B-y,Too,1,many']);
  const { code, stdout } = await waybill('import', path, '-d', 'products', '--json');
  expect(code).toBe(3);
  const doc = JSON.parse(stdout);
  expect(doc).toMatchObject({ status: 'completed_with_issues', accounting: { created: 20, blocked: 2 } });
  const shown = await waybill('errors', doc.id);
  expect(shown.stdout).toMatch(/^LINE/);
  expect(shown.stdout).toMatch(/\n22 +error/);
  expect(JSON.parse((await waybill('errors', doc.id, '--json')).stdout).items).toHaveLength(2);
  expect((await waybill('errors', doc.id, '--csv')).stdout).toContain('B-x');
});

test('plan stops before anything is written; apply and discard answer it', async () => {
  const planned = await waybill('plan', fileOf(lines('C', 10)), '-d', 'products', '--json');
  expect(planned.code).toBe(4);
  const { id } = JSON.parse(planned.stdout);
  expect(await rowsOf('C')).toBe(0);
  const applied = await waybill('apply', id, '--json');
  expect({ code: applied.code, stderr: applied.stderr }).toEqual({ code: 0, stderr: '' });
  expect(JSON.parse(applied.stdout)).toMatchObject({ status: 'completed', accounting: { created: 10 } });
  expect(await rowsOf('C')).toBe(10);

  const other = JSON.parse(
    (await waybill('plan', fileOf(lines('D', 10)), '-d', 'products', '--json')).stdout,
  );
  expect((await waybill('discard', other.id)).code).toBe(0);
  expect((await waybill('watch', other.id)).code).toBe(5);
  expect((await waybill('apply', other.id)).code).toBe(2);
  expect(await rowsOf('D')).toBe(0);
});

test('a run is proven, its rows are handed out by what came of them, and it is undone', async () => {
  const path = fileOf([...lines('R', 30), 'R-x,Wrong price,abc']);
  const { id } = JSON.parse((await waybill('import', path, '-d', 'products', '--json')).stdout);
  const proof = await waybill('proof', id);
  expect(proof.code).toBe(0);
  expect(proof.stdout).toMatch(
    /^ok {4}the file has so many records: 31\nok {4}the receipts add up to created: 30\n/,
  );
  expect(proof.stdout).not.toContain('NOT');
  expect((await waybill('proof', id, '--sql')).stdout).toMatch(/^-- .*: 31\nselect .*;\n/);
  expect(JSON.parse((await waybill('proof', id, '--json')).stdout)).toMatchObject({ ok: true, import: id });
  expect((await waybill('results', id, '--kind', 'failed')).stdout).toBe(
    'sku,name,price\r\nR-x,Wrong price,abc\r\n',
  );
  expect((await waybill('results', id)).code).toBe(2);

  await owner`update catalog.products set name = 'by hand' where sku = 'R-0'`;
  const looked = await waybill('revert', id, '--preview');
  expect(looked.code).toBe(0);
  expect(looked.stdout).toMatch(/remove {3}29 records[^]*leave {4}1 in conflict \(1 changed since/);
  expect(looked.stdout).toMatch(/r-0 +2 +created +changed since: name is by hand/);
  expect(await rowsOf('R')).toBe(30);
  const undone = await waybill('revert', id);
  expect(undone.code).toBe(3);
  expect(undone.stdout).toMatch(/done\n {2}29 removed, 0 restored, 1 left as they are/);
  expect(await rowsOf('R')).toBe(1);
  expect((await waybill('revert', id, '--force', 'changed', '--json')).code).toBe(0);
  expect(await rowsOf('R')).toBe(0);
  expect((await waybill('revert', id, '--force', 'everything')).code).toBe(2);
});

test('what is refused is refused in one sentence with exit 2', async () => {
  const path = fileOf(lines('E', 1));
  const refused = async (args: string[], message: RegExp, env = {}) => {
    const { code, stdout, stderr } = await outcomeOf(start(args, env));
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toMatch(message);
    expect(stderr.trimEnd().split('\n')).toHaveLength(1);
  };
  await refused(['import', join(folder, 'none.csv'), '-d', 'products'], /There is no file/);
  await refused(['import', folder, '-d', 'products'], /folder/);
  await refused(['import', path, '-d', 'nothing'], /nothing/);
  await refused(['watch', 'unknown-import'], /no such import/);
  await refused(['imports'], /token/i, { WAYBILL_TOKEN: 'wrong' });
  await refused(['imports'], /not running/, { WAYBILL_URL: '', WAYBILL_DATA: folder });
});

test('an import is watched through a killed API, and its rows are there once', async () => {
  const path = fileOf(lines('F', 150_000));
  const child = start(['import', path, '-d', 'products', '--json']);
  const outcome = outcomeOf(child);
  await vi.waitFor(
    async () => expect(await owner`select from waybill.imports where status = 'running'`).toHaveLength(1),
    { timeout: 30_000, interval: 20 },
  );
  api.kill('SIGKILL');
  await once(api, 'exit');
  await startApi();
  const { code, stdout, stderr } = await outcome;
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  expect(JSON.parse(stdout)).toMatchObject({ accounting: { input: 150_000, created: 150_000 } });
  expect(await rowsOf('F')).toBe(150_000);
});

test('a command that was killed before its upload was complete is gone on with by the next', async () => {
  const path = fileOf(lines('G', 300_000));
  const paths: string[] = [];
  let hold = true;
  let held = () => {};
  const holding = new Promise<void>((resolve) => (held = resolve));
  proxy = createServer((incoming, outgoing) => {
    paths.push(incoming.url!);
    // Every part has arrived, and nobody says so.
    if (hold && incoming.url === '/api/imports/complete') return held();
    const { method, headers } = incoming;
    const forward = httpRequest(`http://127.0.0.1:${port}${incoming.url}`, { method, headers }, (answer) => {
      outgoing.writeHead(answer.statusCode!, answer.headers);
      answer.pipe(outgoing);
    });
    forward.on('error', () => outgoing.destroy());
    outgoing.on('close', () => forward.destroy());
    incoming.pipe(forward);
  }).listen(0, '127.0.0.1');
  await once(proxy, 'listening');
  const env = { WAYBILL_URL: `http://127.0.0.1:${(proxy.address() as AddressInfo).port}` };

  const killed = start(['import', path, '-d', 'products'], env);
  await holding;
  killed.kill('SIGKILL');
  await once(killed, 'exit');
  hold = false;
  paths.length = 0;
  const { code, stdout } = await outcomeOf(start(['import', path, '-d', 'products', '--json'], env));
  expect(code).toBe(0);
  const doc = JSON.parse(stdout);
  expect(doc).toMatchObject({ status: 'completed', accounting: { created: 300_000 } });
  // The same import, and no part asked for anew.
  expect(paths.slice(0, 3)).toEqual([
    '/api/imports/initiate',
    `/api/imports/${doc.id}/parts`,
    '/api/imports/complete',
  ]);
  expect(await owner`select from waybill.imports where file_name = ${path.split('/').pop()!}`).toHaveLength(
    1,
  );
});

test('webhooks and syncs by the command line', async () => {
  const added = await waybill(
    'webhooks',
    'add',
    'https://example.com/hook',
    '--event',
    'import.failed',
    '--json',
  );
  expect(added.code).toBe(0);
  const { id, secret } = JSON.parse(added.stdout);
  expect(secret).toMatch(/^whsec_/);
  const listed = await waybill('webhooks', 'list');
  expect(listed.stdout).toContain('https://example.com/hook');
  expect(listed.stdout).not.toContain(secret);
  expect((await waybill('webhooks', 'remove', id)).code).toBe(0);
  expect((await waybill('webhooks', 'remove', id)).code).toBe(2);

  const made = await waybill(
    ...['syncs', 'add', 'nightly', '--url', 'https://example.com/feed.csv', '-d', 'products'],
    ...['--cron', '0 3 * * *', '--time-zone', 'Asia/Tokyo', '--json'],
  );
  expect({ code: made.code, stderr: made.stderr }).toEqual({ code: 0, stderr: '' });
  const sync = JSON.parse(made.stdout);
  expect(sync).toMatchObject({ policy: 'guard', timeZone: 'Asia/Tokyo' });
  expect((await waybill('syncs', 'pause', sync.id, '--note', 'moving')).code).toBe(0);
  expect((await waybill('syncs', 'list')).stdout).toContain('paused: moving');
  expect((await waybill('syncs', 'resume', sync.id)).code).toBe(0);
  expect((await waybill('syncs', 'history', sync.id)).stdout).toBe('No runs yet.\n');
  expect((await waybill('syncs', 'remove', sync.id)).code).toBe(0);
  expect((await waybill('syncs', 'list')).stdout).toBe('No syncs.\n');
});

test('a webhook is tried by the button and told of an import; the attempts are listed on its run', async () => {
  const types: string[] = [];
  const receiver = createServer(async (request, response) => {
    types.push((JSON.parse(await text(request)) as { type: string }).type);
    response.end('thanks');
  }).listen(0, '127.0.0.1');
  await once(receiver, 'listening');
  const url = (host: string) => `http://${host}:${(receiver.address() as AddressInfo).port}/`;
  const add = async (host: string) =>
    JSON.parse((await waybill('webhooks', 'add', url(host), '--event', 'import.completed', '--json')).stdout)
      .id as string;
  try {
    const refused = await add('127.0.0.2');
    const no = await waybill('webhooks', 'test', refused);
    expect(no.code).toBe(1);
    expect(no.stdout).toContain('WAYBILL_ALLOW_NETWORKS');
    await waybill('webhooks', 'remove', refused);

    const id = await add('127.0.0.1');
    const yes = await waybill('webhooks', 'test', id, '--json');
    expect(yes.code).toBe(0);
    expect(JSON.parse(yes.stdout)).toMatchObject({ ok: true, status: 200, responseExcerpt: 'thanks' });
    expect(types).toEqual(['webhook.test']);

    const doc = JSON.parse(
      (await waybill('import', fileOf(lines('H', 5)), '-d', 'products', '--json')).stdout,
    );
    await vi.waitFor(() => expect(types).toEqual(['webhook.test', 'import.completed']), { timeout: 20_000 });
    const deliveries = await fetch(`http://127.0.0.1:${port}/api/imports/${doc.id}/deliveries`, {
      headers: { authorization: `Bearer ${token}` },
    });
    expect(await deliveries.json()).toMatchObject({
      items: [{ endpointId: id, type: 'import.completed', attempts: [{ attempt: 1, status: 200 }] }],
      nextCursor: null,
    });
  } finally {
    receiver.closeAllConnections();
    receiver.close();
  }
});
