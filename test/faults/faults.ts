import { setTimeout as delay } from 'node:timers/promises';
import { disturbed, lanesOf, repeated, retryCancelled, type Bench, type Case, type Strike } from './case.ts';
import { databaseFaults } from './database.ts';
import { orphans } from './oracle.ts';
import { lineFaults } from './lines.ts';
import { startSecondWorker, type Instance, type Role } from './instance.ts';
import { sourceFaults } from './source.ts';
import { temporalFaults } from './temporal.ts';
import {
  barrier,
  batchOpen,
  caughtAt,
  closeGate,
  copyOpen,
  freshBatch,
  objectRead,
  openBatches,
  planning,
  until,
} from './moments.ts';

const SLOW = 0.25;

const kill =
  (role: Role, signal: NodeJS.Signals = 'SIGKILL'): Strike =>
  async ({ instance, random }, id, seen) => {
    if ((await seen(freshBatch(instance, id))) === null) return null;
    // Not at the very first batch: the other lane would never come to write beside it.
    await delay(random() * 200);
    const found = await seen(batchOpen(instance, id));
    if (found !== null) await instance.restarted(role, instance.signal(role, signal));
    return found;
  };

const inApply = (kind: string, name: string, times: number, strike: Strike): Case =>
  repeated({ kind, name, times, strike, slow: SLOW, scenarios: 'any' });

const thrice: Case = {
  ...repeated({
    kind: 'worker killed',
    name: 'worker killed in mid-apply, three times',
    times: 3,
    slow: SLOW,
    lanes: 2,
    scenarios: 'any',
    strike: async (bench, id, seen, before) => {
      // Once with both lanes in the database: after a kill each comes back when its own heartbeat has run out,
      // and what is left of a small file may be done by then.
      if (before === 0 && (await seen(batchOpen(bench.instance, id, lanesOf(bench.scenario)))) === null)
        return null;
      return kill('worker')(bench, id, seen, before);
    },
  }),
  ci: true,
};

function atMoment(
  kind: string,
  name: string,
  options: { wide?: boolean; slow?: number; ci?: true; scenarios?: 'any' },
  strike: (bench: Bench, id: string) => Promise<string>,
): Case {
  return {
    kind,
    name,
    ...(options.ci && { ci: true }),
    ...(options.scenarios && { scenarios: options.scenarios }),
    run: (bench) => disturbed(bench, options, (id) => strike(bench, id)),
  };
}

const killInStaging = atMoment(
  'worker killed in staging',
  'worker killed in mid-staging',
  {},
  async ({ instance }, _id) => {
    const seen = await until('an open COPY', copyOpen(instance));
    await instance.restarted('worker', instance.signal('worker', 'SIGKILL'));
    return seen;
  },
);

const killInInspect = atMoment(
  'worker killed in inspection',
  'worker killed in mid-inspection',
  { wide: true },
  async ({ instance, wideBytes }, id) => {
    const seen = await until('the object being read', objectRead(instance, id, wideBytes));
    await instance.restarted('worker', instance.signal('worker', 'SIGKILL'));
    return seen;
  },
);

/** Kills the worker while its batches are stopped before their receipts, and lets them commit. */
export async function killWithLostAnswer({ instance }: Bench): Promise<string> {
  const gate = await closeGate(instance);
  const seen = await until('batches at the gate', caughtAt(gate, 2));
  const pid = instance.signal('worker', 'SIGKILL');
  await gate.release();
  await instance.restarted('worker', pid);
  return seen;
}

const lostAnswer = atMoment(
  'acknowledgement lost',
  'worker killed; its batches commit with nobody to answer',
  { scenarios: 'any' },
  killWithLostAnswer,
);

