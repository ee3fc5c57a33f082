/** `npm start`: everything Waybill needs, on this machine, from one command. Flags: --no-sample, --no-console, --fresh. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { mintSignInLink, mintToken } from '../db/access.ts';
import { ensureRoles, migrate } from '../db/migrate.ts';
import { buildConsole } from './console.ts';
import { lockDataFolder, unlockDataFolder } from './lock.ts';
import { choosePorts } from './ports.ts';
import { removeCluster } from './postgres.ts';
import { importSample } from './sample.ts';
import { startServices, stopLeftServices, type Services } from './services.ts';
import { stopLeftover, supervise, type ProcessSpec, type Supervised } from './supervisor.ts';
import { showWarnings } from './warnings.ts';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const dataDir = resolve(process.env['WAYBILL_DATA'] || join(root, '.waybill'));
const runFile = join(dataDir, 'run.json');
const logs = join(dataDir, 'logs');
const begin = Date.now();

function log(line: string): void {
  console.log(`[${((Date.now() - begin) / 1000).toFixed(1).padStart(5)} s] ${line}`);
}

type Ours = 'api' | 'worker';
const DRAIN: Record<Ours, Pick<ProcessSpec, 'stopSignal' | 'graceMs'>> = {
  api: { stopSignal: 'SIGTERM', graceMs: 10_000 },
  // A batch under way is finished or rolled back by then; what is not goes on after the next start.
  worker: { stopSignal: 'SIGTERM', graceMs: 20_000 },
};

/**
 * A small heap that is collected often (8 MB less at the peak), chunks that are collected as they go (20 MB less, see
 * intake/segment-pool.ts), and no code of the compilers between interpreter and optimizer (8 MB less): what is hot is
 * optimized all the same. What is compiled ahead is compiled for these flags.
 */
const WORKER_FLAGS = [
  '--max-semi-space-size=1',
  '--heap-growing-percent=20',
  '--expose-gc',
  '--no-sparkplug',
  '--no-maglev',
];
/** What malloc keeps in arenas for threads, and of chunks that have gone, would be another 20 MB. */
const WORKER_MALLOC = {
  MALLOC_ARENA_MAX: '1',
  MALLOC_MMAP_THRESHOLD_: '65536',
  MALLOC_TRIM_THRESHOLD_: '131072',
  MALLOC_TOP_PAD_: '65536',
};

function specOf(name: Ours, env: NodeJS.ProcessEnv): ProcessSpec {
  const entry = { api: ['api/main.ts'], worker: [...WORKER_FLAGS, 'temporal/worker.ts'] }[name];
  return {
    name,
    command: process.execPath,
    args: entry,
    env,
    cwd: root,
    logFile: join(logs, `${name}.log`),
    pidFile: join(dataDir, 'run', `${name}.pid`),
    ...DRAIN[name],
  };
}

/** Puts what the worker loads into the cache, ahead of its start: it then needs no compiler of its own in memory. */
async function compileWorker(cache: string): Promise<void> {
  const child = spawn(process.execPath, [...WORKER_FLAGS, 'temporal/worker.ts', '--compile'], {
    cwd: root,
    env: { ...process.env, WAYBILL_DATA: dataDir, NODE_COMPILE_CACHE: cache },
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  const [code] = (await once(child, 'exit')) as [number | null];
  // It runs without as well, only larger.
  if (code !== 0 && !stopping) log('The worker could not be compiled ahead; it is compiled as it starts.');
}

/** Only what we make ourselves is deleted: the folder may have been chosen badly. */
function deleteData(): void {
  removeCluster(dataDir);
  for (const name of ['temporal', 's3', 'spool', 'logs', 'secrets.json', 'ports.json', 'sample.imported']) {
    rmSync(join(dataDir, name), { recursive: true, force: true });
  }
  const left = readdirSync(dataDir).filter((name) => name !== 'run');
  log(`Deleted the data in ${dataDir}${left.length > 0 ? ` except ${left.join(', ')}` : ''}.`);
}

async function readyz(url: string): Promise<boolean> {
  try {
    return (await fetch(`${url}/readyz`, { signal: AbortSignal.timeout(3_000) })).status === 200;
  } catch {
    // Not listening yet.
    return false;
  }
}

const { values: flags } = parseArgs({
  options: {
    'no-sample': { type: 'boolean' },
    'no-console': { type: 'boolean' },
    fresh: { type: 'boolean' },
  },
});
const holder = lockDataFolder(dataDir);
if (holder) {
  console.error(
    `Waybill is already running on ${dataDir} (process ${holder.pid}). ` +
      'Stop that one with Ctrl-C first, or set WAYBILL_DATA to another folder.',
  );
  process.exit(2);
}
rmSync(runFile, { force: true });

const running: Partial<Record<Ours, Supervised>> = {};
let services: Promise<Services> | null = null;
let stopping = false;

/** First who works, then what they work on; only what was started here. */
async function stopEverything(code: number): Promise<never> {
  stopping = true;
  rmSync(runFile, { force: true });
  await Promise.all([running.worker?.stop(), running.api?.stop()]);
  // They may still be starting: what fails by itself stops by itself.
  await services?.then(
    (started) => started.stop(),
    () => undefined,
  );
  unlockDataFolder(dataDir);
  process.exit(code);
}

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => {
    if (stopping) return;
    log('Stopping: worker and API first, then the services ...');
    void stopEverything(0);
  });
}

