import { hostname } from 'node:os';
import { join } from 'node:path';
import { Client, WorkflowNotFoundError } from '@temporalio/client';
import { NativeConnection, Runtime, Worker, type WorkerOptions } from '@temporalio/worker';
import { pino } from 'pino';
import { createDeliveryActivities } from '../activities/deliver.ts';
import { createOutbound, parseNetworks } from '../activities/outbound.ts';
import { createSyncActivities } from '../activities/sync.ts';
import type { ActivityDeps } from '../activities/deps.ts';
import { createThrottle, readCeilings } from '../activities/throttle.ts';
import { createControlQueueActivities, createLoadQueueActivities } from '../activities/index.ts';
import { listenToChanges } from '../db/changes.ts';
import { connectPool, connectSql } from '../db/connect.ts';
import { readPressure } from '../db/pressure.ts';
import { retentionFrom } from '../db/retention.ts';
import { createSegmentPool } from '../intake/segment-pool.ts';
import { openObjectStore } from '../storage/objects.ts';
import { openScanner } from '../storage/scan.ts';
import { openSpool } from '../storage/spool.ts';
import { queues } from '../workflows/messages.ts';
import { workflowBundle } from './bundle.ts';
import { temporalSettings } from './connection.ts';
import { createImportRuns } from './imports.ts';
import { startKeeper } from './keeper.ts';

// `temporal/worker.ts --compile`: everything that this process loads is now in NODE_COMPILE_CACHE. A worker that finds
// it there does without the compiler that strips types: 18 MB less, resident.
if (process.argv.includes('--compile')) {
  await workflowBundle(join(process.env['WAYBILL_DATA'] ?? '.waybill', 'cache'));
  process.exit(0);
}

const DAY_MS = 24 * 60 * 60 * 1000;
const SPOOL_QUOTA = Number(process.env['WAYBILL_SPOOL_BYTES'] ?? 20 * 1024 ** 3);

const MAX_FILE_BYTES = Number(process.env['WAYBILL_MAX_FILE_BYTES'] ?? 250 * 1024 ** 2);

const log = pino({ name: 'worker', level: process.env['WAYBILL_LOG'] ?? 'info' });
const data = process.env['WAYBILL_DATA'] ?? '.waybill';
const settings = temporalSettings(process.env);

const metrics = process.env['WAYBILL_METRICS'];

Runtime.install({
  // Where Prometheus may ask: the SDK's own figures and ours (activities/metrics.ts).
  ...(metrics && { telemetryOptions: { metrics: { prometheus: { bindAddress: metrics } } } }),
  // Signals are handled below, in the order that a drain needs.
  shutdownSignals: [],
  logger: {
    log: () => {},
    trace: () => {},
    debug: () => {},
    info: () => {},
    // Queues that serve one kind of task by design, and failures that guarded.ts has logged with their cause.
    warn: (message, meta) =>
      (/^(No (activities|workflows) registered|Activity failed)/.test(message) ? log.debug : log.warn).call(
        log,
        meta ?? {},
        message,
      ),
    error: (message, meta) => log.error(meta ?? {}, message),
  },
});

const pool = connectPool(process.env['DATABASE_URL']!, { max: 16, name: 'waybill worker' });
const sql = connectSql(process.env['DATABASE_URL']!, { max: 4, name: 'waybill worker' });
const store = openObjectStore(process.env);
const outbound = createOutbound({ allow: parseNetworks(process.env['WAYBILL_ALLOW_NETWORKS']) });
const spool = openSpool(join(data, 'spool'), SPOOL_QUOTA);
await spool.sweep(DAY_MS);
const scanner = openScanner(process.env);
const segments = createSegmentPool({ threads: 1 });
const connection = await NativeConnection.connect(settings);
// Over the worker's own connection: a second one, in JavaScript, is memory and a second thing to lose.
const client = new Client({ connection, namespace: settings.namespace });
const runs = createImportRuns(client);

const throttle = createThrottle(readCeilings(process.env), () => readPressure(pool));

