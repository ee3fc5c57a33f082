import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { TypeTally } from './cell-types.ts';
import { parseDate, parseTimestamp } from './dates.ts';
import { normaliseNumber } from './numbers.ts';
import { isPhone } from './words.ts';

function typed(cells: string[], plainNumbers = false) {
  const tally = new TypeTally(plainNumbers);
  for (const cell of cells) {
    const bytes = Buffer.from(`;${cell};`);
    tally.addBytes(bytes, 1, bytes.length - 1);
  }
  return [tally.type, tally.format ?? null];
}

describe('a column', () => {
  it.each<[string, string[], string, object | null]>([
    ['thousands with apostrophes', ["1'234'567", "12'345.50"], 'decimal', { decimal: '.' }],
    ['thousands with narrow spaces', ['1 234,50', '12 345,00'], 'decimal', { decimal: ',' }],
    ['currency signs', ['€ 1.234,50', '99,00 €', 'CHF 5,25'], 'decimal', { decimal: ',' }],
    ['abbreviations with a point', ['Rp. 12.5', '7.25 Fr.'], 'decimal', { decimal: '.' }],
    ['abbreviations with a point and thousands', ['Rp. 12,500', 'Rp. 7,250'], 'integer', null],
    ['accounting negatives', ['(1,234.50)', '12.00', '5.00-', '▲3.50'], 'decimal', { decimal: '.' }],
    ['percent', ['12%', '7.5 %', '100％'], 'decimal', { decimal: '.' }],
    ['percent in some cells only', ['12%', '12', '15%', '9'], 'text', null],
    ['thousands or decimals, point', ['1.234', '5.678'], 'decimal', null],
    ['a point that a cell elsewhere proves', ['1.234', '5.678', '0.5'], 'decimal', { decimal: '.' }],
    ['a comma that a cell elsewhere proves', ['1.234', '5.678', '0,5'], 'decimal', { decimal: ',' }],
    ['prices with words between', ['1.234,50', '0,10', 'on request'], 'text', { decimal: ',' }],
    ['thousands or decimals with words between', ['1.234', '5.678', 'on request'], 'text', null],
    ['dates with words between', ['31.01.2024', '15.02.2024', 'open'], 'text', { date: 'DMY' }],
    ['hardly any number', ['1,5', 'red', 'blue'], 'text', null],
    ['both marks', ['1,5', '2.5', '3,75', '4.25'], 'decimal', null],
    ['both orders', ['31/01/2024', '01/31/2024', '01/02/2024'], 'date', null],
    [
      'day first, far below',
      [...Array<string>(5000).fill('01/02/2024'), '13/02/2024'],
      'date',
      { date: 'DMY' },
    ],
    ['dots', ['31.01.2024', '1.2.2024'], 'date', { date: 'DMY' }],
    ['years of two digits, which change less', ['31/01/24', '15/02/24', '05/03/25'], 'date', { date: 'DMY' }],
    ['a first number that may be the year', ['24/01/31', '24/02/15', '24/03/05'], 'date', null],
    ['the same with times', ['24/01/31 10:20', '24/02/15 09:00', '24/03/05 9:00:30'], 'timestamp', null],
    [
      'the same beside whole years',
      [...Array<string>(300).fill('24/01/31'), ...Array<string>(20).fill('2024-02-01')],
      'date',
      null,
    ],
    [
      'the same beside a slip',
      [...Array<string>(300).fill('24/01/31'), '31/01/2024', '2024-02-01'],
      'date',
      null,
    ],
    ['times behind years of two digits', ['31/01/24 10:20', '15/02/24 09:00'], 'timestamp', { date: 'DMY' }],
    ['days above the years there are', ['31/01/85', '15/02/24'], 'date', { date: 'DMY' }],
    ['German months', ['31. Januar 2024', '1. März 2024', '5. Dez. 2023'], 'date', { date: 'YMD' }],
    ['months between years of two digits', ['31-JAN-24', '5/Feb/23', '1.Mar.2024'], 'date', { date: 'YMD' }],
    ['UTC', ['2024-01-31 10:20:30 UTC', '2024-02-01 00:00 GMT'], 'timestamp', { date: 'YMD' }],
    ['phones with their countries', ['+6281234567890', '+81312345678'], 'phone', null],
    ['signs before numbers', ['+5', '-3', '+1200'], 'integer', { decimal: '.' }],
    ['months', ['2024-01', '2024-12'], 'text', null],
    [
      'amounts, one of them like an address',
      ['1.234.100.200', '2.500.000.000', '1.750.000'],
      'integer',
      { decimal: ',' },
    ],
    ['addresses of computers', ['192.168.100.101', '10.100.200.201'], 'text', null],
    ['eras', ['令和6年1月31日', 'R6.2.29', '平成元年1月8日'], 'date', { date: 'YMD' }],
    ['halves of a day', ['1/31/2024 2:30 PM', '1/31/2024 12:00:00 AM'], 'timestamp', { date: 'MDY' }],
    ['an identifier far below', [...Array<string>(5000).fill('123'), '00123'], 'text', null],
    ['seventeen digits far below', [...Array<string>(5000).fill('123'), '12345678901234567'], 'text', null],
    ['some slips', [...Array<string>(999).fill('12'), 'n/a'], 'integer', { decimal: '.' }],
    [
      'numbers under a thousand words',
      [...Array<string>(1000).fill('word'), ...Array<string>(50_000).fill('1')],
      'text',
      null,
    ],
    ['links', ['https://a.com/x?y=1', 'http://b.org'], 'url', null],
    ['no address', ['https://a.com', 'see https://b.org'], 'text', null],
  ])('%s', (_, cells, type, format) => {
    expect(typed(cells)).toEqual([type, format]);
  });

  it('of numbers that were numbers before has points for points', () => {
    expect(typed(['1.234', '5.678'], true)).toEqual(['decimal', { decimal: '.' }]);
  });

  it.each<[string, string[], object | null]>([
    ['all of one kind', ['1.234,50', '99,10', '5'], { decimal: ',' }],
    ['beside a number', ['1.234,50', '99,10', '1.125'], null],
    ['beside one among many', [...Array<string>(999).fill('99,10'), '1.125'], null],
    ['that is a slip among numbers', [...Array<string>(999).fill('1.125'), '99,10'], { decimal: '.' }],
    ['that may be thousands', ['1,234', '5'], null],
    ['of thousands, beside a number', ['1,234', '5.25'], { decimal: '.' }],
  ])('of a sheet may hold texts with a comma: %s', (_, cells, format) => {
    const [type, found] = typed(cells, true);
    expect(found).toEqual(format);
    expect(['integer', 'decimal']).toContain(type);
  });

  const cell = fc.oneof(
    fc.constantFrom(
      '',
      ' ',
      'yes',
      'No',
      'はい',
      '○',
      'aktif',
      'tidak aktif',
      'word',
      'inactive',
      '1e5',
      '-',
      '+',
      '.',
      '1.',
      '.5',
      '-.5',
      '--1',
      '00',
      '0',
      '-0',
      '0.5',
      '1-1-2024',
      '2024-2-3',
      '31-12-2024',
      '12:30',
      'T',
      'a@b',
      'a.@b.c',
      'a@.b.c',
      'a..b@c.de',
      'http://',
      'HTTPS://X',
      '+49 30 123456',
      '030-12-34-56',
      '(030) 123456',
      '2024-01-31T10:20',
      '2024-01-31 10:20:30.5Z',
      '2024-01-31T24:00',
      '0000-01-01',
      '1234567890123456',
      '12345678901234567',
    ),
    fc.stringMatching(/^-?\d{1,18}$/u),
    fc.stringMatching(/^-?\d{1,5}[.,]\d{1,4}$/u),
    fc.stringMatching(/^\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4}$/u),
    fc.stringMatching(/^[12]\d{3}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d{1,3})?)?Z?)?$/u),
    fc.stringMatching(/^[a-z.]{1,5}@[a-z.-]{1,6}$/u),
    fc.stringMatching(/^[-+() .\d]{1,16}$/u),
    fc.string({ maxLength: 8, unit: 'binary' }).map((text) => text.toWellFormed()),
  );
  it('is the same whether its cells are looked at as bytes or as text', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.array(cell, { maxLength: 12 }),
          cell.map((only) => [only]),
        ),
        (cells) => {
          const tally = new TypeTally();
          for (const text of cells) tally.add(text);
          expect(typed(cells)).toEqual([tally.type, tally.format ?? null]);
        },
      ),
      { numRuns: 4000 },
    );
  });

  const letters = fc.constantFrom(
    ...[
      '',
      'USD',
      'eur',
      'US$',
      'A$',
      'R$',
      'Rp',
      'Rp.',
      'kr',
      'Fr.',
      'A',
      'S',
      'R',
      'H',
      'Z',
      'T',
      'X',
      'x',
      'ext.',
    ],
    ...[
      'Jan',
      'march',
      'Dezember',
      'Mai',
      'am',
      'PM',
      'SKU',
      'no',
      'e',
      'name of a product',
      '-',
      '+',
      '(',
      ')',
    ],
  );
  const digits = fc.constantFrom('1', '12', '12.5', '2024', '31', '6.2.29', '030 1234567', '10:30', '');
  const blank = fc.constantFrom('', ' ');
  it('is of no kind by its letters only where nothing reads it', () => {
    fc.assert(
      fc.property(fc.tuple(letters, blank, digits, blank, letters), (parts) => {
        const text = parts.join('').trim();
        fc.pre(/[A-Za-z]/u.test(text) && !/^[-+(]*\s*0\d/u.test(text));
        const [type] = typed([text]);
        const dated = (['YMD', 'DMY', 'MDY'] as const).some((order) => parseTimestamp(text, order) !== null);
        const something = normaliseNumber(text, '.') !== null || dated || isPhone(text);
        if (something) expect(`${text}: ${type}`).not.toMatch(/: text$/u);
      }),
      { numRuns: 5000 },
    );
  });
});

