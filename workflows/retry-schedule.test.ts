import { expect, test } from 'vitest';
import { delayBefore, RETRY_OFFSETS_MS } from './retry-schedule.ts';

const HOUR = 3_600_000;

test('ten attempts in a day and a little, each later than the one before', () => {
  let elapsed = 0;
  const at = [0];
  for (let made = 1; ; made++) {
    const wait = delayBefore(RETRY_OFFSETS_MS, made, elapsed, null, 0.5);
    if (wait === null) break;
    elapsed += wait;
    at.push(elapsed);
  }
  expect(at).toHaveLength(10);
  expect(at[1]).toBeGreaterThanOrEqual(5_000);
  expect(at[1]).toBeLessThan(6_000);
  for (let i = 1; i < at.length; i++) expect(at[i]).toBeGreaterThan(at[i - 1]!);
  expect(elapsed).toBeGreaterThanOrEqual(24 * HOUR);
  expect(elapsed).toBeLessThan(25 * HOUR);
});

test('what failed together does not come back together', () => {
  const waits = [0, 0.25, 0.5, 0.99].map((random) => delayBefore(RETRY_OFFSETS_MS, 2, 5_000, null, random)!);
  expect(new Set(waits).size).toBe(4);
});

test('Retry-After is the least; beyond a day it means giving up', () => {
  expect(delayBefore(RETRY_OFFSETS_MS, 1, 0, 90_000, 0)).toBe(90_000);
  expect(delayBefore(RETRY_OFFSETS_MS, 1, 0, 1_000, 0)).toBe(5_000);
  expect(delayBefore(RETRY_OFFSETS_MS, 1, 0, 25 * HOUR, 0)).toBeNull();
});

test('time spent on an attempt is part of the schedule', () => {
  expect(delayBefore(RETRY_OFFSETS_MS, 1, 20_000, null, 0)).toBe(0);
});
