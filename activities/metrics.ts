import { metricMeter } from '@temporalio/activity';
import type pg from 'pg';

/**
 * What Prometheus is told of imports, through the same exporter as the SDK's own figures (WAYBILL_METRICS). Names carry
 * the prefix `waybill_`; tenants and import ids are never labels: their number has no bound.
 */

/** A run has ended: its rows by outcome, and how long each phase took. */
export async function countRun(pool: pg.Pool, importId: string): Promise<void> {
  const { rows } = await pool.query<{
    dataset: string;
    status: string;
    accounting: Record<string, number> | null;
    phases: { name: string; seconds: number }[];
  }>(
    `select dataset, status, accounting, (
       select coalesce(jsonb_agg(jsonb_build_object('name', name,
         'seconds', extract(epoch from coalesce(finished_at, clock_timestamp()) - started_at))), '[]')
       from waybill.phases p where p.import_id = i.import_id) as phases
     from waybill.imports i where import_id = $1`,
    [importId],
  );
  const [run] = rows;
  if (!run) return;
  const { dataset, status } = run;
  metricMeter.createCounter('waybill_imports', undefined, 'Imports that ended').add(1, { dataset, status });
  const written = metricMeter.createCounter('waybill_rows', undefined, 'Rows of ended imports, by outcome');
  const { input = 0, ...outcomes } = run.accounting ?? {};
  for (const [outcome, count] of Object.entries(outcomes)) written.add(count, { dataset, outcome });
  const took = metricMeter.createHistogram('waybill_phase_seconds', 'float', 's', 'Duration of each phase');
  const speed = metricMeter.createHistogram(
    'waybill_phase_rows_per_second',
    'float',
    undefined,
    'Rows of the file over the duration of the phase',
  );
  for (const { name: phase, seconds } of run.phases) {
    took.record(seconds, { dataset, phase });
    if (seconds > 0) speed.record(input / seconds, { dataset, phase });
  }
}

/** A run has got the turn or slot that it asked for. */
export async function countWait(pool: pg.Pool, importId: string, turn: string): Promise<void> {
  const { rows } = await pool.query<{ dataset: string; seconds: number }>(
    `select i.dataset, extract(epoch from t.taken_at - k.requested_at)::float8 as seconds
     from waybill.turns t join waybill.tickets k on k.turn = t.turn and k.import_id = t.holder
     join waybill.imports i on i.import_id = t.holder where t.turn = $1 and t.holder = $2`,
    [turn, importId],
  );
  const [wait] = rows;
  if (!wait) return;
  metricMeter
    .createHistogram(
      'waybill_queue_wait_seconds',
      'float',
      's',
      'From asking for a turn or slot to having it',
    )
    .record(Math.max(0, wait.seconds), {
      dataset: wait.dataset,
      kind: turn.startsWith('slot:') ? 'slot' : 'turn',
    });
}

/** An attempt ended otherwise than well; `cause` is one of few words. */
export function countFailure(activity: string, cause: string): void {
  metricMeter
    .createCounter('waybill_failed_attempts', undefined, 'Attempts of activities that failed, by cause')
    .add(1, { activity, cause });
}

let lanes = 0;

/** Counts a lane as active while `work` runs. */
export async function inLane<T>(work: () => Promise<T>): Promise<T> {
  const active = metricMeter.createGauge(
    'waybill_active_lanes',
    'int',
    undefined,
    'Lanes that apply batches now',
  );
  active.set(++lanes);
  try {
    return await work();
  } finally {
    active.set(--lanes);
  }
}
