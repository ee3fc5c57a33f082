import { Context } from '@temporalio/activity';
import { nextInLine } from '../db/control.ts';
import {
  BATCH_RECORDS,
  claimRevert,
  finishRevert,
  listReverts,
  pendingReverts,
  planRevert,
  revertBatches,
  type StoredRevert,
} from '../db/revert.ts';
import type { RevertCounts } from '../db/revert-plan.ts';
import type { Claimed } from './control.ts';
import type { ActivityDeps } from './deps.ts';
import { inLane } from './metrics.ts';
import { paced } from './pace.ts';
import { datasetOf, isHeavy, readImport, targetOf, type RunInput } from './run.ts';

/** What the workflow knows of a revert after a claim. */
export interface RevertClaimed {
  revert: number;
  paused: boolean;
  run: Claimed;
}

interface RevertInput extends RunInput {
  revert: number;
}

/** Quick ones, on the control queue. */
export function createRevertControl(deps: ActivityDeps) {
  const { pool } = deps;
  return {
    /** Takes the revert for this workflow run; null where there is nothing to undo (any more). */
    async claimRevert(input: { importId: string; runId: string }): Promise<RevertClaimed | null> {
      const claim = await claimRevert(pool, input.importId, input.runId);
      if (!claim) return null;
      const row = await readImport(deps, input.importId);
      return {
        revert: claim.revert,
        paused: claim.paused,
        run: {
          epoch: claim.epoch,
          status: row.status,
          tenantId: row.tenant_id,
          dataset: row.dataset,
          fileName: row.file_name,
          policy: row.policy,
          approvedWave: null,
          plan: null,
          heavy: isHeavy(deps, (row.input_accepted ?? 0) + (row.input_rejected ?? 0), row.file_size ?? 0),
        },
      };
    },

    async lookAtRevert(input: {
      importId: string;
      workflowId: string;
      runId: string;
    }): Promise<{ status: string; paused: boolean; current: boolean }> {
      const [revert] = await listReverts(pool, input.importId);
      const { status } = await readImport(deps, input.importId);
      const current = (await deps.currentRun(input.workflowId)) === input.runId;
      return { status, paused: revert?.state === 'paused', current };
    },

    async pendingRevert(input: RevertInput): Promise<Awaited<ReturnType<typeof pendingReverts>>> {
      const pending = await pendingReverts(pool, input.importId, input.revert);
      return { ...pending, lanes: Math.min(pending.lanes, deps.throttle.lanes) };
    },

    /** Ends it: as its proof says, or with the error that kept it from going on. */
    async endRevert(
      input: RunInput & { error?: { code: string; message: string } },
    ): Promise<{ status: string; result: StoredRevert['result'] }> {
      const { status } = await finishRevert(pool, input);
      const [revert] = await listReverts(pool, input.importId);
      await deps.wake(await nextInLine(pool));
      deps.log.info({ import: input.importId, status, result: revert!.result }, 'revert ended');
      return { status, result: revert!.result };
    },
  };
}

export function createRevertActivities(deps: ActivityDeps) {
  const { pool, throttle } = deps;
  return {
    async planRevert(input: RevertInput): Promise<{ counts: RevertCounts }> {
      const row = await readImport(deps, input.importId);
      const [revert] = await listReverts(pool, input.importId);
      const { counts } = await planRevert(
        pool,
        {
          importId: row.import_id,
          lockKey: row.lock_key,
          tenantId: row.tenant_id,
          target: await targetOf(deps, await datasetOf(deps, row), row.tenant_id),
          onConflict: revert!.onConflict,
          revert: input.revert,
        },
        input.epoch,
        Context.current().cancellationSignal,
      );
      return { counts };
    },

    async applyRevert(input: RevertInput & { first: number; last: number }): Promise<void> {
      const { cancellationSignal } = Context.current();
      await inLane(() =>
        paced(
          input,
          cancellationSignal,
          (first, last) => revertBatches(pool, { ...input, first, last }),
          (batches) => throttle.after(batches * BATCH_RECORDS, cancellationSignal),
        ),
      );
    },
  };
}
