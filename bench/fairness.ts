import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { mintToken } from '../db/access.ts';
import { writeCsv } from '../test/faults/files.ts';
import { startInstance, type Instance } from '../test/faults/instance.ts';

const TENANTS = 20;
const LARGE_FILES = 100;
/** Of the other tenants, in all. */
const SMALL_FILES = 100;
const LARGE_ROWS = 120_000;
const SMALL_ROWS = 2_000;

interface Experiment {
  name: string;
  large: boolean;
  fair: boolean;
}

interface Result {
  name: string;
  /** Seconds from complete to the end, of the other tenants' imports. */
  median: number;
  p95: number;
  longest: number;
  /** Large imports that had ended by then. */
  largeEnded: number;
  workerPeakMb: number;
}

const at = (sorted: number[], share: number): number =>
  sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))]!;

const peakOf = (pid: number): number =>
  Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) / 1024;

/** 200 imports by 20 tenants, one of which has 100 large files: what do the others wait? */
export async function benchFairness(): Promise<void> {
  const experiments: Experiment[] = [
    { name: 'without the large tenant', large: false, fair: true },
    { name: 'with it, fair (as delivered)', large: true, fair: true },
    { name: 'with it, fairness off', large: true, fair: false },
  ];
  const results: Result[] = [];
  for (const experiment of experiments) {
    const instance = await startInstance(experiment.fair ? {} : { WAYBILL_FAIRNESS: 'off' });
    try {
      results.push(await run(instance, experiment));
    } finally {
      await instance.stop();
    }
  }
  console.table(
    Object.fromEntries(
      results.map(({ name, ...figures }) => [
        name,
        {
          'median s': figures.median.toFixed(1),
          'over the first': (figures.median / results[0]!.median).toFixed(2),
          'p95 s': figures.p95.toFixed(1),
          'longest s': figures.longest.toFixed(1),
          'large ended': figures.largeEnded,
          'worker peak MB': figures.workerPeakMb.toFixed(0),
        },
      ]),
    ),
  );
}

async function run(instance: Instance, { name, large }: Experiment): Promise<Result> {
  const [big, small] = [join(instance.data, 'large.csv'), join(instance.data, 'small.csv')];
  await writeCsv(small, { rows: SMALL_ROWS });
  const { databaseUrl, pids } = instance.run();
  const tokens: string[] = [];
  for (let i = 0; i < TENANTS; i++) {
    await instance.sql('insert into waybill.tenants values ($1, $1)', [`tenant-${i}`]);
    tokens.push(await mintToken(databaseUrl, { tenantId: `tenant-${i}`, role: 'operator', name: 'bench' }));
  }
  // Everything is in the store before anything begins: what is measured is the line, not the upload.
  const ready = async (file: string, token: string) => (await instance.upload(file, { token })).complete;
  const waiting: { complete: Record<string, unknown>; token: string; large: boolean }[] = [];
  if (large) {
    await writeCsv(big, { rows: LARGE_ROWS });
    for (let i = 0; i < LARGE_FILES; i++)
      waiting.push({ complete: await ready(big, tokens[0]!), token: tokens[0]!, large: true });
  }
  for (let i = 0; i < SMALL_FILES; i++) {
    const token = tokens[1 + (i % (TENANTS - 1))]!;
    waiting.push({ complete: await ready(small, token), token, large: false });
  }
  const began = Date.now();
  for (const { complete, token } of waiting) {
    const answer = await instance.api('POST', '/imports/complete', complete, { token });
    if (answer.status !== 200) throw new Error(`complete: ${answer.status} ${JSON.stringify(answer.body)}`);
  }
  const queued = (Date.now() - began) / 1000;
  for (;;) {
    const [row] = await instance.sql<{ open: number }>(
      `select count(*)::int as open from waybill.imports where tenant_id <> 'tenant-0' and tenant_id like 'tenant-%'
         and status in ('queued', 'running', 'uploading')`,
    );
    if (row!.open === 0) break;
    await delay(500);
  }
  const ended = await instance.sql<{ seconds: number; status: string }>(
    `select i.status, extract(epoch from i.finished_at - u.completed_at)::float8 as seconds from waybill.imports i
     join waybill.uploads u using (import_id) where i.tenant_id like 'tenant-%' and i.tenant_id <> 'tenant-0'`,
  );
  const wrong = ended.filter(({ status }) => status !== 'completed_with_issues');
  if (ended.length !== SMALL_FILES || wrong.length > 0)
    throw new Error(`${wrong.length} of ${ended.length} ended as ${wrong[0]?.status}`);
  const [bigOnes] = await instance.sql<{ n: number }>(
    `select count(*)::int as n from waybill.imports where tenant_id = 'tenant-0' and status like 'completed%'`,
  );
  const sorted = ended.map(({ seconds }) => seconds).sort((a, b) => a - b);
  console.log(`${name}: ${waiting.length} imports asked for within ${queued.toFixed(1)} s`);
  return {
    name,
    median: at(sorted, 0.5),
    p95: at(sorted, 0.95),
    longest: sorted.at(-1)!,
    largeEnded: bigOnes!.n,
    workerPeakMb: peakOf(pids.worker),
  };
}
