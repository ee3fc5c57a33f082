import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client as Temporal, Connection } from '@temporalio/client';
import { Client as S3 } from 'minio';
import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { findBinary } from './binaries.ts';
import { identify, readPidFile } from './processes.ts';
import { removeCluster } from './postgres.ts';
import { startServices, type Services } from './services.ts';

let dataDir: string;
let services: Services;
const lines: string[] = [];
const start = (): Promise<Services> =>
  startServices({ dataDir, usualPorts: false, log: (line) => lines.push(line) });

function store({ s3 }: Services): S3 {
  const { hostname, port } = new URL(s3.endpoint);
  const { accessKey, secretKey, region } = s3;
  return new S3({ endPoint: hostname, port: Number(port), useSSL: false, accessKey, secretKey, region });
}

async function query(url: string, sql: string): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: url });
  client.on('error', () => undefined);
  await client.connect();
  try {
    return (await client.query(sql)).rows as Record<string, unknown>[];
  } finally {
    await client.end();
  }
}

async function setting(name: string): Promise<unknown> {
  return Object.values((await query(services.databaseUrl, `show ${name}`))[0]!)[0];
}

beforeAll(async () => {
  dataDir = mkdtempSync(join(tmpdir(), 'waybill-services-'));
  chmodSync(dataDir, 0o711);
  services = await start();
}, 180_000);

afterAll(async () => {
  await services?.stop();
  removeCluster(dataDir);
  rmSync(dataDir, { recursive: true, force: true });
});

test('PostgreSQL keeps what it commits and listens on loopback only', async () => {
  for (const name of ['fsync', 'full_page_writes', 'synchronous_commit'])
    expect(await setting(name)).toBe('on');
  expect(await setting('listen_addresses')).toBe('127.0.0.1');
  expect(await setting('server_encoding')).toBe('UTF8');
  const [row] = await query(services.databaseUrl, `select 'Z' < 'a' as bytewise, lower('ÄÉ') as folded`);
  expect(row).toEqual({ bytewise: true, folded: 'äé' });
});

test('a wrong password is refused', async () => {
  const url = new URL(services.databaseUrl);
  url.password = 'guess';
  await expect(query(url.href, 'select 1')).rejects.toThrow(/password authentication failed/);
});

test('the Temporal namespace keeps runs for 30 days and knows our search attributes', async () => {
  const connection = await Connection.connect({ address: services.temporalAddress });
  try {
    const { config } = await connection.workflowService.describeNamespace({ namespace: 'default' });
    expect(Number(config?.workflowExecutionRetentionTtl?.seconds)).toBe(30 * 86_400);
    const client = new Temporal({ connection });
    const found = await client.workflow.count(`WaybillDataset = 'products' and WaybillFile = 'a.csv'`);
    expect(found.count).toBe(0);
  } finally {
    await connection.close();
  }
});

test('what was stored survives kill -9 of every service, and what is left running is stopped', async () => {
  await query(services.databaseUrl, 'create table kept as select 42 as answer');
  const content = randomBytes(300_000);
  await store(services).putObject(services.s3.bucket, 'kept', content);

  await services.stop();

  const json = join(dataDir, 'abandoned.json');
  const entry = join(import.meta.dirname, 'services-main.ts');
  const supervisor = spawn(process.execPath, [entry, dataDir, '--json', json], { stdio: 'ignore' });
  await expect.poll(() => existsSync(json), { timeout: 60_000 }).toBe(true);
  const abandoned = JSON.parse(readFileSync(json, 'utf8')) as Services;
  await query(abandoned.databaseUrl, 'insert into kept values (43)');
  // The supervisor first, so that it restarts nothing; Temporal is left running.
  for (const pid of [supervisor.pid!, abandoned.pids.postgres!, abandoned.pids.s3!])
    process.kill(pid, 'SIGKILL');

  services = await start();
  expect(lines.at(-4)).toContain('temporal');
  expect(identify(abandoned.pids.temporal!)).toBeNull();
  expect(readPidFile(join(dataDir, 'run', 'postgres.pid'))?.pid).toBe(services.pids.postgres);
  expect(await query(services.databaseUrl, 'select answer from kept')).toEqual([
    { answer: 42 },
    { answer: 43 },
  ]);
  const read = await store(services).getObject(services.s3.bucket, 'kept');
  expect(Buffer.concat((await read.toArray()) as Buffer[]).equals(content)).toBe(true);
}, 120_000);

