import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { checkCell, compileRule } from '../check-cell.ts';
import { parseSegment } from '../parse-segment.ts';
import type { FieldRule, Issue, SegmentJob, SegmentResult } from '../types.ts';
import { normaliseEmail, normalisePhone } from './contacts.ts';
import { safeDigits, settleWindows } from './limits.ts';
import type { CompareRule } from './types.ts';

const rule = (more: Partial<FieldRule>): FieldRule => ({
  name: 'f',
  column: 0,
  type: 'text',
  required: false,
  empty: 'keep',
  aliases: [],
  key: false,
  ...more,
});
const check = (more: Partial<FieldRule>, text: string): string | null => {
  const checked = checkCell(compileRule(rule(more), 'F'), text);
  return 'code' in checked ? checked.code : checked.value;
};

describe('limits of a field', () => {
  it.each<[Partial<FieldRule>, string, string]>([
    [{ minLength: 2 }, 'a', 'too_short'],
    [{ minLength: 2, maxLength: 2 }, '😀😀', '😀😀'],
    [{ maxLength: 2 }, '😀😀😀', 'too_long'],
    [{ type: 'decimal', above: '0' }, '0', 'below_minimum'],
    [{ type: 'decimal', above: '0' }, '0.0001', '0.0001'],
    [{ type: 'decimal', below: '1' }, '1.00', 'above_maximum'],
    [{ type: 'integer', min: '-5', max: '5' }, '-6', 'below_minimum'],
    [{ type: 'date', min: '2026-01-01' }, '2025-12-31', 'below_minimum'],
    [{ type: 'date', below: '2026-01-01', format: { date: 'DMY' } }, '01/01/2026', 'above_maximum'],
    [{ pattern: '[A-Z]{2}' }, 'AB', 'AB'],
    [{ pattern: '[A-Z]{2}' }, 'ABC', 'wrong_pattern'],
    [{ enum: ['S', 'M'] }, 's', 'not_in_list'],
  ])('%j reads %j as %j', (limits, text, expected) => {
    expect(check(limits, text)).toBe(expected);
  });

  it('warn where they are told to, and the value goes in', () => {
    const checked = checkCell(compileRule(rule({ maxLength: 1, warn: ['too_long'] }), 'F'), 'ab');
    expect(checked).toMatchObject({ value: 'ab', warning: { code: 'too_long' } });
    expect(check({ maxLength: 1, minLength: 3, warn: ['too_short'] }, 'ab')).toBe('too_long');
  });

  it('of dates may count from the day of the import', () => {
    const settled = settleWindows(
      rule({ type: 'date', min: 'today-30', max: 'today', above: '2000-01-01' }),
      '2026-03-01',
    );
    expect(settled).toMatchObject({ min: '2026-01-30', max: '2026-03-01', above: '2000-01-01' });
    expect(settleWindows(rule({ below: 'today+1' }), '2028-02-28').below).toBe('2028-02-29');
  });

  it('say how many digits are safe without looking', () => {
    expect(safeDigits({ min: '-2147483648', max: '2147483647' })).toEqual({ digits: 9, minus: true });
    expect(safeDigits({ min: '0' })).toEqual({ digits: Infinity, minus: false });
    expect(safeDigits({ min: '0', max: '100' })).toEqual({ digits: 2, minus: false });
    expect(safeDigits({ above: '0', max: '100' })).toBeNull();
    expect(safeDigits({ max: '9' })).toBeNull();
    expect(safeDigits({ max: '-10' })).toBeNull();
  });
});

describe('contacts written in one way', () => {
  it.each([
    ['Ａ@Ｅxample.COM', 'A@example.com'],
    ['mailto:Bob@Mail.Example', 'Bob@mail.example'],
    [' x@y.jp ', 'x@y.jp'],
  ])('%j is %j', (text, expected) => {
    expect(normaliseEmail(text)).toBe(expected);
    expect(check({ type: 'email', normalise: true }, text)).toBe(expected);
  });

  it.each<[string, string | undefined, string | null]>([
    ['03-1234-5678', 'JP', '+81312345678'],
    ['０９０－１２３４－５６７８', 'JP', '+819012345678'],
    ['+81 (0)3-1234-5678', undefined, '+81312345678'],
    ['010 1 415 555 2671', 'JP', '+14155552671'],
    ['(415) 555-2671', 'US', '+14155552671'],
    ['1-415-555-2671', 'US', '+14155552671'],
    ['0812-3456-7890', 'ID', '+6281234567890'],
    ['089 / 123456', 'DE', '+4989123456'],
    ['0049 89 123456', undefined, '+4989123456'],
    ['02 1234 5678', 'IT', '+390212345678'],
    ['8 (912) 345-67-89', 'RU', '+79123456789'],
    ['912 345-67-89', 'RU', '+79123456789'],
    ['03-1234-5678 内線 12', 'JP', '+81312345678 ext. 12'],
    ['tel:+49-89-123456;ext=7', undefined, '+4989123456 ext. 7'],
    ['03-1234-5678', undefined, null],
    ['12', 'JP', null],
    ['+1234567890123456', undefined, null],
    ['call me', 'JP', null],
  ])('%s of %s is %s', (text, country, expected) => {
    expect(normalisePhone(text, country)).toBe(expected);
  });

  it('stay as they are where nothing else is said', () => {
    expect(check({ type: 'phone' }, '03-1234-5678')).toBe('03-1234-5678');
    expect(check({ type: 'phone', normalise: true }, '03-1234-5678')).toBe('not_phone');
    expect(check({ type: 'phone', normalise: true, country: 'JP' }, '03-1234-5678')).toBe('+81312345678');
  });
});

