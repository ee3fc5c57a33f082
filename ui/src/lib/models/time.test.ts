import { describe, expect, it } from 'vitest';
import { en } from '../messages/en.ts';
import { ja } from '../messages/ja.ts';
import { left, relative, span, took } from './time.ts';

describe('span', () => {
  it('uses one unit, or two while the first is small', () => {
    expect([0, 41, 60, 185, 600, 3_600, 7_500, 86_400, 400_000].map((s) => span(s, en))).toEqual([
      '0 s',
      '41 s',
      '1 min',
      '3 min 5 s',
      '10 min',
      '1 h',
      '2 h 5 min',
      '1 day',
      '4 days',
    ]);
    expect(span(185, ja)).toBe('3 分 5 秒');
  });
});

describe('left', () => {
  it('rounds as a person would and does not flicker', () => {
    expect([0.2, 9.4, 19.1, 21, 23, 118, 299, 301, 3_700].map((s) => left(s, en))).toEqual([
      '1 s',
      '10 s',
      '20 s',
      '25 s',
      '25 s',
      '2 min',
      '5 min',
      '6 min',
      '1 h 2 min',
    ]);
  });
});

describe('relative', () => {
  it('is words on both sides of now', () => {
    const now = 1_000_000_000;
    expect(relative(now - 3_000, now, en)).toBe('just now');
    expect(relative(now - 185_000, now, en)).toBe('3 min ago');
    expect(relative(now + 7_300_000, now, en)).toBe('in 2 h');
    expect(relative(now - 185_000, now, ja)).toBe('3 分前');
  });
});

describe('took', () => {
  it('keeps tenths only where they matter', () => {
    expect([80, 830, 9_949, 12_400].map((ms) => took(ms, en))).toEqual(['0.1 s', '0.8 s', '9.9 s', '12 s']);
  });
});
