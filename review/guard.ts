import type { PlanCounts } from '../db/plan.ts';

/** What a run may do unattended. Shares are of 0..1. */
export interface GuardLimits {
  /** Records changed, as a share of the records that were there. */
  changed: number;
  /** Records of the file blocked, as a share of the file. */
  blocked: number;
  /** How many times a numeric field's median may grow or shrink. */
  median: number;
}

export const defaultLimits: GuardLimits = { changed: 0.1, blocked: 0.02, median: 3 };

export interface GuardFigures {
  counts: PlanCounts;
  /** Records of the target within reach of this run before it. */
  scope: number;
  /** Of the rows that would be updated. */
  medians: { field: string; before: number; after: number }[];
}

/** The reasons why the guard holds a plan, as sentences; empty if it lets it pass. */
export function guardReasons(figures: GuardFigures, limits: GuardLimits = defaultLimits): string[] {
  const { counts, scope } = figures;
  const reasons: string[] = [];
  const total = counts.creates + counts.updates + counts.unchanged + counts.duplicates + counts.blocked;
  const percent = (share: number) => `${Math.round(share * 1000) / 10}%`;
  const n = (value: number) => value.toLocaleString('en-US');
  if (total > 0 && counts.blocked / total > limits.blocked) {
    reasons.push(
      `${n(counts.blocked)} of ${n(total)} rows (${percent(counts.blocked / total)}) are blocked; the limit is ${percent(limits.blocked)}.`,
    );
  }
  if (scope > 0 && counts.updates / scope > limits.changed) {
    reasons.push(
      `${n(counts.updates)} of ${n(scope)} records (${percent(counts.updates / scope)}) would change; the limit is ${percent(limits.changed)}.`,
    );
  }
  for (const { field, before, after } of figures.medians) {
    const [low, high] = [
      Math.min(Math.abs(before), Math.abs(after)),
      Math.max(Math.abs(before), Math.abs(after)),
    ];
    if (high > 0 && (low === 0 || high / low > limits.median)) {
      reasons.push(
        `The middle value of ${field} would go from ${n(before)} to ${n(after)}, more than ${limits.median} times.`,
      );
    }
  }
  return reasons;
}