describe('fields of one row', () => {
  const folder = mkdtempSync(join(tmpdir(), 'intake-rules-'));
  afterAll(() => rmSync(folder, { recursive: true }));

  function read(cells: string[][], rules: FieldRule[], comparisons: CompareRule[]) {
    const text = cells.map((row) => `${row.join(',')}\n`).join('');
    const path = join(folder, 'rows.csv');
    writeFileSync(path, text);
    const job: SegmentJob = {
      path,
      segment: {
        index: 0,
        start: 0,
        end: Buffer.byteLength(text),
        firstRecord: 1,
        firstLine: 1,
        accepted: cells.length,
        rejected: 0,
      },
      dialect: { delimiter: ',', quote: '"', escape: '"' },
      columns: cells[0]!.map((_, n) => ({ name: `c${n}`, original: `c${n}`, type: 'text' })),
      rules,
      comparisons,
    };
    const chunks: Buffer[] = [];
    const reading = parseSegment(job);
    let step = reading.next();
    for (; !step.done; step = reading.next()) chunks.push(Buffer.from(step.value));
    const rows = Buffer.concat(chunks)
      .toString()
      .trimEnd()
      .split('\n')
      .map((line) => {
        const [, , , , blocked, issues, , ...fields] = line.split('\t') as [
          string,
          string,
          string,
          string,
          string,
          string,
          string,
        ];
        return {
          blocked: blocked === 't',
          issues: issues === '\\N' ? [] : (JSON.parse(issues.replaceAll('\\\\', '\\')) as Issue[]),
          fields: fields as string[],
        };
      });
    return { rows, result: step.value as SegmentResult };
  }

  it('are compared, each in its own way; empty ones agree with everything', () => {
    const rules = [
      rule({ name: 'from', column: 0, type: 'date' }),
      rule({ name: 'to', column: 1, type: 'date' }),
      rule({ name: 'low', column: 2, type: 'decimal' }),
      rule({ name: 'high', column: 3, type: 'decimal' }),
    ];
    const { rows, result } = read(
      [
        ['2026-01-31', '2026-02-01', '9', '10.5'],
        ['2026-02-01', '2026-01-31', '10', '9'],
        ['2026-02-01', '', '', '1'],
        ['2026-01-01', '2026-01-01', 'x', '1'],
        ['2025-01-01', '2024-01-01', '1', '1'],
      ],
      rules,
      [
        { kind: 'compare', left: 'from', operator: '<=', right: 'to' },
        { kind: 'compare', left: 'low', operator: '<', right: 'high', severity: 'warning' },
        { kind: 'compare', left: 'from', operator: '<>', right: 'absent' },
      ],
    );
    expect(rows.map(({ blocked }) => blocked)).toEqual([false, true, false, true, true]);
    expect(
      rows[1]!.issues.map(({ code, severity, field, column }) => [code, severity, field, column]),
    ).toEqual([
      ['fields_disagree', 'error', 'from', 'c0'],
      ['fields_disagree', 'warning', 'low', 'c2'],
    ]);
    expect(rows[1]!.issues[0]!.message).toBe('from (2026-02-01) must be not after to (2026-01-31).');
    // Nothing is said of cells that are wrong in themselves.
    expect(rows[3]!.issues.map(({ code }) => code)).toEqual(['not_decimal']);
    expect(result).toMatchObject({ accepted: 5, blocked: 3, issues: { fields_disagree: 4, not_decimal: 1 } });
  });

  it('with nothing but warnings go in as they are', () => {
    const { rows, result } = read(
      [['ab\\c'.repeat(10), '5']],
      [
        rule({ name: 'text', maxLength: 3, warn: ['too_long'] }),
        rule({ name: 'n', column: 1, type: 'integer' }),
      ],
      [],
    );
    expect(rows[0]).toMatchObject({ blocked: false, fields: ['ab\\\\c'.repeat(10), '5'] });
    expect(rows[0]!.issues).toMatchObject([{ code: 'too_long', severity: 'warning' }]);
    expect(result).toMatchObject({ accepted: 1, blocked: 0, issues: { too_long: 1 } });
  });
});
