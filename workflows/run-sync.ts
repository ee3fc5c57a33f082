import {
  ActivityFailure,
  ApplicationFailure,
  isCancellation,
  ParentClosePolicy,
  proxyActivities,
  setCurrentDetails,
  startChild,
  uuid4,
  workflowInfo,
} from '@temporalio/workflow';
import type { createSyncActivities, SyncRunInput } from '../activities/sync.ts';

import { importAttributes, type DescribedImport } from './import-attributes.ts';
import { IMPORT_FILE, queues } from './messages.ts';

export interface RunSyncInput {
  syncId: string;
  tenantId: string;
  /** Tests do not wait minutes for a source that is down. */
  retryMs?: number;
}

type SyncActivities = ReturnType<typeof createSyncActivities>;
type Outcome = Awaited<ReturnType<SyncActivities['awaitImport']>>;

const LOAD = queues.load;
const fetching = (retryMs = 5_000) =>
  proxyActivities<SyncActivities>({
    taskQueue: LOAD,
    startToCloseTimeout: '65 minutes',
    heartbeatTimeout: '1 minute',
    retry: {
      initialInterval: retryMs,
      backoffCoefficient: 3,
      maximumInterval: '5 minutes',
      maximumAttempts: 5,
    },
  });
const { awaitImport } = proxyActivities<SyncActivities>({
  taskQueue: LOAD,
  startToCloseTimeout: '30 days',
  heartbeatTimeout: '30 seconds',
  retry: { maximumInterval: '1 minute' },
});
const { finishSyncRun } = proxyActivities<SyncActivities>({
  taskQueue: LOAD,
  startToCloseTimeout: '30 seconds',
  retry: { maximumInterval: '1 minute' },
});

/**
 * One run of a sync: fetches the source and, if it has changed, imports it by the same path as every other file.
 * Ends with its import, or when that begins to wait for a person: a held run does not swallow the next nights.
 */
export async function runSync({ syncId, retryMs }: RunSyncInput): Promise<Outcome> {
  const run = { syncId, runId: workflowInfo().workflowId, importId: uuid4() };
  const found = await fetchAndImport(run, retryMs);
  await finishSyncRun({ syncId, runId: run.runId, ...found });
  setCurrentDetails(`**${found.outcome}**${found.message ? `: ${found.message}` : ''}`);
  return found;
}

async function fetchAndImport(run: SyncRunInput, retryMs?: number): Promise<Outcome> {
  let source;
  try {
    source = await fetching(retryMs).fetchSource(run);
  } catch (error) {
    if (isCancellation(error)) throw error;
    return { outcome: 'failed', message: reasonOf(error) };
  }
  if (source.outcome !== 'import') return source;
  await startImport(run.importId, source);
  setCurrentDetails(`Import \`${run.importId}\` of ${source.fileName} into ${source.dataset}`);
  return awaitImport(run);
}

async function startImport(importId: string, source: DescribedImport): Promise<void> {
  try {
    await startChild(IMPORT_FILE, {
      workflowId: importId,
      taskQueue: queues.workflow,
      args: [{ importId, tenantId: source.tenantId }],
      // The import is nobody's child when it comes to ending: it may wait for days.
      parentClosePolicy: ParentClosePolicy.ABANDON,
      ...importAttributes(source),
    });
  } catch (error) {
    // The reconciler saw a queued import without a run and was faster.
    if (!(error instanceof Error && error.name === 'WorkflowExecutionAlreadyStartedError')) throw error;
  }
}

function reasonOf(error: unknown): string {
  const cause = error instanceof ActivityFailure ? error.cause : error;
  if (cause instanceof ApplicationFailure && cause.type === 'SourceUnavailable') return cause.message;
  return `The source could not be fetched: ${cause instanceof Error ? cause.message : String(cause)}`;
}
