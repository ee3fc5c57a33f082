import { setTimeout as sleep } from 'node:timers/promises';
import { isGrpcServiceError, WorkflowExecutionAlreadyStartedError } from '@temporalio/client';
import type { Client } from '@temporalio/client';
import pg from 'pg';
import type { Logger } from 'pino';
import type { Sql } from 'postgres';
import { markDispatched, overdueDeliveries, prepareDeliveries, scheduleAttempt } from '../db/webhooks.ts';
import { queues } from '../workflows/messages.ts';
import type {
  deliverWebhook,
  DeliverWebhookInput,
  DeliverWebhookResult,
} from '../workflows/deliver-webhook.ts';
import { NoWorkerError } from './imports.ts';
import { isAlive, workflowState } from './workflow-state.ts';

export interface DispatcherDeps {
  sql: Sql;
  /** For a connection of its own: the advisory lock and LISTEN live as long as that does. */
  databaseUrl: string;
  client: Client;
  log: Logger;
  /** Tests shorten the waits between attempts. */
  offsetsMs?: number[];
}

/** Any number will do as long as it stays: one dispatcher at a time in each database. */
const DISPATCHER_LOCK = 7_295_003;
const PAGE = 100;
const STARTS_AT_ONCE = 10;
/** A notification can be lost with its connection; nothing waits longer than this for the next look. */
const POLL_MS = 5_000;
const RETRY_MS = 2_000;
/** How often deliveries are looked for whose workflow is gone, with Temporal's database perhaps. */
const OVERDUE_MS = 60_000;

/** The workflow that brings an event to an endpoint; one for each pair, for ever. */
async function startDelivery(
  client: Client,
  input: DeliverWebhookInput,
  summary: string,
): Promise<{ workflowId: string; begun: boolean }> {
  const workflowId = `webhook-${input.eventId}-${input.endpointId}`;
  try {
    await client.workflow.start<typeof deliverWebhook>('deliverWebhook', {
      workflowId,
      workflowIdReusePolicy: 'REJECT_DUPLICATE',
      taskQueue: queues.workflow,
      args: [input],
      staticSummary: summary,
    });
  } catch (error) {
    if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
    return { workflowId, begun: false };
  }
  return { workflowId, begun: true };
}

/** So long does a person wait for the answer to a test. */
const TEST_WITHIN_MS = 30_000;

/** Brings one event to one endpoint with a single attempt, and waits for what comes of it. */
export async function deliverOnce(
  client: Client,
  eventId: number,
  endpointId: string,
): Promise<DeliverWebhookResult> {
  const input = { eventId, endpointId, offsetsMs: [0] };
  const { workflowId } = await startDelivery(client, input, 'Test of an endpoint');
  try {
    return await client.connection.withAbortSignal(AbortSignal.timeout(TEST_WITHIN_MS), () =>
      client.workflow.getHandle<typeof deliverWebhook>(workflowId).result(),
    );
  } catch (error) {
    if (isGrpcServiceError(error) || (error instanceof Error && isGrpcServiceError(error.cause))) {
      throw new NoWorkerError();
    }
    throw error;
  }
}

type Started = Awaited<ReturnType<typeof overdueDeliveries>>;

async function startAll({ sql, client, offsetsMs }: DispatcherDeps, deliveries: Started): Promise<void> {
  for (let at = 0; at < deliveries.length; at += STARTS_AT_ONCE) {
    await Promise.all(
      deliveries.slice(at, at + STARTS_AT_ONCE).map(async ({ eventId, endpointId, type, host }) => {
        const input = { eventId, endpointId, ...(offsetsMs && { offsetsMs }) };
        const { workflowId, begun } = await startDelivery(client, input, `${type} to ${host}`);
        // Somebody ended it in Temporal. Left pending, it would be sent when Temporal has forgotten that.
        const { state } = begun ? { state: 'RUNNING' } : await workflowState(client, workflowId);
        if (!isAlive(state) && state !== 'NOT_FOUND') await scheduleAttempt(sql, eventId, endpointId, null);
      }),
    );
  }
}

/** Starts what is due; returns how many events that was. At least once: a crash before the mark repeats it. */
export async function dispatchOnce(deps: DispatcherDeps): Promise<number> {
  const { sql } = deps;
  const { eventIds, deliveries } = await prepareDeliveries(sql, PAGE);
  await startAll(deps, deliveries);
  if (eventIds.length > 0) await markDispatched(sql, eventIds);
  return eventIds.length;
}

/** Starts what Temporal does not know any more; what it does know works on, or has been ended by somebody and is given up. */
export const restartLost = async (deps: DispatcherDeps): Promise<void> =>
  startAll(deps, await overdueDeliveries(deps.sql, PAGE));

/** Turns events into deliveries for as long as this process holds the lock; waits for it otherwise. */
export function startDispatcher(deps: DispatcherDeps): { stop(): Promise<void> } {
  const stopping = new AbortController();
  const { signal } = stopping;
  const running = (async () => {
    while (!signal.aborted) {
      try {
        await lead(deps, signal);
      } catch (error) {
        if (!signal.aborted) deps.log.warn({ err: error }, 'events wait: the dispatcher starts again');
      }
      await sleep(RETRY_MS, undefined, { signal }).catch(() => {});
    }
  })();
  return {
    async stop() {
      stopping.abort();
      await running;
    },
  };
}

/** Returns when somebody else holds the lock, fails when the connection that holds ours breaks. */
async function lead(deps: DispatcherDeps, signal: AbortSignal): Promise<void> {
  const connection = new pg.Client({
    connectionString: deps.databaseUrl,
    application_name: 'waybill-dispatcher',
    keepAlive: true,
    connectionTimeoutMillis: 10_000,
  });
  let wake = () => {};
  let broken: Error | null = null;
  connection.on('error', (error) => {
    broken = error;
    wake();
  });
  connection.on('notification', () => wake());
  const stop = () => wake();
  signal.addEventListener('abort', stop);
  try {
    await connection.connect();
    const { rows } = await connection.query<{ held: boolean }>('select pg_try_advisory_lock($1) as held', [
      DISPATCHER_LOCK,
    ]);
    if (!rows[0]!.held) return;
    await connection.query('listen waybill_events');
    let looked = -Infinity;
    while (!signal.aborted && !broken) {
      // Armed before the look: an event that comes between the two is not waited out.
      const woken = new Promise<void>((resolve) => (wake = resolve));
      if ((await dispatchOnce(deps)) === PAGE) continue;
      if (performance.now() - looked > OVERDUE_MS) {
        await restartLost(deps);
        looked = performance.now();
      }
      if (signal.aborted || broken) break;
      const timer = setTimeout(wake, POLL_MS);
      await woken;
      clearTimeout(timer);
    }
    if (broken) throw broken;
  } finally {
    signal.removeEventListener('abort', stop);
    await connection.end().catch(() => {});
  }
}
