import { spawn, type ChildProcess } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  closeSync,
  createReadStream,
  existsSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
} from 'node:fs';
import { open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Client, Connection } from '@temporalio/client';
import { Client as Minio } from 'minio';
import pg from 'pg';
import { choosePorts } from '../../dev/ports.ts';
import { removeCluster } from '../../dev/postgres.ts';
import { identify, isAlive, readPidFile } from '../../dev/processes.ts';
import type { ServiceName } from '../../dev/services.ts';
import { startBehindLines, type Behind, type Lines } from './behind-lines.ts';

const root = join(import.meta.dirname, '..', '..');

export type Role = 'worker' | 'api' | 'postgres' | 'temporal' | 's3';

interface RunFile {
  url: string;
  token: string;
  temporalAddress: string;
  databaseUrl: string;
  s3Endpoint: string;
  pids: Record<Role | 'supervisor', number>;
}

/** What the API shows of an import; the same as the command line's --json. */
export interface ImportDocument {
  id: string;
  status: string;
  phase: string | null;
  waitingFor: { what: string } | null;
  accounting: Record<string, number> | null;
  plan: { version: number; digest: string } | null;
  error: { code: string; message: string } | null;
}

export interface Answer<T = Record<string, unknown>> {
  status: number;
  body: T;
}

const ENDED = ['completed', 'completed_with_issues', 'unproven', 'failed', 'cancelled', 'reverted'];
/** Longer than any recovery takes, also on a busy machine. */
const PATIENCE_MS = 120_000;

/** A whole Waybill of its own, started as `npm start` does it, and the means to break it. */
export interface Instance {
  readonly data: string;
  /** As it is now: pids change when something was killed. */
  run(): RunFile;
  /** As the database's owner. Tries again while the database is away. */
  sql<T extends object>(text: string, values?: unknown[]): Promise<T[]>;
  /** Runs statements in a transaction that stays open (and with it their locks) until it is let go. */
  hold(
    ...statements: string[]
  ): Promise<{ release(): Promise<void>; ask(statement: string): Promise<void>; pid: number }>;
  temporal: Client;
  openWorkflows(): Promise<string[]>;
  openUploads(): Promise<string[]>;
  /** As somebody with a key to the object store of their own. */
  store: { put(key: string, bytes: Buffer): Promise<void>; remove(key: string): Promise<void> };
  /** Imports that have a copy of their file on this host. */
  spooled(): string[];
  /** One request; where `patient`, again while the API is away. */
  api<T = Record<string, unknown>>(
    method: string,
    path: string,
    body?: unknown,
    options?: { patient?: boolean; token?: string; raw?: string },
  ): Promise<Answer<T>>;
  /** Uploads a file through the API's intake flow and starts its import. */
  submit(file: string, options?: Submit): Promise<string>;
  upload(
    file: string,
    options?: Submit,
  ): Promise<{ upload: Record<string, unknown>; complete: Record<string, unknown> }>;
  document(importId: string): Promise<ImportDocument>;
  /** Waits for the run to end (or for one of `statuses`). */
  ended(importId: string, statuses?: string[]): Promise<ImportDocument>;
  cli(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }>;
  /** Signals one process; with SIGKILL a database server goes with all its backends, as when the machine dies. */
  signal(role: Role, signal: NodeJS.Signals): number;
  /** Waits until the supervisor has another process for the role, and the instance answers. */
  restarted(role: Role, oldPid: number): Promise<void>;
  /** Between the processes and each service, where the instance was started with them. */
  lines: Lines | null;
  stop(): Promise<void>;
}

export interface Submit {
  dataset?: string;
  policy?: 'auto' | 'review' | 'guard';
  fileName?: string;
  sha256?: string;
  size?: number;
  mode?: 'upsert' | 'insert' | 'update' | 'add';
  /** What becomes of records that the file does not have. */
  missing?: object;
  /** All or nothing. */
  atomic?: true;
  /** Somebody else's than the instance's own. */
  token?: string;
}

let lastStart: Promise<unknown> = Promise.resolve();

/** One after another: two that look for free ports at the same moment find the same ones. */
export function startInstance(environment: NodeJS.ProcessEnv = {}, proxied = false): Promise<Instance> {
  const started = lastStart.then(() => start(environment, proxied));
  lastStart = started.catch(() => {});
  return started;
}

