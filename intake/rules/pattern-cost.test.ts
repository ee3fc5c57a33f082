import { expect, it } from 'vitest';
import { mayRunAway } from './pattern-cost.ts';

it.each(['(a+)+b', '(?:a|aa)+', '((a*)b?)*', '([a-z]+\\d*){2,}', '(x(y|z))*', '(?i:a+)+', '(\\p{L}+ ?)+'])(
  '%s may run away',
  (pattern) => expect(mayRunAway(pattern)).toBe(true),
);

it.each([
  '[A-Z]{2}-\\d{4}',
  '(?:AB|CD)-\\d+',
  '\\d+(?:\\.\\d+)?',
  '(?:[A-Z]\\d)+',
  '[(+*)]+x',
  '\\(a+\\)+',
  '(?:\\d{3}-){2,5}',
  '[^]*(?:x)[^]*',
  '\\p{Lu}+',
])('%s does not', (pattern) => expect(mayRunAway(pattern)).toBe(false));
