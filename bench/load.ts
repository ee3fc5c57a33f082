import { spawn } from 'node:child_process';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { startInstance, type Instance } from '../test/faults/instance.ts';
import { writeProductsFile } from './products-file.ts';

const byHand = join(import.meta.dirname, 'by-hand.sh');
const cli = join(import.meta.dirname, '..', 'cli', 'main.ts');

/** What the design asks for, of the median ratio. */
const BARS: Record<string, number> = {
  new: 1,
  'again, nothing changed': 1,
  '1% changed': 1.1,
  'into 10M rows, three indexes': 1,
};
const LARGE_ROWS = 10_000_000;

/** One run of one kind of work, in seconds. */
interface Sample {
  waybill: number;
  /** The script that rewrites every row it meets. */
  script: number;
  /** The form that leaves alone what is equal. */
  distinct: number;
}

/** Runs a command to its end; throws with what it said where it fails. */
function command(file: string, args: string[], env: NodeJS.ProcessEnv): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(file, args, { env, stdio: ['ignore', 'pipe', 'pipe'] });
    let out = '';
    let err = '';
    child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()));
    child.stderr.on('data', (chunk: Buffer) => (err += chunk.toString()));
    child.once('error', reject);
    child.once('close', (code) =>
      code === 0 ? resolve(out) : reject(new Error(`${file} ended with ${code}: ${err}${out}`)),
    );
  });
}

const seconds = (from: number) => (performance.now() - from) / 1000;
const median = (values: number[]) => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)]!;
const spread = (values: number[]) => `${Math.min(...values).toFixed(2)}-${Math.max(...values).toFixed(2)}`;

function status(pid: number, field: 'VmRSS' | 'VmHWM'): number {
  return (
    Number(new RegExp(`${field}:\\s+(\\d+)`).exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1]) / 1024
  );
}

class Bench {
  private readonly instance: Instance;
  private readonly env: NodeJS.ProcessEnv;
  constructor(instance: Instance) {
    this.instance = instance;
    this.env = { ...process.env, WAYBILL_DATA: instance.data };
  }

  /** Until the command has ended and no backend of ours is busy. */
  private async timed(work: () => Promise<string>): Promise<{ took: number; out: string }> {
    const started = performance.now();
    const out = await work();
    for (;;) {
      const [busy] = await this.instance.sql<{ n: number }>(
        `select count(*)::int as n from pg_stat_activity where state <> 'idle' and backend_type = 'client backend'
           and pid <> pg_backend_pid() and application_name like 'waybill worker%'`,
      );
      if (busy!.n === 0) return { took: seconds(started), out };
    }
  }

  waybill(file: string): Promise<{ took: number; out: string }> {
    return this.timed(() =>
      command(
        process.execPath,
        [cli, 'import', file, '--dataset', 'products', '--allow-duplicate', '--json'],
        this.env,
      ),
    );
  }

  script(file: string, form: '' | 'distinct'): Promise<{ took: number; out: string }> {
    return this.timed(() => command(byHand, [this.instance.run().databaseUrl, file, form], this.env));
  }

  /** How many rows of the target were ever rewritten, and how many are dead, once the server's figures have settled. */
  async written(): Promise<{ updates: number; dead: number }> {
    // A backend reports what it did within a second of its transaction's end.
    await delay(1500);
    const [row] = await this.instance.sql<{ updates: number; dead: number }>(
      `select (n_tup_upd + n_tup_del)::int as updates, n_dead_tup::int as dead from pg_stat_user_tables
       where schemaname = 'catalog' and relname = 'products'`,
    );
    return row!;
  }

  async fresh(): Promise<void> {
    await this.instance.sql('truncate catalog.products');
    await this.instance.sql('checkpoint');
  }

  /** So many products, every second of which a file with keys twice as far apart meets, with a third index. */
  async fill(rows: number): Promise<void> {
    await this.instance.sql('drop index if exists catalog.bench_name');
    await this.instance.sql('truncate catalog.products');
    await this.instance.sql(
      `insert into catalog.products (tenant_id, sku, name, description, price, quantity)
       select 'default', 'SKU' || lpad(n::text, 8, '0'), 'Product ' || n, 'As it was before, ' || n, n % 1000, n % 100
       from generate_series(0, $1 - 1) n`,
      [rows],
    );
    await this.instance.sql('create index bench_name on catalog.products (name)');
    await this.settled();
  }

  async emptied(): Promise<void> {
    await this.instance.sql('drop index if exists catalog.bench_name');
    await this.fresh();
  }

  /** As autovacuum would leave it a while later; both sides begin from the same. */
  async settled(): Promise<void> {
    await this.instance.sql('vacuum (analyze) catalog.products');
    await this.instance.sql('checkpoint');
  }
}