describe('numbers and dates as people write them', () => {
  it.each<[string, '.' | ',', string | null]>([
    ["CHF 1'234.50", '.', '1234.50'],
    ['R$ 1.234,56', ',', '1234.56'],
    ['1 234,5 zł', ',', '1234.5'],
    ['1’234', '.', '1234'],
    ['▲1,234', '.', '-1234'],
    ['12.5%', '.', '0.125'],
    ['-7%', '.', '-0.07'],
    ['100 %', '.', '1'],
    ['0%', '.', '0'],
    ['%', '.', null],
    ['1e5', '.', null],
    ['NaN', '.', null],
    ['Infinity', '.', null],
    ['-0', '.', '0'],
    ['0,125', '.', null],
    ['0.125', ',', null],
    ['12,34,567.5', '.', '1234567.5'],
    ['1,23,456,789', '.', null],
    ['1.10.100', ',', null],
    ['12 34 567', '.', null],
    ['0.1234567890123456789012345', '.', '0.1234567890123456789012345'],
  ])('%s', (text, decimal, expected) => {
    expect(normaliseNumber(text, decimal)).toBe(expected);
  });

  it.each<[string, string | null]>([
    ['2024-01-31 2:30 PM', '2024-01-31T14:30:00'],
    ['2024-01-31 12:00 am', '2024-01-31T00:00:00'],
    ['2024-01-31 13:00 PM', null],
    ['2024-01-31T10:00:00+09', '2024-01-31T10:00:00+09:00'],
    ['2024-01-31T10:00:00,5-0330', '2024-01-31T10:00:00.5-03:30'],
    ['2024-01-31T10:00:00+99:00', null],
    ['2024-01-31 10:00:00 UTC', '2024-01-31T10:00:00Z'],
  ])('%s', (text, expected) => {
    expect(parseTimestamp(text)).toBe(expected);
  });

  it('years of the eras', () => {
    expect(
      ['令和元年5月1日', '昭和64年1月7日', 'H31.4.30', '令和6年2月30日'].map((text) => parseDate(text)),
    ).toEqual(['2019-05-01', '1989-01-07', '2019-04-30', null]);
  });
});