async function start(environment: NodeJS.ProcessEnv, proxied: boolean): Promise<Instance> {
  const data = mkdtempSync(join(tmpdir(), 'waybill-faults-'));
  // mkdtemp's mode would keep PostgreSQL's account out of it.
  chmodSync(data, 0o711);
  const through = proxied ? await startBehindLines(data) : null;
  const { port } = await choosePorts({ port: 0 });
  const env = {
    ...process.env,
    WAYBILL_DATA: data,
    PORT: String(port),
    WAYBILL_RECONCILE_MS: '2000',
    ...through?.env,
    ...environment,
  };
  const logFile = join(data, 'start.log');
  const log = openSync(logFile, 'a');
  const supervisor = spawn(process.execPath, ['dev/start.ts', '--no-sample', '--no-console'], {
    cwd: root,
    env,
    stdio: ['ignore', log, log],
  });
  closeSync(log);
  const behind = through?.behind ?? null;
  const runFile = join(data, 'run.json');
  const deadline = Date.now() + 180_000;
  while (!existsSync(runFile)) {
    if (supervisor.exitCode !== null || Date.now() > deadline) {
      const why = readFileSync(logFile, 'utf8');
      await discard(supervisor, data, behind);
      throw new Error(`the instance did not start:\n${why}`);
    }
    await delay(50);
  }
  return connect(data, supervisor, env, behind);
}

/** Ends everything at once, the supervisor first: nothing of a throw-away instance has to be kept. */
async function killAll(supervisor: ChildProcess, data: string): Promise<void> {
  if (supervisor.exitCode === null && supervisor.signalCode === null) {
    const gone = new Promise((resolve) => supervisor.once('exit', resolve));
    supervisor.kill('SIGKILL');
    await gone;
  }
  const folder = join(data, 'run');
  const left = (existsSync(folder) ? readdirSync(folder) : [])
    .filter((name) => name.endsWith('.pid') && name !== 'supervisor.pid')
    .map((name) => readPidFile(join(folder, name)))
    .filter((identity) => identity !== null);
  const all = left.filter(isAlive).flatMap(({ pid }) => [pid, ...childrenOf(pid)]);
  for (const pid of all) {
    try {
      process.kill(pid, 'SIGKILL');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
    }
  }
  while (all.some((pid) => identify(pid) !== null)) await delay(10);
}

async function discard(supervisor: ChildProcess, data: string, behind: Behind | null): Promise<void> {
  await killAll(supervisor, data);
  await behind?.stop();
  removeCluster(data);
  rmSync(data, { recursive: true, force: true });
}

/** Children of a process, from the system's own list. */
function childrenOf(pid: number): number[] {
  return readdirSync('/proc')
    .filter((name) => /^[0-9]+$/.test(name))
    .filter((name) => {
      try {
        const stat = readFileSync(`/proc/${name}/stat`, 'utf8');
        return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]) === pid;
      } catch {
        return false; // It ended meanwhile.
      }
    })
    .map(Number);
}

const AWAY =
  /ECONNREFUSED|ECONNRESET|terminat|shutting down|starting up|not yet accepting|recovery mode|EPIPE|connection/i;

