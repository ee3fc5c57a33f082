import { datePattern, type PatternDate } from './date-pattern.ts';
import { parseDate, parseTimestamp } from './dates.ts';
import { compareDecimals, decimalFits, normaliseNumber } from './numbers.ts';
import { compileCells, type PrepareCell } from './profile/cells.ts';
import { normaliseEmail, normalisePhone } from './rules/contacts.ts';
import { brokenLimit, compileLimits, type LimitFault } from './rules/limits.ts';
import type { FieldRule } from './types.ts';
import { isEmail, isPhone, parseBoolean } from './words.ts';

/** A cell as the target will get it (null: empty), or why it cannot be. A value with a warning goes in all the same. */
export type Checked = { value: string | null; warning?: LimitFault } | Fault;

export interface Fault {
  code: string;
  message: string;
  suggestion?: string;
}

/** Everything about one rule that is the same for every row. */
export interface CompiledRule extends FieldRule {
  /** Header of the column, null for a constant. */
  header: string | null;
  expression: RegExp | null;
  allowed: Set<string> | null;
  /** The cells come from a workbook: its error values are no text. */
  sheet: boolean;
  /** What a profile does to a cell first; null where it does nothing. */
  prepare: PrepareCell | null;
  /** The one way in which its dates are written, where somebody has said it. */
  readDate: ((text: string) => PatternDate | null) | null;
}

const BIGINT_MAX = '9223372036854775807';
const BIGINT_MIN = '-9223372036854775808';

export function compileRule(rule: FieldRule, header: string | null, sheet = false): CompiledRule {
  const dated = rule.type === 'date' || rule.type === 'timestamp';
  const pattern = dated && rule.column !== null ? rule.format?.pattern : undefined;
  const readDate = pattern === undefined ? null : datePattern(pattern);
  // No short way for cells of a pattern: other dates are none here.
  const prepare =
    rule.column === null ? null : (compileCells(rule) ?? (readDate ? (text: string) => text : null));
  return { ...rule, header, ...compileLimits(rule), sheet, prepare, readDate };
}

/** Judges one cell. The reader's threads have a shorter way for plain cells, which must come to the same. */
export function checkCell(rule: CompiledRule, text: string, joined: string[] = []): Checked {
  const source = rule.prepare ? rule.prepare(text, joined) : text;
  const plain = source.trim();
  if (plain === '') {
    if (rule.key && rule.provisional) return { value: null };
    if (rule.key)
      return { code: 'key_missing', message: `${rule.name} is part of the key and is empty. Fill it in.` };
    if (rule.required || rule.empty === 'block')
      return { code: 'required', message: `${rule.name} must be filled in.` };
    return { value: null };
  }
  if (rule.sheet && CELL_ERROR.test(plain)) return cellError(rule, plain);
  const typed = checkType(rule, source, plain);
  if ('code' in typed) return typed;
  return checkLimits(rule, typed.value);
}

/** What a workbook shows where a formula failed, or was never calculated (`xlsx/sheet.ts`). */
export const CELL_ERROR =
  /^#(?:NULL!|DIV\/0!|VALUE!|REF!|NAME\?|NUM!|N\/A|GETTING_DATA|SPILL!|CALC!|NO_VALUE!)$/u;

function cellError(rule: CompiledRule, plain: string): Fault {
  const message =
    plain === '#NO_VALUE!'
      ? `${rule.name} is a formula whose result is not in the file. Open it in Excel and save it again.`
      : `${rule.name} is a formula that failed (${plain}). Correct it in the workbook.`;
  return { code: 'cell_error', message };
}

function checkType(rule: CompiledRule, source: string, plain: string): { value: string } | Fault {
  switch (rule.type) {
    case 'text':
      return { value: source };
    case 'integer':
      return checkInteger(rule, plain);
    case 'decimal':
      return checkDecimal(rule, plain);
    case 'boolean': {
      const truth = parseBoolean(plain);
      if (truth === null)
        return { code: 'not_boolean', message: `${rule.name} must be yes or no, not "${shown(plain)}".` };
      return { value: truth ? 't' : 'f' };
    }
    case 'date': {
      if (rule.readDate) return checkPattern(rule, plain);
      const order = rule.format?.date;
      const date = parseDate(plain, order) ?? AT_MIDNIGHT.exec(parseTimestamp(plain, order) ?? '')?.[1];
      if (!date)
        return {
          code: 'not_date',
          message: `${rule.name} must be a date that exists, such as 2026-01-31, not "${shown(plain)}".`,
        };
      return { value: date };
    }
    case 'timestamp': {
      if (rule.readDate) return checkPattern(rule, plain);
      const moment = parseTimestamp(plain, rule.format?.date);
      if (!moment)
        return {
          code: 'not_timestamp',
          message: `${rule.name} must be a date and time such as 2026-01-31 14:30, not "${shown(plain)}".`,
        };
      return { value: moment };
    }
    case 'email': {
      const address = rule.normalise ? normaliseEmail(plain) : plain;
      if (isEmail(address)) return { value: address };
      return { code: 'not_email', message: `${rule.name} must be an e-mail address, not "${shown(plain)}".` };
    }
    case 'phone':
      return checkPhone(rule, plain);
  }
}

