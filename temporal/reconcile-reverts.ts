import type { Client } from '@temporalio/client';
import type pg from 'pg';
import type { Logger } from 'pino';
import { requestStop, resumeImport, type ImportRow } from '../db/control.ts';
import { finishRevert } from '../db/revert.ts';
import { revertRunOf } from '../workflows/messages.ts';
import { createImportRuns } from './imports.ts';
import { isAlive, workflowState } from './workflow-state.ts';

/** Starts without a new receipt before a revert is given up. */
const MOST_RESTARTS = 3;
/** One that was asked for or resumed only just now may not have its workflow yet. */
const GRACE_SECONDS = 10;

interface OpenRevert extends ImportRow {
  revert: number;
  state: string;
  requested_at: Date;
  receipts: number;
  revert_restarts: number;
  revert_restarted_at: number | null;
  revert_run_id: string | null;
}

/** No import stays in the middle of being undone with nobody behind it; the rules are those of runs. */
export async function reconcileReverts(deps: { pool: pg.Pool; client: Client; log: Logger }): Promise<void> {
  const open = await deps.pool.query<OpenRevert>(
    `select i.*, v.revert, v.state, v.requested_at, v.restarts as revert_restarts, v.restarted_at_receipts as revert_restarted_at,
       v.workflow_run_id as revert_run_id,
       (select count(*) from waybill.revert_receipts c where (c.import_id, c.revert) = (v.import_id, v.revert)) as receipts
     from waybill.imports i join waybill.reverts v on v.import_id = i.import_id and v.state in ('running', 'paused')
     where i.status = 'reverting' and i.updated_at < now() - make_interval(secs => $1)`,
    [GRACE_SECONDS],
  );
  for (const row of open.rows) {
    await reconcileOne(deps, row).catch((error: unknown) =>
      deps.log.warn(
        { err: error, import: row.import_id },
        'could not reconcile this revert; the next pass tries again',
      ),
    );
  }
}

async function reconcileOne(
  { pool, client, log }: { pool: pg.Pool; client: Client; log: Logger },
  row: OpenRevert,
): Promise<void> {
  const importId = row.import_id;
  const { state, closedAt } = await workflowState(client, revertRunOf(importId));
  if (isAlive(state)) return;
  // Read again: between the list and Temporal's answer it may have ended.
  const again = (
    await pool.query<{ epoch: number }>(
      `select epoch from waybill.imports where import_id = $1 and status = 'reverting'`,
      [importId],
    )
  ).rows[0];
  if (again?.epoch !== row.epoch) return;
  const ofThisRevert = closedAt !== null && closedAt >= row.requested_at;
  if ((state === 'TERMINATED' || state === 'CANCELLED') && ofThisRevert) {
    log.info({ import: importId, state }, 'revert ended in Temporal: cancelled');
    await requestStop(pool, {
      importId,
      what: 'cancel',
      actor: 'reconciler',
      reason: `The workflow was ${state.toLowerCase()} in Temporal. What was undone stays so; undo the rest to go on.`,
    });
    return;
  }
  const progress = row.revert_restarted_at === null || row.receipts > row.revert_restarted_at;
  const restarts = progress ? 1 : row.revert_restarts + 1;
  if (row.revert_run_id !== null && restarts > MOST_RESTARTS) {
    log.error({ import: importId, state }, 'revert given up');
    const running = row.state === 'paused' ? await resumeImport(pool, importId, 'reconciler') : row;
    await finishRevert(pool, {
      importId,
      epoch: running!.epoch,
      error: {
        code: 'no_progress',
        message:
          'Undoing was started again three times and got nowhere. What was undone stays so and is accounted for. Try again, and look at the worker log if it happens again.',
      },
    });
    return;
  }
  log.warn({ import: importId, state, restarts }, 'nobody behind this revert: started again');
  await pool.query(
    'update waybill.reverts set restarts = $3, restarted_at_receipts = $4 where import_id = $1 and revert = $2',
    [importId, row.revert, row.revert_run_id === null ? 0 : restarts, row.receipts],
  );
  await createImportRuns(client).startRevert({
    importId,
    tenantId: row.tenant_id,
    dataset: row.dataset,
    fileName: row.file_name,
    policy: row.policy,
  });
}