test('a service that dies is started again at the same address', async () => {
  const { postgres } = services.pids;
  process.kill(postgres!, 'SIGKILL');
  await expect
    .poll(() => query(services.databaseUrl, 'select answer from kept').catch(() => null), { timeout: 30_000 })
    .toHaveLength(2);
  expect(services.pids.postgres).not.toBe(postgres);
}, 60_000);

test('a port that somebody else has taken is left to them', async () => {
  const port = Number(new URL(services.databaseUrl).port);
  await services.stop();
  const other = await new Promise<Server>((resolve) => {
    const server = createServer().listen(port, '127.0.0.1', () => resolve(server));
  });
  try {
    services = await start();
    expect(Number(new URL(services.databaseUrl).port)).not.toBe(port);
    expect(await query(services.databaseUrl, 'select answer from kept')).toHaveLength(2);
  } finally {
    await new Promise((resolve) => other.close(resolve));
  }
}, 120_000);

/** A program in front of the store's own, which at its first call sits down on the volume's port before it goes on. */
const THIEF = (weed: string, done: string): string => `#!/bin/sh
if [ "$1" = mini ] && mkdir '${done}' 2>/dev/null; then
  port=$(printf '%s\\n' "$@" | sed -n 's/^-volume.port=//p')
  '${process.execPath}' -e "require('node:net').createServer().listen($port, '127.0.0.1', () => console.log('taken')); setTimeout(() => process.exit(), 15000)" > '${done}/log' &
  until grep -q taken '${done}/log'; do sleep 0.05; done
fi
exec '${weed}' "$@"
`;

test('a port taken between our choice and the start costs a second try', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'waybill-thief-'));
  chmodSync(folder, 0o711);
  const weed = await findBinary('weed', () => undefined);
  writeFileSync(join(folder, 'weed'), THIEF(weed, join(folder, 'done')), { mode: 0o755 });
  const path = process.env['PATH'];
  process.env['PATH'] = `${folder}:${path}`;
  try {
    const { databaseUrl, temporalAddress } = services;
    const again = await startServices({
      dataDir: join(folder, 'data'),
      usualPorts: false,
      log: () => undefined,
      env: { DATABASE_URL: databaseUrl, TEMPORAL_ADDRESS: temporalAddress },
    });
    expect(existsSync(join(folder, 'done'))).toBe(true);
    await again.stop();
  } finally {
    process.env['PATH'] = path;
    rmSync(folder, { recursive: true, force: true });
  }
}, 60_000);

test('a service of the user’s own is used and not started', async () => {
  const external = await startServices({
    dataDir: mkdtempSync(join(dataDir, 'external-')),
    usualPorts: false,
    log: () => undefined,
    env: {
      DATABASE_URL: services.databaseUrl,
      TEMPORAL_ADDRESS: services.temporalAddress,
      S3_ENDPOINT: services.s3.endpoint,
    },
  });
  expect(external.pids).toEqual({ postgres: null, temporal: null, s3: null });
  expect(external.databaseUrl).toBe(services.databaseUrl);
  await external.stop();
  expect(identify(services.pids.postgres!)).not.toBeNull();
});

test('a pid that has come to mean another process is not touched', async () => {
  const pidFile = join(dataDir, 'run', 'temporal.pid');
  await services.stop();
  const stranger = { ...identify(process.pid)!, started: 'another boot/1' };
  writeFileSync(pidFile, JSON.stringify(stranger));
  services = await start();
  expect(identify(process.pid)).not.toBeNull();
  expect(readFileSync(pidFile, 'utf8')).toContain(String(services.pids.temporal));
}, 120_000);
