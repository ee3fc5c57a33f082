/**
 * `npm run demo:kill`: an import whose processes are killed with -9 at random, again and again, ending in its proof and
 * in a count of the writes that the database itself kept. For somebody who does not believe it. `-- --rows N --seed S`.
 */
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { randomFrom } from './case.ts';
import { expectedAccounting, seedTarget, writeCsv } from './files.ts';
import { startInstance, type Instance, type Role } from './instance.ts';
import { beginRun, installOracle, throttle } from './oracle.ts';

const { values: flags } = parseArgs({ options: { rows: { type: 'string' }, seed: { type: 'string' } } });
const spec = { rows: Number(flags.rows ?? 300_000) };
const seed = Number(flags.seed ?? Date.now() % 100_000);
const random = randomFrom(seed);
const begin = Date.now();
const between = (least: number, most: number): number => least + random() * (most - least);
const say = (line: string): void =>
  console.log(`${((Date.now() - begin) / 1000).toFixed(1).padStart(6)} s  ${line}`);

/** Whom to kill, and how often in comparison: the worker is what people are afraid for. */
const VICTIMS: Role[] = ['worker', 'worker', 'worker', 'postgres', 'temporal', 'api', 's3'];
/** After this the rest is left in peace, so that the demonstration ends. */
const KILLING_MS = 50_000;
/** Killed before it has moved again, an import shows nothing but the beginning; so long is it given for that. */
const PATIENCE_MS = 10_000;

const BAR = 30;
function bar(done: number, total: number): string {
  const share = total === 0 ? 0 : Math.min(1, done / total);
  const full = Math.round(share * BAR);
  return `[${'#'.repeat(full)}${'.'.repeat(BAR - full)}] ${String(Math.floor(share * 100)).padStart(3)}%`;
}

async function killUntilDone(instance: Instance, id: string): Promise<number> {
  let kills = 0;
  let next = Date.now() + between(500, 2000);
  let shown = '';
  let killedAt = { time: 0, line: '' };
  const stop = Date.now() + KILLING_MS;
  for (;;) {
    const [row] = await instance.sql<{ status: string; phase: string | null; done: number; rows: number }>(
      `select status, phase, coalesce((select sum(created + updated + unchanged) from waybill.receipts r where r.import_id = i.import_id), 0)::int as done,
         coalesce(input_accepted + input_rejected, 0)::int as rows from waybill.imports i where import_id = $1`,
      [id],
    );
    const { status, phase, done, rows } = row!;
    if (!['queued', 'running'].includes(status)) return kills;
    const line = `${bar(done, rows)} ${done.toLocaleString('en')} rows have a receipt; ${phase ?? status}`;
    if (line !== shown) say(line);
    shown = line;
    const moved = line !== killedAt.line || Date.now() - killedAt.time > PATIENCE_MS;
    if (!moved) next = Date.now() + between(300, 2500);
    if (Date.now() > next && Date.now() < stop) {
      const victim = VICTIMS[Math.floor(random() * VICTIMS.length)]!;
      const pid = instance.signal(victim, 'SIGKILL');
      kills++;
      say(`kill -9 ${pid} (${victim})`);
      await instance.restarted(victim, pid);
      killedAt = { time: Date.now(), line };
    }
    await delay(250);
  }
}

async function demonstrate(instance: Instance): Promise<boolean> {
  const file = join(instance.data, 'products.csv');
  await writeCsv(file, spec);
  await installOracle(instance);
  await seedTarget(instance, spec);
  await beginRun(instance);
  await throttle(instance, 0.15);
  const expected = expectedAccounting(spec);
  say(`${spec.rows.toLocaleString('en')} rows go in; half of the records are there already. Seed ${seed}.`);
  const id = await instance.submit(file);
  const kills = await killUntilDone(instance, id);
  const document = await instance.ended(id);
  say(`${document.status} after ${kills} kills.`);

  console.log('\nWhat the run says of itself, and what the file holds:\n');
  console.table({ run: document.accounting, file: expected });
  console.log(`npx waybill proof ${id}\n`);
  const proof = await instance.cli('proof', id);
  console.log(proof.stdout + proof.stderr);

  const [written] = await instance.sql<{ rows: number; records: number; most: number }>(
    `select sum(n)::int as rows, count(*)::int as records, max(n)::int as most from (
       select count(*) as n from public.write_log group by op, key) w`,
  );
  console.log(
    `A trigger of the database itself logged every row that was written: ${written!.rows.toLocaleString('en')} writes ` +
      `of ${written!.records.toLocaleString('en')} records, no record more than ${written!.most === 1 ? 'once' : `${written!.most} times`}.`,
  );
  const due = expected['created']! + expected['updated']!;
  const good =
    proof.code === 0 &&
    written!.most === 1 &&
    written!.rows === due &&
    Object.entries(expected).every(([name, count]) => document.accounting?.[name] === count);
  console.log(
    good
      ? `\nEach row exactly once: ${due.toLocaleString('en')} had to be written. Nothing lost, nothing twice.`
      : '\nThis is not as it should be.',
  );
  return good;
}

say('Starting a Waybill of its own, in a folder that is deleted afterwards ...');
const instance = await startInstance();
const end = async (code: number): Promise<never> => {
  await instance.stop();
  process.exit(code);
};
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => void end(130));
try {
  const good = await demonstrate(instance);
  await end(good ? 0 : 1);
} catch (error) {
  console.error(error);
  await end(1);
}
