import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { Connection } from '@temporalio/client';
import { supervise, type Supervised } from './supervisor.ts';

/** Stays in step with temporal/'s typed search attributes. */
export const SEARCH_ATTRIBUTES = ['Dataset', 'Tenant', 'State', 'Phase', 'File', 'Policy'].map(
  (name) => `Waybill${name}`,
);
/** The development server keeps ended runs for a day, but an import's page links to its run for longer. */
const RETENTION_DAYS = 30;
/** IndexedValueType of Temporal's API. */
const KEYWORD = 2;

export interface TemporalStart {
  program: string;
  dataDir: string;
  port: number;
  uiPort: number;
  namespace: string;
  logFile: string;
  pidFile: string;
  log: (line: string) => void;
}

async function whenConnected<T>(address: string, work: (connection: Connection) => Promise<T>): Promise<T> {
  const connection = await Connection.connect({ address, connectTimeout: 3_000 });
  try {
    return await work(connection);
  } finally {
    await connection.close();
  }
}

/**
 * Namespace retention and search attributes, on a running server. The server's own options for them only
 * work where the database file is new.
 */
async function configureNamespace(address: string, namespace: string): Promise<void> {
  await whenConnected(address, async (connection) => {
    await connection.workflowService.updateNamespace({
      namespace,
      config: { workflowExecutionRetentionTtl: { seconds: RETENTION_DAYS * 86_400 } as never },
    });
    const { customAttributes } = await connection.operatorService.listSearchAttributes({ namespace });
    const missing = SEARCH_ATTRIBUTES.filter((name) => !(name in (customAttributes ?? {})));
    if (missing.length === 0) return;
    await connection.operatorService.addSearchAttributes({
      namespace,
      searchAttributes: Object.fromEntries(missing.map((name) => [name, KEYWORD])),
    });
  });
}

async function answers(address: string, namespace: string): Promise<boolean> {
  try {
    await whenConnected(address, (connection) => connection.workflowService.describeNamespace({ namespace }));
    return true;
  } catch {
    // Not there yet; what keeps it away is in its log, which is shown when time is up.
    return false;
  }
}

/** Starts the Temporal development server with its database in this data folder. */
export async function startTemporal(start: TemporalStart): Promise<Supervised> {
  const { namespace } = start;
  const address = `127.0.0.1:${start.port}`;
  mkdirSync(join(start.dataDir, 'temporal'), { recursive: true, mode: 0o700 });
  const flags = [
    ['--db-filename', join(start.dataDir, 'temporal', 'temporal.db')],
    ['--ip', '127.0.0.1'],
    ['--port', String(start.port)],
    ['--ui-port', String(start.uiPort)],
    ['--namespace', namespace],
    ['--log-level', 'warn'],
    ['--dynamic-config-value', 'matching.enableFairness=true'],
    ...SEARCH_ATTRIBUTES.map((name) => ['--search-attribute', `${name}=Keyword`]),
  ];
  const server = await supervise(
    {
      name: 'Temporal',
      command: start.program,
      args: ['server', 'start-dev', '--ui-disable-news-fetch', ...flags.flat()],
      env: { ...process.env, TEMPORAL_ENV: '', TEMPORAL_ADDRESS: '', TEMPORAL_NAMESPACE: '' },
      cwd: '/',
      logFile: start.logFile,
      pidFile: start.pidFile,
      stopSignal: 'SIGINT',
      graceMs: 10_000,
    },
    start.log,
  );
  try {
    await server.ready(() => answers(address, namespace), 60_000);
    await configureNamespace(address, namespace);
  } catch (error) {
    await server.stop();
    throw error;
  }
  return server;
}
