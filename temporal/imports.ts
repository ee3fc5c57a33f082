import { setTimeout as delay } from 'node:timers/promises';
import {
  type Client,
  WorkflowNotFoundError,
  WorkflowUpdateFailedError,
  WorkflowUpdateRPCTimeoutOrCancelledError,
  isGrpcServiceError,
} from '@temporalio/client';
import { ApplicationFailure } from '@temporalio/common';
import { importAttributes, revertAttributes, type DescribedImport } from '../workflows/import-attributes.ts';
import {
  IMPORT_FILE,
  queues,
  REVERT_IMPORT,
  revertRunOf,
  type Asked,
  type MappingConfirmed,
  type Progress,
} from '../workflows/messages.ts';

/** No worker answered in time: 503, try again. */
export class NoWorkerError extends Error {}
/** The run said no, in a sentence for a person: 409. */
export class RefusedError extends Error {
  readonly code: string;
  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}
/** There is no workflow to talk to. */
export class NotRunningError extends Error {}

/** How long a person waits for an answer before they are told that nobody works. */
const ANSWER_WITHIN_MS = 5000;

export interface StartImport extends DescribedImport {
  importId: string;
}

/** The database says that a run waits, and tells who watches, a moment before the run itself knows. */
const LEARNS_WITHIN_MS = 1000;

type RunSignal = 'pause' | 'resume' | 'cancel' | 'turn';

/** Talks to the workflows of imports. The workflow's id is the import's. */
export interface ImportRuns {
  /** Starts the run; if it runs already nothing happens. */
  start(run: StartImport): Promise<void>;
  signal(importId: string, what: RunSignal, message?: Asked): Promise<void>;
  /** The same for the undoing of an import. */
  startRevert(run: StartImport): Promise<void>;
  signalRevert(importId: string, what: RunSignal, message?: Asked): Promise<void>;
  /** Tells who is first in line that the turn or slot is free. Whoever cannot be told looks for itself. */
  callNext(importIds: string[]): Promise<void>;
  confirmMapping(importId: string, answer: MappingConfirmed): Promise<void>;
  approve(
    importId: string,
    answer: { plan: { version: number; digest: string }; actor: string },
  ): Promise<void>;
  discard(importId: string, answer: { actor: string }): Promise<void>;
  /** Null where no workflow or no worker answers. */
  progress(importId: string): Promise<Progress | null>;
}

/** `fair: false` gives up that tenants share the workers evenly: for the experiment that shows what it is good for. */
export function createImportRuns(client: Client, { fair = true } = {}): ImportRuns {
  const { workflow } = client;
  const share = (tenantId: string) => (fair ? { priority: { fairnessKey: tenantId } } : {});
  const update = async (
    importId: string,
    name: string,
    argument: unknown,
    begun = Date.now(),
  ): Promise<void> => {
    const handle = workflow.getHandle(importId);
    try {
      await client.connection.withDeadline(begun + ANSWER_WITHIN_MS, () =>
        handle.executeUpdate(name, { args: [argument] }),
      );
    } catch (error) {
      if (error instanceof WorkflowUpdateFailedError) {
        const cause = error.cause instanceof ApplicationFailure ? error.cause : rootCause(error);
        if (cause?.type === 'NotWaiting' && Date.now() - begun < LEARNS_WITHIN_MS) {
          await delay(100);
          return update(importId, name, argument, begun);
        }
        const own = cause?.type === 'Refused' && (cause.details?.[0] as { code: string }).code;
        throw new RefusedError(
          own || (codes[cause?.type ?? ''] ?? 'refused'),
          cause?.message ?? error.message,
        );
      }
      if (error instanceof WorkflowUpdateRPCTimeoutOrCancelledError || isDeadline(error))
        throw new NoWorkerError();
      if (error instanceof WorkflowNotFoundError) throw new NotRunningError();
      throw error;
    }
  };
  /** With a signal: a run that is just cleaning up after its end goes on instead of being missed. */
  const start = async (
    type: string,
    workflowId: string,
    { importId, tenantId }: StartImport,
    attributes: ReturnType<typeof importAttributes>,
  ) => {
    await workflow.signalWithStart(type, {
      workflowId,
      taskQueue: queues.workflow,
      args: [{ importId, tenantId }],
      signal: 'started',
      workflowIdReusePolicy: 'ALLOW_DUPLICATE',
      workflowIdConflictPolicy: 'USE_EXISTING',
      ...share(tenantId),
      ...attributes,
    });
  };
  const signal = async (workflowId: string, what: RunSignal, message?: object) => {
    try {
      await workflow.getHandle(workflowId).signal(what, message ?? {});
    } catch (error) {
      if (error instanceof WorkflowNotFoundError) throw new NotRunningError();
      throw error;
    }
  };
  return {
    start: (run) => start(IMPORT_FILE, run.importId, run, importAttributes(run)),
    signal,
    startRevert: (run) => start(REVERT_IMPORT, revertRunOf(run.importId), run, revertAttributes(run)),
    signalRevert: (importId, what, message) => signal(revertRunOf(importId), what, message),
    async callNext(importIds) {
      // Who is in line may be a run or its undoing.
      await Promise.allSettled(
        importIds.flatMap((importId) => [signal(importId, 'turn'), signal(revertRunOf(importId), 'turn')]),
      );
    },
    confirmMapping: (importId, answer) => update(importId, 'confirmMapping', answer),
    approve: (importId, answer) => update(importId, 'approve', answer),
    discard: (importId, answer) => update(importId, 'discard', answer),
    async progress(importId) {
      try {
        return await client.connection.withDeadline(Date.now() + ANSWER_WITHIN_MS, () =>
          workflow.getHandle(importId).query<Progress>('progress'),
        );
      } catch (error) {
        if (error instanceof WorkflowNotFoundError || isDeadline(error) || isGrpcServiceError(error))
          return null;
        throw error;
      }
    },
  };
}

const codes: Record<string, string> = {
  PlanMoved: 'plan_moved',
  NotWaiting: 'not_waiting',
  MappingRefused: 'mapping_refused',
  Fenced: 'not_waiting',
};

function rootCause(error: unknown): ApplicationFailure | null {
  for (let at = error; at instanceof Error; at = at.cause) {
    if (at instanceof ApplicationFailure) return at;
  }
  return null;
}

const DEADLINE_EXCEEDED = 4;
const isDeadline = (error: unknown): boolean =>
  isGrpcServiceError(error) && Number(error.code) === DEADLINE_EXCEEDED;
