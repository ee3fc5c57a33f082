/** The API process: everything that it needs comes from the environment (DESIGN 'Starting it'). */
import { createServer } from 'node:http';
import { fileURLToPath } from 'node:url';
import { Client, Connection } from '@temporalio/client';
import { pino } from 'pino';
import { connectPool, connectSql } from '../db/connect.ts';
import { openObjectStore } from '../storage/objects.ts';
import { temporalSettings } from '../temporal/connection.ts';
import { startDispatcher } from '../temporal/dispatcher.ts';
import { createImportRuns } from '../temporal/imports.ts';
import { startReconciler } from '../temporal/reconciler.ts';
import { startScheduleReconciler } from '../temporal/schedules.ts';
import { createApp } from './app.ts';
import type { ApiConfig } from './deps.ts';
import { createLiveImports } from './live.ts';
import { createReadiness } from './readiness.ts';

const MiB = 1024 * 1024;
const SHUTDOWN_MS = 8000;

const { env } = process;
const log = pino({ name: 'api', level: env['WAYBILL_LOG'] || 'info' });

function numberFrom(name: string, usual: number): number {
  const text = env[name];
  if (!text) return usual;
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value <= 0)
    throw new Error(`${name} has to be a whole number above 0, not ${text}.`);
  return value;
}

const databaseUrl = env['DATABASE_URL'];
if (!databaseUrl) throw new Error('DATABASE_URL is not set: Waybill needs a PostgreSQL database.');
const temporal = temporalSettings(env);
const config: ApiConfig = {
  maxFileBytes: numberFrom('WAYBILL_MAX_FILE_BYTES', 250 * MiB),
  maxQueued: numberFrom('WAYBILL_MAX_QUEUED', 500),
  partBytes: numberFrom('WAYBILL_PART_BYTES', 8 * MiB),
  uploadSeconds: numberFrom('WAYBILL_UPLOAD_SECONDS', 15 * 60),
  temporalUi: env['WAYBILL_TEMPORAL_UI'] || null,
  temporalNamespace: temporal.namespace,
  consoleDir: fileURLToPath(new URL('../ui/build', import.meta.url)),
};

// None of these connects before it is asked to: the API starts, and says in /readyz what it misses.
const sql = connectSql(databaseUrl, { name: 'waybill-api' });
const pool = connectPool(databaseUrl, { name: 'waybill-api' });
const locks = connectPool(databaseUrl, { name: 'waybill-api-locks' });
const store = openObjectStore(env);
const { namespace, ...address } = temporal;
const connection = Connection.lazy(address);
const client = new Client({ connection, namespace });
const live = createLiveImports(sql, log);

const app = createApp({
  config,
  log,
  sql,
  pool,
  locks,
  store,
  runs: createImportRuns(client, { fair: process.env['WAYBILL_FAIRNESS'] !== 'off' }),
  temporal: client,
  live,
  readiness: createReadiness({ sql, client, store }),
});
const background = [
  startReconciler({ pool, client, store, log }),
  startDispatcher({ sql, databaseUrl, client, log }),
  startScheduleReconciler({ sql, client, log }),
];
const server = createServer(app);
// Event streams stay open; requests that dribble in do not.
server.headersTimeout = 20_000;
server.requestTimeout = 60_000;

async function shutDown(): Promise<void> {
  log.info('stopping');
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  await live.close();
  // What is under way may end; what never ends (event streams) is cut.
  const cut = setTimeout(() => server.closeAllConnections(), SHUTDOWN_MS / 2);
  server.closeIdleConnections();
  await closed;
  clearTimeout(cut);
  await Promise.all(background.map((part) => part.stop()));
  await Promise.all([sql.end({ timeout: 2 }), pool.end(), locks.end(), connection.close(), store.close()]);
}

let stopping = false;
for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  process.on(signal, () => {
    if (stopping) return;
    stopping = true;
    setTimeout(() => process.exit(1), SHUTDOWN_MS).unref();
    shutDown().then(
      () => process.exit(0),
      (error: unknown) => {
        log.error({ err: error }, 'stopping failed');
        process.exit(1);
      },
    );
  });
}

server.listen(numberFrom('PORT', 3000), env['WAYBILL_HOST'] || '127.0.0.1', () => {
  log.info({ address: server.address() }, 'listening');
});
