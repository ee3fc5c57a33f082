import type { Import } from '../client/index.ts';

/** Why the guard held a run, as sentences; none where a person was going to decide anyway. */
export function holdReasons(run: Pick<Import, 'policy' | 'guard' | 'waitingFor'>): string[] {
  if (run.policy === 'review') return [];
  const said = run.waitingFor?.['reasons'] ?? (run.guard as { reasons?: unknown } | null)?.reasons;
  return Array.isArray(said) ? said.filter((reason): reason is string => typeof reason === 'string') : [];
}
