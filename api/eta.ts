/**
 * How long a run will still take. Pure: everything it knows comes in. It learns what a byte or a row costs from the
 * last runs into the same dataset, and corrects that by what this run has shown so far.
 */

export interface Costs {
  /** Seconds a byte of the stored file. */
  inspect: number;
  /** Seconds a row, staging and planning together. */
  validate: number;
  /** Seconds a unit of work, see `workUnits`. */
  apply: number;
  /** Seconds a row. */
  notify: number;
}

type Measured = keyof Costs;

/** What remains where nothing was learned: measured for five narrow columns on two cores. */
const PRIOR: Costs = { inspect: 10e-9, validate: 6e-6, apply: 5e-6, notify: 1.3e-6 };
/** Seconds that a phase takes however small the file. */
const FIXED = { download: 0.1, inspect: 0.1, map: 0.1, validate: 0.2, review: 0, apply: 0.1, notify: 0.15 };
/** Of validation, until the run has shown its own. */
const STAGING_SHARE = 0.4;
/** No phase is called done before it is. */
const LEAST_SHARE = 0.05;

const ORDER = ['download', 'inspect', 'map', 'validate', 'review', 'apply', 'notify'] as const;
export type PhaseOfRun = (typeof ORDER)[number];

export interface Work {
  created: number;
  updated: number;
  unchanged: number;
}

/** Rows by what they cost to apply: one that is left alone is only counted. */
export const workUnits = (work: Work): number => work.created + 2.5 * work.updated + 0.1 * work.unchanged;

export interface FinishedRun extends Work {
  bytes: number;
  rows: number;
  phases: { name: string; seconds: number }[];
}

const median = (values: number[]): number => {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
};

function amountOf(phase: Measured, run: { bytes: number; rows: number; units: number }): number {
  return phase === 'inspect' ? run.bytes : phase === 'apply' ? run.units : run.rows;
}

/** The middle of what the runs took for each byte, row or unit. Null where there is nothing to learn from. */
export function learnCosts(runs: FinishedRun[]): Costs | null {
  if (runs.length === 0) return null;
  const costs = { ...PRIOR };
  for (const phase of ['inspect', 'validate', 'apply', 'notify'] as const) {
    const found = runs.flatMap((run) => {
      const took = run.phases.find((p) => p.name === phase);
      const amount = amountOf(phase, { ...run, units: workUnits(run) });
      return took && amount > 0 ? [Math.max(took.seconds - FIXED[phase], 0.01) / amount] : [];
    });
    if (found.length > 0) costs[phase] = median(found);
  }
  return costs;
}

export interface RunState {
  phase: PhaseOfRun;
  /** Since the phase began, or since the last resume if that was later. */
  phaseSeconds: number;
  /** Phases of this run that are over. */
  finished: { name: string; seconds: number }[];
  bytes: number | null;
  bytesRead: number;
  /** Null until inspection has counted them. */
  rows: number | null;
  staged: number;
  /** Staged rows a second, null where not known. */
  stagingRate: number | null;
  /** Since the last row was staged; null while rows are still being staged. */
  planningSeconds: number | null;
  /** Of planning, where the worker says it. */
  planningFraction: number | null;
  /** What the plan asks for, null until there is one. */
  planned: Work | null;
  applied: Work;
  /** Units a second of late, null where not known. */
  applyRate: number | null;
  learned: Costs | null;
}

export interface Estimate {
  /** Null where it cannot be known yet. */
  seconds: number | null;
  /** How much of the expected time has passed. */
  fraction: number | null;
}

/** Expected seconds of the whole phase, as far as can be said before it has begun. */
function expectation(state: RunState): (phase: PhaseOfRun) => number {
  const costs = state.learned ?? PRIOR;
  const units = state.planned ? workUnits(state.planned) : (state.rows ?? 0);
  const sizes = { bytes: state.bytes ?? 0, rows: state.rows ?? 0, units };
  // How much slower or faster than expected this run has been: the last phase that was long enough to tell.
  let factor = 1;
  for (const { name, seconds } of state.finished) {
    if (name !== 'inspect' && name !== 'validate' && name !== 'apply') continue;
    const expected = costs[name] * amountOf(name, sizes);
    if (expected < 0.3 && seconds < 0.3) continue;
    const ratio = Math.max(seconds - FIXED[name], 0.05) / Math.max(expected, 0.05);
    // Learned figures are of this machine: what differs now is partly chance.
    factor = Math.min(8, Math.max(0.2, ratio)) ** (state.learned ? 0.5 : 0.9);
  }
  return (phase) => {
    if (phase === 'download' || phase === 'map' || phase === 'review') return FIXED[phase];
    return FIXED[phase] + factor * costs[phase] * amountOf(phase, sizes);
  };
}