const secondAttempt = atMoment(
  'second attempt',
  'second attempt while the first is still in the database',
  { scenarios: 'any' },
  async ({ instance }) => {
    const gate = await closeGate(instance);
    const seen = await until('batches at the gate', caughtAt(gate, 2));
    const first = await gate.caught();
    await instance.restarted('worker', instance.signal('worker', 'SIGKILL'));
    const waiting = await until('the second attempt waiting', async () => {
      const rows = await instance.sql(
        `select from pg_stat_activity where application_name = 'waybill worker' and pg_blocking_pids(pid) && $1::int[]`,
        [first],
      );
      return rows.length === 0 ? null : `${rows.length} second attempts behind them`;
    });
    await gate.release();
    return `${seen}; ${waiting}`;
  },
);

/** Completed in the database, and nobody has told Temporal: the API is killed while Temporal does not answer. */
const apiBeforeStart: Case = {
  kind: 'API killed',
  name: 'API killed between completion and the start of the workflow',
  run: (bench) =>
    disturbed(
      bench,
      { submit: async (file) => (await bench.instance.upload(file)).complete },
      async (id, complete) => {
        const { instance } = bench;
        const temporal = instance.signal('temporal', 'SIGSTOP');
        const asked = instance.api('POST', '/imports/complete', complete).catch(() => null);
        const seen = await until('the import queued without a workflow', async () => {
          const [row] = await instance.sql<{ status: string; run: string | null }>(
            'select status, workflow_run_id as run from waybill.imports where import_id = $1',
            [id],
          );
          return row!.status === 'queued' && row!.run === null ? 'queued, no workflow yet' : null;
        });
        const api = instance.signal('api', 'SIGKILL');
        // What the API had sent must not be read after all.
        instance.signal('temporal', 'SIGKILL');
        await asked;
        await Promise.all([instance.restarted('api', api), instance.restarted('temporal', temporal)]);
        return seen;
      },
    ),
};

/** The server goes down while batches are stopped before their receipts. */
const postgresDown =
  (signal: NodeJS.Signals): ((bench: Bench) => Promise<string>) =>
  async ({ instance, scenario }) => {
    const gate = await closeGate(instance);
    const seen = await until('batches at the gate', caughtAt(gate, lanesOf(scenario)));
    await instance.restarted('postgres', instance.signal('postgres', signal));
    await gate.release();
    return seen;
  };

const postgresRestart = atMoment(
  'PostgreSQL restarted',
  'PostgreSQL restarted in mid-apply',
  { scenarios: 'any' },
  postgresDown('SIGINT'),
);

const postgresKilled = atMoment(
  'PostgreSQL killed',
  'PostgreSQL killed in mid-apply',
  { ci: true, scenarios: 'any' },
  postgresDown('SIGKILL'),
);

const postgresInPlan: Case = {
  kind: 'PostgreSQL killed',
  name: 'PostgreSQL killed while it plans: staging is emptied',
  async run(bench) {
    let id = '';
    const outcome = await disturbed(bench, {}, async (importId) => {
      id = importId;
      const seen = await until('the plan being made', planning(bench.instance));
      await bench.instance.restarted('postgres', bench.instance.signal('postgres', 'SIGKILL'));
      return seen;
    });
    const [row] = await bench.instance.sql<{ incarnation: number }>(
      'select incarnation from waybill.imports where import_id = $1',
      [id],
    );
    if (row!.incarnation < 2) outcome.verdict.problems.push('no new incarnation was staged');
    return outcome;
  },
};

const storeInRead = atMoment(
  'object store',
  'S3 restarted while the object is read',
  { wide: true },
  async ({ instance, wideBytes }, id) => {
    const moment = objectRead(instance, id, wideBytes);
    await until('the object being read', moment);
    const pid = instance.signal('s3', 'SIGSTOP');
    const seen = await moment();
    if (seen === null) throw new Error('the object was read before the store could be stopped');
    instance.signal('s3', 'SIGKILL');
    await instance.restarted('s3', pid);
    return seen;
  },
);