async function start(): Promise<void> {
  const left = await Promise.all(
    (['worker', 'api'] as const).map(
      async (name) => (await stopLeftover(join(dataDir, 'run', `${name}.pid`), DRAIN[name])) && name,
    ),
  );
  if (left.some(Boolean))
    log(`Stopped what a killed start left running: ${left.filter(Boolean).join(', ')}.`);
  if (flags.fresh) {
    await stopLeftServices(dataDir);
    deleteData();
  }
  mkdirSync(logs, { recursive: true, mode: 0o700 });
  log(`Starting Waybill; its data is in ${dataDir}`);

  let writeRun: () => void = () => undefined;
  const onRestart = (name: string, pid: number): void => {
    log(`${name} runs again as process ${pid}.`);
    writeRun();
  };
  const compiled = join(dataDir, 'cache', 'compiled');
  services = startServices({ dataDir, env: process.env, log, onRestart });
  const [started] = await Promise.all([
    services,
    compileWorker(compiled),
    flags['no-console'] ? undefined : buildConsole(root, join(logs, 'console-build.log'), log),
  ]);
  if (stopping) return;
  const { databaseUrl, temporalAddress, temporalNamespace, temporalUi, s3, pids } = started;

  const { applied } = await migrate(databaseUrl);
  log(applied.length > 0 ? `Migrated the database: ${applied.join(', ')}.` : 'The database is up to date.');
  const roles = await ensureRoles(databaseUrl);
  const admin = { tenantId: 'default', role: 'admin' } as const;
  const token = await mintToken(databaseUrl, { ...admin, name: 'local start' });

  const { port } = await choosePorts({ port: Number(process.env['PORT'] || 3000) });
  const url = `http://127.0.0.1:${port}`;
  const environment: NodeJS.ProcessEnv = {
    ...process.env,
    NODE_ENV: process.env['NODE_ENV'] ?? 'production',
    TEMPORAL_ADDRESS: temporalAddress,
    TEMPORAL_NAMESPACE: temporalNamespace,
    WAYBILL_TEMPORAL_UI: temporalUi ?? '',
    S3_ENDPOINT: s3.endpoint,
    S3_BUCKET: s3.bucket,
    S3_ACCESS_KEY: s3.accessKey,
    S3_SECRET_KEY: s3.secretKey,
    S3_REGION: s3.region,
    WAYBILL_DATA: dataDir,
    NODE_COMPILE_CACHE: compiled,
  };
  log('Starting the API and the worker ...');
  const api = specOf('api', { ...environment, DATABASE_URL: roles.apiUrl, PORT: String(port) });
  const worker = specOf('worker', {
    ...environment,
    DATABASE_URL: roles.workerUrl,
    ...WORKER_MALLOC,
  });
  for (const spec of [api, worker]) showWarnings(spec.name, spec.logFile, log);
  running.api = await supervise(api, log);
  running.worker = await supervise(worker, log);
  // Ready means that the API answers and that a worker polls, so either one's death ends the wait.
  await Promise.all([running.api, running.worker].map((process) => process.ready(() => readyz(url), 90_000)));
  if (stopping) return;

  writeRun = () => {
    if (stopping) return;
    const run = {
      url,
      token,
      temporalUi,
      temporalAddress,
      databaseUrl,
      s3Endpoint: s3.endpoint,
      pids: {
        supervisor: process.pid,
        api: running.api?.pid ?? null,
        worker: running.worker?.pid ?? null,
        ...pids,
      },
    };
    writeFileSync(`${runFile}.new`, JSON.stringify(run, null, 2), { mode: 0o600 });
    renameSync(`${runFile}.new`, runFile);
  };
  running.api.keepAlive((pid) => onRestart('api', pid));
  running.worker.keepAlive((pid) => onRestart('worker', pid));
  writeRun();
  log('Ready.');

  if (!flags['no-sample']) await importSample(root, dataDir, { ...process.env, WAYBILL_DATA: dataDir }, log);
  const secret = await mintSignInLink(databaseUrl, { ...admin, person: userInfo().username });
  console.log(`
  Console       ${url}/sign-in?token=${secret}
                (signs you in once; from then on ${url})
  Temporal      ${temporalUi ?? temporalAddress}
  Command line  npx waybill --help

  Ctrl-C stops everything that was started here.
`);
}

try {
  await start();
} catch (error) {
  // What a Ctrl-C in the middle of starting breaks is no news.
  if (!stopping) {
    console.error(`\n${(error as Error).message}\n`);
    if (process.env['WAYBILL_DEBUG']) console.error(error);
    await stopEverything(1);
  }
}
