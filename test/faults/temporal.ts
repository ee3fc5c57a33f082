import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { repeated, retryCancelled, type Case, type Strike } from './case.ts';
import { startSecondWorker } from './instance.ts';
import { freshBatch } from './moments.ts';

/** As somebody who presses Reset in the Temporal Web UI, to the first task of the workflow. */
const pressReset: Strike = async ({ instance }, id, seen) => {
  const found = await seen(freshBatch(instance, id));
  if (found === null) return null;
  const { workflowService, options } = instance.temporal;
  const { namespace } = options;
  // A run that has just been reset has not completed a task yet.
  const firstTask = async () =>
    (await instance.temporal.workflow.getHandle(id).fetchHistory()).events?.find(
      (event) => event.workflowTaskCompletedEventAttributes,
    )?.eventId;
  let event: Awaited<ReturnType<typeof firstTask>> = null;
  const completed = await seen(async () => ((event = await firstTask()) ? 'a task' : null));
  if (completed === null) return null;
  await workflowService.resetWorkflowExecution({
    namespace,
    workflowExecution: { workflowId: id },
    reason: 'a fault test',
    workflowTaskFinishEventId: event,
    requestId: `${Date.now()}`,
  });
  return found;
};

const SIGNALS = ['pause', 'resume', 'pause', 'resume', 'resume', 'pause'] as const;

/** Signals twice, late and in any order, and then a resume that counts. */
const signals: Strike = async ({ instance, random }, id, seen) => {
  const found = await seen(freshBatch(instance, id));
  if (found === null) return null;
  const handle = instance.temporal.workflow.getHandle(id);
  const shuffled = [...SIGNALS].sort(() => random() - 0.5);
  await Promise.all(
    shuffled.map(async (name) => {
      await delay(random() * 300);
      await handle.signal(name, { actor: 'the harness' });
    }),
  );
  // Whatever they came to, in the end somebody wants it to go on.
  for (let quiet = 0; quiet < 10;) {
    const { status } = await instance.document(id);
    if (status === 'paused') {
      await instance.api('POST', `/imports/${id}/resume`);
      quiet = 0;
    } else quiet++;
    await delay(100);
  }
  return found;
};

/** Cancelled by the API; what was written is kept, and retry does the rest. */
const cancelThenRetry: Strike = async ({ instance, random }, id, seen) => {
  const found = await seen(freshBatch(instance, id));
  if (found === null) return null;
  await delay(random() * 1000);
  await instance.api('POST', `/imports/${id}/cancel`);
  await retryCancelled(instance, id);
  return found;
};

/** Cancelled in the moment of the last batches. */
const cancelAtTheFinish: Strike = async ({ instance, random }, id, seen) => {
  const found = await seen(async () => {
    const [row] = await instance.sql<{ left: number }>(
      `select (select count(*) from waybill.batches b where b.import_id = $1 and superseded_at is null)::int
         - (select count(*) from waybill.receipts r where r.import_id = $1)::int as left
       where exists (select from waybill.batches where import_id = $1)`,
      [id],
    );
    return row !== undefined && row.left <= 2 ? `${row.left} batches to go` : null;
  });
  if (found === null) return null;
  await delay(random() * 800);
  await instance.api('POST', `/imports/${id}/cancel`);
  await retryCancelled(instance, id);
  return found;
};

/** Nothing of the run is left in Temporal: it begins with an empty database. */
const databaseLost: Strike = async ({ instance }, id, seen) => {
  const found = await seen(freshBatch(instance, id));
  if (found === null) return null;
  for (const ending of ['', '-wal', '-shm'])
    rmSync(join(instance.data, 'temporal', `temporal.db${ending}`), { force: true });
  await instance.restarted('temporal', instance.signal('temporal', 'SIGKILL'));
  return found;
};

/** Beside a worker whose clock is right there is one whose clock is not. */
const clockOff =
  (minutes: number): Strike =>
  async ({ instance }, id, seen) => {
    const shift = `data:text/javascript,const now = Date.now; Date.now = () => now() + ${minutes * 60_000};
      globalThis.Date = new Proxy(Date, { construct: (T, a) => a.length ? new T(...a) : new T(Date.now()) });`;
    const second = await startSecondWorker(instance, { NODE_OPTIONS: `--import ${JSON.stringify(shift)}` });
    try {
      const found = await seen(freshBatch(instance, id));
      if (found === null) return null;
      // The one that is right goes, so that the other has to do the work.
      await instance.restarted('worker', instance.signal('worker', 'SIGKILL'));
      await seen(async () => null);
      return found;
    } finally {
      await second.drain();
    }
  };

const inApply = (kind: string, name: string, times: number, strike: Strike): Case =>
  repeated({ kind, name, times, strike, slow: 0.25, scenarios: 'import' });

/** What Temporal and those who press its buttons do to a run. */
export const temporalFaults: Case[] = [
  inApply('reset in Temporal', 'Reset pressed in Temporal', 2, pressReset),
  inApply('signals', 'signals twice, late, in any order', 2, signals),
  inApply('cancel', 'cancelled in mid-apply, then retry', 2, cancelThenRetry),
  inApply('cancel', 'cancel races the finish', 1, cancelAtTheFinish),
  inApply('Temporal’s database lost', 'Temporal begins with an empty database', 1, databaseLost),
  inApply('clock moved', 'a worker whose clock is ten minutes ahead', 1, clockOff(10)),
  inApply('clock moved', 'a worker whose clock is ten minutes behind', 1, clockOff(-10)),
];
