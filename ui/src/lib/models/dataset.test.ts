import { expect, it } from 'vitest';
import { limitsOf, ruleText, type LimitWords, type RuleWords } from './dataset.ts';

const limits: LimitWords = {
  atLeast: (n) => `least ${n}`,
  atMost: (n) => `most ${n}`,
  digits: (precision, scale) => `${precision}.${scale}`,
  oneOf: (words) => words.join('|'),
  pattern: (pattern) => `/${pattern}/`,
  warns: (text) => `(${text})`,
};
const field = {
  name: 'a',
  type: 'text' as const,
  required: false,
  empty: 'keep' as const,
  aliases: [],
  key: false,
};
const named = { ...field, column: 'a', title: { en: 'A', ja: 'A' } };

it.each([
  [{}, ''],
  [{ maxLength: 5, minLength: 2 }, 'least 2 · most 5'],
  [{ min: '0', below: '10' }, '≥ 0 · < 10'],
  [{ above: 'today-30', max: 'today' }, '> today-30 · ≤ today'],
  [{ max: '5', warn: ['above_maximum' as const] }, '(≤ 5)'],
  [{ enum: ['x', 'y'], pattern: 'x.*' }, 'x|y · /x.*/'],
  [{ precision: 10, scale: 2 }, '10.2'],
  [{ precision: 147_454, scale: 16_383 }, ''],
])('%j reads as %j', (said, text) => {
  expect(limitsOf({ ...named, ...said }, limits)).toBe(text);
});

const words: RuleWords = {
  unique: (fields) => `unique ${fields}`,
  reference: (fields, to) => `${fields} in ${to}`,
  type: (one, type) => `${one} is ${type}`,
  warns: (text) => `(${text})`,
};

it('says what is about more than one cell', () => {
  expect(ruleText({ kind: 'compare', left: 'cost', operator: '<=', right: 'price' }, words)).toBe(
    'cost ≤ price',
  );
  expect(ruleText({ kind: 'unique', fields: ['a', 'b'], severity: 'warning' }, words)).toBe('(unique a + b)');
  expect(ruleText({ kind: 'reference', fields: ['sku'], to: { dataset: 'products' } }, words)).toBe(
    'sku in products',
  );
  expect(
    ruleText({ kind: 'reference', fields: ['c'], to: { schema: 's', table: 't', columns: ['x'] } }, words),
  ).toBe('c in s.t');
  expect(ruleText({ kind: 'type', field: 'd', type: 'jsonb' }, words)).toBe('d is jsonb');
});