/** A date that came with a time that says nothing. */
const AT_MIDNIGHT = /^(.+)T00:00:00(?:\.0+)?Z?$/u;

/** How the reader of workbooks writes dates, whatever they look like in the sheet. */
const SHEET_DATE = /^(\d{4}-\d{2}-\d{2})(?:[T ](\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?))?$/u;
const MIDNIGHT = /^00:00:00(?:\.0+)?/u;

function checkPattern(rule: CompiledRule, plain: string): { value: string } | Fault {
  const cell = rule.sheet ? SHEET_DATE.exec(plain) : null;
  const found = cell ? { date: parseDate(cell[1]!), time: cell[2] ?? null } : rule.readDate!(plain);
  const { name, type } = rule;
  if (found?.date && type === 'timestamp') {
    const moment = parseTimestamp(`${found.date}T${found.time ?? '00:00:00'}`);
    if (moment) return { value: moment };
  }
  // A date has no time that could be kept.
  if (found?.date && type === 'date' && (found.time === null || MIDNIGHT.test(`${found.time}:00`)))
    return { value: found.date };
  return {
    code: type === 'date' ? 'not_date' : 'not_timestamp',
    message: `${name} must be a date that exists, written as ${rule.format!.pattern!}, not "${shown(plain)}".`,
  };
}

function checkPhone(rule: CompiledRule, plain: string): { value: string } | Fault {
  if (!isPhone(plain))
    return { code: 'not_phone', message: `${rule.name} must be a phone number, not "${shown(plain)}".` };
  if (!rule.normalise) return { value: plain };
  const number = normalisePhone(plain, rule.country);
  if (number !== null) return { value: number };
  return {
    code: 'not_phone',
    message: `${rule.name} must be a whole phone number with its country code, not "${shown(plain)}".`,
  };
}

/** Of a workbook, where a comma is the decimal mark: a number with three decimals, or a text with a mark of thousands. */
const NUMBER_OR_THOUSANDS = /^-?[1-9]\d{0,2}\.\d{3}$/u;

/** A cell as plain decimal text, or what is wrong with it; null where it is no number. */
function numberOf(rule: CompiledRule, plain: string): string | Fault | null {
  const mark = rule.format?.decimal ?? '.';
  if (rule.sheet && mark === ',' && NUMBER_OR_THOUSANDS.test(plain)) {
    return {
      code: rule.type === 'integer' ? 'not_integer' : 'not_decimal',
      message: `${rule.name} holds texts with a decimal comma, so that "${plain}" may be a number or thousands. Make all of the column numbers in the file.`,
    };
  }
  return normaliseNumber(plain, mark);
}

function checkInteger(rule: CompiledRule, plain: string): { value: string } | Fault {
  const value = numberOf(rule, plain);
  if (typeof value === 'object' && value !== null) return value;
  if (value === null)
    return { code: 'not_integer', message: `${rule.name} must be a whole number, not "${shown(plain)}".` };
  const [whole, fraction = ''] = value.split('.') as [string, string?];
  if (/[1-9]/u.test(fraction)) {
    return {
      code: 'not_integer',
      message: `${rule.name} must be a whole number, and "${shown(plain)}" has decimals.`,
    };
  }
  const integer = whole === '-0' ? '0' : whole;
  if (compareDecimals(integer, BIGINT_MAX) > 0 || compareDecimals(integer, BIGINT_MIN) < 0) {
    return { code: 'out_of_range', message: `${rule.name} is a larger number than can be stored.` };
  }
  return { value: integer };
}

function checkDecimal(rule: CompiledRule, plain: string): { value: string } | Fault {
  const value = numberOf(rule, plain);
  if (typeof value === 'object' && value !== null) return value;
  if (value === null) {
    const scientific = /^[+-]?\d+(?:[.,]\d+)?e[+-]?\d+$/iu.test(plain);
    return {
      code: 'not_decimal',
      message: scientific
        ? `${rule.name} is written as "${shown(plain)}": a spreadsheet shortened it. Format the column as a number and export again.`
        : `${rule.name} must be a number, not "${shown(plain)}".`,
    };
  }
  const fit = decimalFits(value, rule.precision, rule.scale);
  if (fit === 'too_precise') {
    return {
      code: 'too_precise',
      message: `${rule.name} may have ${rule.scale ?? 0} digits after the point; "${shown(plain)}" has more.`,
    };
  }
  if (fit === 'too_large')
    return { code: 'out_of_range', message: `${rule.name} is a larger number than can be stored.` };
  return { value };
}

function checkLimits(rule: CompiledRule, value: string): Checked {
  const broken = brokenLimit(rule, value, shown(value));
  if (!broken) return { value };
  return rule.warn?.includes(broken.code) ? { value, warning: broken } : broken;
}

/** A value as it may stand in a sentence. */
function shown(text: string): string {
  return cut(text, 60);
}

export function cut(text: string, most: number): string {
  return text.length <= most ? text : `${text.slice(0, most - 1).toWellFormed()}…`;
}
