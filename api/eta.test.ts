import { describe, expect, it } from 'vitest';
import { estimate, learnCosts, workUnits, type Costs, type PhaseOfRun, type RunState } from './eta.ts';

/** A run as it would go, second by second, with the true time that is left. */
interface Plan {
  rows: number;
  bytes: number;
  seconds: { inspect: number; stage: number; plan: number; apply: number; notify: number };
  /** Segments and batches come in lumps. */
  segments: number;
  batches: number;
  jitter?: (t: number) => number;
}

const million: Plan = {
  rows: 1_000_000,
  bytes: 95e6,
  seconds: { inspect: 1, stage: 2.5, plan: 3.5, apply: 5, notify: 1.3 },
  segments: 12,
  batches: 50,
};
const FIXED = { download: 0.1, map: 0.1 };

function stateAt(run: Plan, t: number, learned: Costs | null): { state: RunState; left: number } | null {
  const { inspect, stage, plan, apply, notify } = run.seconds;
  const phases: [PhaseOfRun, number][] = [
    ['download', FIXED.download],
    ['inspect', inspect],
    ['map', FIXED.map],
    ['validate', stage + plan],
    ['apply', apply],
    ['notify', notify],
  ];
  const total = phases.reduce((sum, [, seconds]) => sum + seconds, 0);
  const finished: { name: string; seconds: number }[] = [];
  let began = 0;
  for (const [phase, seconds] of phases) {
    if (t < began + seconds) {
      const inPhase = t - began;
      const past = (name: string): boolean => finished.some((p) => p.name === name);
      const lump = (share: number, pieces: number): number =>
        Math.floor(Math.min(share, 1) * pieces) / pieces;
      const staged =
        phase === 'validate'
          ? run.rows * lump(inPhase / stage, run.segments)
          : past('validate')
            ? run.rows
            : 0;
      const planning = phase === 'validate' && inPhase >= stage ? inPhase - stage : null;
      const applied =
        phase === 'apply' ? run.rows * lump(inPhase / apply, run.batches) : past('apply') ? run.rows : 0;
      return {
        left: total - t,
        state: {
          phase,
          phaseSeconds: inPhase,
          finished,
          bytes: run.bytes,
          bytesRead: 0,
          rows: past('inspect') ? run.rows : null,
          staged,
          stagingRate: null,
          planningSeconds: planning,
          planningFraction: null,
          planned: past('validate') ? { created: run.rows, updated: 0, unchanged: 0 } : null,
          applied: { created: applied, updated: 0, unchanged: 0 },
          applyRate: applied > 0 ? (run.rows / apply) * (run.jitter?.(t) ?? 1) : null,
          learned,
        },
      };
    }
    finished.push({ name: phase, seconds });
    began += seconds;
  }
  return null;
}

/** Share of the second half in which the estimate is off by at most 20% of what is left, or 1 s. */
function goodShare(run: Plan, learned: Costs | null): number {
  const total = Object.values(run.seconds).reduce((a, b) => a + b, 0) + FIXED.download + FIXED.map;
  let good = 0;
  let all = 0;
  for (let t = total / 2; t < total; t += 0.1) {
    const at = stateAt(run, t, learned)!;
    const { seconds } = estimate(at.state);
    all++;
    if (seconds !== null && Math.abs(seconds - at.left) <= Math.max(1, 0.2 * at.left)) good++;
  }
  return good / all;
}

const scaled = (by: number): Plan => ({
  ...million,
  seconds: Object.fromEntries(
    Object.entries(million.seconds).map(([k, v]) => [k, v * by]),
  ) as Plan['seconds'],
});

const learnedFrom = (run: Plan): Costs =>
  learnCosts([
    {
      bytes: run.bytes,
      rows: run.rows,
      created: run.rows,
      updated: 0,
      unchanged: 0,
      phases: [
        { name: 'inspect', seconds: run.seconds.inspect },
        { name: 'validate', seconds: run.seconds.stage + run.seconds.plan },
        { name: 'apply', seconds: run.seconds.apply },
        { name: 'notify', seconds: run.seconds.notify },
      ],
    },
  ])!;

