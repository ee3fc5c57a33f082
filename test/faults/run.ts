/**
 * `npm run test:faults`: breaks a running Waybill, 200 times in every way there is, and asks the oracle. Shorter, longer
 * and other: `-- --short | --ci | --minutes N [--seed S] | --million | --revert [--kills N] | --prove`. `--only PATTERN` takes the cases with
 * such a name, `--rows N` a file of another size, `--faults N` and `--each N` another goal, `--scenario NAME` one kind of
 * import alone (load, add, update, missing, revert, atomic).
 */
import { cpSync, mkdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { badInputs } from './bad-inputs.ts';
import { campaign, table } from './campaign.ts';
import { prepare, type Bench, type Case, type Outcome } from './case.ts';
import { faults, shortFaults } from './faults.ts';
import { startInstance, type Instance } from './instance.ts';
import { million } from './million.ts';
import { breakages } from './prove.ts';
import { undoneThroughKills } from './revert.ts';

const { values: flags } = parseArgs({
  options: {
    short: { type: 'boolean' },
    ci: { type: 'boolean' },
    million: { type: 'boolean' },
    revert: { type: 'boolean' },
    kills: { type: 'string' },
    prove: { type: 'boolean' },
    minutes: { type: 'string' },
    seed: { type: 'string' },
    only: { type: 'string' },
    faults: { type: 'string' },
    each: { type: 'string' },
    rows: { type: 'string' },
    scenario: { type: 'string' },
  },
});
const seed = Number(flags.seed ?? (flags.minutes ? Date.now() % 1_000_000 : 1));
const rows = Number(flags.rows ?? (flags.million || flags.revert ? 1_000_000 : 100_000));
const begin = Date.now();
const seconds = (since: number): string => ((Date.now() - since) / 1000).toFixed(1);

// Whoever ends this early leaves no instance behind, and begins no other.
const started = new Set<Instance>();
let interrupted = false;
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    interrupted = true;
    void Promise.all([...started].map((one) => one.stop())).finally(() => process.exit(130));
  });
}

const count = { passed: 0, failed: 0 };
const COLUMNS = [62, 64, 30, 6, 8, 7] as const;
const line = (...cells: string[]): string =>
  cells
    .map((cell, i) => cell.padEnd(COLUMNS[i] ?? 0))
    .join('  ')
    .trimEnd();

function report(name: string, outcome: Outcome | Error, took: string): void {
  const failed = outcome instanceof Error || outcome.verdict.problems.length > 0;
  count[failed ? 'failed' : 'passed']++;
  if (outcome instanceof Error) {
    console.log(line(name, '', 'FAILED', '', '', took));
    console.log(`    ${outcome.stack}`);
    return;
  }
  const { lost, doubled, problems } = outcome.verdict;
  console.log(line(name, outcome.inFlight, outcome.status, String(lost), String(doubled), took));
  for (const problem of problems) console.log(`    FAILED: ${problem}`);
}

/** An instance that a case has broken tells nothing about the next one: that one gets another. */
class Stand {
  private instance: Instance | null = null;
  private bench: Bench | null = null;
  private readonly proxied: boolean;

  constructor(proxied = false) {
    this.proxied = proxied;
  }

  async ready(): Promise<Bench> {
    if (this.bench) return this.bench;
    if (interrupted) return new Promise(() => {});
    const since = Date.now();
    this.instance = await startInstance({ WAYBILL_MAX_FILE_BYTES: String(100 * 1024 * 1024) }, this.proxied);
    started.add(this.instance);
    this.bench = await prepare(this.instance, rows, seed);
    console.log(
      `(an instance and an undisturbed run of ${rows.toLocaleString('en')} rows: ${seconds(since)} s)`,
    );
    return this.bench;
  }

  async drop(why: 'done' | 'broken'): Promise<void> {
    const { instance } = this;
    this.instance = this.bench = null;
    if (!instance) return;
    if (why === 'broken') {
      const kept = join(tmpdir(), `waybill-faults-logs-${process.pid}-${count.failed}`);
      mkdirSync(kept, { recursive: true });
      cpSync(join(instance.data, 'logs'), kept, { recursive: true });
      console.log(`    The instance's logs: ${kept}`);
    }
    started.delete(instance);
    await instance.stop();
  }
}

/** Takes the cases one after the other, on as many instances at a time: most of a fault's time is waiting. */
async function runCases(cases: Case[], instances = 1): Promise<void> {
  const queue = [...cases];
  const lane = async (): Promise<void> => {
    const stand = new Stand();
    try {
      for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
        let outcome: Outcome | Error;
        let since = Date.now();
        try {
          const bench = await stand.ready();
          since = Date.now();
          outcome = await next.run(bench);
        } catch (error) {
          outcome = error instanceof Error ? error : new Error(String(error));
        }
        report(next.name, outcome, `${seconds(since)} s`);
        if (outcome instanceof Error || outcome.verdict.problems.length > 0) await stand.drop('broken');
      }
    } finally {
      await stand.drop('done');
    }
  };
  await Promise.all(Array.from({ length: instances }, lane));
}

const wanted = ({ name }: Case): boolean => flags.only === undefined || new RegExp(flags.only).test(name);

console.log(line('what was done', 'what was in flight', 'final status', 'lost', 'doubled', 'took'));
if (flags.million) {
  const instance = await startInstance();
  started.add(instance);
  try {
    await million(instance, rows, seed, report);
  } finally {
    await instance.stop();
  }
} else if (flags.revert) {
  const instance = await startInstance();
  started.add(instance);
  const kills = Number(flags.kills ?? 3);
  const since = Date.now();
  try {
    const outcome = await undoneThroughKills(instance, { rows, kills, seed }).catch(
      (error: unknown) => error as Error,
    );
    report(`an import undone, killed ${kills} times`, outcome, `${seconds(since)} s`);
  } finally {
    await instance.stop();
  }
} else if (flags.prove) await runCases(breakages.filter(wanted));
else if (flags.short || flags.ci) {
  const all = [...shortFaults, ...badInputs].filter(wanted);
  await runCases(flags.ci ? all.filter((one) => one.ci) : all, flags.ci ? 1 : 2);
} else {
  const stands = { direct: new Stand(), proxied: new Stand(true) };
  const at = (proxied: boolean): Stand => (proxied ? stands.proxied : stands.direct);
  const goal = flags.minutes
    ? { faults: Infinity, ofEachKind: Infinity }
    : { faults: Number(flags.faults ?? 200), ofEachKind: Number(flags.each ?? 8) };
  const tallies = await campaign(
    faults.filter(wanted),
    goal,
    { ready: (proxied) => at(proxied).ready(), dropBroken: (proxied) => at(proxied).drop('broken') },
    report,
    flags.minutes ? begin + Number(flags.minutes) * 60_000 : Infinity,
    flags.scenario,
  );
  await Promise.all([stands.direct.drop('done'), stands.proxied.drop('done')]);
  console.log(`\n${table(tallies)}`);
}
console.log(`\n${rows.toLocaleString('en')} rows, seed ${seed}, ${seconds(begin)} s`);
if (count.failed > 0)
  console.log(`Repeat it: npm run test:faults -- ${process.argv.slice(2).join(' ')} --seed ${seed}`);
console.log(`${count.passed} passed, ${count.failed} failed`);
process.exitCode = count.failed > 0 ? 1 : 0;
