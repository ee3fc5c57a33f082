import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ProfileDocument, profileFaults } from '../datasets/profile.ts';
import { checkCell, compileRule } from './check-cell.ts';
import { datePattern, patternFault } from './date-pattern.ts';
import type { FieldRule } from './types.ts';

const read = (pattern: string, text: string) => {
  const found = datePattern(pattern)(text);
  return found && [found.date, ...(found.time === null ? [] : [found.time])].join(' ');
};

describe('a date that is written as the pattern says', () => {
  it.each([
    ['dd.MM.yyyy', '31.12.2026', '2026-12-31'],
    ['d.M.yy', '3.4.26', '2026-04-03'],
    ['d.M.yy', '3.4.70', '1970-04-03'],
    ['yyyyMMdd', '20260228', '2026-02-28'],
    ['yyyy年M月d日', '2026年1月5日', '2026-01-05'],
    ['yyyy年M月d日', '２０２６年１月５日', '2026-01-05'],
    ['EEE, d MMM yyyy', 'Sat, 31 Jan 2026', '2026-01-31'],
    ['d. MMMM yyyy', '3. Mai 2026', '2026-05-03'],
    ['MMM d, yyyy', 'Sept. 9, 2026', '2026-09-09'],
    ['yyyy/MM/dd HH:mm', '2026/01/31   14:30', '2026-01-31 14:30:00'],
    ['hh:mm a M/d/yyyy', '12:05 a.m. 2/28/2026', '2026-02-28 00:05:00'],
    ["yyyy-MM-dd'T'HH:mm:ss.SSSXXX", '2026-01-31T01:02:03.25+0900', '2026-01-31 01:02:03.25+09:00'],
    ["dd.MM.yyyy 'um' H 'o''clock' mm", "01.02.2026 um 7 o'clock 05", '2026-02-01 07:05:00'],
    ['(dd|MM|yyyy)', '(01|02|2026)', '2026-02-01'],
  ])('%s: %s', (pattern, text, date) => {
    expect(read(pattern, text)).toBe(date);
  });

  it.each([
    ['dd.MM.yyyy', '1.2.2026'],
    ['dd.MM.yyyy', '2026-01-31'],
    ['dd.MM.yyyy', '31.02.2026'],
    ['dd.MM.yyyy', '31x12x2026'],
    ['dd.MM.yyyy', '31.12.2026 10:00'],
    ['dd.MM.yyyy', '12.31.2026'],
    ['yyyy-MM-dd HH:mm', '2026-01-31 24:00'],
    ['h:mm a d.M.yyyy', '13:00 pm 1.1.2026'],
    ['d MMM yyyy', '1 Foo 2026'],
  ])('%s is not %s', (pattern, text) => {
    expect(read(pattern, text)).toBeNull();
  });
});

it.each([
  ['dd.MM', /year/u],
  ['yyyy-dd', /month/u],
  ['MM/yyyy', /day/u],
  ['dd.dd.MM.yyyy', /already/u],
  ['dd.MM.yyyy yy', /one year/u],
  ['QQ yyyy', /no part of a date/u],
  ["dd.MM.yyyy 'um", /not closed/u],
  ['dd.MM.yyyy hh:mm', /needs a/u],
  ['dd.MM.yyyy HH', /belong together/u],
  ['dd.MM.yyyy XXX', /need what stands before/u],
])('%s is no pattern', (pattern, fault) => {
  expect(patternFault(pattern)).toMatch(fault);
  expect(() => datePattern(pattern)).toThrow(fault);
});

it('any date written by any pattern is read back, and by one of another order never as another date', () => {
  const two = (value: number) => String(value).padStart(2, '0');
  const date = fc.date({ min: new Date('1970-01-01'), max: new Date('2069-12-31'), noInvalidDate: true });
  const order = fc.shuffledSubarray(['year', 'month', 'day'], { minLength: 3, maxLength: 3 });
  const mark = fc.constantFrom('.', '/', '-', ' ', ', ', '年', '|');
  fc.assert(
    fc.property(date, order, mark, fc.boolean(), fc.boolean(), (day, parts, between, long, clock) => {
      const [year, month, dayOf] = [day.getUTCFullYear(), day.getUTCMonth() + 1, day.getUTCDate()];
      const written: Record<string, [string, string]> = {
        year: long ? ['yyyy', String(year)] : ['yy', two(year % 100)],
        month: long ? ['MM', two(month)] : ['M', String(month)],
        day: long ? ['dd', two(dayOf)] : ['d', String(dayOf)],
      };
      const time = `${two(day.getUTCHours())}:${two(day.getUTCMinutes())}`;
      const pattern = parts.map((part) => written[part]![0]).join(between) + (clock ? ' HH:mm' : '');
      const text = parts.map((part) => written[part]![1]).join(between) + (clock ? ` ${time}` : '');
      const iso = day.toISOString().slice(0, 10);
      expect(datePattern(pattern)(text)).toEqual({ date: iso, time: clock ? `${time}:00` : null });
    }),
  );
});