/** A lock for each pair of a batch's statements; whoever waits for it is terminated there. */
export const POINTS: { where: string; locks(importId: string, lockKey: number): string }[] = [
  { where: 'before its first lock', locks: (_, key) => `select pg_advisory_xact_lock(${key})` },
  {
    where: 'before its batch rows',
    locks: (id) => `select from waybill.batches where import_id = '${id}' for update`,
  },
  { where: 'before its inserts', locks: () => 'lock table catalog.products in share mode' },
  { where: 'after its inserts', locks: () => 'lock table public.write_log in share mode' },
  { where: 'before an update', locks: () => 'select from catalog.products for update' },
  { where: 'before its images', locks: (_, key) => `lock table stage.images_${key} in share mode` },
  { where: 'before its receipt', locks: () => 'lock table waybill.receipts in share mode' },
];

const terminated: Case = {
  kind: 'backend terminated',
  name: 'backend terminated between each pair of statements',
  run: (bench) =>
    disturbed(bench, { slow: 0.1 }, async (id) => {
      const { instance, random } = bench;
      const [row] = await until('a plan', async () => {
        const rows = await instance.sql<{ lock_key: number }>(
          'select lock_key::int from waybill.imports where import_id = $1 and exists (select from waybill.waves w where w.import_id = $1)',
          [id],
        );
        return rows.length === 0 ? null : JSON.stringify(rows);
      }).then((text) => JSON.parse(text) as { lock_key: number }[]);
      const struck: string[] = [];
      for (const { where, locks } of POINTS) {
        const hold = await barrier(instance, locks(id, row!.lock_key));
        await until(`a backend ${where}`, async () => ((await hold.caught()).length > 0 ? '' : null));
        for (const pid of await hold.caught()) await instance.sql('select pg_terminate_backend($1)', [pid]);
        struck.push(where);
        await hold.release();
      }
      let more = 0;
      for (let i = 0; i < 3; i++) {
        await delay(random() * 200);
        const [pid] = await openBatches(instance);
        if (pid === undefined) continue;
        await instance.sql('select pg_terminate_backend($1)', [pid]);
        more++;
      }
      return `a batch at ${struck.length} points, and ${more} at random`;
    }),
};

/** Ended from Temporal's side: the import ends as cancelled, and retry brings it to its right end. */
function pressed(what: 'terminate' | 'cancel'): Case {
  return {
    kind: `${what} pressed in Temporal`,
    name: `${what === 'terminate' ? 'Terminate' : 'Cancel'} pressed in Temporal, then retry`,
    run: (bench) =>
      disturbed(bench, { slow: SLOW }, async (id) => {
        const { instance } = bench;
        const seen = await until('an open batch', batchOpen(instance, id));
        const handle = instance.temporal.workflow.getHandle(id);
        await (what === 'terminate' ? handle.terminate('a fault test') : handle.cancel());
        const status = await retryCancelled(instance, id, async () => {
          const left = await orphans(instance);
          if (left.length > 0) throw new Error(`cancelled, and left behind: ${left.join(', ')}`);
        });
        if (status !== 'cancelled') throw new Error(`it ended as ${status}, not cancelled`);
        return seen;
      }),
  };
}

/** What a worker would send that has slept through the pause: the last batch, with the epoch of before. */
async function lateBatch(instance: Instance, id: string): Promise<void> {
  try {
    await instance.sql(
      `select from waybill.imports i, lateral (select wave, batch from waybill.batches b where b.import_id = i.import_id
         and superseded_at is null order by wave desc, batch desc limit 1) b,
         lateral waybill.apply_batches(i.import_id, i.epoch - 1, b.wave, b.batch, b.batch) where i.import_id = $1`,
      [id],
    );
  } catch (error) {
    if ((error as { code?: string }).code === 'WB001') return;
    throw error;
  }
  throw new Error('rows moved: a batch of an older epoch was not fenced');
}

