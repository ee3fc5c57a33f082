import { describe, expect, it, vi } from 'vitest';
import type { Accounting } from '../client/index.ts';
import { atMostEvery, emptyBar, grow, processed, runBar, uploadBar, type BarState } from './progress.ts';

const accounting = (counts: Partial<Accounting>): Accounting => ({
  input: 0,
  created: 0,
  updated: 0,
  unchanged: 0,
  duplicates: 0,
  blocked: 0,
  stale: 0,
  skipped: 0,
  failed: 0,
  notProcessed: 0,
  ...counts,
});
const facts = (more: Partial<Parameters<typeof runBar>[0]>): Parameters<typeof runBar>[0] => ({
  status: 'running',
  step: 'apply',
  rows_total: 1000,
  rows_parsed: 1000,
  bytes_total: 10_000,
  bytes_read: 10_000,
  accounting: null,
  ...more,
});

describe('runBar', () => {
  it('grows through a whole run, upload first, and ends full', () => {
    const states = [
      uploadBar(0, 100),
      uploadBar(50, 100),
      uploadBar(100, 100),
      runBar(facts({ status: 'queued', step: null })),
      runBar(facts({ step: 'download', bytes_read: 0, rows_total: null, rows_parsed: 0 })),
      runBar(facts({ step: 'inspect', bytes_read: 5_000, rows_total: null, rows_parsed: 0 })),
      runBar(facts({ step: 'map', rows_parsed: 0 })),
      runBar(facts({ step: 'validate', rows_parsed: 400 })),
      runBar(
        facts({ step: 'apply', accounting: accounting({ input: 1000, blocked: 100, notProcessed: 900 }) }),
      ),
      runBar(
        facts({
          step: 'apply',
          accounting: accounting({ input: 1000, blocked: 100, created: 500, notProcessed: 400 }),
        }),
      ),
      runBar(
        facts({
          status: 'completed_with_issues',
          step: null,
          accounting: accounting({ input: 1000, blocked: 100, created: 900 }),
        }),
      ),
    ];
    const filled = states.map((state) => Math.max(state.prepared, 0) + state.settled);
    for (let i = 1; i < filled.length - 1; i += 1) expect(filled[i]).toBeGreaterThanOrEqual(filled[i - 1]!);
    const last = states.at(-1)!;
    expect(last.settled).toBeCloseTo(1);
    expect(processed(last)).toBe(100);
    expect(last.segments.map(({ outcome }) => outcome)).toEqual(['created', 'blocked']);
  });

  it('shows what a cancelled run did not come to', () => {
    const bar = runBar(
      facts({
        status: 'cancelled',
        step: null,
        accounting: accounting({ input: 1000, created: 250, notProcessed: 750 }),
      }),
    );
    expect(bar.settled).toBe(0.25);
    expect(processed(bar)).toBeLessThan(30);
    expect(bar.segments).toEqual([
      { outcome: 'created', count: 250, share: 0.25 },
      { outcome: 'notProcessed', count: 750, share: 0.75 },
    ]);
  });
});

describe('grow', () => {
  it('never goes backwards, whatever arrives in whatever order', () => {
    const arrivals: BarState[] = [
      { prepared: 0.6, settled: 0, segments: [] },
      { prepared: 0.5, settled: 0, segments: [] },
      { prepared: 1, settled: 0.4, segments: [{ outcome: 'created', count: 4, share: 0.4 }] },
      { prepared: 1, settled: 0.3, segments: [{ outcome: 'created', count: 3, share: 0.3 }] },
      { prepared: 0, settled: 0, segments: [] },
      { prepared: 1, settled: 0.7, segments: [{ outcome: 'created', count: 7, share: 0.7 }] },
    ];
    let bar = emptyBar;
    for (const next of arrivals) {
      const grown = grow(bar, next);
      expect(grown.prepared).toBeGreaterThanOrEqual(bar.prepared);
      expect(grown.settled).toBeGreaterThanOrEqual(bar.settled);
      expect(processed(grown)).toBeGreaterThanOrEqual(processed(bar));
      expect(grown.segments.reduce((sum, { share }) => sum + share, 0)).toBeCloseTo(grown.settled);
      bar = grown;
    }
    expect(bar.settled).toBe(0.7);
  });
});

describe('processed', () => {
  it('is 0 when the upload is done and 100 only when every row is settled', () => {
    expect(processed(uploadBar(1, 1))).toBe(0);
    expect(processed({ prepared: 1, settled: 0.999, segments: [] })).toBe(99);
    expect(processed({ prepared: 1, settled: 1, segments: [] })).toBe(100);
  });
});

describe('atMostEvery', () => {
  it('draws at most four times a second and always the last value', () => {
    vi.useFakeTimers();
    const drawn: number[] = [];
    const draw = atMostEvery<number>(250, (value) => drawn.push(value));
    for (let ms = 0; ms < 1000; ms += 10) {
      draw(ms);
      vi.advanceTimersByTime(10);
    }
    vi.advanceTimersByTime(1000);
    vi.useRealTimers();
    expect(drawn.length).toBeLessThanOrEqual(5);
    expect(drawn.length).toBeGreaterThanOrEqual(4);
    expect(drawn.at(-1)).toBe(990);
  });
});