describe('estimate', () => {
  it('is close for nine tenths of the second half of a first run', () => {
    expect(goodShare(million, null)).toBeGreaterThanOrEqual(0.9);
  });

  it('is close on a machine three times as slow, or half as fast again', () => {
    expect(goodShare(scaled(3), null)).toBeGreaterThanOrEqual(0.9);
    expect(goodShare(scaled(0.7), null)).toBeGreaterThanOrEqual(0.9);
  });

  it('is close for ten million rows', () => {
    const ten = { ...scaled(10), rows: 10_000_000, bytes: 950e6, segments: 120, batches: 500 };
    expect(goodShare(ten, null)).toBeGreaterThanOrEqual(0.9);
    expect(goodShare(ten, learnedFrom(million))).toBeGreaterThanOrEqual(0.9);
  });

  it('is close after a run like this one, whatever the shares of its phases', () => {
    const odd = { ...million, seconds: { inspect: 1, stage: 8, plan: 2, apply: 9, notify: 4 } };
    expect(goodShare(odd, learnedFrom(odd))).toBeGreaterThanOrEqual(0.9);
  });

  it('is close where this run is half as fast as those it learned from', () => {
    expect(goodShare(scaled(2), learnedFrom(million))).toBeGreaterThanOrEqual(0.9);
  });

  it('bears a rate that wavers', () => {
    expect(goodShare({ ...million, jitter: (t) => 1 + 0.12 * Math.sin(t * 7) }, null)).toBeGreaterThanOrEqual(
      0.9,
    );
  });

  it('claims nothing that it cannot know', () => {
    for (const t of [0.05, 0.5, 1.15, 1.3]) {
      expect(estimate(stateAt(million, t, null)!.state).seconds).toBeNull();
    }
    const inReview = { ...stateAt(million, 8, null)!.state, phase: 'review' as const };
    expect(estimate(inReview)).toEqual({ seconds: null, fraction: null });
  });

  it('never says that it is over before it is', () => {
    const late = stateAt(million, 13.3, null)!.state;
    expect(late.phase).toBe('notify');
    expect(estimate({ ...late, phaseSeconds: 1000 }).seconds).toBeGreaterThan(0);
  });

  it('goes by the cost of what is to be done, not by the number of rows', () => {
    const state = stateAt(million, 7.3, null)!.state;
    const same = { created: 0, updated: 0, unchanged: 1_000_000 };
    const all = { created: 1_000_000, updated: 0, unchanged: 0 };
    const nothing = { created: 0, updated: 0, unchanged: 0 };
    const seconds = (planned: typeof all): number =>
      estimate({ ...state, planned, applied: nothing }).seconds!;
    expect(seconds(same)).toBeLessThan(seconds(all) / 2);
  });

  it('grows in its fraction while the run goes on', () => {
    let last = 0;
    for (let t = 2; t < 13.3; t += 0.25) {
      const { fraction } = estimate(stateAt(million, t, learnedFrom(million))!.state);
      expect(fraction).toBeGreaterThanOrEqual(last - 0.02);
      expect(fraction).toBeLessThan(1);
      last = fraction!;
    }
    expect(last).toBeGreaterThan(0.9);
  });
});

describe('learnCosts', () => {
  it('takes the middle run and knows nothing from none', () => {
    expect(learnCosts([])).toBeNull();
    const run = (seconds: number) => ({
      bytes: 1e6,
      rows: 1e5,
      created: 1e5,
      updated: 0,
      unchanged: 0,
      phases: [{ name: 'apply', seconds }],
    });
    const costs = learnCosts([run(100), run(1.1), run(2.1)])!;
    expect(costs.apply * 1e5).toBeCloseTo(2);
  });

  it('counts rows that are left alone for little', () => {
    expect(workUnits({ created: 0, updated: 0, unchanged: 100 })).toBeLessThan(
      workUnits({ created: 20, updated: 0, unchanged: 0 }),
    );
  });
});