describe('a field with a pattern', () => {
  const rule = (type: 'date' | 'timestamp', pattern: string, sheet = false) =>
    compileRule(
      {
        name: 'day',
        type,
        required: false,
        empty: 'keep',
        aliases: [],
        column: 0,
        key: false,
        format: { pattern },
      } satisfies FieldRule,
      'Day',
      sheet,
    );

  it('takes nothing else, not even what could be read without it', () => {
    const day = rule('date', 'dd.MM.yyyy');
    // Without this, cells such as the second would be copied as they are.
    expect(day.prepare).not.toBeNull();
    expect(checkCell(day, '05.04.2026')).toEqual({ value: '2026-04-05' });
    expect(checkCell(day, '2026-04-05')).toMatchObject({
      code: 'not_date',
      message: 'day must be a date that exists, written as dd.MM.yyyy, not "2026-04-05".',
    });
    expect(checkCell(day, ' ')).toEqual({ value: null });
  });

  it('keeps no time in a date, and midnight is a date’s time', () => {
    expect(checkCell(rule('date', 'dd.MM.yyyy HH:mm'), '05.04.2026 00:00')).toEqual({ value: '2026-04-05' });
    expect(checkCell(rule('date', 'dd.MM.yyyy HH:mm'), '05.04.2026 10:00')).toMatchObject({
      code: 'not_date',
    });
    expect(checkCell(rule('timestamp', 'dd.MM.yyyy'), '05.04.2026')).toEqual({
      value: '2026-04-05T00:00:00',
    });
    expect(checkCell(rule('timestamp', 'dd.MM.yyyy HH:mm'), '05.04.2026 10:07')).toEqual({
      value: '2026-04-05T10:07:00',
    });
  });

  it('nor does a date without one', () => {
    const us = compileRule({ ...rule('date', 'dd.MM.yyyy'), format: { date: 'MDY' } }, 'Day', false);
    expect(checkCell(us, '1/31/2024 12:00:00 AM')).toEqual({ value: '2024-01-31' });
    expect(checkCell(us, '2024-01-31T00:00:00.000Z')).toEqual({ value: '2024-01-31' });
    expect(checkCell(us, '1/31/2024 12:00 PM')).toMatchObject({ code: 'not_date' });
  });

  it('of a workbook may hold dates that are dates there', () => {
    expect(checkCell(rule('date', 'dd.MM.yyyy', true), '2026-04-05')).toEqual({ value: '2026-04-05' });
    expect(checkCell(rule('date', 'dd.MM.yyyy', true), '05.04.2026')).toEqual({ value: '2026-04-05' });
    expect(checkCell(rule('date', 'dd.MM.yyyy', true), '2026/04/05')).toMatchObject({ code: 'not_date' });
  });

  it('is refused in a profile where it cannot be meant', () => {
    const profile = (pattern: string) => ({
      waybillProfile: 1,
      dataset: 'd',
      name: 'p',
      fields: { a: { column: 'A', format: { pattern } } },
    });
    expect(ProfileDocument.safeParse(profile('dd.MM.yyyy')).success).toBe(true);
    expect(ProfileDocument.safeParse(profile('DD.MM.YYYY')).error?.message).toMatch(/DD.*no part of a date/u);
    const dataset = {
      name: 'd',
      version: 1,
      title: { en: 'd', ja: 'd' },
      target: { schema: 's', table: 't' },
      key: { fields: ['a'], index: 'i' },
      duplicates: 'last' as const,
      fields: [
        {
          name: 'a',
          column: 'a',
          title: { en: 'a', ja: 'a' },
          type: 'text' as const,
          required: false,
          empty: 'keep' as const,
          aliases: [],
        },
      ],
    };
    const faults = (type: 'text' | 'date') =>
      profileFaults(ProfileDocument.parse(profile('dd.MM.yyyy')), {
        ...dataset,
        fields: [{ ...dataset.fields[0]!, type }],
      }).map(({ path }) => path);
    expect([faults('text'), faults('date')]).toEqual([['fields.a'], []]);
  });
});