async function connect(
  data: string,
  supervisor: ChildProcess,
  env: NodeJS.ProcessEnv,
  behind: Behind | null,
): Promise<Instance> {
  /** The harness goes straight to the services, whatever the processes have to go through. */
  const run = (): RunFile => {
    const file = JSON.parse(readFileSync(join(data, 'run.json'), 'utf8')) as RunFile;
    if (!behind) return file;
    const { databaseUrl, temporalAddress, s3, pids } = behind.services;
    return {
      ...file,
      databaseUrl,
      temporalAddress,
      s3Endpoint: s3.endpoint,
      pids: { ...file.pids, ...(pids as Record<ServiceName, number>) },
    };
  };
  const first = run();
  const secrets = JSON.parse(readFileSync(join(data, behind ? 'services' : '', 'secrets.json'), 'utf8')) as {
    s3AccessKey: string;
    s3SecretKey: string;
  };
  const s3 = new URL(first.s3Endpoint);
  const minio = new Minio({
    endPoint: s3.hostname,
    port: Number(s3.port),
    useSSL: false,
    pathStyle: true,
    region: 'us-east-1',
    accessKey: secrets.s3AccessKey,
    secretKey: secrets.s3SecretKey,
  });
  const pool = new pg.Pool({
    connectionString: first.databaseUrl,
    max: 4,
    application_name: 'the harness',
    connectionTimeoutMillis: 5000,
  });
  pool.on('error', () => {});
  const connection = await Connection.connect({ address: first.temporalAddress });
  let stopping: Promise<void> | null = null;
  const temporal = new Client({ connection });

  async function patiently<T>(what: string, work: () => Promise<T>): Promise<T> {
    const deadline = Date.now() + PATIENCE_MS;
    for (;;) {
      try {
        return await work();
      } catch (error) {
        const text = `${(error as Error).message} ${(error as { code?: string }).code ?? ''} ${String((error as Error).cause ?? '')}`;
        if (Date.now() > deadline || !AWAY.test(text + what)) throw error;
        await delay(50);
      }
    }
  }

  const api: Instance['api'] = async <T>(
    method: string,
    path: string,
    body?: unknown,
    options: { patient?: boolean; token?: string; raw?: string } = {},
  ) => {
    const once = async (): Promise<Answer<T>> => {
      const { url, token } = run();
      const response = await fetch(`${url}/api${path}`, {
        method,
        headers: {
          authorization: `Bearer ${options.token ?? token}`,
          ...(method === 'GET' ? {} : { 'content-type': 'application/json' }),
        },
        ...(method === 'GET' ? {} : { body: options.raw ?? JSON.stringify(body ?? {}) }),
        signal: AbortSignal.timeout(30_000),
      });
      const text = await response.text();
      let parsed: unknown;
      try {
        parsed = JSON.parse(text);
      } catch {
        parsed = { text };
      }
      return { status: response.status, body: parsed as T };
    };
    if (!options.patient) return once();
    return patiently('connection', async () => {
      const answer = await once();
      if (answer.status >= 500)
        throw new Error(`the API answered ${answer.status}: ${JSON.stringify(answer.body)}`);
      return answer;
    });
  };

  const upload: Instance['upload'] = async (file, options = {}) => {
    const size = statSync(file).size;
    const key = `key-${basename(file)}-${Date.now()}-${Math.random()}`;
    const begun = await api<Record<string, unknown>>(
      'POST',
      '/imports/initiate',
      {
        file_name: options.fileName ?? basename(file),
        expected_schema: options.dataset ?? 'products',
        file_size: options.size ?? size,
        idempotency_key: key,
      },
      { token: options.token },
    );
    if (begun.status !== 201) throw new ApiRefused(begun);
    const parts: { part_number: number; etag: string }[] = [];
    const handle = await open(file);
    try {
      let offset = 0;
      for (const part of begun.body['part_urls'] as { part_number: number; url: string }[]) {
        const chunk = Buffer.alloc(Math.min(Number(begun.body['max_part_size']), size - offset));
        await handle.read(chunk, 0, chunk.length, offset);
        offset += chunk.length;
        const put = await fetch(part.url, { method: 'PUT', body: chunk });
        if (put.status !== 200) throw new Error(`the store answered ${put.status}: ${await put.text()}`);
        parts.push({ part_number: part.part_number, etag: put.headers.get('etag')!.replaceAll('"', '') });
      }
    } finally {
      await handle.close();
    }
    const hash = createHash('sha256');
    for await (const chunk of createReadStream(file)) hash.update(chunk as Buffer);
    return {
      upload: begun.body,
      complete: {
        upload_id: begun.body['upload_id'],
        file_key: begun.body['file_key'],
        file_size: size,
        file_sha256: options.sha256 ?? hash.digest('hex'),
        parts,
        idempotency_key: begun.body['idempotency_key'],
        options: {
          policy: options.policy ?? 'auto',
          allow_duplicate: true,
          ...(options.mode && { mode: options.mode }),
          ...(options.missing && { missing: options.missing }),
          ...(options.atomic && { atomic: true }),
        },
      },
    };
  };

  const document = async (importId: string): Promise<ImportDocument> => {
    const answer = await api<ImportDocument>('GET', `/imports/${importId}`, undefined, { patient: true });
    if (answer.status !== 200) throw new ApiRefused(answer as unknown as Answer);
    return answer.body;
  };

  return {
    data,
    run,
    lines: behind?.lines ?? null,
    temporal,
    api,
    upload,
    document,
    sql: (text, values) => patiently('', async () => (await pool.query(text, values)).rows as never),
    async hold(...statements) {
      const client = new pg.Client({ connectionString: run().databaseUrl, application_name: 'the harness' });
      // A database that is killed takes the lock with it.
      client.on('error', () => {});
      await client.connect();
      await client.query(`begin; set local deadlock_timeout = '10min'`);
      for (const statement of statements) await client.query(statement);
      const pid = (await client.query<{ pid: number }>('select pg_backend_pid() as pid')).rows[0]!.pid;
      return {
        pid,
        release: () => client.end().catch(() => {}),
        async ask(statement) {
          await client.query(statement);
        },
      };
    },
    async openWorkflows() {
      const ids: string[] = [];
      for await (const { workflowId } of temporal.workflow.list({ query: `ExecutionStatus = 'Running'` }))
        ids.push(workflowId);
      return ids;
    },
    store: {
      put: async (key, bytes) => void (await minio.putObject('waybill', key, bytes)),
      remove: (key) => minio.removeObject('waybill', key),
    },
    // Not `listIncompleteUploads`: it asks for the parts of each upload, and fails if one is aborted meanwhile.
    openUploads: async () =>
      (await minio.listIncompleteUploadsQuery('waybill', '', '', '', '')).uploads.map(({ key }) => key),
    spooled: () => (existsSync(join(data, 'spool')) ? readdirSync(join(data, 'spool')) : []),
    async submit(file, options) {
      const { complete } = await upload(file, options);
      const job = await api<{ job_id: string }>('POST', '/imports/complete', complete);
      if (job.status !== 200) throw new ApiRefused(job as unknown as Answer);
      return job.body.job_id;
    },
    async ended(importId, statuses = ENDED) {
      const deadline = Date.now() + PATIENCE_MS;
      for (;;) {
        const found = await document(importId);
        if (statuses.includes(found.status)) return found;
        if (ENDED.includes(found.status) || Date.now() > deadline) {
          throw new Error(
            `import ${importId} is ${found.status} in ${found.phase} (${JSON.stringify(found.waitingFor ?? found.error)}), not ${statuses.join(' or ')}`,
          );
        }
        await delay(50);
      }
    },
    cli: (...args) =>
      new Promise((resolve, reject) => {
        const child = spawn(process.execPath, ['cli/main.ts', ...args], {
          cwd: root,
          env,
          stdio: ['ignore', 'pipe', 'pipe'],
        });
        let [stdout, stderr] = ['', ''];
        child.stdout.on('data', (chunk: Buffer) => (stdout += chunk));
        child.stderr.on('data', (chunk: Buffer) => (stderr += chunk));
        child.once('error', reject);
        child.once('close', (code) => resolve({ code: code ?? -1, stdout, stderr }));
      }),
    signal(role, signal) {
      const pid = run().pids[role];
      const all = role === 'postgres' && signal === 'SIGKILL' ? [pid, ...childrenOf(pid)] : [pid];
      for (const one of all) process.kill(one, signal);
      return pid;
    },
    async restarted(role, oldPid) {
      const deadline = Date.now() + PATIENCE_MS;
      while (run().pids[role] === oldPid || run().pids[role] === null) {
        if (Date.now() > deadline) throw new Error(`${role} was not started again`);
        await delay(20);
      }
    },
    // Once: whoever is interrupted stops it, and the run that this breaks stops it too.
    stop: () =>
      (stopping ??= (async () => {
        await pool.end();
        await connection.close();
        await discard(supervisor, data, behind);
      })()),
  };
}

/** The API said no. */
export class ApiRefused extends Error {
  readonly answer: Answer;
  constructor(answer: Answer) {
    super(`the API answered ${answer.status}: ${JSON.stringify(answer.body)}`);
    this.answer = answer;
  }
}

/** A worker beside the supervised one, with the same settings. */
export async function startSecondWorker(
  instance: Instance,
  more: NodeJS.ProcessEnv = {},
): Promise<{ drain(): Promise<void> }> {
  const environment = readFileSync(`/proc/${instance.run().pids.worker}/environ`, 'utf8');
  const env = Object.fromEntries(
    environment
      .split('\0')
      .filter(Boolean)
      .map((pair) => [pair.slice(0, pair.indexOf('=')), pair.slice(pair.indexOf('=') + 1)]),
  );
  const log = openSync(join(instance.data, 'logs', 'second-worker.log'), 'a');
  const child = spawn(process.execPath, ['temporal/worker.ts'], {
    cwd: root,
    env: { ...env, ...more },
    stdio: ['ignore', log, log],
  });
  closeSync(log);
  const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  return {
    async drain() {
      child.kill('SIGTERM');
      await gone;
    },
  };
}
