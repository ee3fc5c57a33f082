import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { repeated, type Bench, type Case, type Strike } from './case.ts';
import { caughtAt, closeGate, copyOpen, freshBatch, planning, until } from './moments.ts';

const call = (command: string, ...args: string[]): void => {
  const { status, stderr } = spawnSync(command, args, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`${command} ${args.join(' ')}: ${stderr}`);
};

/** The target is moved to a disk of its own that has room for little more than what is there. */
const diskFull: Strike = async ({ instance }) => {
  const disk = join(instance.data, 'small-disk');
  mkdirSync(disk, { recursive: true });
  call('mount', '-t', 'tmpfs', '-o', 'size=1g,mode=777', 'tmpfs', disk);
  const space = join(disk, 'space');
  mkdirSync(space);
  chmodSync(space, 0o777);
  const owner = instance.run().pids.postgres;
  call('chown', '--reference', `/proc/${owner}`, space);
  let found: string;
  const gate = await closeGate(instance);
  try {
    found = await until('batches at the gate', caughtAt(gate, 2));
    // Those two go on and lose their backends, so that the table can be moved.
    for (const pid of await gate.caught()) await instance.sql('select pg_terminate_backend($1)', [pid]);
    await instance.sql(`create tablespace small location '${space}'`);
    await instance.sql(
      'begin; lock table catalog.products; alter table catalog.products set tablespace small; commit',
    );
    const used = Number(
      spawnSync('df', ['--output=used', '-k', disk], { encoding: 'utf8' }).stdout.split('\n')[1],
    );
    call('mount', '-o', `remount,size=${used + 64}k`, disk);
  } finally {
    await gate.release();
  }
  const log = join(instance.data, 'logs', 'postgres.log');
  await until('a full disk', async () =>
    spawnSync('grep', ['-c', 'No space left on device', log], { encoding: 'utf8' }).stdout.trim() === '0'
      ? null
      : '',
  );
  call('mount', '-o', 'remount,size=1g', disk);
  return found;
};

/** So that the next instance or case does not find it. */
async function giveDiskBack({ instance }: Bench): Promise<void> {
  await instance.sql('alter table catalog.products set tablespace pg_default');
  await instance.sql('drop tablespace small');
  call('umount', join(instance.data, 'small-disk'));
}

const connectionLimit: Strike = async ({ instance }, id, seen) => {
  const found = await seen(freshBatch(instance, id));
  if (found === null) return null;
  await instance.sql('alter role waybill_worker connection limit 0');
  await instance.sql(
    `select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'waybill worker'`,
  );
  await delay(3000);
  await instance.sql('alter role waybill_worker connection limit -1');
  return found;
};

/** The batch waits for what we hold, and we ask for what it holds; the server ends the batch, not us. */
const deadlock: Strike = async ({ instance }, id, seen) => {
  const found = await seen(freshBatch(instance, id));
  if (found === null) return null;
  const gate = await closeGate(instance);
  try {
    await until('batches at the gate', caughtAt(gate, 1));
    await gate.ask(`select pg_advisory_xact_lock(lock_key) from waybill.imports where import_id = '${id}'`);
  } finally {
    await gate.release();
  }
  return found;
};

const CODES = {
  'serialization failure': '40001',
  'lock time-out': '55P03',
  'out of memory': '53200',
} as const;

/** The next write of the target ends with this SQLSTATE, from inside the server. */
const raised =
  (code: string): Strike =>
  async ({ instance }, id, seen) => {
    const found = await seen(freshBatch(instance, id));
    if (found === null) return null;
    const before = await instance.sql<{ n: number }>('select nextval($1)::int as n', ['public.raised']);
    await instance.sql('update public.raise set code = $1', [code]);
    await until('the server refusing', async () => {
      const [row] = await instance.sql<{ n: number }>('select last_value::int as n from public.raised');
      return row!.n > before[0]!.n ? '' : null;
    });
    await instance.sql('update public.raise set code = null');
    return found;
  };

const cancelled =
  (how: 'pg_cancel_backend' | 'pg_terminate_backend', where: 'batch' | 'copy' | 'plan'): Strike =>
  async ({ instance }, id, seen) => {
    const moment = { batch: freshBatch(instance, id), copy: copyOpen(instance), plan: planning(instance) };
    const found = await seen(moment[where]);
    if (found === null) return null;
    const query = { batch: 'apply_batches|revert_batches', copy: '^copy', plan: 'create table stage.plan' };
    await instance.sql(
      `select ${how}(pid) from pg_stat_activity where application_name = 'waybill worker' and state = 'active' and query ~* $1`,
      [query[where]],
    );
    return found;
  };

const inApply = (kind: string, name: string, times: number, strike: Strike): Case =>
  repeated({ kind, name, times, strike, slow: 0.25, scenarios: 'any' });

/** What a server does to whoever works on it. */
export const databaseFaults: Case[] = [
  repeated({
    kind: 'disk full',
    name: 'disk of the target full',
    times: 1,
    strike: diskFull,
    after: giveDiskBack,
  }),
  inApply('connection limit', 'no connection left for the worker for 3 s', 2, connectionLimit),
  inApply('deadlock', 'a batch loses a deadlock', 2, deadlock),
  ...Object.entries(CODES).map(([name, code]) => inApply('error of the server', name, 2, raised(code))),
  inApply(
    'statement time-out',
    'batches cancelled in mid-statement',
    3,
    cancelled('pg_cancel_backend', 'batch'),
  ),
  inApply('backend terminated', 'batches terminated', 3, cancelled('pg_terminate_backend', 'batch')),
  repeated({
    kind: 'backend terminated',
    name: 'COPY terminated',
    times: 2,
    strike: cancelled('pg_terminate_backend', 'copy'),
  }),
  repeated({
    kind: 'statement time-out',
    name: 'COPY cancelled',
    times: 2,
    strike: cancelled('pg_cancel_backend', 'copy'),
  }),
  repeated({
    kind: 'statement time-out',
    name: 'the plan cancelled while it is made',
    times: 1,
    strike: cancelled('pg_cancel_backend', 'plan'),
  }),
];
