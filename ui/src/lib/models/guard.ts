import type { Import } from '../client/index.ts';

/** Why the guard held a run, as sentences; none where a person was going to decide anyway. */
export function holdReasons(run: Pick<Import, 'policy' | 'guard' | 'waitingFor'>): string[] {
  if (run.policy === 'review') return [];
  const said = run.waitingFor?.['reasons'] ?? (run.guard as { reasons?: unknown } | null)?.reasons;
  return Array.isArray(said) ? said.filter((reason): reason is string => typeof reason === 'string') : [];
}

/** A record that shows what a reason of the guard is about. */
export interface HoldExample {
  kind: 'blocked' | 'changed' | 'removed' | 'median';
  key: string | null;
  line: number | null;
  field: string | null;
  before: string | null;
  after: string | null;
  message: string | null;
}

/** A few records behind the reasons why a run was held. */
export function holdExamples(run: Pick<Import, 'guard'>): HoldExample[] {
  const said = (run.guard as { examples?: unknown } | null)?.examples;
  return Array.isArray(said) ? (said as HoldExample[]) : [];
}

/** Counts of records that a full catalogue did not have; empty where the import did not look for them. */
export function missingCounts(
  accounting: Import['accounting'] | undefined,
): { name: 'missing' | 'deactivated' | 'deleted' | 'kept'; count: number }[] {
  if (accounting?.missing === undefined) return [];
  return (['missing', 'deactivated', 'deleted', 'kept'] as const)
    .map((name) => ({ name, count: accounting[name] ?? 0 }))
    .filter(({ name, count }) => name === 'missing' || count > 0);
}
