import type { Client } from '@temporalio/client';
import type { Logger } from 'pino';
import type pg from 'pg';
import { objectKeys } from '../storage/keys.ts';
import type { ObjectStore } from '../storage/objects.ts';
import { nextInLine, requestStop, type ImportRow } from '../db/control.ts';
import { forgetOldKeys } from '../db/idempotency.ts';
import { withClient } from '../db/connect.ts';
import { createImportRuns } from './imports.ts';
import { reconcileReverts } from './reconcile-reverts.ts';
import { isAlive, workflowState } from './workflow-state.ts';

/** One reconciler at a time over all API processes. */
const RECONCILER_LOCK = 7_295_004;
const EVERY_MS = Number(process.env['WAYBILL_RECONCILE_MS'] ?? 60_000);
/** Starts without a new receipt before the run is given up. */
const MOST_RESTARTS = 3;
/** A run that was queued or resumed only just now may not have its workflow yet. */
const GRACE_SECONDS = 10;

export interface ReconcilerDeps {
  pool: pg.Pool;
  client: Client;
  store: ObjectStore;
  log: Logger;
}

/**
 * No import stays open with nobody behind it: compares open imports with Temporal, at the start and each minute.
 * Terminated or cancelled there: cancelled here. Gone, failed or timed out there: started again from its receipts.
 */
export function startReconciler(deps: ReconcilerDeps): { stop(): Promise<void>; runNow(): Promise<void> } {
  let stopped = false;
  let timer: NodeJS.Timeout | undefined;
  let running: Promise<void> = Promise.resolve();
  const tick = async () => {
    running = reconcile(deps).catch((error: unknown) =>
      deps.log.warn({ err: error }, 'reconciler could not finish; it tries again'),
    );
    await running;
    if (!stopped) timer = setTimeout(() => void tick(), EVERY_MS);
  };
  void tick();
  return {
    async stop() {
      stopped = true;
      clearTimeout(timer);
      await running;
    },
    runNow: () => reconcile(deps),
  };
}

/** One pass over everything that is open. Does nothing where another process is at it. */
export async function reconcile({ pool, client, store, log }: ReconcilerDeps): Promise<void> {
  await withClient(pool, async (lock) => {
    const mine = (
      await lock.query<{ mine: boolean }>('select pg_try_advisory_lock($1) as mine', [RECONCILER_LOCK])
    ).rows[0]!.mine;
    if (!mine) return;
    try {
      await expireUploads(pool, log);
      const open = await pool.query<
        ImportRow & { receipts: number; restarts: number; restarted_at_receipts: number | null }
      >(
        `select i.*, (select count(*) from waybill.receipts r where r.import_id = i.import_id) as receipts
         from waybill.imports i
         where status in ('queued', 'running', 'paused', 'waiting') and updated_at < now() - make_interval(secs => $1)
           or status in ('queued', 'running', 'paused', 'waiting') and workflow_run_id is null and created_at < now() - make_interval(secs => $1)`,
        [GRACE_SECONDS],
      );
      await tidyEnded({ pool, client });
      for (const row of open.rows) {
        await reconcileOne({ pool, client, store, log }, row).catch((error: unknown) =>
          log.warn(
            { err: error, import: row.import_id },
            'could not reconcile this import; the next pass tries again',
          ),
        );
      }
      await reconcileReverts({ pool, client, log });
      await createImportRuns(client).callNext(await nextInLine(pool));
      await forgetOldKeys(pool);
      await abortLeftUploads(pool, store, log);
    } finally {
      await lock.query('select pg_advisory_unlock($1)', [RECONCILER_LOCK]);
    }
  });
}

