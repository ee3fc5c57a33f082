import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { findBinary } from './binaries.ts';
import { startObjectStore, STORE_PORT_PAIRS, STORE_PORTS, type S3Settings } from './object-store.ts';
import { choosePorts } from './ports.ts';
import { startPostgres } from './postgres.ts';
import { readSecrets } from './secrets.ts';
import { EndedEarly, stopLeftover, type Supervised } from './supervisor.ts';
import { startTemporal } from './temporal-server.ts';

export type ServiceName = 'postgres' | 'temporal' | 's3';

export interface Services {
  /** The owner's. */
  databaseUrl: string;
  temporalAddress: string;
  temporalNamespace: string;
  /** Null for a Temporal server of the user's own whose web address nobody told us. */
  temporalUi: string | null;
  s3: S3Settings;
  /** Null for what runs elsewhere. */
  pids: Record<ServiceName, number | null>;
  /** Stops what was started here and nothing else. */
  stop(): Promise<void>;
}

export interface ServicesOptions {
  dataDir: string;
  /** Variables that name a service of the user's own, which is then not started here. */
  env?: NodeJS.ProcessEnv;
  /** False prefers free ports over the usual ones. */
  usualPorts?: boolean;
  log: (line: string) => void;
  /** A service died and runs again. */
  onRestart?: (name: ServiceName, pid: number) => void;
}

/** Away from what a machine may have of its own: 5432 is left to a PostgreSQL that is installed. */
const USUAL_PORTS = { postgres: 54329, temporal: 7233, temporalUi: 8233, ...STORE_PORTS };
type Ports = typeof USUAL_PORTS;

/** Last time's ports first: links and presigned addresses given out before a restart go on working. */
function preferredPorts(file: string, usual: boolean): Ports {
  if (existsSync(file)) return { ...USUAL_PORTS, ...(JSON.parse(readFileSync(file, 'utf8')) as Ports) };
  if (usual) return USUAL_PORTS;
  return Object.fromEntries(Object.keys(USUAL_PORTS).map((name) => [name, 0])) as Ports;
}

/** Which ports belong to whom: a second try must not move those of a service that runs. */
const PORTS_OF: Record<ServiceName, readonly (keyof Ports)[]> = {
  postgres: ['postgres'],
  temporal: ['temporal', 'temporalUi'],
  s3: Object.keys(STORE_PORTS) as (keyof typeof STORE_PORTS)[],
};

/** Whoever took a port between our choice and the server's start makes the server die: then again with others. */
const TRIES = 3;

async function retrying<T>(name: ServiceName, ports: Ports, start: (ports: Ports) => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await start(ports);
    } catch (error) {
      const taken =
        error instanceof EndedEarly &&
        /address already in use|could not bind|port .* is not available/i.test(error.output);
      if (attempt === TRIES || !taken) throw error;
      const own = Object.fromEntries(PORTS_OF[name].map((port) => [port, ports[port]])) as Partial<Ports>;
      Object.assign(ports, await choosePorts(own as Ports, name === 's3' ? STORE_PORT_PAIRS : []));
    }
  }
}

const SERVICES = ['postgres', 'temporal', 's3'] as const;

function filesOf(dataDir: string, name: ServiceName): { logFile: string; pidFile: string } {
  return { logFile: join(dataDir, 'logs', `${name}.log`), pidFile: join(dataDir, 'run', `${name}.pid`) };
}

/** Stops the services that a killed supervisor left running on this folder; returns their names. */
export async function stopLeftServices(dataDir: string): Promise<ServiceName[]> {
  const left = await Promise.all(
    SERVICES.map(async (name) => {
      const stopSignal = name === 'postgres' ? ('SIGINT' as const) : ('SIGTERM' as const);
      return (await stopLeftover(filesOf(dataDir, name).pidFile, { stopSignal, graceMs: 15_000 }))
        ? name
        : null;
    }),
  );
  return left.filter((name) => name !== null);
}

