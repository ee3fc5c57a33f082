import type { PlanCounts } from '../db/stored-plan.ts';
import type { GuardLimits } from '../intake/missing.ts';

export const defaultLimits: Required<GuardLimits> = { changed: 0.1, removed: 0, blocked: 0.02, median: 3 };

export interface GuardFigures {
  counts: PlanCounts;
  /** Records of the target within reach of this run before it. */
  scope: number;
  /** Of the rows that would be updated. */
  medians: { field: string; before: number; after: number }[];
  /** What becomes of records that the file does not have. */
  removing?: 'deactivate' | 'delete';
}

export interface GuardReason {
  kind: 'blocked' | 'changed' | 'removed' | 'median';
  /** Of a median: the column. */
  field: string | null;
  /** A sentence for a person. */
  message: string;
}

/** The reasons why the guard holds a plan; empty if it lets it pass. Limits that are not given have their defaults. */
export function guardReasons(figures: GuardFigures, given: GuardLimits = {}): GuardReason[] {
  const limits = { ...defaultLimits, ...given };
  const { counts, scope } = figures;
  const reasons: GuardReason[] = [];
  const say = (kind: GuardReason['kind'], message: string, field: string | null = null) =>
    reasons.push({ kind, field, message });
  const total = counts.creates + counts.updates + counts.unchanged + counts.duplicates + counts.blocked;
  const percent = (share: number) => `${Math.round(share * 1000) / 10}%`;
  const n = (value: number) => value.toLocaleString('en-US');

  const missing = counts.missing ?? 0;
  const known = missing + counts.updates + counts.unchanged;
  if (missing > 0 && missing / known > limits.removed) {
    const what = figures.removing === 'deactivate' ? 'deactivated' : 'deleted';
    say(
      'removed',
      `${n(missing)} of ${n(known)} known records (${percent(missing / known)}) are not in the file and would be ${what}; the limit is ${percent(limits.removed)}.`,
    );
  }
  if (total > 0 && counts.blocked / total > limits.blocked) {
    say(
      'blocked',
      `${n(counts.blocked)} of ${n(total)} rows (${percent(counts.blocked / total)}) are blocked; the limit is ${percent(limits.blocked)}.`,
    );
  }
  if (scope > 0 && counts.updates / scope > limits.changed) {
    say(
      'changed',
      `${n(counts.updates)} of ${n(scope)} records (${percent(counts.updates / scope)}) would change; the limit is ${percent(limits.changed)}.`,
    );
  }
  for (const { field, before, after } of figures.medians) {
    const [low, high] = [
      Math.min(Math.abs(before), Math.abs(after)),
      Math.max(Math.abs(before), Math.abs(after)),
    ];
    if (high > 0 && (low === 0 || before < 0 !== after < 0 || high / low > limits.median)) {
      say(
        'median',
        `The middle value of ${field} would go from ${n(before)} to ${n(after)}, more than ${limits.median} times.`,
        field,
      );
    }
  }
  return reasons;
}
