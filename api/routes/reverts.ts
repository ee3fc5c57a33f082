import type { Router } from 'express';
import * as z from 'zod';
import { nextInLine, requestStop, resumeImport } from '../../db/control.ts';
import { findDataset } from '../../db/datasets.ts';
import type { StoredImport } from '../../db/imports.ts';
import { isNotRevertable } from '../../db/errors.ts';
import { retentionFrom } from '../../db/retention.ts';
import {
  beginRevert,
  listConflicts,
  listReverts,
  mayRevert,
  previewRevert,
  type StoredRevert,
} from '../../db/revert.ts';
import { RevertRefused, type OnConflict } from '../../db/revert-plan.ts';
import { describeTarget, TargetRefused } from '../../db/target.ts';
import { readCursor, writeCursor } from '../cursor.ts';
import type { ApiDeps } from '../deps.ts';
import { tellTemporal } from '../intake.ts';
import { ApiError } from '../problem.ts';
import { requireRole } from '../access.ts';
import * as routes from '../schemas/reverts.ts';
import { serve } from '../serve.ts';
import { importOf } from './imports.ts';
import { revertRunOf } from '../../workflows/messages.ts';

const retention = retentionFrom(process.env);
const EXAMPLES = 100;
const NumberPlace = z.number();

type RevertJson = z.input<typeof routes.showRevert.answer.schema>;

export function registerReverts(router: Router, deps: ApiDeps): void {
  const { pool } = deps;

  serve(router, deps, routes.showRevert, async ({ params: { id }, caller }) =>
    revertJson(deps, await importOf(deps, caller, id)),
  );

  serve(router, deps, routes.revertImport, async ({ params: { id }, body, caller }) => {
    const stored = await importOf(deps, caller, id);
    if (Object.values(body.onConflict).includes('force')) requireRole(caller, 'approver');
    try {
      if (body.preview) {
        await mayRevert(pool, id, retention.revertSeconds);
        const preview = await previewRevert(pool, await requestOf(deps, stored, body.onConflict), EXAMPLES);
        return { ...(await revertJson(deps, stored)), preview };
      }
      await beginRevert(pool, {
        importId: id,
        actor: caller.name,
        onConflict: body.onConflict,
        reason: body.reason ?? null,
        windowSeconds: retention.revertSeconds,
      });
    } catch (error) {
      throw asProblem(error, id);
    }
    const { tenantId, dataset, fileName, policy } = stored;
    await tellTemporal(deps, id, () =>
      deps.runs.startRevert({ importId: id, tenantId, dataset, fileName, policy }),
    );
    return { ...(await revertJson(deps, await importOf(deps, caller, id))), preview: null };
  });

  serve(router, deps, routes.listRevertConflicts, async ({ params: { id }, query, caller }) => {
    const stored = await importOf(deps, caller, id);
    const revert = query.revert ?? (await listReverts(pool, id))[0]?.revert;
    if (revert === undefined)
      throw new ApiError(404, 'not_reverted', 'This import was never undone; a preview lists its conflicts.');
    const list = ['conflicts', id, revert];
    const found = await listConflicts(pool, {
      lockKey: stored.lockKey,
      importId: id,
      revert,
      after: readCursor(list, query.cursor, NumberPlace) ?? 0,
      limit: query.limit + 1,
    });
    const items = found.slice(0, query.limit);
    return {
      items: items.map(({ place: _, ...conflict }) => conflict),
      nextCursor: found.length > query.limit ? writeCursor(list, items.at(-1)!.place) : null,
    };
  });
}

/** Pauses, resumes or cancels the undoing of an import, first in the database and then in its workflow. */
export async function steerRevert(
  deps: ApiDeps,
  importId: string,
  what: 'pause' | 'resume' | 'cancel',
  by: { actor: string; reason?: string },
): Promise<void> {
  const after =
    what === 'resume'
      ? await resumeImport(deps.pool, importId, by.actor)
      : await requestStop(deps.pool, { importId, what, ...by });
  await tellTemporal(deps, importId, async () => {
    await deps.runs.signalRevert(importId, what, { ...by, epoch: after?.epoch });
    if (what === 'pause') await deps.runs.callNext(await nextInLine(deps.pool));
  });
}

async function requestOf(deps: ApiDeps, stored: StoredImport, onConflict: OnConflict) {
  const dataset = await findDataset(deps.pool, stored.tenantId, stored.dataset, stored.datasetVersion);
  if (!dataset) throw new RevertRefused('unknown_dataset', `There is no dataset ${stored.dataset} any more.`);
  const { schema, table } = dataset.target;
  return {
    importId: stored.id,
    lockKey: stored.lockKey,
    tenantId: stored.tenantId,
    target: await describeTarget(deps.pool, schema, table, dataset.key.index, stored.tenantId),
    onConflict,
  };
}

function asProblem(error: unknown, importId: string): unknown {
  if (isNotRevertable(error)) {
    const { hint, message } = error as { hint?: string; message: string };
    return new ApiError(409, hint ?? 'not_possible', message, { importId });
  }
  if (error instanceof RevertRefused || error instanceof TargetRefused)
    return new ApiError(409, error.code, error.message, { importId });
  return error;
}

async function revertJson(deps: ApiDeps, stored: StoredImport): Promise<RevertJson> {
  const { temporalUi, temporalNamespace } = deps.config;
  const workflow = encodeURIComponent(revertRunOf(stored.id));
  const workflowUrl = temporalUi
    ? `${temporalUi.replace(/\/$/, '')}/namespaces/${encodeURIComponent(temporalNamespace)}/workflows/${workflow}`
    : null;
  const runs = await listReverts(deps.pool, stored.id);
  let why: RevertJson['why'] = null;
  try {
    await mayRevert(deps.pool, stored.id, retention.revertSeconds);
  } catch (error) {
    const problem = asProblem(error, stored.id);
    if (!(problem instanceof ApiError)) throw error;
    why = { code: problem.code, message: problem.message };
  }
  return {
    importId: stored.id,
    possible: why === null,
    why,
    until: stored.finishedAt
      ? new Date(stored.finishedAt.getTime() + retention.revertSeconds * 1000).toISOString()
      : null,
    runs: runs.map((run) => ({ ...runJson(run), workflowUrl })),
  };
}

const runJson = (run: StoredRevert): Omit<RevertJson['runs'][number], 'workflowUrl'> => ({
  ...run,
  requestedAt: run.requestedAt.toISOString(),
  plannedAt: run.plannedAt?.toISOString() ?? null,
  finishedAt: run.finishedAt?.toISOString() ?? null,
});
