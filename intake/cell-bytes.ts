import { daysIn } from './dates.ts';

const ZERO = 48;
const NINE = 57;
/** Kinds of bytes; those of a cell taken together say what it may be. */
export const DIGIT = 1;
export const DASH = 2;
export const POINT = 4;
export const COLON = 8;
export const LETTER = 16;
export const AT = 32;
export const SPACE = 64;
export const HIGH = 128;
export const OTHER = 256;
export const PLUS = 512;
export const SLASH = 1024;
export const COMMA = 2048;
export const NUMERIC = DIGIT | DASH | POINT | COLON | SPACE | PLUS | SLASH | COMMA;
export const KINDS = new Uint16Array(256).fill(OTHER);
for (let byte = 0; byte < 256; byte++) {
  const character = String.fromCharCode(byte);
  if (byte >= 128) KINDS[byte] = HIGH;
  else if (/\d/u.test(character)) KINDS[byte] = DIGIT;
  else if (/[a-z]/iu.test(character)) KINDS[byte] = LETTER;
}
KINDS[45] = DASH;
KINDS[46] = POINT;
KINDS[58] = COLON;
KINDS[64] = AT;
KINDS[32] = SPACE;
KINDS[43] = PLUS;
KINDS[44] = COMMA;
KINDS[47] = SLASH;
/** Bytes of the longest word for yes or no. */
export const LONGEST_WORD = 12;

export function isInteger(bytes: Buffer, from: number, to: number): boolean {
  const start = bytes[from] === 45 ? from + 1 : from;
  if (to === start || to - start > 16 || (bytes[start] === ZERO && to - start > 1)) return false;
  for (let i = start; i < to; i++) if (bytes[i]! < ZERO || bytes[i]! > NINE) return false;
  return true;
}

/**
 * Point or comma of `-12.50`: one between digits, no zero too many in front, and not three digits behind it that may be
 * thousands. 0 where it is less plain.
 */
export function decimalAt(bytes: Buffer, from: number, to: number): number {
  const start = bytes[from] === 45 ? from + 1 : from;
  let i = start;
  while (i < to && bytes[i]! >= ZERO && bytes[i]! <= NINE) i++;
  const whole = i - start;
  if (whole === 0 || whole > 15 || i >= to || (bytes[start] === ZERO && whole > 1)) return 0;
  const mark = bytes[i]!;
  if (mark !== 46 && mark !== 44) return 0;
  const point = i++;
  while (i < to && bytes[i]! >= ZERO && bytes[i]! <= NINE) i++;
  const fraction = i - point - 1;
  return i === to && fraction > 0 && (fraction !== 3 || whole > 3 || bytes[start] === ZERO) ? mark : 0;
}

/** Of `31/01/2024`, with any one of `/`, `.` and `-` twice: 1 where the day may come first, plus 2 where the month may. */
export function dayAndMonth(bytes: Buffer, from: number, to: number): number {
  let i = from;
  const first = shortNumber(bytes, i);
  i += first < 10 && KINDS[bytes[i + 1]!] !== DIGIT ? 1 : 2;
  const mark = bytes[i];
  if (first < 0 || (mark !== 47 && mark !== 46 && mark !== 45)) return 0;
  const second = shortNumber(bytes, ++i);
  i += second < 10 && KINDS[bytes[i + 1]!] !== DIGIT ? 1 : 2;
  if (second < 0 || bytes[i] !== mark || to - i !== 5) return 0;
  const year = two(bytes, i + 1) * 100 + two(bytes, i + 3);
  if (year < 1 || first < 1 || second < 1) return 0;
  const dayFirst = second <= 12 && first <= daysIn(year, second);
  const monthFirst = first <= 12 && second <= daysIn(year, first);
  return (dayFirst ? 1 : 0) + (monthFirst ? 2 : 0);
}

/** One or two digits. */
function shortNumber(bytes: Buffer, at: number): number {
  const number = two(bytes, at);
  return number >= 0 ? number : KINDS[bytes[at]!] === DIGIT ? bytes[at]! - ZERO : -1;
}

export function isUrl(bytes: Buffer, from: number, to: number): boolean {
  if ((bytes[from]! | 32) !== 104 || (bytes[from + 1]! | 32) !== 116 || to - from < 9) return false;
  return /^https?:\/\/[^/]/iu.test(bytes.toString('latin1', from, Math.min(to, from + 12)));
}

/** Ten bytes `2024-01-31` that are a real date. */
export function isIsoDate(bytes: Buffer, from: number): boolean {
  if (bytes[from + 4] !== 45 || bytes[from + 7] !== 45) return false;
  const year = two(bytes, from) * 100 + two(bytes, from + 2);
  const month = two(bytes, from + 5);
  const day = two(bytes, from + 8);
  return year > 0 && month > 0 && month < 13 && day > 0 && day <= daysIn(year, month);
}

/** `T10:20`, or with a space, with seconds, parts of them, and a zone. */
export function isIsoTime(bytes: Buffer, from: number, to: number): boolean {
  if ((bytes[from] !== 84 && bytes[from] !== 32) || bytes[from + 3] !== 58) return false;
  const hours = two(bytes, from + 1);
  const minutes = two(bytes, from + 4);
  if (hours < 0 || hours > 23 || minutes < 0 || minutes > 59) return false;
  let i = from + 6;
  if (i < to && bytes[i] === 58) {
    const seconds = two(bytes, i + 1);
    if (i + 3 > to || seconds < 0 || seconds > 59) return false;
    i += 3;
    if (i < to && bytes[i] === 46) {
      const fraction = ++i;
      while (i < to && KINDS[bytes[i]!] === DIGIT) i++;
      if (i === fraction || i - fraction > 9) return false;
    }
  }
  return i === to || (bytes[i] === 90 && i + 1 === to);
}

/** Two digits; far below zero where they are none. */
function two(bytes: Buffer, at: number): number {
  const [tens, ones] = [bytes[at]! - ZERO, bytes[at + 1]! - ZERO];
  return tens < 0 || tens > 9 || ones < 0 || ones > 9 ? -10_000_000 : tens * 10 + ones;
}
