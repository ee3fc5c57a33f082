import { describe, expect, it } from 'vitest';
import { bytes, percent, share } from './numbers.ts';

describe('share', () => {
  it('never rounds something to nothing, nor nearly all to all', () => {
    expect([0, 1, 100, 500, 5_000, 100_000].map((part) => share(part, 100_000))).toEqual([
      '0%',
      '<0.1%',
      '0.1%',
      '0.5%',
      '5.0%',
      '100%',
    ]);
    expect([99_800, 99_999].map((part) => share(part, 100_000))).toEqual(['99.8%', '>99.9%']);
  });
});

describe('percent', () => {
  it('says 0 and 100 only where they are true', () => {
    expect([0, 1, 5_000, 9_999, 10_000].map((part) => percent(part, 10_000))).toEqual([0, 1, 50, 99, 100]);
    expect(percent(0, 0)).toBe(0);
  });
});

describe('bytes', () => {
  it('has three digits and decimal units', () => {
    expect([0, 999, 1_000, 95_400_000, 250_000_000, 999_600].map(bytes)).toEqual([
      '0 B',
      '999 B',
      '1.00 KB',
      '95.4 MB',
      '250 MB',
      '1.00 MB',
    ]);
  });
});
