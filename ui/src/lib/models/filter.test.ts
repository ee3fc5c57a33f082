import { describe, expect, it } from 'vitest';
import { chipCounts, mergeLive, queryOf, readFilter, writeFilter } from './filter.ts';

describe('the filter in the address', () => {
  it('is written and read back, and a changed filter begins at the first page', () => {
    const href = writeFilter(readFilter(new URLSearchParams('state=failed&cursor=abc')), {
      q: 'nov & dec',
      dataset: 'products',
    });
    const read = readFilter(new URL(href, 'http://x').searchParams);
    expect(read).toEqual({ state: 'failed', dataset: 'products', q: 'nov & dec', cursor: null });
    expect(queryOf(read)).toMatchObject({ status: 'failed', q: 'nov & dec' });
  });
  it('takes an unknown state for all', () => {
    expect(readFilter(new URLSearchParams('state=toString')).state).toBe('all');
    expect(writeFilter(readFilter(new URLSearchParams('state=x')), {})).toBe('/');
  });
});

describe('mergeLive', () => {
  it('changes known rows in place and keeps new ones back', () => {
    const shown = [
      { id: 'b', n: 1 },
      { id: 'a', n: 1 },
    ];
    const merged = mergeLive(shown, [
      { id: 'c', n: 1 },
      { id: 'b', n: 2 },
    ]);
    expect(merged.rows).toEqual([
      { id: 'b', n: 2 },
      { id: 'a', n: 1 },
    ]);
    expect(merged.newer.map(({ id }) => id)).toEqual(['c']);
  });
});

describe('chipCounts', () => {
  it('adds up the statuses behind each chip', () => {
    const counts = chipCounts([
      { status: 'running', count: 2 },
      { status: 'paused', count: 1 },
      { status: 'completed', count: 40 },
      { status: 'unproven', count: 1 },
    ]);
    expect(counts).toMatchObject({ all: 44, active: 3, completed: 40, issues: 1, waiting: 0, failed: 0 });
  });
});
