import { isUtf8 } from 'node:buffer';
import { MOST_COLUMNS, type RowLine } from './canonical-sheet.ts';
import { numberText } from './cell-text.ts';
import { MORE, moreOrUnknown, type RepeatedElement } from './hybrid.ts';
import { NUMBER, type NumberKind } from './number-format.ts';
import { copyCell } from './shared-strings.ts';
import type { StringStore } from './string-store.ts';
import {
  decodeReferences,
  decodeText,
  isSpace,
  NEEDS_DECODING,
  NOT_ASCII,
  skipAttributes,
  skipSpace,
  skipText,
  startsWith,
  textClasses,
  UNKNOWN,
  wanted,
} from './xml-bytes.ts';

/** What stands in a cell whose formula was never calculated; a row issue, like Excel's own errors. */
export const NO_VALUE = '#NO_VALUE!';

export interface SheetContext {
  strings: StringStore | null;
  formats: readonly NumberKind[];
  date1904: boolean;
}

/** Where rows go, whichever way they were read. */
export interface RowTaker {
  line: RowLine;
  /** Number of the last row, whether it held anything or not. */
  row: number;
  take(row: number, hidden: boolean): void;
}

const GT = 0x3e;
const LT = 0x3c;
const SLASH = 0x2f;
const QUOT = 0x22;
const END = Buffer.from('</row>');
const TRUE = Buffer.from('TRUE');
const FALSE = Buffer.from('FALSE');
const NO_VALUE_BYTES = Buffer.from(NO_VALUE);
const SHOWN_DIGITS = 15;

/** Types of cells, as `t` names them. */
const N = 0;
const S = 1;
const STR = 2;
const INLINE = 3;
const B = 4;
const E = 5;

/**
 * Rows as nearly every program writes them, `<row r=".."><c r=".." s=".." t=".."><v>..</v></c>`, read as bytes: no
 * strings are made of cells that need no work. Anything else in a row leaves all of it to the parser.
 */
