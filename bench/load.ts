import { spawn } from 'node:child_process';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { startInstance, type Instance } from '../test/faults/instance.ts';
import { writeProductsFile } from './products-file.ts';

const byHand = join(import.meta.dirname, 'by-hand.sh');
const cli = join(import.meta.dirname, '..', 'cli', 'main.ts');

interface Sample {
  seconds: number;
  byHand: number;
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

  async fresh(): Promise<void> {
    await this.instance.sql('truncate catalog.products');
    await this.instance.sql('checkpoint');
  }

  /** As autovacuum would leave it a while later; both sides begin from the same. */
  async settled(): Promise<void> {
    await this.instance.sql('vacuum (analyze) catalog.products');
    await this.instance.sql('checkpoint');
  }
}

/** `npm run bench -- [--rows 100000,1000000] [--runs 3]`: an import beside the script, on one server, in turns. */
export async function benchLoad(options: { rows: number[]; runs: number }): Promise<void> {
  const instance = await startInstance();
  const bench = new Bench(instance);
  try {
    const idle = status(instance.run().pids.worker, 'VmRSS');
    console.log(`worker, idle: ${idle.toFixed(0)} MB resident`);
    for (const rows of options.rows) {
      const [file, changed] = [
        join(instance.data, `${rows}.csv`),
        join(instance.data, `${rows}-changed.csv`),
      ];
      await writeProductsFile(file, rows);
      await writeProductsFile(changed, rows, 100);
      const bytes = statSync(file).size;
      console.log(
        `\n${rows.toLocaleString('en')} rows, ${(bytes / 1e6).toFixed(1)} MB, ${options.runs} runs each, in turns`,
      );
      const work: Record<'new' | 'again, nothing changed' | '1% changed', Sample[]> = {
        new: [],
        'again, nothing changed': [],
        '1% changed': [],
      };
      let egress = 0;
      writeFileSync(`/proc/${instance.run().pids.worker}/clear_refs`, '5');
      for (let run = 0; run < options.runs; run++) {
        await bench.fresh();
        const handNew = (await bench.script(file, '')).took;
        await bench.settled();
        const handAgain = (await bench.script(file, 'distinct')).took;
        await bench.settled();
        const handChanged = (await bench.script(changed, 'distinct')).took;

        await bench.fresh();
        const before = workerBytes(instance);
        const fresh = await bench.waybill(file);
        egress = (workerBytes(instance) - before) / bytes;
        expectAccounting(fresh.out, { input: rows, created: rows });
        await bench.settled();
        const again = await bench.waybill(file);
        expectAccounting(again.out, { input: rows, unchanged: rows });
        await bench.settled();
        const some = await bench.waybill(changed);
        expectAccounting(some.out, { input: rows, updated: rows / 100, unchanged: rows - rows / 100 });
        const [count] = await instance.sql<{ n: number }>('select count(*)::int as n from catalog.products');
        if (count!.n !== rows) throw new Error(`the table has ${count!.n} rows, not ${rows}`);
        work.new.push({ seconds: fresh.took, byHand: handNew });
        work['again, nothing changed'].push({ seconds: again.took, byHand: handAgain });
        work['1% changed'].push({ seconds: some.took, byHand: handChanged });
        if (run === 0) console.log(`  phases of the first run: ${phases(fresh.out)}`);
      }
      for (const [name, samples] of Object.entries(work)) {
        const ratios = samples.map((sample) => sample.seconds / sample.byHand);
        const took = median(samples.map((sample) => sample.seconds));
        console.log(
          `  ${name.padEnd(23)} ${took.toFixed(2).padStart(7)} s  ${Math.round(rows / took)
            .toLocaleString('en')
            .padStart(9)} rows/s  ` +
            `script ${median(samples.map((sample) => sample.byHand))
              .toFixed(2)
              .padStart(6)} s  ratio ${median(ratios).toFixed(2)} (${spread(ratios)})`,
        );
      }
      console.log(
        `  worker, peak: ${status(instance.run().pids.worker, 'VmHWM').toFixed(0)} MB resident; read from the object store: ${egress.toFixed(2)} x the file`,
      );
    }
  } finally {
    await instance.stop();
  }
}

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