/** Starts PostgreSQL, Temporal and the object store on a data folder, or takes those that `env` names. */
export async function startServices(options: ServicesOptions): Promise<Services> {
  const { dataDir, env = {}, log } = options;
  mkdirSync(dataDir, { recursive: true, mode: 0o711 });
  for (const folder of ['logs', 'run']) mkdirSync(join(dataDir, folder), { recursive: true, mode: 0o700 });
  const secrets = readSecrets(dataDir);
  const portsFile = join(dataDir, 'ports.json');
  const running: Partial<Record<ServiceName, Supervised>> = {};
  // The database last: whoever is still busy can finish what it has open.
  const stop = async (): Promise<void> => {
    await Promise.all([running.temporal?.stop(), running.s3?.stop()]);
    await running.postgres?.stop();
  };

  const databaseUrl = env['DATABASE_URL'];
  const temporalAddress = env['TEMPORAL_ADDRESS'];
  const temporalNamespace = env['TEMPORAL_NAMESPACE'] || 'default';
  const s3Endpoint = env['S3_ENDPOINT'];
  const bucket = env['S3_BUCKET'] || 'waybill';

  const left = await stopLeftServices(dataDir);
  if (left.length > 0) log(`Stopped what a killed start left running: ${left.join(', ')}.`);
  const ports = await choosePorts(preferredPorts(portsFile, options.usualPorts ?? true), STORE_PORT_PAIRS);
  const started = await Promise.allSettled([
    databaseUrl
      ? { url: databaseUrl }
      : retrying('postgres', ports, async ({ postgres: port }) => {
          const password = secrets.databasePassword;
          const { server, url } = await startPostgres({
            dataDir,
            port,
            password,
            log,
            ...filesOf(dataDir, 'postgres'),
          });
          running.postgres = server;
          log(`PostgreSQL is ready on 127.0.0.1:${port}.`);
          return { url };
        }),
    temporalAddress
      ? { address: temporalAddress, ui: env['WAYBILL_TEMPORAL_UI'] ?? null }
      : retrying('temporal', ports, async ({ temporal: port, temporalUi: uiPort }) => {
          const program = await findBinary('temporal', log);
          const namespace = temporalNamespace;
          const start = { program, dataDir, port, uiPort, namespace, log, ...filesOf(dataDir, 'temporal') };
          running.temporal = await startTemporal(start);
          log(`Temporal is ready on 127.0.0.1:${port}.`);
          return { address: `127.0.0.1:${port}`, ui: `http://127.0.0.1:${uiPort}` };
        }),
    s3Endpoint
      ? {
          endpoint: s3Endpoint,
          bucket,
          accessKey: env['S3_ACCESS_KEY'] ?? '',
          secretKey: env['S3_SECRET_KEY'] ?? '',
          region: env['S3_REGION'] || 'us-east-1',
        }
      : retrying('s3', ports, async (all) => {
          const program = await findBinary('weed', log);
          const { s3AccessKey: accessKey, s3SecretKey: secretKey } = secrets;
          const start = {
            program,
            dataDir,
            ports: all,
            bucket,
            accessKey,
            secretKey,
            log,
            ...filesOf(dataDir, 's3'),
          };
          const { server, settings } = await startObjectStore(start);
          running.s3 = server;
          log(`SeaweedFS is ready on ${settings.endpoint}.`);
          return settings;
        }),
  ] as const);
  const failed = started.find((result) => result.status === 'rejected');
  const [database, temporal, s3] = started;
  if (
    failed ||
    database.status === 'rejected' ||
    temporal.status === 'rejected' ||
    s3.status === 'rejected'
  ) {
    await stop();
    throw failed?.reason;
  }
  writeFileSync(portsFile, JSON.stringify(ports));

  const pids: Services['pids'] = { postgres: null, temporal: null, s3: null };
  for (const [name, server] of Object.entries(running) as [ServiceName, Supervised][]) {
    pids[name] = server.pid;
    server.keepAlive((pid) => {
      pids[name] = pid;
      options.onRestart?.(name, pid);
    });
  }
  return {
    databaseUrl: database.value.url,
    temporalAddress: temporal.value.address,
    temporalNamespace,
    temporalUi: temporal.value.ui,
    s3: s3.value,
    pids,
    stop,
  };
}
