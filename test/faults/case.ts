import { statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { expectedAccounting, seedTarget, writeCsv, type FileSpec } from './files.ts';
import {
  beginRun,
  installOracle,
  judge,
  keepBefore,
  keepExpected,
  throttle,
  type Fingerprint,
  type JudgeOptions,
  type Verdict,
} from './oracle.ts';
import type { Moment } from './moments.ts';
import type { ImportDocument, Instance, Submit } from './instance.ts';

/** One line of the table. */
export interface Outcome {
  /** How many faults struck while something was in flight; one where it is not said. */
  faults?: number;
  inFlight: string;
  status: string;
  verdict: Pick<Verdict, 'lost' | 'doubled' | 'problems'> & { rows?: number };
}

export interface Case {
  name: string;
  /** By which the whole campaign counts. */
  kind?: string;
  /** Takes an instance that reaches its services through lines of ours. */
  proxied?: true;
  /** Strikes while batches are applied, so that it can be tried on every kind of import, or on reverts too. */
  scenarios?: 'import' | 'any';
  /** Part of the short set that every CI run does. */
  ci?: true;
  run(bench: Bench): Promise<Outcome>;
}

/** What is being done to the target while it is disturbed. */
export interface Scenario {
  name: string;
  /** How it ends, undisturbed. */
  status: string;
  submit?: Submit;
  /** Takes a file without rows that cannot go in. */
  clean?: true;
  /** Backends that write to the target at once, undisturbed; two where it is not said. */
  lanes?: number;
  /** Kinds of faults that it is tried on; all where it is not said. */
  kinds?: RegExp;
  /** What is wrong with the run that has ended, in words, besides what is asked of every run. */
  judge?(instance: Instance, importId: string): Promise<string[]>;
  /** What is in the target besides. */
  seed?(instance: Instance, spec: FileSpec): Promise<void>;
  /** Answers what the import asks before it applies anything. */
  settle?(bench: Omit<Bench, 'expected'>, importId: string): Promise<void>;
  /** Takes the import that was submitted to where the disturbance begins. */
  begin?(bench: Omit<Bench, 'expected'>, importId: string): Promise<void>;
}

export const LOAD: Scenario = { name: 'load', status: 'completed_with_issues' };

/** An instance with the oracle installed, the files, and what an undisturbed run makes of them. */
export interface Bench {
  instance: Instance;
  spec: FileSpec;
  narrow: string;
  /** The same rows in six times the bytes. */
  wide: string;
  wideBytes: number;
  scenario: Scenario;
  expected: Fingerprint;
  random(): number;
}

/** Beyond this nobody has to make reading take longer. */
const MOST_WIDE_ROWS = 100_000;

/** Numbers from a seed, so that a failure can be repeated. */
export function randomFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

export async function prepare(instance: Instance, rows: number, seed: number): Promise<Bench> {
  const narrow = join(instance.data, 'products.csv');
  const wide = join(instance.data, 'products-wide.csv');
  const spec: FileSpec = { rows };
  await writeCsv(narrow, spec);
  if (rows <= MOST_WIDE_ROWS) await writeCsv(wide, { ...spec, wide: true });
  await installOracle(instance);
  const bench = {
    instance,
    scenario: LOAD,
    spec,
    narrow,
    wide,
    wideBytes: statSync(wide, { throwIfNoEntry: false })?.size ?? 0,
    random: randomFrom(seed),
  };
  const expected = await undisturbed(bench);
  const should = expectedAccounting(spec);
  for (const [name, count] of Object.entries(should)) {
    if (expected.accounting[name] !== count) {
      throw new Error(`the undisturbed run says ${name} ${expected.accounting[name]}, the file has ${count}`);
    }
  }
  return { ...bench, expected };
}

/** The same instance and files with something else being done to the target. */
export async function inScenario(bench: Bench, scenario: Scenario): Promise<Bench> {
  const other = { ...bench, scenario };
  if (scenario.clean) {
    other.narrow = join(bench.instance.data, 'products-clean.csv');
    await writeCsv(other.narrow, { ...bench.spec, clean: true });
  }
  return { ...other, expected: await undisturbed(other) };
}

/** Seeds the target, submits the file, and takes it to where a disturbance may begin. */
export async function begin(
  bench: Omit<Bench, 'expected'>,
  submit: (options?: Submit) => Promise<string> = (options) => bench.instance.submit(bench.narrow, options),
  slow = 0,
): Promise<string> {
  const { instance, scenario, spec } = bench;
  await seedTarget(instance, spec);
  await scenario.seed?.(instance, spec);
  await beginRun(instance);
  if (!scenario.begin) {
    await keepBefore(instance);
    await throttle(instance, slow);
    const id = await submit(scenario.submit);
    await scenario.settle?.(bench, id);
    return id;
  }
  const id = await submit(scenario.submit);
  await instance.ended(id);
  await keepBefore(instance);
  await beginRun(instance);
  await throttle(instance, slow);
  await scenario.begin(bench, id);
  return id;
}

async function undisturbed(bench: Omit<Bench, 'expected'>): Promise<Fingerprint> {
  const { instance, scenario } = bench;
  const id = await begin(bench);
  const document = await instance.ended(id, [scenario.status]);
  const expected = await keepExpected(instance, document, scenario.name);
  const { problems } = await judgeIn(bench, document, { expected, lanes: 2 });
  if (problems.length > 0)
    throw new Error(`the undisturbed run is not as it should be: ${problems.join('; ')}`);
  return expected;
}

/** Judged as the scenario has it. */
async function judgeIn(
  { instance, scenario }: Pick<Bench, 'instance' | 'scenario'>,
  document: ImportDocument,
  options: JudgeOptions,
): Promise<Verdict> {
  const lanes = Math.min(options.lanes ?? 1, lanesOf(scenario));
  const verdict = await judge(instance, document, { status: scenario.status, ...options, lanes });
  verdict.problems.push(...((await scenario.judge?.(instance, document.id)) ?? []));
  return verdict;
}

/** Backends that write at once, as long as nothing is in their way. */
export const lanesOf = (scenario: Scenario): number => scenario.lanes ?? 2;

export interface Disturbance extends Partial<JudgeOptions> {
  wide?: boolean;
  /** Seconds that each write takes longer, so that there is a middle to strike in. */
  slow?: number;
  /** Only uploads, and returns what the API has to be told then; otherwise the import is started. */
  submit?: (file: string) => Promise<Record<string, unknown>>;
}

/** Runs the file while `strike` does its worst, and judges what came of it. `strike` says what was in flight. */
export async function disturbed(
  bench: Bench,
  options: Disturbance,
  strike: (importId: string, complete: Record<string, unknown>) => Promise<string>,
): Promise<Outcome> {
  const { instance } = bench;
  const file = options.wide ? bench.wide : bench.narrow;
  let complete: Record<string, unknown> = {};
  const id = await begin(
    bench,
    async (submit) => {
      complete = options.submit
        ? await options.submit(file)
        : { upload_id: await instance.submit(file, submit) };
      return complete['upload_id'] as string;
    },
    options.slow ?? 0,
  );
  const inFlight = await strike(id, complete);
  await throttle(instance, 0);
  const document = await instance.ended(id);
  const verdict = await judgeIn(bench, document, { expected: bench.expected, ...options });
  return { inFlight, status: document.status, verdict };
}

/**
 * Waits with `seen` for its moment, strikes, and says what was in flight. Null where the run was over before: then
 * nothing was struck and nothing counts.
 */
export type Strike = (
  bench: Bench,
  importId: string,
  seen: (moment: Moment) => Promise<string | null>,
  /** How many strikes this run has had. */
  before: number,
) => Promise<string | null>;

export interface Repeated extends Disturbance {
  kind: string;
  name: string;
  times: number;
  strike: Strike;
  proxied?: true;
  scenarios?: 'import' | 'any';
  /** Puts right what would be in the next case's way. */
  after?(bench: Bench): Promise<void>;
}

/** Waits for the end; cancelled, the run is opened again. It may have been faster: then there is nothing left to do. */
export async function retryCancelled(
  instance: Instance,
  importId: string,
  /** What has to be true while it is cancelled. */
  meanwhile?: () => Promise<void>,
): Promise<string> {
  const { status } = await instance.ended(importId);
  if (status !== 'cancelled') return status;
  await meanwhile?.();
  const answer = await instance.api('POST', `/imports/${importId}/retry`);
  if (answer.status !== 200)
    throw new Error(`retry was answered with ${answer.status} ${JSON.stringify(answer.body)}`);
  return status;
}

const OPEN = ['queued', 'running', 'paused', 'reverting'];

/** A run struck several times in the same way. */
export function repeated(fault: Repeated): Case {
  const { kind, name, times, strike, proxied, scenarios, after, ...disturbance } = fault;
  return {
    kind,
    name,
    ...(proxied && { proxied }),
    ...(scenarios && { scenarios }),
    async run(bench) {
      const { instance, random } = bench;
      const seen: string[] = [];
      const outcome = await disturbed(bench, disturbance, async (id) => {
        const look = async (moment: Moment): Promise<string | null> => {
          for (;;) {
            const found = await moment();
            if (found !== null) return found;
            const [row] = await instance.sql<{ status: string }>(
              'select status from waybill.imports where import_id = $1',
              [id],
            );
            if (!OPEN.includes(row!.status)) return null;
            await delay(2);
          }
        };
        while (seen.length < times) {
          await delay(random() * 200);
          const found = await strike(bench, id, look, seen.length);
          if (found === null) break;
          seen.push(found);
        }
        if (seen.length === 0) throw new Error('the run was over before anything could be struck');
        return seen.join('; ');
      });
      await after?.(bench);
      return { ...outcome, faults: seen.length };
    },
  };
}
