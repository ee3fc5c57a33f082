import type { ImportStatus } from '../client/index.ts';

/** Chips over the list of imports, and the statuses that each stands for. */
export const STATES = {
  all: [],
  waiting: ['waiting'],
  active: ['uploading', 'queued', 'running', 'paused', 'reverting'],
  completed: ['completed'],
  issues: ['completed_with_issues', 'unproven'],
  failed: ['failed'],
  cancelled: ['cancelled', 'reverted'],
} as const satisfies Record<string, ImportStatus[]>;
export type StateFilter = keyof typeof STATES;

export interface Filter {
  state: StateFilter;
  dataset: string | null;
  q: string;
  cursor: string | null;
}

export const PAGE_SIZE = 50;

export function readFilter(search: URLSearchParams): Filter {
  const state = search.get('state') ?? 'all';
  return {
    state: Object.hasOwn(STATES, state) ? (state as StateFilter) : 'all',
    dataset: search.get('dataset'),
    q: search.get('q') ?? '',
    cursor: search.get('cursor'),
  };
}

/** The address of the list with some of its filters changed; a changed filter begins at the first page. */
export function writeFilter(filter: Filter, change: Partial<Filter>): string {
  const next = { ...filter, cursor: null, ...change };
  const search = new URLSearchParams();
  if (next.state !== 'all') search.set('state', next.state);
  if (next.dataset) search.set('dataset', next.dataset);
  if (next.q) search.set('q', next.q);
  if (next.cursor) search.set('cursor', next.cursor);
  return search.size > 0 ? `/?${search}` : '/';
}

export function queryOf(filter: Filter) {
  const statuses: readonly string[] = STATES[filter.state];
  return {
    limit: PAGE_SIZE,
    waiting_first: 'true' as const,
    ...(statuses.length > 0 ? { status: statuses.join(',') } : {}),
    ...(filter.dataset ? { dataset: filter.dataset } : {}),
    ...(filter.q ? { q: filter.q } : {}),
    ...(filter.cursor ? { cursor: filter.cursor } : {}),
  };
}

/** How many imports each chip stands for. */
export function chipCounts(counts: { status: ImportStatus; count: number }[]): Record<StateFilter, number> {
  const of = (statuses: readonly ImportStatus[]) =>
    counts
      .filter(({ status }) => statuses.length === 0 || statuses.includes(status))
      .reduce((sum, { count }) => sum + count, 0);
  return Object.fromEntries(
    Object.entries(STATES).map(([state, statuses]) => [state, of(statuses)]),
  ) as Record<StateFilter, number>;
}

/**
 * The list after a look at the server: known rows show their news in place, new ones wait behind a button so that
 * nothing jumps under the pointer.
 */
export function mergeLive<T extends { id: string }>(shown: T[], fresh: T[]): { rows: T[]; newer: T[] } {
  const byId = new Map(fresh.map((row) => [row.id, row]));
  const known = new Set(shown.map((row) => row.id));
  return {
    rows: shown.map((row) => byId.get(row.id) ?? row),
    newer: fresh.filter((row) => !known.has(row.id)),
  };
}
