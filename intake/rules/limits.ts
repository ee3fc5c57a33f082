import { compareDecimals } from '../numbers.ts';
import type { FieldType } from '../types.ts';
import type { FieldLimits, LimitCode } from './types.ts';

/** Why a value is outside its field's limits. */
export interface LimitFault {
  code: LimitCode;
  message: string;
  suggestion?: string;
}

/** Limits as they are asked for every row. */
export interface CompiledLimits extends FieldLimits {
  name: string;
  type: FieldType;
  expression: RegExp | null;
  allowed: Set<string> | null;
}

export const compileLimits = (limits: FieldLimits): Pick<CompiledLimits, 'expression' | 'allowed'> => ({
  expression: limits.pattern === undefined ? null : new RegExp(`^(?:${limits.pattern})$`, 'u'),
  allowed: limits.enum ? new Set(limits.enum) : null,
});

/** The first limit that a value of the field's type breaks; null where it keeps to all. */
export function brokenLimit(rule: CompiledLimits, value: string, shown: string): LimitFault | null {
  const { name, minLength = 0, maxLength = Infinity } = rule;
  if (value.length > maxLength || minLength > 0) {
    const length = lengthOf(value);
    if (length > maxLength)
      return { code: 'too_long', message: `${name} may have ${maxLength} characters; this has ${length}.` };
    if (length < minLength)
      return { code: 'too_short', message: `${name} must have ${minLength} characters; this has ${length}.` };
  }
  if (rule.allowed && !rule.allowed.has(value)) {
    const close = rule.enum!.find((word) => word.toLowerCase() === value.trim().toLowerCase());
    return {
      code: 'not_in_list',
      message: `${name} must be one of ${rule.enum!.slice(0, 10).join(', ')}, not "${shown}".`,
      ...(close === undefined ? {} : { suggestion: close }),
    };
  }
  if (rule.expression && !rule.expression.test(value)) {
    return { code: 'wrong_pattern', message: `${name} is not written as it must be: "${shown}".` };
  }
  const against = (bound: string) => compareValues(rule.type, value, bound);
  const below = (what: string): LimitFault => ({
    code: 'below_minimum',
    message: `${name} must be ${what}, not ${shown}.`,
  });
  const above = (what: string): LimitFault => ({
    code: 'above_maximum',
    message: `${name} must be ${what}, not ${shown}.`,
  });
  if (rule.min !== undefined && against(rule.min) < 0) return below(`at least ${rule.min}`);
  if (rule.above !== undefined && against(rule.above) <= 0) return below(`more than ${rule.above}`);
  if (rule.max !== undefined && against(rule.max) > 0) return above(`at most ${rule.max}`);
  if (rule.below !== undefined && against(rule.below) >= 0) return above(`less than ${rule.below}`);
  return null;
}

/** Orders two values of one type, as the reader writes them. */
export function compareValues(type: FieldType, left: string, right: string): number {
  if (type === 'integer' || type === 'decimal') return compareDecimals(left, right);
  if (type === 'timestamp') return instant(left) - instant(right);
  return left < right ? -1 : left > right ? 1 : 0;
}

/** Milliseconds; a date alone is its midnight, a time without zone one of UTC. */
function instant(text: string): number {
  const time = text.includes('T') ? text : `${text}T00:00:00`;
  return Date.parse(/(?:Z|[+-]\d{2}:?\d{2})$/u.test(time) ? time : `${time}Z`);
}

/**
 * How many digits before the point a number may have so that it keeps to all bounds whatever the digits are, and whether
 * it may be negative. Null where no number of digits says so: then each is compared.
 */
export function safeDigits(limits: FieldLimits): { digits: number; minus: boolean } | null {
  const upper = [limits.max, limits.below].filter((bound) => bound !== undefined);
  const lower = [limits.min, limits.above].filter((bound) => bound !== undefined);
  if (limits.above !== undefined && compareDecimals(limits.above, '0') >= 0) return null;
  if (limits.min !== undefined && compareDecimals(limits.min, '0') > 0) return null;
  const minus = lower.every((bound) => bound.startsWith('-'));
  const bounds = [...upper, ...(minus ? lower : [])];
  if (bounds.some((bound) => upper.includes(bound) && bound.startsWith('-'))) return null;
  const digits = Math.min(
    ...bounds.map((bound) => bound.replace(/^-/u, '').split('.')[0]!.replace(/^0+/u, '').length - 1),
  );
  return digits >= 1 ? { digits, minus } : null;
}

function lengthOf(text: string): number {
  let length = 0;
  for (const _ of text) length++;
  return length;
}

const WINDOW = /^today(?<days>[+-]\d{1,6})?$/u;

/** Bounds that count from the day of the import, as dates. `today` is `YYYY-MM-DD`. */
export function settleWindows<T extends FieldLimits>(rule: T, today: string): T {
  const settled = { ...rule };
  for (const bound of ['min', 'max', 'above', 'below'] as const) {
    const window = WINDOW.exec(rule[bound] ?? '');
    if (!window) continue;
    const day = Date.parse(`${today}T00:00:00Z`) + Number(window.groups!['days'] ?? 0) * 86_400_000;
    settled[bound] = new Date(day).toISOString().slice(0, 10);
  }
  return settled;
}
