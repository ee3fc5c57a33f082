import { join } from 'node:path';
import { statSync } from 'node:fs';
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
import type { ImportDocument, Instance } from './instance.ts';

/** One line of the table. */
export interface Outcome {
  inFlight: string;
  status: string;
  verdict: Pick<Verdict, 'lost' | 'doubled' | 'problems'> & { rows?: number };
}

export interface Case {
  name: string;
  /** Part of the short set that every CI run does. */
  ci?: true;
  run(bench: Bench): Promise<Outcome>;
}

/** An instance with the oracle installed, the files, and what an undisturbed run makes of them. */
export interface Bench {
  instance: Instance;
  spec: FileSpec;
  narrow: string;
  /** The same rows in six times the bytes. */
  wide: string;
  wideBytes: number;
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
    spec,
    narrow,
    wide,
    wideBytes: statSync(wide, { throwIfNoEntry: false })?.size ?? 0,
    random: randomFrom(seed),
  };
  await seedTarget(instance, spec);
  await keepBefore(instance);
  const document = await undisturbed(bench);
  const expected = await keepExpected(instance, document);
  const { problems } = await judge(instance, document, { expected, lanes: 2 });
  if (problems.length > 0)
    throw new Error(`the undisturbed run is not as it should be: ${problems.join('; ')}`);
  const should = expectedAccounting(spec);
  for (const [name, count] of Object.entries(should)) {
    if (expected.accounting[name] !== count) {
      throw new Error(`the undisturbed run says ${name} ${expected.accounting[name]}, the file has ${count}`);
    }
  }
  return { ...bench, expected };
}

export async function reset({ instance, spec }: Pick<Bench, 'instance' | 'spec'>): Promise<void> {
  await seedTarget(instance, spec);
  await beginRun(instance);
}

export async function undisturbed(
  bench: Pick<Bench, 'instance' | 'spec' | 'narrow'>,
): Promise<ImportDocument> {
  await reset(bench);
  return bench.instance.ended(await bench.instance.submit(bench.narrow));
}

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
  await reset(bench);
  await throttle(instance, options.slow ?? 0);
  const file = options.wide ? bench.wide : bench.narrow;
  const complete = options.submit ? await options.submit(file) : { upload_id: await instance.submit(file) };
  const id = complete['upload_id'] as string;
  const inFlight = await strike(id, complete);
  await throttle(instance, 0);
  const document = await instance.ended(id);
  const verdict = await judge(instance, document, { expected: bench.expected, ...options });
  return { inFlight, status: document.status, verdict };
}