export function plainRows(context: SheetContext, taker: RowTaker): RepeatedElement {
  const { strings, formats, date1904 } = context;
  const { line } = taker;
  const ordinary = formats.map(({ kind }) => kind === 'number');

  /** A number from behind `<v>`: the place behind it, its text written, or `UNKNOWN`. */
  const readNumber = (bytes: Buffer, from: number, column: number, style: number): number => {
    let at = from;
    let point = -1;
    let plain = style >= ordinary.length || ordinary[style]!;
    if (bytes[at] === 0x2d) at++;
    const first = at;
    for (; ; at++) {
      const byte = bytes[at]!;
      if (byte >= 0x30 && byte <= 0x39) continue;
      if (byte === 0x2e && point < 0) point = at;
      else if (byte === LT) break;
      else if (byte === 0x65 || byte === 0x45 || byte === 0x2d || byte === 0x2b || byte === 0x2e)
        plain = false;
      else return UNKNOWN;
    }
    if (at === from) return UNKNOWN;
    if (plain) {
      const whole = point < 0 ? at : point;
      if (whole === first || at - 1 === point) plain = false;
      else if (bytes[first] === 0x30 && (point < 0 ? at - first > 1 || first > from : whole - first > 1))
        plain = false;
      else if (point >= 0 && (at - first - 1 > SHOWN_DIGITS || bytes[at - 1] === 0x30)) plain = false;
    }
    if (plain) {
      line.begin(column);
      line.reserve(at - from);
      const out = line.bytes;
      let to = line.length;
      while (from < at) out[to++] = bytes[from++]!;
      line.length = to;
    } else {
      const text = numberText(bytes.toString('latin1', from, at), formats[style] ?? NUMBER, date1904);
      line.addText(column, text);
    }
    return at;
  };

  /** Text up to a `<`, written as the column's cell where there is any. */
  const readText = (bytes: Buffer, from: number, column: number): number => {
    const to = skipText(bytes, from);
    if (to < 0 || to === from) return to;
    const classes = textClasses;
    high |= classes & NOT_ASCII;
    if (classes & NEEDS_DECODING) {
      const text = decodeText(bytes, from, to);
      if (text === null) return UNKNOWN;
      line.addText(column, text);
    } else {
      line.begin(column);
      line.reserve((to - from) * 2 + 2);
      line.length = copyCell(bytes, from, to, classes, line.bytes, line.length);
    }
    return to;
  };

  /** From behind `<f`: the place behind the element. */
  const skipFormula = (bytes: Buffer, at: number): number => {
    at = skipAttributes(bytes, at);
    if (at < 0) return UNKNOWN;
    if (bytes[at] === SLASH) return bytes[at + 1] === GT ? at + 2 : UNKNOWN;
    const end = skipText(bytes, at + 1);
    if (end < 0 || !startsWith(bytes, end, '</f>')) return UNKNOWN;
    high |= textClasses & NOT_ASCII;
    if (textClasses & NEEDS_DECODING && decodeReferences(bytes.toString('latin1', at + 1, end)) === null)
      return UNKNOWN;
    return end + 4;
  };

  /** The value behind `<v>`. */
  const readValue = (bytes: Buffer, at: number, type: number, style: number, column: number): number => {
    if (type === N) return readNumber(bytes, at, column, style);
    if (type === S) {
      let index = 0;
      const from = at;
      for (let digit = bytes[at]! - 0x30; digit >= 0 && digit <= 9; digit = bytes[++at]! - 0x30)
        index = index * 10 + digit;
      if (at === from || at - from > 9 || bytes[at] !== LT) return UNKNOWN;
      if (strings === null || !strings.find(index))
        line.addBytes(column, NO_VALUE_BYTES, 0, NO_VALUE_BYTES.length);
      else if (strings.to > strings.from) line.addBytes(column, strings.data, strings.from, strings.to);
      return at;
    }
    if (type === STR) return readText(bytes, at, column);
    if (type === B) {
      const byte = bytes[at];
      if ((byte !== 0x30 && byte !== 0x31) || bytes[at + 1] !== LT) return UNKNOWN;
      const word = byte === 0x31 ? TRUE : FALSE;
      line.addBytes(column, word, 0, word.length);
      return at + 1;
    }
    // An error's name; with space around it, it is the parser's to trim.
    if (type !== E || isSpace(bytes[at]!)) return UNKNOWN;
    const end = readText(bytes, at, column);
    return end > at && isSpace(bytes[end - 1]!) ? UNKNOWN : end;
  };

  /** `<is><t>..</t></is>` from its `<`. */
  const readInline = (bytes: Buffer, at: number, column: number): number => {
    at = skipSpace(bytes, at + 4);
    if (bytes[at] !== LT || bytes[at + 1] !== 0x74) return UNKNOWN;
    at = skipAttributes(bytes, at + 2);
    if (at < 0) return UNKNOWN;
    if (bytes[at] === SLASH) {
      if (bytes[at + 1] !== GT) return UNKNOWN;
      at += 2;
    } else {
      at = readText(bytes, at + 1, column);
      if (at < 0 || !startsWith(bytes, at, '</t>')) return UNKNOWN;
      at += 4;
    }
    at = skipSpace(bytes, at);
    return startsWith(bytes, at, '</is>') ? at + 5 : UNKNOWN;
  };

  /** What a cell's start tag said. */
  let column = -1;
  let type = N;
  let style = 0;
  /** Something in the row is not ASCII. */
  let high = 0;
  let rowDigits = 0;
  let rowDigitsTo = 0;

  /** From behind `<c` to the `>` or `/` of the tag. */
  const readCellTag = (bytes: Buffer, at: number): number => {
    let met = 0;
    type = N;
    style = 0;
    column++;
    for (;;) {
      const byte = bytes[at]!;
      if (byte === GT || byte === SLASH) return at;
      if (!isSpace(byte)) return UNKNOWN;
      at = skipSpace(bytes, at);
      const name = bytes[at]!;
      if (name === GT || name === SLASH) return at;
      if (bytes[at + 1] !== 0x3d || bytes[at + 2] !== QUOT) return UNKNOWN;
      at += 3;
      if (name === 0x72 && !(met & 1)) {
        met |= 1;
        let found = 0;
        for (let letter = bytes[at]! - 64; letter >= 1 && letter <= 26; letter = bytes[++at]! - 64) {
          found = found * 26 + letter;
          if (found > MOST_COLUMNS) return UNKNOWN;
        }
        // What comes before is the parser's to put in order, or to refuse.
        if (found <= column) return UNKNOWN;
        column = found - 1;
        for (let digit = rowDigits; digit < rowDigitsTo; digit++, at++)
          if (bytes[at] !== bytes[digit]) return UNKNOWN;
      } else if (name === 0x73 && !(met & 2)) {
        met |= 2;
        const from = at;
        for (let digit = bytes[at]! - 0x30; digit >= 0 && digit <= 9; digit = bytes[++at]! - 0x30)
          style = style * 10 + digit;
        if (at === from || at - from > 6) return UNKNOWN;
      } else if (name === 0x74 && !(met & 4)) {
        met |= 4;
        const first = bytes[at]!;
        if (bytes[at + 1] === QUOT) {
          type = first === 0x73 ? S : first === 0x6e ? N : first === 0x62 ? B : first === 0x65 ? E : -1;
          at++;
        } else if (startsWith(bytes, at, 'str"')) {
          type = STR;
          at += 3;
        } else if (startsWith(bytes, at, 'inlineStr"')) {
          type = INLINE;
          at += 9;
        } else type = -1;
        if (type < 0) return UNKNOWN;
      } else return UNKNOWN;
      if (bytes[at] !== QUOT) return UNKNOWN;
      at++;
    }
  };

  /** One cell from its `<`: the place behind it. */
  const readCell = (bytes: Buffer, at: number): number => {
    at = readCellTag(bytes, at + 2);
    if (at < 0 || column >= MOST_COLUMNS) return UNKNOWN;
    if (bytes[at] === SLASH) return bytes[at + 1] === GT ? at + 2 : UNKNOWN;
    at++;
    let value = false;
    let formula = false;
    for (;;) {
      at = skipSpace(bytes, at);
      if (bytes[at] !== LT) return UNKNOWN;
      const next = bytes[at + 1]!;
      if (next === 0x76) {
        if (value || type === INLINE || bytes[at + 2] !== GT) return UNKNOWN;
        value = true;
        const from = at + 3;
        // An empty one means one thing behind a formula and another without: rare enough to leave.
        if (bytes[from] === LT && type !== STR) return UNKNOWN;
        at = readValue(bytes, from, type, style, column);
        if (at < 0 || !startsWith(bytes, at, '</v>')) return UNKNOWN;
        at += 4;
      } else if (next === SLASH) {
        if (bytes[at + 2] !== 0x63 || bytes[at + 3] !== GT) return UNKNOWN;
        if (formula && !value) line.addBytes(column, NO_VALUE_BYTES, 0, NO_VALUE_BYTES.length);
        return at + 4;
      } else if (next === 0x66) {
        if (formula) return UNKNOWN;
        formula = true;
        at = skipFormula(bytes, at + 2);
        if (at < 0) return UNKNOWN;
      } else if (next === 0x69 && type === INLINE && !value && startsWith(bytes, at, '<is>')) {
        value = true;
        at = readInline(bytes, at, column);
        if (at < 0) return UNKNOWN;
      } else return UNKNOWN;
    }
  };

  return {
    parents: ['worksheet', 'sheetData'],
    open: '<row',
    read(bytes, start, end) {
      const tagEnd = skipAttributes(bytes, start + 4, 'r', 'hidden');
      if (tagEnd < 0) {
        const last = bytes.indexOf(GT, start);
        return last < 0 || last >= end ? MORE : UNKNOWN;
      }
      let row = taker.row + 1;
      rowDigits = rowDigitsTo = 0;
      if (wanted.from >= 0) {
        rowDigits = wanted.from;
        rowDigitsTo = wanted.to;
        row = 0;
        for (let at = rowDigits; at < rowDigitsTo; at++) {
          const digit = bytes[at]! - 0x30;
          if (digit < 0 || digit > 9) return UNKNOWN;
          row = row * 10 + digit;
        }
        if (rowDigitsTo - rowDigits > 7 || bytes[rowDigits] === 0x30 || row === 0) return UNKNOWN;
      }
      const hidden =
        wanted.alsoFrom >= 0 &&
        (bytes[wanted.alsoFrom] === 0x31 || startsWith(bytes, wanted.alsoFrom, 'true"'));
      line.clear();
      if (bytes[tagEnd] === SLASH) {
        if (tagEnd + 1 >= end) return MORE;
        if (bytes[tagEnd + 1] !== GT) return UNKNOWN;
        taker.take(row, hidden);
        return tagEnd + 2;
      }
      column = -1;
      high = 0;
      let at = skipSpace(bytes, tagEnd + 1);
      while (!startsWith(bytes, at, '</row>')) {
        const next = bytes[at + 2];
        const isCell = bytes[at] === LT && bytes[at + 1] === 0x63;
        at = isCell && (next === 0x20 || next === GT || next === SLASH) ? readCell(bytes, at) : UNKNOWN;
        if (at < 0) return moreOrUnknown(bytes, start, end, END);
        at = skipSpace(bytes, at);
      }
      if (high !== 0 && !isUtf8(bytes.subarray(start, at))) return UNKNOWN;
      taker.take(row, hidden);
      return at + END.length;
    },
  };
}
