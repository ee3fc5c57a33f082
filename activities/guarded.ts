import { activityInfo, ApplicationFailure, CancelledFailure, Context } from '@temporalio/activity';
import { isDatabaseUnavailable, isFenced, isPlanLost, isTargetChanged } from '../db/errors.ts';
import { enterPhase } from '../db/control.ts';
import { NotWhole } from '../db/all-or.ts';
import { StagingLost } from '../db/plan.ts';
import { PlanMoved } from '../db/approve.ts';
import { RevertRefused } from '../db/revert-plan.ts';
import { TargetRefused } from '../db/target.ts';
import { FileError } from '../intake/types.ts';
import { ObjectChanged, ObjectMissing, StoreUnavailable } from '../storage/errors.ts';
import { ScannerDown } from '../storage/scan.ts';
import type { ActivityDeps } from './deps.ts';
import { countFailure } from './metrics.ts';
import type { RunInput } from './run.ts';

/** The run cannot go on, and a person has to know why; never retried. */
export class ImportRefused extends Error {
  readonly code: string;
  readonly more: object;
  constructor(code: string, message: string, more: object = {}) {
    super(message);
    this.code = code;
    this.more = more;
  }
}

type Activity = (input: never) => Promise<unknown>;

// Under half of the time-out; the worker does not hold any back (maxHeartbeatThrottleInterval).
const BEAT_MS = 2000;
/** A request to stop comes with the answer to a heartbeat; when one is expected, it is asked for this often. */
const EXPECTED_MS = 50;
const EXPECTED_FOR_MS = 2000;

/** Heartbeats until it is ended: a slow pulse, quick for a moment after the import's status has changed. */
function beating(deps: ActivityDeps, importId: string | undefined): () => void {
  const context = Context.current();
  let quick: NodeJS.Timeout | undefined;
  const slow = setInterval(() => context.heartbeat(), BEAT_MS);
  const unwatch =
    importId &&
    deps.watch(importId, () => {
      clearInterval(quick);
      const until = performance.now() + EXPECTED_FOR_MS;
      quick = setInterval(() => {
        context.heartbeat();
        if (context.cancellationSignal.aborted || performance.now() > until) clearInterval(quick);
      }, EXPECTED_MS);
    });
  return () => {
    clearInterval(slow);
    clearInterval(quick);
    if (unwatch) unwatch();
  };
}

async function enter({ pool }: ActivityDeps, { importId, epoch, phase }: Partial<RunInput>): Promise<void> {
  if (phase) await enterPhase(pool, importId!, epoch!, phase);
}

/**
 * Wraps activities so that each kind of failure reaches the workflow as one of few types: `Refused` (a person's
 * business), `Fenced` (not ours any more), `StagingLost`, `PlanMoved`, `Unavailable` (the same again may work).
 * Anything else is a bug and is retried a few times as Temporal does by default. What comes with a phase enters it.
 */
export function guarded<T extends Record<string, Activity>>(deps: ActivityDeps, activities: T): T {
  return Object.fromEntries(
    Object.entries(activities).map(([name, run]) => [
      name,
      async (input: never) => {
        const ended = beating(deps, (input as { importId?: string }).importId);
        try {
          await enter(deps, input);
          return await run(input);
        } catch (error) {
          const failure = asFailure(deps, name, input, error);
          countFailure(name, causeOf(failure));
          throw failure;
        } finally {
          ended();
        }
      },
    ]),
  ) as T;
}

/** One of few words: the type that the workflow sees, and of an outage what is away. */
function causeOf(failure: unknown): string {
  if (failure instanceof CancelledFailure) return 'cancelled';
  if (!(failure instanceof ApplicationFailure)) return 'bug';
  const { what } = (failure.details?.[0] ?? {}) as { what?: string };
  return failure.type === 'Unavailable' && what ? `${what} away` : (failure.type ?? 'bug');
}

function asFailure(deps: ActivityDeps, name: string, input: unknown, error: unknown): unknown {
  const signal = Context.current().cancellationSignal;
  if (signal.aborted && !isFenced(error)) {
    // Only the workflow's own request is a cancellation; a worker that shuts down hands the attempt on.
    return Context.current().cancellationDetails?.cancelRequested
      ? new CancelledFailure('cancelled')
      : ApplicationFailure.create({
          type: 'Unavailable',
          message: 'The worker is shutting down.',
          details: [{ what: 'worker' }],
        });
  }
  const log = deps.log.child({
    activity: name,
    attempt: activityInfo().attempt,
    import: (input as { importId?: string }).importId,
  });
  const failure = (type: string, nonRetryable: boolean, message: string, details: unknown[] = []) =>
    ApplicationFailure.create({
      type,
      nonRetryable,
      message,
      details,
      cause: error instanceof Error ? error : undefined,
    });

  if (error instanceof ApplicationFailure) return error;
  if (error instanceof ImportRefused)
    return failure('Refused', true, error.message, [
      { code: error.code, message: error.message, ...error.more },
    ]);
  if (
    error instanceof FileError ||
    error instanceof TargetRefused ||
    error instanceof NotWhole ||
    error instanceof RevertRefused ||
    error instanceof ObjectChanged ||
    error instanceof ObjectMissing
  ) {
    return failure('Refused', true, error.message, [{ code: error.code, message: error.message }]);
  }
  if (isFenced(error)) return failure('Fenced', true, 'The run was stopped or taken over.');
  if (error instanceof StagingLost) return failure('StagingLost', true, 'The staged rows are gone.');
  if (error instanceof PlanMoved) return failure('PlanMoved', true, error.message);
  if (isPlanLost(error)) {
    log.error({ err: error }, 'plan lost');
    return failure('Refused', true, 'The approved plan is not the plan that is there.', [
      {
        code: 'plan_lost',
        message:
          'The plan that was approved is no longer whole, so nothing more was written. Start the import again.',
      },
    ]);
  }
  if (isTargetChanged(error)) {
    log.error({ err: error }, 'target changed');
    return failure('Refused', true, 'The target table changed.', [
      {
        code: 'target_changed',
        message:
          'The target table was changed while the import ran, or Waybill may no longer write to it. Check its columns and rights, then retry.',
      },
    ]);
  }
  if (isDatabaseUnavailable(error)) {
    log.warn({ err: error }, 'database unavailable');
    return failure('Unavailable', false, 'The database does not answer.', [{ what: 'database' }]);
  }
  if (error instanceof StoreUnavailable) {
    log.warn({ err: error }, 'object store unavailable');
    return failure('Unavailable', false, 'The object store does not answer.', [{ what: 'object store' }]);
  }
  if (error instanceof ScannerDown) {
    log.warn({ err: error }, 'virus scanner unavailable');
    return failure('Unavailable', false, error.message, [{ what: 'virus scanner' }]);
  }
  log.error({ err: error }, 'activity failed');
  return error;
}
