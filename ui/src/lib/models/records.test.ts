import { expect, it } from 'vitest';
import { decimalsOf, withDecimals } from './records.ts';

it('shows the decimals that a column uses, and only those', () => {
  const values = ['15.6100', '1171.0000', null, '-3.5000'];
  const decimals = decimalsOf(values);
  expect(decimals).toBe(2);
  expect(values.map((value) => (value === null ? null : withDecimals(value, decimals)))).toEqual([
    '15.61',
    '1,171.00',
    null,
    '-3.50',
  ]);
  expect(withDecimals('1171.0000', decimalsOf(['1171.0000', '2.0000']))).toBe('1,171');
  expect(withDecimals('NaN', 2)).toBe('NaN');
});
