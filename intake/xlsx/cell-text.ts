import type { NumberKind } from './number-format.ts';

const DAY_MS = 86_400_000;
/** The day after the last one that a workbook knows, 9999-12-31. */
const LAST_DAY_1900 = 2_958_466;
const DAYS_BETWEEN_CALENDARS = 1462;
const DAYS_KEPT = 16_384;
/** Digits that a spreadsheet shows; a double has no more that mean anything. */
const SHOWN_DIGITS = 15;
/** Where a number rounded to what is shown has no more digits than these, the rest was noise. */
const CLEAN_DIGITS = 13;

/** A number cell as text: dates by their format, everything else as exact plain decimal. */
export function numberText(value: string, format: NumberKind, date1904: boolean): string {
  if (format.kind === 'date') return dateText(Number(value), format, date1904) ?? plainNumber(value);
  if (format.kind === 'elapsed') return elapsedText(Number(value)) ?? plainNumber(value);
  const plain = plainNumber(value);
  return format.kind === 'padded' ? padded(plain, format.mask) : plain;
}

/** Digits put into the zeros of the mask from the right; those that are left over stand before it. */
function padded(plain: string, mask: string): string {
  if (!/^\d+$/u.test(plain)) return plain;
  const digits = [...plain];
  let text = '';
  for (const char of [...mask].reverse()) text = (char === '0' ? (digits.pop() ?? '0') : char) + text;
  return digits.join('') + text;
}

/**
 * Days since the workbook's epoch. Its 1900 calendar counts a 29 February 1900 that never was, and a day zero: both stay
 * what they claim to be, and are no valid date to whoever checks.
 */
function dateText(
  serial: number,
  format: { day: boolean; time: boolean; fraction: number },
  date1904: boolean,
): string | null {
  if (!Number.isFinite(serial) || serial < 0) return null;
  let days = Math.floor(serial);
  const parts = 10 ** format.fraction;
  let ms = (Math.round((serial - days) * 86_400 * parts) / parts) * 1000;
  if (ms >= DAY_MS) {
    days++;
    ms = 0;
  }
  if (days >= LAST_DAY_1900 - (date1904 ? DAYS_BETWEEN_CALENDARS : 0)) return null;
  const clock = () => new Date(ms).toISOString().slice(11, format.fraction > 0 ? 20 + format.fraction : 19);
  if (!format.day && days === 0) return clock();
  const day = dayText(days, date1904);
  return format.time || ms !== 0 ? `${day} ${clock()}` : day;
}

const known = new Map<number, string>();

function dayText(days: number, date1904: boolean): string {
  const key = date1904 ? -1 - days : days;
  const found = known.get(key);
  if (found !== undefined) return found;
  if (known.size >= DAYS_KEPT) known.clear();
  const epoch = date1904 ? Date.UTC(1904, 0, 1) : Date.UTC(1899, 11, days < 60 ? 31 : 30);
  const text =
    !date1904 && days === 60
      ? '1900-02-29'
      : !date1904 && days === 0
        ? '1900-01-00'
        : new Date(epoch + days * DAY_MS).toISOString().slice(0, 10);
  known.set(key, text);
  return text;
}

/** Hours, minutes and seconds, whatever of them the format shows: `36:00` alone may be hours or minutes. */
function elapsedText(days: number): string | null {
  if (!Number.isFinite(days) || Math.abs(days) >= LAST_DAY_1900) return null;
  const seconds = Math.round(Math.abs(days) * 86_400);
  const two = (value: number) => String(value).padStart(2, '0');
  const text = `${two(Math.floor(seconds / 3600))}:${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}`;
  return days < 0 && seconds > 0 ? `-${text}` : text;
}

/** ISO 8601 as some programs write dates into cells; anything else stays as it is. */
export function isoText(value: string, format: NumberKind): string {
  const match = /^(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d(?:\.\d*[1-9])?)(?:\.?0+)?Z?$/u.exec(value);
  if (!match) return value;
  const [, day, clock] = match as unknown as [string, string, string];
  const time = format.kind === 'date' && format.time;
  return clock === '00:00:00' && !time ? day : `${day} ${clock}`;
}

/**
 * Exactly as written, but without exponent, idle zeros and the digits that doubles make up: where rounding to the
 * fifteen digits that a spreadsheet shows makes a number short (19.989999999999998 is 19.99), the short one was meant.
 * Whole numbers keep every digit.
 */
export function plainNumber(value: string): string {
  const match = /^([+-]?)(\d*)(?:\.(\d*))?(?:e([+-]?\d{1,4}))?$/iu.exec(value.trim());
  if (!match) return value;
  const [, sign = '', whole = '', fraction = '', exponent = '0'] = match;
  if (whole + fraction === '' || Math.abs(Number(exponent)) > 400) return value;
  let digits = whole + fraction;
  let point = whole.length + Number(exponent);
  const leading = /^0*/u.exec(digits)![0].length;
  digits = digits.slice(leading);
  point -= leading;
  if (digits === '') return '0';
  if (fraction !== '' && digits.length > SHOWN_DIGITS) {
    const [mantissa, power] = Number(`0.${digits}`)
      .toExponential(SHOWN_DIGITS - 1)
      .split('e') as [string, string];
    const rounded = mantissa.replace('.', '').replace(/0+$/u, '');
    if (rounded.length <= CLEAN_DIGITS) {
      digits = rounded;
      point += Number(power) + 1;
    }
  }
  digits = digits.replace(/0+$/u, '');
  const minus = sign === '-' ? '-' : '';
  if (point <= 0) return `${minus}0.${'0'.repeat(-point)}${digits}`;
  if (digits.length <= point) return minus + digits.padEnd(point, '0');
  return `${minus}${digits.slice(0, point)}.${digits.slice(point)}`;
}

/** `_x000D_` and the like: how a workbook writes characters that XML cannot hold. */
export function unescapeText(text: string): string {
  if (!text.includes('_x')) return text;
  const plain = text.replace(/_x([0-9A-Fa-f]{4})_/gu, (_, code: string) =>
    String.fromCharCode(Number.parseInt(code, 16)),
  );
  // Half a character cannot be written anywhere: it stays spelled out.
  return plain.isWellFormed() ? plain : text;
}

/** `AB12` -> 27; -1 where it is no reference. */
export function columnIndex(reference: string): number {
  const letters = /^([A-Za-z]{1,3})[1-9]\d*$/u.exec(reference)?.[1];
  if (!letters) return -1;
  let column = 0;
  for (const letter of letters) column = column * 26 + (letter.charCodeAt(0) & 0xdf) - 64;
  return column - 1;
}