const atLeast = (rest: number, whole: number): number => Math.max(rest, LEAST_SHARE * whole);

function validateRest(state: RunState, expected: number): number {
  const rows = state.rows!;
  if (state.planningSeconds !== null) {
    const staging = Math.max(state.phaseSeconds - state.planningSeconds, 0);
    const planning = state.learned
      ? Math.max(expected - staging, 0.15 * expected)
      : (staging * (1 - STAGING_SHARE)) / STAGING_SHARE;
    if (state.planningFraction !== null && state.planningFraction > 0.1) {
      return (state.planningSeconds / state.planningFraction) * (1 - state.planningFraction);
    }
    // Overdue: the longer it has taken, the longer it may still take.
    return Math.max(planning - state.planningSeconds, LEAST_SHARE * planning + 0.1 * state.planningSeconds);
  }
  const share = rows > 0 ? state.staged / rows : 1;
  const usual = expected * STAGING_SHARE;
  const rate = state.stagingRate ?? (state.phaseSeconds > 0 ? state.staged / state.phaseSeconds : 0);
  const byRate = rate > 0 ? (rows - state.staged) / rate : Infinity;
  const byModel = atLeast(usual - state.phaseSeconds, usual);
  // The further it is, the more its own pace counts.
  const rest = share > 0 ? share * byRate + (1 - share) * Math.min(byModel, byRate * 2) : byModel;
  const staging = state.phaseSeconds + rest;
  const planning = state.learned
    ? Math.max(expected - staging, 0.3 * expected)
    : (staging * (1 - STAGING_SHARE)) / STAGING_SHARE;
  return rest + planning;
}

function applyRest(state: RunState, expected: number): number {
  const total = workUnits(state.planned!);
  const done = Math.min(workUnits(state.applied), total);
  if (total === 0) return atLeast(expected - state.phaseSeconds, expected);
  const usual = expected * (1 - done / total);
  if (state.applyRate === null || state.applyRate <= 0)
    return done > 0 ? usual : atLeast(expected - state.phaseSeconds, expected);
  const byRate = (total - done) / state.applyRate;
  // The first receipts come in a bunch and tell little.
  const trust = Math.min(1, done / total / 0.1);
  return trust * byRate + (1 - trust) * usual;
}

/** What can be said of a run that moves; a caller with one that stands still must not ask. */
export function estimate(state: RunState): Estimate {
  const unknown: Estimate = { seconds: null, fraction: null };
  const at = ORDER.indexOf(state.phase);
  const expect = expectation(state);
  if (state.phase === 'review') return unknown;
  if (at < ORDER.indexOf('validate')) {
    // Without rows there is no telling; what earlier files had a byte is no promise for this one.
    if (state.rows === null || !state.learned) return unknown;
  } else if (state.rows === null || (state.phase === 'validate' && !state.learned && state.staged === 0)) {
    return unknown;
  }
  if (state.phase === 'apply' && !state.planned) return unknown;

  const whole = expect(state.phase);
  const rest =
    state.phase === 'validate'
      ? validateRest(state, whole)
      : state.phase === 'apply'
        ? applyRest(state, whole)
        : atLeast(whole - state.phaseSeconds, whole);
  const later = ORDER.slice(at + 1).filter((phase) => phase !== 'review');
  // A phase that takes longer than it should tells something of those to come.
  const late = whole > 1 ? Math.max(1, (state.phaseSeconds + rest) / whole) ** 0.5 : 1;
  const seconds = rest + late * later.reduce((sum, phase) => sum + expect(phase), 0);
  const passed =
    state.finished.reduce((sum, phase) => (phase.name === 'review' ? sum : sum + phase.seconds), 0) +
    state.phaseSeconds;
  return { seconds, fraction: passed / (passed + seconds) };
}