/** Pauses, watches for ten seconds that nothing moves, resumes. */
export async function pauseForAWhile(
  bench: Bench,
  id: string,
  seconds = 10,
): Promise<{ inFlight: string; tookMs: number }> {
  const { instance } = bench;
  const inFlight = await until('an open batch', batchOpen(instance, id));
  const asked = performance.now();
  const answer = await instance.api('POST', `/imports/${id}/pause`);
  if (answer.status !== 200)
    throw new Error(`pause was answered with ${answer.status} ${JSON.stringify(answer.body)}`);
  const tookMs = performance.now() - asked;
  const written = async () =>
    (
      await instance.sql<{ n: number; r: number }>(
        'select (select count(*)::int from public.write_log) as n, (select count(*)::int from waybill.receipts where import_id = $1) as r',
        [id],
      )
    )[0]!;
  const before = await written();
  await lateBatch(instance, id);
  for (let second = 0; second < seconds; second++) {
    await delay(1000);
    const now = await written();
    if (now.n !== before.n || now.r !== before.r)
      throw new Error(`rows moved ${second + 1} s after the pause`);
    const { status } = await instance.document(id);
    if (status !== 'paused') throw new Error(`shown as ${status} while it is paused`);
  }
  const resumed = await instance.api('POST', `/imports/${id}/resume`);
  if (resumed.status !== 200)
    throw new Error(`resume was answered with ${resumed.status} ${JSON.stringify(resumed.body)}`);
  if (tookMs > 1000) throw new Error(`the pause took ${tookMs.toFixed(0)} ms`);
  return { inFlight, tookMs };
}

const paused: Case = {
  kind: 'paused',
  name: 'paused for 10 s, resumed',
  run: (bench) =>
    disturbed(bench, { slow: SLOW, lanes: 2 }, async (id) => {
      const { inFlight, tookMs } = await pauseForAWhile(bench, id);
      return `${inFlight}; paused after ${tookMs.toFixed(0)} ms`;
    }),
};

/** Past this Temporal has given the worker up. */
const HEARTBEAT_MS = 5000;

const zombie = atMoment(
  'zombie writer',
  'worker frozen past its heartbeat, goes on beside its successor',
  { scenarios: 'any' },
  async ({ instance }) => {
    const gate = await closeGate(instance);
    const seen = await until('batches at the gate', caughtAt(gate, 2));
    const first = await gate.caught();
    instance.signal('worker', 'SIGSTOP');
    const second = await startSecondWorker(instance);
    try {
      await delay(HEARTBEAT_MS);
      const waiting = await until('the second attempt waiting', async () => {
        const rows = await instance.sql(
          `select from pg_stat_activity where application_name = 'waybill worker' and pg_blocking_pids(pid) && $1::int[] and pid <> all($1)`,
          [first],
        );
        return rows.length === 0 ? null : `${rows.length} second attempts behind them`;
      });
      await gate.release();
      // The frozen one's transactions commit; it wakes while its successor is at the next batches.
      instance.signal('worker', 'SIGCONT');
      return `${seen}; ${waiting}`;
    } finally {
      await gate.release();
      instance.signal('worker', 'SIGCONT');
      await second.drain();
    }
  },
);

/** The set of `--short`: each way to go down once. */
export const shortFaults: Case[] = [
  thrice,
  killInStaging,
  killInInspect,
  lostAnswer,
  secondAttempt,
  inApply('API killed', 'API killed in mid-import', 1, kill('api')),
  apiBeforeStart,
  postgresRestart,
  postgresKilled,
  postgresInPlan,
  storeInRead,
  inApply('Temporal killed', 'Temporal killed in mid-apply', 1, kill('temporal')),
  terminated,
  pressed('terminate'),
  pressed('cancel'),
  paused,
  zombie,
];

export const faults: Case[] = [
  ...shortFaults,
  inApply('worker drained', 'worker asked to stop (SIGTERM) in mid-apply', 3, kill('worker', 'SIGTERM')),
  inApply('API killed', 'API killed three times in mid-apply', 3, kill('api')),
  inApply('Temporal killed', 'Temporal killed twice in mid-apply', 2, kill('temporal')),
  inApply('PostgreSQL killed', 'PostgreSQL killed twice in mid-apply', 2, kill('postgres')),
  ...databaseFaults,
  ...lineFaults,
  ...sourceFaults,
  ...temporalFaults,
];