async function reconcileOne(
  { pool, client, log }: ReconcilerDeps,
  row: ImportRow & { receipts: number; restarts: number; restarted_at_receipts: number | null },
): Promise<void> {
  const { state, closedAt } = await workflowState(client, row.import_id);
  if (isAlive(state)) return;
  // Read again: between the list and Temporal's answer the run may have ended.
  const again = (
    await pool.query<{ status: string; epoch: number }>(
      'select status, epoch from waybill.imports where import_id = $1',
      [row.import_id],
    )
  ).rows[0];
  if (again?.status !== row.status || again.epoch !== row.epoch) return;

  // Of a run that was opened again after that, the new start is what is missing.
  const reopened = row.status === 'queued' && closedAt !== null && closedAt < row.updated_at;
  if ((state === 'TERMINATED' || state === 'CANCELLED') && !reopened) {
    log.info({ import: row.import_id, state }, 'ended in Temporal: cancelled');
    await requestStop(pool, {
      importId: row.import_id,
      what: 'cancel',
      actor: 'reconciler',
      reason: `The workflow was ${state.toLowerCase()} in Temporal. What was committed stays; retry to go on.`,
    });
    await start(client, row);
    return;
  }
  const progress = row.restarted_at_receipts === null || row.receipts > row.restarted_at_receipts;
  const restarts = progress ? 1 : row.restarts + 1;
  // The first start of a queued run whose starter died is no restart.
  if (row.workflow_run_id !== null && restarts > MOST_RESTARTS) {
    log.error({ import: row.import_id, state }, 'given up');
    await giveUp(pool, row.import_id, row.epoch);
    return;
  }
  log.warn({ import: row.import_id, state, restarts }, 'nobody behind this import: started again');
  await pool.query(
    'update waybill.imports set restarts = $2, restarted_at_receipts = $3 where import_id = $1 and epoch = $4',
    [row.import_id, row.workflow_run_id === null ? 0 : restarts, row.receipts, row.epoch],
  );
  await start(client, row);
}

/** A workflow that finds its import over only tidies up after it. */
function start(client: Client, row: ImportRow): Promise<void> {
  return createImportRuns(client).start({
    importId: row.import_id,
    tenantId: row.tenant_id,
    dataset: row.dataset,
    fileName: row.file_name,
    policy: row.policy,
  });
}

/** Ended without a workflow that could drop its staging tables, or undo it: another one is started for just that. */
async function tidyEnded({ pool, client }: Pick<ReconcilerDeps, 'pool' | 'client'>): Promise<void> {
  const left = await pool.query<ImportRow>(
    `select i.* from waybill.imports i
     where i.finished_at < now() - make_interval(secs => $1) and (
       waybill.is_to_be_undone(i) or i.lock_key in (
       select split_part(c.relname, '_', 2)::bigint from pg_class c
       where c.relnamespace = 'stage'::regnamespace and c.relkind = 'r' and c.relname ~ '^(rows|marks)_[0-9]+_[0-9]+$'))`,
    [GRACE_SECONDS],
  );
  for (const row of left.rows) await start(client, row);
}

/** Ended as failed under the exclusive lock, in whatever open state it is. */
async function giveUp(pool: pg.Pool, importId: string, epoch: number): Promise<void> {
  await withClient(pool, async (client) => {
    await client.query('begin');
    const row = (await client.query<ImportRow>('select * from waybill.lock_import($1)', [importId])).rows[0]!;
    if (row.epoch === epoch) {
      if (row.status === 'paused') {
        await client.query(`update waybill.imports set status = 'running' where import_id = $1`, [importId]);
      }
      await client.query('select from waybill.finish($1, $2, $3, null, null, null)', [
        importId,
        epoch,
        JSON.stringify({
          code: 'no_progress',
          message:
            'The run was started again three times and got nowhere. What was committed stays and is accounted for. Retry, and look at the worker log if it happens again.',
        }),
      ]);
    }
    await client.query('commit');
  });
}

/** Uploads that nobody completed: their import ends as cancelled. */
async function expireUploads(pool: pg.Pool, log: Logger): Promise<void> {
  const expired = await pool.query<ImportRow>(
    `select i.* from waybill.imports i join waybill.uploads u using (import_id)
     where i.status = 'uploading' and u.completed_at is null and u.expires_at < now() - interval '1 day'`,
  );
  for (const row of expired.rows) {
    log.info({ import: row.import_id }, 'upload expired');
    await requestStop(pool, {
      importId: row.import_id,
      what: 'cancel',
      actor: 'reconciler',
      reason: 'The upload was never completed.',
    });
  }
}

/** Parts in the store of uploads whose import has ended: the store may have been away when it did. */
async function abortLeftUploads(pool: pg.Pool, store: ObjectStore, log: Logger): Promise<void> {
  const left = await pool.query<{ import_id: string; tenant_id: string; store_upload_id: string }>(
    `select i.import_id, i.tenant_id, u.store_upload_id from waybill.uploads u join waybill.imports i using (import_id)
     where i.status in ('cancelled', 'failed') and u.completed_at is null and u.aborted_at is null limit 100`,
  );
  for (const { import_id, tenant_id, store_upload_id } of left.rows) {
    try {
      await store.abortUpload(objectKeys(tenant_id, import_id).source, store_upload_id);
      await pool.query('update waybill.uploads set aborted_at = now() where import_id = $1', [import_id]);
    } catch (error) {
      log.warn(
        { err: error, import: import_id },
        'the parts of this upload could not be removed; the next pass tries again',
      );
    }
  }
}
