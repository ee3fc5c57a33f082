import * as wf from '@temporalio/workflow';
import type { createControlQueueActivities, createLoadQueueActivities } from '../activities/index.ts';
import { queues } from './messages.ts';

type Control = ReturnType<typeof createControlQueueActivities>;
type Load = ReturnType<typeof createLoadQueueActivities>;

/** A few quick attempts inside one activity; then the workflow says what it waits for and waits (throughOutage). */
const retry: wf.RetryPolicy = {
  initialInterval: '200ms',
  backoffCoefficient: 2,
  maximumInterval: '2s',
  maximumAttempts: 4,
};

/** Heartbeats come every two seconds by themselves; 5 s without one and the attempt counts as dead. */
const heartbeatTimeout = '5 seconds';

const loading: wf.ActivityOptions = {
  taskQueue: queues.load,
  startToCloseTimeout: '6 hours',
  heartbeatTimeout,
  retry,
};

/** Quick activities; the summary is what the Temporal Web UI shows beside the name (at most 200 bytes). */
export const control = (summary?: string): wf.ActivityInterfaceFor<Control> =>
  wf.proxyActivities<Control>({
    taskQueue: queues.control,
    startToCloseTimeout: '30 seconds',
    heartbeatTimeout,
    retry,
    summary,
  });

export const load = (summary: string): wf.ActivityInterfaceFor<Load> =>
  wf.proxyActivities<Load>({ ...loading, summary });

/** On the host that has the file; five seconds to find it alive. */
export const onHost = (queue: string, summary: string): wf.ActivityInterfaceFor<Load> =>
  wf.proxyActivities<Load>({ ...loading, taskQueue: queue, scheduleToStartTimeout: '5 seconds', summary });

/** Type of the failure that an activity ended with, '' for what is none. */
export function failureType(error: unknown): string {
  const cause = error instanceof wf.ActivityFailure ? error.cause : error;
  return cause instanceof wf.ApplicationFailure ? (cause.type ?? '') : '';
}

/** The activity found nobody to run it within its time. */
export function neverStarted(error: unknown): boolean {
  return (
    error instanceof wf.ActivityFailure &&
    error.cause instanceof wf.TimeoutFailure &&
    error.cause.timeoutType === 'SCHEDULE_TO_START'
  );
}

/** What an activity could not reach; null where waiting would not help. */
export function unavailableWhat(error: unknown): string | null {
  if (!(error instanceof wf.ActivityFailure)) return null;
  if (error.cause instanceof wf.TimeoutFailure && error.cause.timeoutType !== 'SCHEDULE_TO_START')
    return 'worker';
  if (failureType(error) !== 'Unavailable') return null;
  const details = (error.cause as wf.ApplicationFailure).details?.[0] as { what?: string } | undefined;
  return details?.what ?? 'a service';
}

/** What a person is told of a run that failed. */
export function refusalOf(error: unknown): { code: string; message: string } {
  const cause = error instanceof wf.ActivityFailure ? error.cause : error;
  if (cause instanceof wf.ApplicationFailure && cause.type === 'Refused') {
    return cause.details?.[0] as { code: string; message: string };
  }
  const what = unavailableWhat(error);
  if (what !== null) {
    return {
      code: 'unavailable',
      message: `The ${what} did not answer for too long. Nothing is lost: retry when it is back.`,
    };
  }
  wf.log.error('the run failed for a reason that has no name', {
    error: String(error),
    cause: String(cause),
  });
  return {
    code: 'internal_error',
    message:
      'Waybill itself failed here. What was committed stays and is accounted for; retry, and report it if it happens again.',
  };
}

interface Batches {
  first: number;
  last: number;
}

/** Does the ranges in so many lanes at once, cut so that the lanes share them. */
export async function inLanes(
  ranges: Batches[],
  lanes: number,
  work: (part: Batches) => Promise<void>,
): Promise<void> {
  const parts = laneRanges(ranges, lanes);
  let next = 0;
  const lane = async () => {
    for (let part = parts[next++]; part !== undefined; part = parts[next++]) await work(part);
  };
  await Promise.all(Array.from({ length: lanes }, lane));
}

/** Each range cut so that the lanes share it and no activity is longer than a million rows or so. */
function laneRanges(ranges: Batches[], lanes: number): Batches[] {
  return ranges.flatMap(({ first, last }) => {
    const size = Math.min(100, Math.ceil((last - first + 1) / lanes));
    const parts: Batches[] = [];
    for (let at = first; at <= last; at += size)
      parts.push({ first: at, last: Math.min(at + size - 1, last) });
    return parts;
  });
}
