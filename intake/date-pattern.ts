import { iso, monthNamed, yearOf, zoneOf } from './dates.ts';

/** A date as a pattern finds it in a text: `2026-01-31`, and the time behind it (`14:30:00`, with zone) if there is one. */
export interface PatternDate {
  date: string;
  time: string | null;
}

/** What a letter group stands for, and what it matches. */
const GROUPS: Record<string, { part: string; match: string }> = {
  yyyy: { part: 'year', match: '(\\d{4})' },
  yy: { part: 'shortYear', match: '(\\d{2})' },
  MMMM: { part: 'monthName', match: '(\\p{L}{3,12})\\.?' },
  MMM: { part: 'monthName', match: '(\\p{L}{3,12})\\.?' },
  MM: { part: 'month', match: '(\\d{2})' },
  M: { part: 'month', match: '(\\d{1,2})' },
  dd: { part: 'day', match: '(\\d{2})' },
  d: { part: 'day', match: '(\\d{1,2})' },
  EEEE: { part: 'weekday', match: '(\\p{L}{1,12})\\.?' },
  EEE: { part: 'weekday', match: '(\\p{L}{1,12})\\.?' },
  HH: { part: 'hour', match: '(\\d{2})' },
  H: { part: 'hour', match: '(\\d{1,2})' },
  hh: { part: 'half', match: '(\\d{2})' },
  h: { part: 'half', match: '(\\d{1,2})' },
  mm: { part: 'minute', match: '(\\d{2})' },
  ss: { part: 'second', match: '(\\d{2})' },
  SSS: { part: 'fraction', match: '(\\d{1,9})' },
  a: { part: 'noon', match: '([AaPp])\\.?[Mm]\\.?' },
  XXX: { part: 'zone', match: '(Z|[+-]\\d{2}(?::?\\d{2})?)' },
};

/** Letter groups, quoted text (`'T'`, `''` for a quote), or one character that stands for itself. */
const TOKEN = /([A-Za-z])\1*|'((?:[^']|'')*)'|[^]/gu;

interface Compiled {
  expression: RegExp;
  parts: string[];
}

/** The pattern as an expression, or what is wrong with it. */
function compile(pattern: string): Compiled | string {
  const parts: string[] = [];
  let source = '';
  for (const [token, letter, quoted] of pattern.normalize('NFKC').matchAll(TOKEN)) {
    if (letter !== undefined) {
      const group = GROUPS[token];
      if (!group)
        return `"${token}" is no part of a date. Known are ${Object.keys(GROUPS).join(', ')}; other letters stand in quotes ('T').`;
      if (parts.includes(group.part)) return `"${token}" says what another part says already.`;
      parts.push(group.part);
      source += group.match;
    } else if (quoted !== undefined) source += literal(quoted === '' ? "'" : quoted.replaceAll("''", "'"));
    else if (token === "'") return 'A quote is not closed.';
    else source += /\s/u.test(token) ? '\\s+' : literal(token);
  }
  const has = (...names: string[]) => names.filter((name) => parts.includes(name)).length;
  if (has('year', 'shortYear') !== 1) return 'It needs one year (yyyy or yy).';
  if (has('month', 'monthName') !== 1) return 'It needs one month (MM, M or MMM).';
  if (has('day') !== 1) return 'It needs one day (dd or d).';
  if (has('hour', 'half') > 1) return 'It has two hours: HH counts to 24, hh to 12 (with a).';
  if (has('half') !== has('noon')) return 'hh counts to 12 and needs a (am, pm); HH does not.';
  if (has('minute') < has('hour', 'half') || has('hour', 'half') < has('minute'))
    return 'Hours and minutes belong together.';
  if (has('second') > has('minute') || has('fraction') > has('second') || has('zone') > has('minute'))
    return 'Seconds, their fractions and a zone need what stands before them.';
  return { expression: new RegExp(`^${source}$`, 'u'), parts };
}

const literal = (text: string): string => text.replace(/[\\^$.*+?()[\]{}|/]/gu, '\\$&');

/** What is wrong with a date pattern, as a sentence; null where it can be used. */
export function patternFault(pattern: string): string | null {
  const compiled = compile(pattern);
  return typeof compiled === 'string' ? compiled : null;
}

/**
 * A reader of dates written as one pattern says (`dd.MM.yyyy`, `yyyy/MM/dd HH:mm`) and in no other way. It answers null for
 * what is not written so, or is no real date.
 */
export function datePattern(pattern: string): (text: string) => PatternDate | null {
  const compiled = compile(pattern);
  if (typeof compiled === 'string')
    throw new Error(`The date pattern "${pattern}" cannot be used: ${compiled}`);
  const { expression, parts } = compiled;
  return (text) => {
    const found = expression.exec(text.normalize('NFKC').trim());
    if (!found) return null;
    const get = (part: string): string | undefined => found[parts.indexOf(part) + 1];
    const of = (part: string): string | undefined => (parts.includes(part) ? get(part) : undefined);
    const short = of('shortYear');
    const year = yearOf(short ?? of('year')!);
    const name = of('monthName');
    const month = name === undefined ? Number(of('month')) : monthNamed(name);
    const date = month === null ? null : iso(year, month, Number(of('day')));
    if (date === null) return null;
    if (!parts.includes('minute')) return { date, time: null };
    const time = timeOf(of);
    return time === null ? null : { date, time };
  };
}

function timeOf(of: (part: string) => string | undefined): string | null {
  const half = of('half');
  if (half !== undefined && (Number(half) < 1 || Number(half) > 12)) return null;
  const hour =
    half === undefined
      ? Number(of('hour'))
      : (Number(half) % 12) + (of('noon')!.toUpperCase() === 'P' ? 12 : 0);
  const [minute, second] = [Number(of('minute')), Number(of('second') ?? 0)];
  if (hour > 23 || minute > 59 || second > 59) return null;
  const zone = of('zone');
  const offset = zone === undefined ? '' : zoneOf(zone);
  if (offset === null) return null;
  const fraction = of('fraction');
  const clock = [hour, minute, second].map((value) => String(value).padStart(2, '0')).join(':');
  return `${clock}${fraction === undefined ? '' : `.${fraction}`}${offset}`;
}
