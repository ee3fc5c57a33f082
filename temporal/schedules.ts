import { isGrpcServiceError, ScheduleNotFoundError } from '@temporalio/client';
import type { Client, ScheduleDescription, ScheduleOptions } from '@temporalio/client';
import type { Logger } from 'pino';
import type { Sql } from 'postgres';
import { adoptPause, listSyncsToReconcile, markScheduled } from '../db/syncs.ts';
import type { Sync } from '../db/syncs.ts';
import { queues } from '../workflows/messages.ts';

export interface ScheduleDeps {
  sql: Sql;
  client: Client;
  log: Logger;
}

/** Temporal does not take this calendar or time zone. */
export class BadCalendar extends Error {
  override name = 'BadCalendar';
}

const EVERY_MS = 60_000;
/** How late a run may still start after an outage. The server's default is a year. */
const CATCH_UP = '1 hour';
const INVALID_ARGUMENT = 3;

const scheduleId = (syncId: string): string => `sync-${syncId}`;

function optionsOf(sync: Sync): ScheduleOptions {
  return {
    scheduleId: scheduleId(sync.syncId),
    spec: { cronExpressions: [sync.cron], timezone: sync.timeZone },
    action: {
      type: 'startWorkflow',
      workflowType: 'runSync',
      // The server appends the time to it.
      workflowId: scheduleId(sync.syncId),
      taskQueue: queues.workflow,
      args: [{ syncId: sync.syncId, tenantId: sync.tenantId }],
      staticSummary: `Sync ${sync.name} into ${sync.dataset}`,
    },
    // No retry of the workflow: with SKIP a ghost run would swallow every later one.
    policies: { overlap: 'SKIP', catchupWindow: CATCH_UP },
    state: { paused: sync.paused, ...(sync.note !== null && { note: sync.note }) },
    memo: { sync: sync.name, tenant: sync.tenantId },
  };
}

/** What of a description is ours to define; pause and note may be changed on either side. */
function fingerprint({ spec, action, policies }: ScheduleDescription): string {
  return JSON.stringify({ spec, action, policies });
}

/** Makes the schedule on Temporal's side what the definition says, and notes which revision that was. */
export async function pushSchedule({ sql, client }: ScheduleDeps, sync: Sync): Promise<void> {
  const handle = client.schedule.getHandle(scheduleId(sync.syncId));
  if (sync.deletedAt) {
    await handle.delete().catch(unlessNotFound);
    await markScheduled(sql, sync, null);
    return;
  }
  const { scheduleId: id, memo, ...definition } = optionsOf(sync);
  try {
    await handle.update(() => ({
      ...definition,
      action: { ...definition.action, workflowId: id },
      state: { ...definition.state, paused: sync.paused },
    }));
  } catch (error) {
    unlessNotFound(error);
    try {
      await client.schedule.create({ ...definition, scheduleId: id, memo });
    } catch (refused) {
      throw asBadCalendar(refused);
    }
  }
  await markScheduled(sql, sync, fingerprint(await handle.describe()));
}

function unlessNotFound(error: unknown): void {
  if (!(error instanceof ScheduleNotFoundError)) throw asBadCalendar(error);
}

/** The SDK makes a TypeError of what the server calls an invalid argument when it creates, not when it updates. */
function asBadCalendar(error: unknown): unknown {
  if (error instanceof TypeError) return new BadCalendar(error.message, { cause: error });
  const cause = error instanceof Error && !isGrpcServiceError(error) ? error.cause : error;
  if (!isGrpcServiceError(cause) || Number(cause.code) !== INVALID_ARGUMENT) return error;
  return new BadCalendar(cause.details || cause.message, { cause: error });
}

/** Starts a run now, unless one is under way. */
export async function runNow(deps: ScheduleDeps, sync: Sync): Promise<void> {
  const trigger = () =>
    // Without an argument the SDK would let it overlap, whatever the schedule's policy says.
    deps.client.schedule.getHandle(scheduleId(sync.syncId)).trigger('SKIP');
  try {
    await trigger();
  } catch (error) {
    unlessNotFound(error);
    await pushSchedule(deps, sync);
    await trigger();
  }
}

const LOOK_MS = 2_000;

/** The next times; none while it is paused, and none where Temporal cannot say. */
export async function nextRuns({ client, log }: ScheduleDeps, syncId: string): Promise<Date[]> {
  try {
    const { info, state } = await client.connection.withDeadline(Date.now() + LOOK_MS, () =>
      client.schedule.getHandle(scheduleId(syncId)).describe(),
    );
    return state.paused ? [] : info.nextActionTimes.slice(0, 5);
  } catch (error) {
    log.debug({ err: error, sync: syncId }, 'the next times of a sync are not known');
    return [];
  }
}

/**
 * Both ways: a definition that was changed, or whose schedule is gone or was edited, goes to Temporal; a schedule
 * that somebody paused or resumed there is paused or resumed here.
 */
export async function reconcileSchedules(deps: ScheduleDeps): Promise<void> {
  for (const sync of await listSyncsToReconcile(deps.sql)) {
    try {
      await reconcile(deps, sync);
    } catch (error) {
      deps.log.warn({ err: error, sync: sync.syncId }, 'the schedule of a sync could not be reconciled');
    }
  }
}

async function reconcile(deps: ScheduleDeps, sync: Sync): Promise<void> {
  if (sync.revision !== sync.scheduledRevision) return pushSchedule(deps, sync);
  let there: ScheduleDescription;
  try {
    there = await deps.client.schedule.getHandle(scheduleId(sync.syncId)).describe();
  } catch (error) {
    unlessNotFound(error);
    return pushSchedule(deps, sync);
  }
  const { paused, note } = there.state;
  const adopted = paused !== sync.paused ? { ...sync, paused, note: note ?? null } : sync;
  if (adopted !== sync) await adoptPause(deps.sql, sync, paused, note ?? null);
  if (fingerprint(there) !== sync.scheduledAs) await pushSchedule(deps, adopted);
}

/** At start and each minute. */
export function startScheduleReconciler(deps: ScheduleDeps): { stop(): Promise<void> } {
  const stopping = new AbortController();
  const running = (async () => {
    while (!stopping.signal.aborted) {
      await reconcileSchedules(deps).catch((error: unknown) =>
        deps.log.warn({ err: error }, 'schedules could not be reconciled'),
      );
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, EVERY_MS);
        stopping.signal.addEventListener('abort', () => (clearTimeout(timer), resolve()), { once: true });
        if (stopping.signal.aborted) resolve();
      });
    }
  })();
  return {
    async stop() {
      stopping.abort();
      await running;
    },
  };
}
