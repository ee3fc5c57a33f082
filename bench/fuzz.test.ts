import { expect, it } from 'vitest';
import { fuzz } from './fuzz.ts';

it('mutated files are read or refused, counted once, and never for ever', async () => {
  const result = await fuzz({ seed: 20261123, rounds: 120 });
  expect(result.read + result.refused).toBe(120);
  // Most are still files: a fuzzer whose files are all refused tests nothing.
  expect(result.read).toBeGreaterThan(90);
  expect(result.records).toBeGreaterThan(500);
}, 120_000);
