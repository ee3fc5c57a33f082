import type { Router } from 'express';
import type { Caller } from '../../db/access.ts';
import { nextInLine, reopenImport, requestStop, resumeImport, retryHindrance } from '../../db/control.ts';
import { findImportDetails, noteReason, type StoredImport } from '../../db/imports.ts';
import { findUpload, markUploadAborted } from '../../db/uploads.ts';
import type { ApiDeps } from '../deps.ts';
import { actionsOf, importJson, isQuarantined } from '../import-json.ts';
import { startRun, tellTemporal } from '../intake.ts';
import { ApiError } from '../problem.ts';
import * as routes from '../schemas/actions.ts';
import { serve } from '../serve.ts';
import { importOf } from './imports.ts';
import { steerRevert } from './reverts.ts';

type Action = ReturnType<typeof actionsOf>[number];

const STATES: Record<string, string> = {
  uploading: 'is still being uploaded',
  queued: 'waits for its turn',
  running: 'is running',
  paused: 'is paused',
  waiting: 'waits for an answer',
  completed: 'is completed',
  completed_with_issues: 'is completed',
  unproven: 'has ended unproven',
  failed: 'has failed',
  cancelled: 'was cancelled',
  reverting: 'is being undone',
  reverted: 'was undone',
};

/** The import, if the action is one of those that its page offers. */
export async function readyFor(
  deps: ApiDeps,
  caller: Caller,
  importId: string,
  action: Action,
): Promise<StoredImport> {
  const stored = await importOf(deps, caller, importId);
  if (actionsOf(stored).includes(action)) return stored;
  if (action === 'retry' && isQuarantined(stored)) {
    throw new ApiError(
      409,
      'quarantined',
      'The virus scanner found something in this file, so it is not read again. Ask its sender for a clean one and import that.',
      { importId },
    );
  }
  throw new ApiError(
    409,
    'not_possible',
    `${action} is not possible: the import ${STATES[stored.status] ?? stored.status}.`,
    { importId },
  );
}

export function registerActions(router: Router, deps: ApiDeps): void {
  const { sql, pool, runs } = deps;

  const ready = (caller: Caller, importId: string, action: Action) =>
    readyFor(deps, caller, importId, action);

  const now = async (caller: Caller, importId: string) =>
    importJson(deps, await importOf(deps, caller, importId));

  async function note(
    caller: Caller,
    importId: string,
    action: string,
    reason: string | undefined,
  ): Promise<void> {
    if (reason)
      await noteReason(sql, { tenantId: caller.tenantId, importId, actor: caller.name, action, reason });
  }

  serve(router, deps, routes.pauseImport, async ({ params: { id }, body, caller }) => {
    const stored = await importOf(deps, caller, id);
    if (stored.status === 'reverting') {
      await ready(caller, id, 'pause');
      await steerRevert(deps, id, 'pause', { actor: caller.name, reason: body.reason });
    } else if (stored.status !== 'paused') {
      await ready(caller, id, 'pause');
      const after = await requestStop(pool, {
        importId: id,
        what: 'pause',
        actor: caller.name,
        reason: body.reason,
      });
      if (after?.status !== 'paused') await ready(caller, id, 'pause');
      await tellTemporal(deps, id, async () => {
        await runs.signal(id, 'pause', { actor: caller.name, epoch: after?.epoch });
        // It has given its turn back.
        await runs.callNext(await nextInLine(pool));
      });
    }
    return now(caller, id);
  });

  serve(router, deps, routes.resumeImport, async ({ params: { id }, body, caller }) => {
    const stored = await ready(caller, id, 'resume');
    if (stored.status === 'reverting') {
      await steerRevert(deps, id, 'resume', { actor: caller.name });
    } else {
      const after = await resumeImport(pool, id, caller.name);
      await tellTemporal(deps, id, () =>
        runs.signal(id, 'resume', { actor: caller.name, epoch: after?.epoch }),
      );
    }
    await note(caller, id, 'resume', body.reason);
    return now(caller, id);
  });

  serve(router, deps, routes.cancelImport, async ({ params: { id }, body, caller }) => {
    const stored = await importOf(deps, caller, id);
    if (stored.status === 'reverting') {
      await ready(caller, id, 'cancel');
      await steerRevert(deps, id, 'cancel', { actor: caller.name, reason: body.reason });
    } else if (stored.status !== 'cancelled') {
      await ready(caller, id, 'cancel');
      const after = await requestStop(pool, {
        importId: id,
        what: 'cancel',
        actor: caller.name,
        reason: body.reason,
      });
      if (after?.status !== 'cancelled') await ready(caller, id, 'cancel');
      if (stored.status === 'uploading') await abandonUpload(caller, id);
      else
        await tellTemporal(deps, id, () =>
          runs.signal(id, 'cancel', { actor: caller.name, reason: body.reason, epoch: after?.epoch }),
        );
    }
    return now(caller, id);
  });

  /** There is no run that would tidy up after it. */
  async function abandonUpload(caller: Caller, importId: string): Promise<void> {
    const upload = await findUpload(sql, caller.tenantId, importId);
    if (!upload) return;
    await deps.store.abortUpload(upload.key, upload.storeUploadId);
    await deps.store.remove(upload.key);
    await markUploadAborted(sql, importId);
  }

  /** What keeps an ended run from being opened again, and what to do instead. */
  async function whyNotAgain(importId: string): Promise<ApiError> {
    const { undone, dropped } = await retryHindrance(pool, importId);
    if (undone)
      return new ApiError(
        409,
        'undone',
        'Some of this import was undone, and trying again would count what is gone. Import the file again.',
        { importId },
      );
    if (dropped)
      return new ApiError(
        409,
        'too_old',
        'What this import was going to write is no longer kept. Import the file again.',
        { importId },
      );
    return new ApiError(409, 'not_possible', 'The import has moved on meanwhile. Look at it again.', {
      importId,
    });
  }

  serve(router, deps, routes.retryImport, async ({ params: { id }, body, caller }) => {
    const stored = await ready(caller, id, 'retry');
    const reopened = await reopenImport(pool, id, caller.name);
    if (reopened?.status !== 'queued') throw await whyNotAgain(id);
    await note(caller, id, 'retry', body.reason);
    await startRun(deps, stored);
    return now(caller, id);
  });

  serve(router, deps, routes.approveImport, async ({ params: { id }, body, caller }) => {
    await ready(caller, id, 'approve');
    const { plan } = await findImportDetails(sql, id);
    if (plan?.version !== body.plan.version || plan.digest !== body.plan.digest) {
      throw new ApiError(
        409,
        'plan_moved',
        'The plan has changed since you looked at it. Look at it again, then decide.',
        {
          importId: id,
        },
      );
    }
    await runs.approve(id, { plan: body.plan, actor: caller.name });
    return now(caller, id);
  });

  serve(router, deps, routes.discardImport, async ({ params: { id }, body, caller }) => {
    await ready(caller, id, 'discard');
    await runs.discard(id, { actor: caller.name });
    await note(caller, id, 'discard', body.reason);
    return now(caller, id);
  });
}
