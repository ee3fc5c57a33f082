import { unescapeText } from './cell-text.ts';

/** Classes of bytes of character data; what ends or forbids it stands apart. */
export const NEEDS_QUOTES = 1;
export const NEEDS_DECODING = 2;
export const NOT_ASCII = 4;
const LOOK_CLOSER = 8;
const ENDS = 16;
const FORBIDDEN = 32;

const CLASSES = new Uint8Array(256);
CLASSES.fill(FORBIDDEN, 0, 0x20);
CLASSES.fill(NOT_ASCII, 0x80);
CLASSES[0x09] = 0;
CLASSES[0x0a] = NEEDS_QUOTES;
CLASSES[0x0d] = NEEDS_DECODING;
for (const char of ',"') CLASSES[char.charCodeAt(0)] = NEEDS_QUOTES;
for (const char of ']_\u00ef') CLASSES[char.charCodeAt(0)] = LOOK_CLOSER;
CLASSES[0x26] = NEEDS_DECODING;
CLASSES[0x3c] = ENDS;

const NAME = new Uint8Array(256);
for (const char of 'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:_')
  NAME[char.charCodeAt(0)] = 1;

const LT = 0x3c;
const GT = 0x3e;
const SLASH = 0x2f;
const QUOT = 0x22;

/** Bytes hold something that is not of the few shapes known here. It may be all right: the parser decides. */
export const UNKNOWN = -2;

/** What the last call of `skipText` met, as the classes above. */
export let textClasses = 0;

/**
 * From the first byte of character data to the `<` behind it. The buffer must have one, or a zero byte, at its end.
 * Anything that XML forbids there is `UNKNOWN`; whether the bytes are UTF-8 and the references known is not looked at.
 */
export function skipText(bytes: Buffer, at: number): number {
  let classes = 0;
  for (; ; at++) {
    const found = CLASSES[bytes[at]!]!;
    if (found === 0) continue;
    if (found === ENDS) break;
    if (found === FORBIDDEN) return UNKNOWN;
    if (found !== LOOK_CLOSER) classes |= found;
    else {
      const byte = bytes[at]!;
      const next = bytes[at + 1]!;
      if (byte === 0x5d) {
        if (next === 0x5d && bytes[at + 2] === GT) return UNKNOWN;
      } else if (byte === 0x5f) {
        if (next === 0x78) classes |= NEEDS_DECODING;
      } else {
        // U+FFFE and U+FFFF are no characters of XML.
        if (next === 0xbf && bytes[at + 2]! >= 0xbe) return UNKNOWN;
        classes |= NOT_ASCII;
      }
    }
  }
  textClasses = classes;
  return at;
}

/** Character data as text, with escapes of the workbook undone; null for a reference that XML does not know. */
export function decodeText(bytes: Buffer, from: number, to: number): string | null {
  const text = decodeReferences(bytes.toString('utf8', from, to));
  return text === null ? null : unescapeText(text);
}

/** As the parser would: line ends become one line feed, references what they stand for. */
export function decodeReferences(raw: string): string | null {
  const text = raw.includes('\r') ? raw.replace(/\r\n?/gu, '\n') : raw;
  if (!text.includes('&')) return text;
  let known = true;
  const decoded = text.replace(
    /&(?:(amp|lt|gt|quot|apos)|#(\d{1,7})|#x([0-9A-Fa-f]{1,6}));|&/gu,
    (_, name?: keyof typeof NAMED, decimal?: string, hex?: string) => {
      if (name !== undefined) return NAMED[name];
      const code =
        decimal !== undefined ? Number(decimal) : hex !== undefined ? Number.parseInt(hex, 16) : -1;
      if (isCharacter(code)) return String.fromCodePoint(code);
      known = false;
      return '';
    },
  );
  return known ? decoded : null;
}

const NAMED = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" };

function isCharacter(code: number): boolean {
  return (
    code === 9 ||
    code === 10 ||
    code === 13 ||
    (code >= 0x20 && code <= 0xd7ff) ||
    (code >= 0xe000 && code <= 0xfffd) ||
    (code >= 0x10000 && code <= 0x10ffff)
  );
}

export function isSpace(byte: number): boolean {
  return byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09;
}

export function skipSpace(bytes: Buffer, at: number): number {
  while (isSpace(bytes[at]!)) at++;
  return at;
}

const MOST_ATTRIBUTES = 24;
const seen = new Int32Array(MOST_ATTRIBUTES);

/** Where the values of two attributes stood in the last tag that `skipAttributes` passed; -1 if they did not. */
export const wanted = { from: -1, to: -1, alsoFrom: -1, alsoTo: -1 };

/**
 * From behind a tag's name to its `>` or `/`. Only names and values of plain ASCII without references are known, and
 * no name twice.
 * @param name an attribute whose value is noted in `wanted`, and `also` another.
 */
export function skipAttributes(bytes: Buffer, at: number, name = '', also = ''): number {
  wanted.from = wanted.alsoFrom = -1;
  let count = 0;
  for (;;) {
    const before = at;
    at = skipSpace(bytes, at);
    const byte = bytes[at]!;
    if (byte === GT || byte === SLASH) return at;
    if (at === before || count === MOST_ATTRIBUTES) return UNKNOWN;
    let hash = 0;
    const start = at;
    for (; NAME[bytes[at]!] === 1; at++) hash = (Math.imul(hash, 31) + bytes[at]!) | 0;
    if (at === start || (bytes[start]! >= 0x30 && bytes[start]! <= 0x3a)) return UNKNOWN;
    if (bytes[at] !== 0x3d || bytes[at + 1] !== QUOT) return UNKNOWN;
    for (let index = 0; index < count; index++) if (seen[index] === hash) return UNKNOWN;
    seen[count++] = hash;
    const length = at - start;
    at += 2;
    const from = at;
    for (let value = bytes[at]!; value !== QUOT; value = bytes[++at]!)
      if (value < 0x20 || value > 0x7e || value === LT || value === 0x26) return UNKNOWN;
    if (length === name.length && startsWith(bytes, start, name)) {
      wanted.from = from;
      wanted.to = at;
    } else if (length === also.length && startsWith(bytes, start, also)) {
      wanted.alsoFrom = from;
      wanted.alsoTo = at;
    }
    at++;
  }
}

/** Whether the ASCII text stands at this place. */
export function startsWith(bytes: Buffer, at: number, text: string): boolean {
  for (let index = 0; index < text.length; index++)
    if (bytes[at + index] !== text.charCodeAt(index)) return false;
  return true;
}

/** Positions of a closed element `<name .../>`, from its `<`: the byte behind it, or `UNKNOWN`. */
export function skipEmptyElement(bytes: Buffer, at: number): number {
  if (bytes[at] !== LT) return UNKNOWN;
  const start = at + 1;
  at = start;
  while (NAME[bytes[at]!] === 1) at++;
  if (at === start || (bytes[start]! >= 0x30 && bytes[start]! <= 0x3a)) return UNKNOWN;
  at = skipAttributes(bytes, at);
  return at >= 0 && bytes[at] === SLASH && bytes[at + 1] === GT ? at + 2 : UNKNOWN;
}