/** `npm run bench -- [--rows 100000,1000000] [--runs 3] [--large]`: asks for everything that the work consists of, in turns, and prints the design's table. */
export async function benchLoad(options: { rows: number[]; runs: number; large: boolean }): Promise<void> {
  // Ten million rows are a file of a gigabyte.
  const instance = await startInstance({ WAYBILL_MAX_FILE_BYTES: String(4 * 1024 ** 3) });
  const bench = new Bench(instance);
  const sizes = options.large ? [...new Set([...options.rows, LARGE_ROWS])] : options.rows;
  const rate = new Map<number, number>();
  try {
    // Before it has done anything.
    await delay(3000);
    console.log(`worker, idle: ${status(instance.run().pids.worker, 'VmRSS').toFixed(0)} MB resident`);
    await benchOverhead(bench, instance, options.runs);
    for (const rows of sizes) rate.set(rows, await benchSize(bench, instance, rows, options.runs));
    if (options.large) await benchLargeTarget(bench, instance, options.runs);
    const [million, large] = [rate.get(1_000_000), rate.get(LARGE_ROWS)];
    if (million && large)
      console.log(`\nrows/s at 10M over rows/s at 1M: ${(large / million).toFixed(2)} (bar: 0.9)`);
  } finally {
    await instance.stop();
  }
}

/** What 10,000 rows cost over a file with a single one. */
async function benchOverhead(bench: Bench, instance: Instance, runs: number): Promise<void> {
  const took: Record<number, number[]> = { 1: [], 10_000: [] };
  for (const rows of [1, 10_000]) await writeProductsFile(join(instance.data, `${rows}.csv`), rows);
  // The very first run of an instance also loads what it needs.
  await bench.fresh();
  await bench.waybill(join(instance.data, '1.csv'));
  for (let run = 0; run < runs; run++) {
    for (const rows of [1, 10_000]) {
      await bench.fresh();
      const done = await bench.waybill(join(instance.data, `${rows}.csv`));
      expectAccounting(done.out, { input: rows, created: rows });
      took[rows]!.push(done.took);
    }
  }
  const [one, many] = [took[1]!, took[10_000]!];
  console.log(
    `1 row ${median(one).toFixed(2)} s (${spread(one)}), 10,000 rows ${median(many).toFixed(2)} s (${spread(many)}): ` +
      `+ ${(median(many) - median(one)).toFixed(2)} s (bar: + 1 s)`,
  );
}

/** New, again, 1% changed, beside both scripts; returns the rows a second of the first. */
async function benchSize(bench: Bench, instance: Instance, rows: number, runs: number): Promise<number> {
  const [file, changed] = [join(instance.data, `${rows}.csv`), join(instance.data, `${rows}-changed.csv`)];
  await writeProductsFile(file, rows);
  await writeProductsFile(changed, rows, 100);
  const bytes = statSync(file).size;
  console.log(
    `\n${rows.toLocaleString('en')} rows, ${(bytes / 1e6).toFixed(1)} MB, ${runs} runs each, in turns`,
  );
  const [fresh, again, some]: [Sample[], Sample[], Sample[]] = [[], [], []];
  let egress = 0;
  let dead = 0;
  clearPeak(instance);
  for (let run = 0; run < runs; run++) {
    const script: number[] = [];
    const distinct: number[] = [];
    await bench.fresh();
    // At ten million rows the form that a ratio is not taken to would be a quarter of an hour more.
    distinct.push(rows < LARGE_ROWS ? (await bench.script(file, 'distinct')).took : NaN);
    if (rows < LARGE_ROWS) await bench.fresh();
    script.push((await bench.script(file, '')).took);
    await bench.settled();
    distinct.push((await bench.script(file, 'distinct')).took);
    await bench.settled();
    distinct.push((await bench.script(changed, 'distinct')).took);
    if (rows < LARGE_ROWS) await bench.settled();
    script.push(rows < LARGE_ROWS ? (await bench.script(changed, '')).took : NaN);

    await bench.fresh();
    const before = workerBytes(instance);
    const first = await bench.waybill(file);
    egress = (workerBytes(instance) - before) / bytes;
    expectAccounting(first.out, { input: rows, created: rows });
    await bench.settled();
    const { updates } = await bench.written();
    const second = await bench.waybill(file);
    expectAccounting(second.out, { input: rows, unchanged: rows });
    const after = await bench.written();
    dead = Math.max(dead, after.dead);
    if (after.updates !== updates)
      throw new Error(`${after.updates - updates} equal rows were written again`);
    await bench.settled();
    const third = await bench.waybill(changed);
    expectAccounting(third.out, { input: rows, updated: rows / 100, unchanged: rows - rows / 100 });
    const [count] = await instance.sql<{ n: number }>('select count(*)::int as n from catalog.products');
    if (count!.n !== rows) throw new Error(`the table has ${count!.n} rows, not ${rows}`);
    fresh.push({ waybill: first.took, script: script[0]!, distinct: distinct[0]! });
    again.push({ waybill: second.took, script: script[1]!, distinct: distinct[1]! });
    some.push({ waybill: third.took, script: script[1]!, distinct: distinct[2]! });
    if (run === 0) {
      for (const [name, { out }] of Object.entries({ new: first, again: second, '1%': third }))
        console.log(`  phases, ${name}: ${phases(out)}`);
    }
  }
  line('new', rows, fresh, 'script');
  line('again, nothing changed', rows, again, 'distinct');
  line('1% changed', rows, some, 'distinct');
  console.log(
    `  dead tuples after 'nothing changed': ${dead}; worker, peak: ${peak(instance)} MB resident (bar: 200); ` +
      `read from the object store: ${egress.toFixed(2)} x the file (bar: 1.1)`,
  );
  return rows / median(fresh.map((sample) => sample.waybill));
}