/** Activities that want to know when an import's status changes, by import. */
const watchers = new Map<string, Set<() => void>>();
const unlisten = listenToChanges(sql, log, (importId, status) => {
  if (status !== 'running' && status !== 'reverting') watchers.get(importId)?.forEach((changed) => changed());
});

const deps: ActivityDeps = {
  watch(importId, changed) {
    const mine = watchers.get(importId) ?? new Set();
    watchers.set(importId, mine.add(changed));
    return () => {
      mine.delete(changed);
      if (mine.size === 0) watchers.delete(importId);
    };
  },
  pool,
  store,
  spool,
  segments,
  throttle,
  scanner,
  log,
  fair: process.env['WAYBILL_FAIRNESS'] !== 'off',
  hostQueue: `${queues.load}-${hostname()}`,
  async currentRun(workflowId) {
    try {
      return (await client.workflow.getHandle(workflowId).describe()).runId;
    } catch (error) {
      if (error instanceof WorkflowNotFoundError) return null;
      throw error;
    }
  },
  startRevert: (row) =>
    runs.startRevert({
      importId: row.import_id,
      tenantId: row.tenant_id,
      dataset: row.dataset,
      fileName: row.file_name,
      policy: row.policy,
    }),
  wake: runs.callNext,
};

// Asked to stop, work under way may go on for so long; then it is told to let go, and has as long again for that.
const DRAIN_MS = Number(process.env['WAYBILL_DRAIN_SECONDS'] ?? 10) * 1000;

const shared: Partial<WorkerOptions> = {
  connection,
  namespace: settings.namespace,
  // By default four of the five seconds of the time-out: so long a pause would not reach a statement of planning.
  maxHeartbeatThrottleInterval: 40,
  shutdownGraceTime: DRAIN_MS,
  shutdownForceTime: 2 * DRAIN_MS,
};
const bundle = await workflowBundle(join(data, 'cache'));
const loadActivities = {
  ...createLoadQueueActivities(deps),
  ...createSyncActivities({ sql, store, outbound, maxFileBytes: MAX_FILE_BYTES }),
};
const workers = await Promise.all([
  // The only one that runs workflows, of whatever kind: each that does has a thread that takes 37 MB.
  Worker.create({
    ...shared,
    taskQueue: queues.workflow,
    workflowBundle: { codePath: bundle },
    maxCachedWorkflows: 150,
    // A dead worker's cached workflows move on after this.
    stickyQueueScheduleToStartTimeout: '2 seconds',
  }),
  Worker.create({
    ...shared,
    taskQueue: queues.load,
    activities: loadActivities,
    maxConcurrentActivityTaskExecutions: 8,
  }),
  Worker.create({
    ...shared,
    taskQueue: deps.hostQueue,
    activities: loadActivities,
    maxConcurrentActivityTaskExecutions: 4,
  }),
  Worker.create({
    ...shared,
    taskQueue: queues.control,
    activities: createControlQueueActivities(deps),
    maxConcurrentActivityTaskExecutions: 20,
  }),
  Worker.create({
    ...shared,
    taskQueue: queues.delivery,
    activities: createDeliveryActivities({ sql, outbound }),
    maxConcurrentActivityTaskExecutions: 50,
  }),
]);

let stopping = false;
const stop = (signal: string) => {
  if (stopping) return;
  stopping = true;
  log.info({ signal }, 'draining');
  for (const worker of workers) worker.shutdown();
};
process.on('SIGTERM', stop);
process.on('SIGINT', stop);

const keeper = startKeeper({ pool, retention: retentionFrom(process.env), log });
log.info({ queues: workers.map((worker) => worker.options.taskQueue) }, 'polling');
await Promise.all(workers.map((worker) => worker.run())).catch((error: unknown) => {
  if (!stopping) throw error;
  // What would not let go in time ends with the process; without a heartbeat another worker soon does it again.
  log.warn({ err: error }, 'stopped with work under way');
  process.exit(0);
});
await keeper.stop();
await unlisten();
await segments.close();
await Promise.all([pool.end(), sql.end(), store.close(), connection.close()]);
