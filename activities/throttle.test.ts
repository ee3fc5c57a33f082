import { describe, expect, it } from 'vitest';
import { createThrottle, readCeilings, UNLIMITED, type Pressure } from './throttle.ts';

const signal = new AbortController().signal;
const never = () => Promise.reject(new Error('not to be asked'));
const timed = async (work: () => Promise<unknown>) => {
  const started = performance.now();
  await work();
  return performance.now() - started;
};

describe('ceilings', () => {
  it('are off by default, and what is no number is refused with its name', () => {
    expect(readCeilings({})).toEqual(UNLIMITED);
    expect(readCeilings({ WAYBILL_LANES: '1', WAYBILL_MAX_ROWS_PER_SECOND: '5000' })).toEqual({
      ...UNLIMITED,
      lanes: 1,
      rowsPerSecond: 5000,
    });
    expect(() => readCeilings({ WAYBILL_MAX_ROWS_PER_SECOND: 'fast' })).toThrow(
      'WAYBILL_MAX_ROWS_PER_SECOND',
    );
  });

  it('without any, nothing waits and nothing is asked', async () => {
    const throttle = createThrottle(UNLIMITED, never);
    expect(await timed(() => throttle.after(1_000_000, signal))).toBeLessThan(20);
  });

  it('rows a second hold for all lanes together', async () => {
    const throttle = createThrottle({ ...UNLIMITED, rowsPerSecond: 10_000 }, never);
    const took = await timed(() => Promise.all([1, 2, 3].map(() => throttle.after(1000, signal))));
    expect(took).toBeGreaterThan(280);
    expect(took).toBeLessThan(1000);
  });

  it('a wait ends at once when the run is stopped', async () => {
    const throttle = createThrottle({ ...UNLIMITED, rowsPerSecond: 1 }, never);
    const stop = new AbortController();
    setTimeout(() => stop.abort(), 50);
    const waiting = throttle.after(1000, stop.signal);
    expect(await timed(() => expect(waiting).rejects.toThrow())).toBeLessThan(500);
  });

  it('waits while replication lags or others wait for locks, and goes on when they do not', async () => {
    for (const weight of [{ lagMs: 900 }, { lockWaits: 3 }] as Partial<Pressure>[]) {
      const quiet: Pressure = { lagMs: null, lockWaits: 0 };
      let looks = 0;
      const throttle = createThrottle({ ...UNLIMITED, maxLagMs: 500, maxLockWaits: 2 }, async () =>
        ++looks < 2 ? { ...quiet, ...weight } : quiet,
      );
      const took = await timed(() => throttle.after(1, signal));
      expect(looks).toBe(2);
      expect(took).toBeGreaterThan(400);
    }
  });
});