/** A million rows, half of them new and half of them other values, into ten million with a third index. */
async function benchLargeTarget(bench: Bench, instance: Instance, runs: number): Promise<void> {
  const rows = 1_000_000;
  const file = join(instance.data, 'apart.csv');
  await writeProductsFile(file, rows, 0, 20);
  console.log(`\n${rows.toLocaleString('en')} rows into 10M with three indexes, ${runs} runs each, in turns`);
  const samples: Sample[] = [];
  clearPeak(instance);
  for (let run = 0; run < runs; run++) {
    await bench.fill(LARGE_ROWS);
    const distinct = (await bench.script(file, 'distinct')).took;
    await bench.fill(LARGE_ROWS);
    const script = (await bench.script(file, '')).took;
    await bench.fill(LARGE_ROWS);
    const done = await bench.waybill(file);
    expectAccounting(done.out, { input: rows, created: rows / 2, updated: rows / 2 });
    samples.push({ waybill: done.took, script, distinct });
    if (run === 0) console.log(`  phases: ${phases(done.out)}`);
  }
  line('into 10M rows, three indexes', rows, samples, 'distinct');
  console.log(`  worker, peak: ${peak(instance)} MB resident`);
  await bench.emptied();
}

function line(name: string, rows: number, samples: Sample[], beside: 'script' | 'distinct'): void {
  const took = median(samples.map((sample) => sample.waybill));
  const ratios = samples.map((sample) => sample.waybill / sample[beside]);
  const form = (which: 'script' | 'distinct') => {
    const known = samples.map((sample) => sample[which]).filter((value) => !Number.isNaN(value));
    return known.length > 0 ? median(known).toFixed(2) : '-';
  };
  console.log(
    `  ${name.padEnd(28)} ${took.toFixed(2).padStart(7)} s  ${Math.round(rows / took)
      .toLocaleString('en')
      .padStart(
        9,
      )} rows/s  script ${form('script').padStart(6)} s, distinct ${form('distinct').padStart(6)} s  ` +
      `ratio to ${beside} ${median(ratios).toFixed(2)} (${spread(ratios)}), bar ${BARS[name]!.toFixed(1)}`,
  );
}

const clearPeak = (instance: Instance) =>
  writeFileSync(`/proc/${instance.run().pids.worker}/clear_refs`, '5');
const peak = (instance: Instance) => status(instance.run().pids.worker, 'VmHWM').toFixed(0);

function expectAccounting(out: string, expected: Record<string, number>): void {
  const { accounting } = JSON.parse(out) as { accounting: Record<string, number> };
  for (const [name, value] of Object.entries(accounting)) {
    if (value !== (expected[name] ?? 0))
      throw new Error(`${name} is ${value}, expected ${expected[name] ?? 0}: ${JSON.stringify(accounting)}`);
  }
}

function phases(out: string): string {
  const { phases } = JSON.parse(out) as { phases: { name: string; startedAt: string; finishedAt: string }[] };
  return phases
    .map(
      (phase) =>
        `${phase.name} ${((Date.parse(phase.finishedAt) - Date.parse(phase.startedAt)) / 1000).toFixed(2)} s`,
    )
    .join(', ');
}

/** Object bytes that the worker has read since it began, as it logs them at the end of each import. */
function workerBytes(instance: Instance): number {
  const lines = readFileSync(join(instance.data, 'logs', 'worker.log'), 'utf8')
    .trimEnd()
    .split('\n')
    .reverse();
  for (const line of lines) {
    if (line.includes('"bytesRead"')) return (JSON.parse(line) as { bytesRead: number }).bytesRead;
  }
  return 0;
}
