import type { ColumnFormat } from './types.ts';

export type DateOrder = NonNullable<ColumnFormat['date']>;

const NUMERIC = /^(\d{1,4})([-/. ])(\d{1,2})\2(\d{1,4})$/u;
const JAPANESE = /^(\d{4})年(\d{1,2})月(\d{1,2})日$/u;
const COMPACT = /^(\d{4})(\d{2})(\d{2})$/u;
/** `31 Jan 2024`, `31. Januar 2024`, `31-JAN-24`; `January 31, 2024`. */
const NAMED =
  /^(?:(\d{1,2})(?:[-/ ]|\. ?)(\p{L}{3,9})(?:\.?[-/ ]|\.)(\d{4}|\d{2})|(\p{L}{3,9})\.? (\d{1,2}),? (\d{4}))$/u;
/** In English, German and Indonesian, whole and as they are shortened. */
const MONTHS = new Map(
  [
    'jan january januar jänner januari',
    'feb february februar februari',
    'mar march märz maerz mrz maret',
    'apr april',
    'may mei mai',
    'jun june juni',
    'jul july juli',
    'aug august agu ags agt agustus',
    'sep sept september',
    'oct october okt oktober',
    'nov november nop nopember',
    'dec december dez dezember des desember',
  ].flatMap((names, month) => names.split(' ').map((name) => [name, month + 1] as const)),
);

/** Of a month's name in English, German or Indonesian; words that only begin like one are none. */
export const monthNamed = (name: string): number | null => MONTHS.get(name.toLowerCase()) ?? null;

/** Can letters that stand together, and first in a text without a colon, be those of a date? */
export const isDateWord = (letters: string): boolean =>
  /^[RHS]$/iu.test(letters) || MONTHS.has(letters.toLowerCase());

const TIME =
  /^(\d{1,2}):(\d{2})(?::(\d{2})([.,]\d{1,9})?)?\s*(?:([AP])\.?M\.?)?\s*(Z|UTC|GMT|[+-]\d{2}(?::?\d{2})?)?$/iu;
/** First years of the Japanese eras. */
const ERAS: Record<string, number> = { 令和: 2019, R: 2019, 平成: 1989, H: 1989, 昭和: 1926, S: 1926 };
/** How many years the eras that have ended went on. */
const ERA_YEARS: Record<string, number> = { 平成: 31, H: 31, 昭和: 64, S: 64 };
const ERA = /^(令和|平成|昭和|[RHS])(元|\d{1,2})(?:年|[./])(\d{1,2})(?:月|[./])(\d{1,2})日?$/u;

/** Orders of day, month and year in which a text is a real date; empty if it is none. */
export function dateOrders(text: string): DateOrder[] {
  return (['YMD', 'DMY', 'MDY'] as const).filter((order) => parseDate(text, order) !== null);
}

/**
 * `YYYY-MM-DD`, or null where the text is no real date. Year-first, Japanese and named-month dates can be read in one
 * way only; for the rest the order is needed, settled once for the column.
 */
export function parseDate(text: string, order: DateOrder = 'YMD'): string | null {
  const plain = text.normalize('NFKC').trim();
  const japanese = JAPANESE.exec(plain) ?? (order === 'YMD' ? COMPACT.exec(plain) : null);
  if (japanese) return iso(Number(japanese[1]), Number(japanese[2]), Number(japanese[3]));
  const era = ERA.exec(plain);
  if (era) {
    const years = era[2] === '元' ? 1 : Number(era[2]);
    if (years > (ERA_YEARS[era[1]!] ?? 99)) return null;
    const year = ERAS[era[1]!]! + years - 1;
    return iso(year, Number(era[3]), Number(era[4]));
  }
  const named = NAMED.exec(plain);
  if (named) {
    const month = monthNamed((named[2] ?? named[4])!);
    return month ? iso(yearOf((named[3] ?? named[6])!), month, Number(named[1] ?? named[5])) : null;
  }
  const numeric = NUMERIC.exec(plain);
  if (!numeric) return null;
  const [, first, , second, third] = numeric as unknown as [string, string, string, string, string];
  if (first.length === 4) return third.length > 2 ? null : iso(Number(first), Number(second), Number(third));
  if (order === 'YMD' || first.length > 2 || third.length === 3 || third.length === 1) return null;
  const year = yearOf(third);
  return order === 'DMY'
    ? iso(year, Number(second), Number(first))
    : iso(year, Number(first), Number(second));
}

/** Of four digits, or of the two that stand for 1970 to 2069. */
export function yearOf(digits: string): number {
  const year = Number(digits);
  return digits.length > 2 ? year : year + (year < 70 ? 2000 : 1900);
}

/** ISO 8601 date and time with the offset it came with, or null. A date alone is its midnight. */
export function parseTimestamp(text: string, order: DateOrder = 'YMD'): string | null {
  const plain = text.normalize('NFKC').trim();
  const split = /^(.*?\d日?)(?:T|\s+)(\d{1,2}:.*)$/iu.exec(plain);
  const date = parseDate(split ? split[1]! : plain, order);
  if (!date || !split) return date && `${date}T00:00:00`;
  const time = TIME.exec(split[2]!);
  if (!time) return null;
  const [minutes, seconds] = [Number(time[2]), Number(time[3] ?? 0)];
  const half = time[5]?.toUpperCase();
  if (half && (Number(time[1]) < 1 || Number(time[1]) > 12)) return null;
  const hours = half ? (Number(time[1]) % 12) + (half === 'P' ? 12 : 0) : Number(time[1]);
  if (hours > 23 || minutes > 59 || seconds > 59) return null;
  const zone = time[6] ? zoneOf(time[6]) : '';
  if (zone === null) return null;
  return `${date}T${two(hours)}:${two(minutes)}:${two(seconds)}${(time[4] ?? '').replace(',', '.')}${zone}`;
}

/** `+09`, `+0900` and `+09:00` as the last of them, `UTC` as `Z`; null where there is no such zone. */
export function zoneOf(text: string): string | null {
  if (/^[A-Z]/iu.test(text)) return 'Z';
  const hours = text.slice(1, 3);
  const minutes = text.slice(3).replace(':', '') || '00';
  return Number(hours) > 15 || Number(minutes) > 59 ? null : `${text[0]}${hours}:${minutes}`;
}

export function iso(year: number, month: number, day: number): string | null {
  if (year < 1 || month < 1 || month > 12 || day < 1 || day > daysIn(year, month)) return null;
  return `${String(year).padStart(4, '0')}-${two(month)}-${two(day)}`;
}

export function daysIn(year: number, month: number): number {
  if (month === 2) return year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0) ? 29 : 28;
  return month === 4 || month === 6 || month === 9 || month === 11 ? 30 : 31;
}

function two(value: number): string {
  return String(value).padStart(2, '0');
}
