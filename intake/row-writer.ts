import { checkCell, compileRule, cut, type Checked, type CompiledRule, type Fault } from './check-cell.ts';
import { importedText } from './csv-line.ts';
import { daysIn } from './dates.ts';
import { reportColumns } from './error-report.ts';
import { KnownCells } from './known-cells.ts';
import { cappedJson, RAW_BYTES, rawCells, rejection } from './rejections.ts';
import { disagreement } from './rules/comparisons.ts';
import { safeDigits } from './rules/limits.ts';
import type { CompareRule, Severity } from './rules/types.ts';
import { ESCAPED, fieldText, OK, QUOTED, TOO_LARGE, type RecordScanner } from './scan.ts';
import type { Issue, SegmentJob, SegmentResult } from './types.ts';

const CHUNK_BYTES = 128 * 1024;
const VALUE_CHARACTERS = 1000;
/** Repairs are looked for in so many rejected records of a segment: they cost more than reading. */
const MOST_PROPOSALS = 100;

/** Text that begins with `#`, or with what stands before it, may be a workbook's error or blank. */
const HASH = 35;
const TAB = 9;
const NEWLINE = 10;
const BACKSLASH = 92;
const MINUS = 45;
const DOT = 46;
/** In UTF-8 these may begin a space, or a mark that counts as one; U+3000 is looked at. */
const MAY_BE_SPACE = new Set([0xc2, 0xe1, 0xe2, 0xef]);
const IDEOGRAPHIC = 0xe3;
const ZERO = 48;
const NINE = 57;

/** What COPY's text format writes behind a backslash, by byte. */
const COPY_ESCAPES = new Uint8Array(256);
COPY_ESCAPES[TAB] = 116;
COPY_ESCAPES[NEWLINE] = 110;
COPY_ESCAPES[13] = 114;
COPY_ESCAPES[BACKSLASH] = BACKSLASH;

/** Bytes of an e-mail address that need no second look. */
const ADDRESS = new Uint8Array(256);
for (const character of 'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+')
  ADDRESS[character.charCodeAt(0)] = 1;

const NOT_QUICK = 0;
const TEXT = 1;
const NUMBER = 2;

/** A rule with what the byte loop has to know of it. */
interface Column {
  rule: CompiledRule;
  index: number;
  /** A plain cell may be copied as bytes; otherwise every cell is made text and checked. */
  direct: boolean;
  /** The same of text and of numbers, which most cells are: these are done first. */
  quick: typeof NOT_QUICK | typeof TEXT | typeof NUMBER;
  /** What was written for its cells before, where that hangs on the cell alone. */
  known: KnownCells | null;
  maxBytes: number;
  wholeDigits: number;
  fractionDigits: number;
  /** Numbers below zero may be copied too. */
  minus: boolean;
  /** Another field is compared with it: its value is kept until the row is whole. */
  held: boolean;
  value: string | null;
  constant: Buffer | null;
  constantFault: Fault | null;
}

/**
 * Writes records as rows of COPY's text format. The hot path: a cell that needs nothing is copied byte by byte and
 * never becomes a string (181 against 64 MB/s a core).
 */
export class RowWriter {
  readonly result: SegmentResult = { accepted: 0, rejected: 0, blocked: 0, issues: {} };
  private out: Buffer = Buffer.allocUnsafeSlow(CHUNK_BYTES);
  private outWords = wordsOf(this.out);
  private at = 0;
  private window = this.out;
  private windowWords = this.outWords;
  /** Nothing in the record's cells has to be escaped: they may be copied as they are. */
  private bare = false;
  private readonly tabs = new NextByte(TAB);
  private readonly backslashes = new NextByte(BACKSLASH);
  private record: number;
  private readonly columns: Column[];
  private readonly job: SegmentJob;
  private readonly quote: number;
  /** Tabs divide: only in quotes is there one in a cell. */
  private readonly tabbed: boolean;
  /** The file is an error report of ours: what its export put before formulas is taken off again. */
  private readonly exported: boolean;
  private readonly comparisons: { rule: CompareRule; left: Column; right: Column }[];
  private faults: { column: Column; fault: Fault; text: string | null; severity: Severity }[] = [];
  private errors = 0;

  constructor(job: SegmentJob) {
    this.job = job;
    this.record = job.segment.firstRecord;
    this.quote = job.dialect.quote ? job.dialect.quote.charCodeAt(0) : -1;
    this.tabbed = job.dialect.delimiter === '\t';
    this.exported = reportColumns(job.columns) > 0;
    const comparisons = job.comparisons ?? [];
    this.columns = job.rules.map((rule) =>
      columnOf(
        compileRule(rule, headerOf(job, rule.column), job.dialect.rows === true),
        comparisons.some(({ left, right }) => left === rule.name || right === rule.name),
        this.exported,
      ),
    );
    const named = (name: string) => this.columns.find((column) => column.rule.name === name);
    // A field that the file does not carry agrees with everything: the record keeps what it has.
    this.comparisons = comparisons.flatMap((rule) => {
      const [left, right] = [named(rule.left), named(rule.right)];
      return left && right ? [{ rule, left, right }] : [];
    });
  }

  /** A full chunk, to be taken before the next record is written; null while there is room. */
  full(scanner: RecordScanner): Buffer | null {
    const held =
      scanner.status === TOO_LARGE ? RAW_BYTES : Math.min(scanner.length, scanner.end - scanner.start);
    const need = held * 2 + 512 + this.columns.length * 64;
    if (this.at + need <= this.out.length) return null;
    const chunk = this.take();
    if (need > this.out.length) this.writeInto(Buffer.allocUnsafeSlow(need));
    return chunk;
  }

  /** What is left. */
  rest(): Buffer | null {
    return this.at > 0 ? this.out.subarray(0, this.at) : null;
  }

  write(scanner: RecordScanner): void {
    const { result } = this;
    const record = this.record++;
    const rowStart = this.at;
    this.position(scanner, record);
    if (scanner.status !== OK) {
      result.rejected++;
      const { columns, dialect } = this.job;
      const issue = rejection(scanner, columns, dialect, result.rejected <= MOST_PROPOSALS);
      this.block(scanner, [issue], rawCells(scanner, dialect));
      return;
    }
    result.accepted++;
    this.lookAt(scanner);
    let at = this.at;
    const { out } = this;
    out[at++] = 102; // f, \N, \N
    out[at++] = TAB;
    out[at++] = BACKSLASH;
    out[at++] = 78;
    out[at++] = TAB;
    out[at++] = BACKSLASH;
    out[at++] = 78;
    this.at = at;
    this.cells(scanner);
    this.out[this.at++] = NEWLINE;
    if (this.comparisons.length > 0) this.compare();
    if (this.faults.length > 0) this.finish(scanner, record, rowStart, at);
  }

  /** Most cells are text or numbers as they are to be written: those are done here, without a call for each of them. */
  private cells(scanner: RecordScanner): void {
    const { columns, bare, tabbed, windowWords } = this;
    const { bounds, window } = scanner;
    const readable = window.length - 3;
    let { out, outWords, at } = this;
    for (let field = 0; field < columns.length; field++) {
      const column = columns[field]!;
      out[at++] = TAB;
      if (column.quick !== NOT_QUICK) {
        const place = column.index * 3;
        const from = bounds[place]!;
        const to = bounds[place + 1]!;
        const flags = bounds[place + 2]!;
        if (from < to && to <= readable && (flags & ESCAPED) === 0) {
          if (column.quick === TEXT) {
            if (
              bare &&
              (flags === 0 || !tabbed) &&
              to - from <= column.maxBytes &&
              beginsText(window, from)
            ) {
              // Four bytes at a time, the last perhaps beyond the cell: there is room, and what follows overwrites them.
              const move = at - from;
              for (let i = from; i < to; i += 4)
                outWords.setInt32(move + i, windowWords.getInt32(i, true), true);
              at += to - from;
              continue;
            }
          } else {
            const end = copyNumber(window, from, to, column, out, at);
            if (end > 0) {
              at = end;
              continue;
            }
          }
        }
      }
      this.at = at;
      this.cell(scanner, column);
      // A long value may have moved the row to a larger buffer.
      ({ out, outWords, at } = this);
    }
    this.at = at;
  }

  /** A row that something is to be said of: blocked if an error is among it, otherwise written as it is. */
  private finish(scanner: RecordScanner, record: number, rowStart: number, cellsStart: number): void {
    const issues = this.faults.map(({ column, fault, text, severity }) =>
      issueOf(scanner.line, column.rule, fault, text, severity),
    );
    const blocked = this.errors > 0;
    this.faults = [];
    this.errors = 0;
    const cells = blocked ? null : Buffer.from(this.out.subarray(cellsStart, this.at));
    this.at = rowStart;
    this.position(scanner, record);
    if (cells === null) {
      this.result.blocked++;
      this.block(scanner, issues, rawCells(scanner, this.job.dialect));
      return;
    }
    this.count(issues);
    this.text('f');
    this.out[this.at++] = TAB;
    this.text(JSON.stringify(issues));
    this.out[this.at++] = TAB;
    this.nothing();
    this.reserve(cells.length);
    this.at += cells.copy(this.out, this.at);
  }

  private fault(column: Column, fault: Fault, text: string | null, severity: Severity = 'error'): void {
    this.faults.push({ column, fault, text, severity });
    if (severity === 'error') this.errors++;
  }

  /** Only of rows whose cells are all right: what a wrong cell would have been nobody knows. */
  private compare(): void {
    if (this.errors > 0) return;
    for (const { rule, left, right } of this.comparisons) {
      const found = disagreement(rule, left.rule.type, left.value, right.value);
      if (found) this.fault(left, found, left.value, rule.severity);
    }
  }

  private take(): Buffer | null {
    const chunk = this.rest();
    if (chunk) this.writeInto(Buffer.allocUnsafeSlow(CHUNK_BYTES));
    this.at = 0;
    return chunk;
  }

  private writeInto(out: Buffer): void {
    this.out = out;
    this.outWords = wordsOf(out);
  }

  /** What COPY escapes is looked for far ahead, by the processor's own means, and not in each cell. */
  private lookAt(scanner: RecordScanner): void {
    const { window } = scanner;
    if (this.window !== window) {
      this.window = window;
      this.windowWords = wordsOf(window);
    }
    this.bare =
      scanner.nextLine - scanner.line === 1 &&
      !this.job.dialect.rows &&
      !this.backslashes.isIn(scanner) &&
      (this.tabbed || !this.tabs.isIn(scanner));
  }

  private position(scanner: RecordScanner, record: number): void {
    const { out } = this;
    let at = writeNumber(out, this.at, record);
    out[at++] = TAB;
    at = writeNumber(out, at, scanner.line);
    out[at++] = TAB;
    at = writeNumber(out, at, scanner.offset);
    out[at++] = TAB;
    at = writeNumber(out, at, scanner.length);
    out[at++] = TAB;
    this.at = at;
  }

  private cell(scanner: RecordScanner, column: Column): void {
    const at = column.index * 3;
    const { bounds } = scanner;
    if (column.direct && (bounds[at + 2]! & ESCAPED) === 0) {
      const bare = this.bare && !(this.tabbed && (bounds[at + 2]! & QUOTED) !== 0);
      if (this.copyDirect(scanner.window, bounds[at]!, bounds[at + 1]!, column, bare)) return;
    }
    this.otherCell(scanner, column);
  }

  private otherCell(scanner: RecordScanner, column: Column): void {
    if (column.index < 0) return column.rule.extras ? this.extras(scanner, column) : this.constant(column);
    const { bounds, window } = scanner;
    const at = column.index * 3;
    const from = bounds[at]!;
    const to = bounds[at + 1]!;
    const known = (bounds[at + 2]! & ESCAPED) === 0 ? column.known : null;
    const written = known === null ? null : known.find(window, from, to);
    if (written !== null) {
      this.reserve(written.length);
      this.at += written.copy(this.out, this.at);
      return;
    }
    const text = this.textOf(scanner, column.index);
    const checked = this.judge(scanner, column, text);
    if (column.rule.suggestFrom !== undefined) this.suggest(scanner, column, checked, text);
    if ('code' in checked) {
      this.fault(column, checked, text);
      return;
    }
    if (column.held) column.value = checked.value;
    if (checked.warning) this.fault(column, checked.warning, text, 'warning');
    const begin = this.at;
    if (checked.value === null) this.nothing();
    else this.text(checked.value);
    if (!checked.warning) known?.learn(window, from, to, this.out.subarray(begin, this.at));
  }

  private constant(column: Column): void {
    const { constant, constantFault, rule } = column;
    if (constantFault) this.fault(column, constantFault, rule.constant ?? null);
    else if (constant) {
      this.reserve(constant.length);
      this.at += constant.copy(this.out, this.at);
    }
  }

  private textOf(scanner: RecordScanner, column: number): string {
    const text = fieldText(scanner, column, this.job.dialect);
    return this.exported ? importedText(text) : text;
  }

  private judge(scanner: RecordScanner, { rule }: Column, text: string): Checked {
    return checkCell(
      rule,
      text,
      rule.join?.columns.map((column) => this.textOf(scanner, column)),
    );
  }

  /** An empty cell that another field of the row could fill: said, never done. */
  private suggest(scanner: RecordScanner, column: Column, checked: Checked, text: string): void {
    if ('code' in checked ? !EMPTY_CODES.has(checked.code) : checked.value !== null) return;
    const other = this.columns.find(({ rule }) => rule.name === column.rule.suggestFrom);
    if (!other || other.index < 0) return;
    const found = this.judge(scanner, other, this.textOf(scanner, other.index));
    if ('code' in found || found.value === null) return;
    if ('code' in checked) checked.suggestion = found.value;
    else
      this.fault(
        column,
        {
          code: 'may_be_filled',
          message: `${column.rule.name} is empty. It could be filled from ${other.rule.name}.`,
          suggestion: found.value,
        },
        text,
        'warning',
      );
  }

  /** The cells of columns that feed no field, by their headers. */
  private extras(scanner: RecordScanner, column: Column): void {
    const cells = column.rule.extras!.flatMap((index) => {
      const text = this.textOf(scanner, index);
      return text.trim() === '' ? [] : [[this.job.columns[index]!.name, text]];
    });
    const text = cells.length === 0 ? '' : JSON.stringify(Object.fromEntries(cells));
    const checked = checkCell(column.rule, text);
    if ('code' in checked) this.fault(column, checked, text);
    else if (checked.value === null) this.nothing();
    else this.text(checked.value);
  }

  /** False where the cell needs to be looked at as text. */
  private copyDirect(bytes: Buffer, from: number, to: number, column: Column, bare: boolean): boolean {
    const rule = column.rule;
    if (from === to) {
      if (rule.key || rule.required || rule.empty === 'block') return false;
      this.nothing();
      return true;
    }
    switch (rule.type) {
      case 'text':
        return (
          beginsText(bytes, from) && to - from <= column.maxBytes && this.copyText(bytes, from, to, bare)
        );
      case 'integer':
      case 'decimal': {
        const end = copyNumber(bytes, from, to, column, this.out, this.at);
        if (end > 0) this.at = end;
        return end > 0;
      }
      case 'boolean':
        return this.copyBoolean(bytes, from, to);
      case 'date':
        return this.copyDate(bytes, from, to);
      case 'email':
        return this.copyEmail(bytes, from, to);
      default:
        return false;
    }
  }

  private copyText(bytes: Buffer, from: number, to: number, bare: boolean): true {
    if (bare) {
      this.plain(bytes, from, to);
      return true;
    }
    const out = this.out;
    let at = this.at;
    let i = from;
    for (const last = to - 3; i < last; i += 4) {
      const first = bytes[i]!;
      const second = bytes[i + 1]!;
      const third = bytes[i + 2]!;
      const fourth = bytes[i + 3]!;
      if ((COPY_ESCAPES[first]! | COPY_ESCAPES[second]! | COPY_ESCAPES[third]! | COPY_ESCAPES[fourth]!) !== 0)
        break;
      out[at] = first;
      out[at + 1] = second;
      out[at + 2] = third;
      out[at + 3] = fourth;
      at += 4;
    }
    for (; i < to; i++) {
      const byte = bytes[i]!;
      const escape = COPY_ESCAPES[byte]!;
      if (escape !== 0) {
        out[at++] = BACKSLASH;
        out[at++] = escape;
      } else out[at++] = byte;
    }
    this.at = at;
    return true;
  }

  private copyBoolean(bytes: Buffer, from: number, to: number): boolean {
    const byte = bytes[from]! | 32;
    const truth =
      to - from === 1
        ? byte === 116 || byte === 121 || bytes[from] === ZERO + 1
          ? 116
          : byte === 102 || byte === 110 || bytes[from] === ZERO
            ? 102
            : 0
        : spells(bytes, from, to, 'true')
          ? 116
          : spells(bytes, from, to, 'false')
            ? 102
            : 0;
    if (truth === 0) return false;
    this.out[this.at++] = truth;
    return true;
  }

  private copyDate(bytes: Buffer, from: number, to: number): boolean {
    if (to - from !== 10 || bytes[from + 4] !== MINUS || bytes[from + 7] !== MINUS) return false;
    const year = digitsOf(bytes, from, 4);
    const month = digitsOf(bytes, from + 5, 2);
    const day = digitsOf(bytes, from + 8, 2);
    if (year < 1 || month < 1 || month > 12 || day < 1 || day > daysIn(year, month)) return false;
    this.plain(bytes, from, to);
    return true;
  }

  private copyEmail(bytes: Buffer, from: number, to: number): boolean {
    let sign = -1;
    let dots = 0;
    for (let i = from; i < to; i++) {
      const byte = bytes[i]!;
      if (ADDRESS[byte] === 1) continue;
      if (
        byte === DOT &&
        i > from &&
        i + 1 < to &&
        ADDRESS[bytes[i - 1]!] === 1 &&
        ADDRESS[bytes[i + 1]!] === 1
      ) {
        if (sign >= 0) dots++;
      } else if (byte === 64 && sign < 0 && i > from && i + 1 < to) sign = i;
      else return false;
    }
    if (sign < 0 || dots === 0 || sign - from > 64 || to - from > 254) return false;
    this.plain(bytes, from, to);
    return true;
  }

  /** Four bytes at a time, the last of them perhaps beyond the cell: there is room, and what follows overwrites them. */
  private plain(bytes: Buffer, from: number, to: number): void {
    const { at, outWords, windowWords } = this;
    this.at = at + to - from;
    if (to + 3 > bytes.length) bytes.copy(this.out, at, from, to);
    else
      for (let i = from, to4 = at - from; i < to; i += 4)
        outWords.setInt32(to4 + i, windowWords.getInt32(i, true), true);
  }

  private nothing(): void {
    this.out[this.at++] = BACKSLASH;
    this.out[this.at++] = 78;
  }

  private text(value: string): void {
    const escaped = /[\\\t\n\r]/u.test(value) ? value.replace(/[\\\t\n\r]/gu, copyEscape) : value;
    this.reserve(escaped.length * 3);
    this.at += this.out.write(escaped, this.at);
  }

  /** Values may be longer than their cells (constants of a value map): the room made for the record may not do. */
  private reserve(bytes: number): void {
    if (this.at + bytes + 512 + this.columns.length * 64 <= this.out.length) return;
    const larger = Buffer.allocUnsafeSlow((this.at + bytes) * 2 + CHUNK_BYTES);
    this.out.copy(larger, 0, 0, this.at);
    this.writeInto(larger);
  }

  private count(issues: Issue[]): void {
    for (const { code } of issues) this.result.issues[code] = (this.result.issues[code] ?? 0) + 1;
  }

  private block(scanner: RecordScanner, issues: Issue[], cells: string[]): void {
    this.count(issues);
    this.text('t');
    this.out[this.at++] = TAB;
    this.text(JSON.stringify(issues));
    this.out[this.at++] = TAB;
    this.text(cappedJson(cells));
    this.reserve(this.columns.length * 3);
    for (let field = 0; field < this.columns.length; field++) {
      this.out[this.at++] = TAB;
      this.nothing();
    }
    this.out[this.at++] = NEWLINE;
  }
}

/** Where a byte that is rare stands next, looked for once for many records. */
class NextByte {
  private readonly byte: number;
  /** None stands between the two offsets; at the second, one does, or no more bytes were held. */
  private from = 0;
  private to = 0;

  constructor(byte: number) {
    this.byte = byte;
  }

  isIn({ window, start, offset, length, heldOffset }: RecordScanner): boolean {
    if (offset < this.from || offset + length > this.to) {
      const found = window.indexOf(this.byte, start);
      this.from = offset;
      this.to = found < 0 ? heldOffset : Math.min(offset + found - start, heldOffset);
    }
    return offset + length > this.to;
  }
}

const wordsOf = ({ buffer, byteOffset, byteLength }: Buffer): DataView =>
  new DataView(buffer, byteOffset, byteLength);

function columnOf(rule: CompiledRule, held: boolean, exported: boolean): Column {
  const checked = rule.column === null ? checkCell(rule, rule.constant ?? '') : { value: null };
  const scale = rule.precision === undefined ? 1000 : (rule.scale ?? 0);
  const number = rule.type === 'integer' || rule.type === 'decimal';
  const bounded = [rule.min, rule.max, rule.above, rule.below].some((bound) => bound !== undefined);
  const safe = number && bounded ? safeDigits(rule) : null;
  const most = rule.type === 'integer' ? 18 : rule.precision === undefined ? 1000 : rule.precision - scale;
  const direct =
    rule.column !== null &&
    !rule.prepare &&
    rule.suggestFrom === undefined &&
    !rule.allowed &&
    !rule.expression &&
    !rule.normalise &&
    !held &&
    !exported &&
    (!bounded || safe !== null) &&
    (rule.minLength ?? 0) <= 1 &&
    rule.format?.decimal !== ',' &&
    (rule.type === 'text' || rule.maxLength === undefined);
  return {
    rule,
    index: rule.column ?? -1,
    direct,
    quick: !direct ? NOT_QUICK : number ? NUMBER : rule.type === 'text' ? TEXT : NOT_QUICK,
    known:
      rule.column === null || rule.join || rule.suggestFrom !== undefined || held ? null : new KnownCells(),
    maxBytes: rule.maxLength ?? Infinity,
    wholeDigits: Math.min(most, safe?.digits ?? most),
    fractionDigits: rule.type === 'integer' ? 0 : scale,
    minus: safe?.minus ?? true,
    held,
    value: held && 'value' in checked ? checked.value : null,
    constant:
      'code' in checked
        ? null
        : Buffer.from(checked.value === null ? '\\N' : checked.value.replace(/[\\\t\n\r]/gu, copyEscape)),
    constantFault: 'code' in checked ? checked : null,
  };
}

/** Is the first character one that makes it text for certain: no space, and no workbook's error? */
function beginsText(bytes: Buffer, from: number): boolean {
  const byte = bytes[from]!;
  if (byte < 0x80) return byte > HASH;
  if (byte === IDEOGRAPHIC) return bytes[from + 1] !== 0x80;
  return !MAY_BE_SPACE.has(byte);
}

/** Two digits at a time: four numbers stand before every row. Where it ends. */
function writeNumber(out: Buffer, from: number, value: number): number {
  const end = from + widthOf(value);
  let at = end;
  let rest = value;
  while (rest >= 100) {
    const next = rest < 0x7fffffff ? (rest / 100) | 0 : Math.floor(rest / 100);
    const pair = rest - next * 100;
    const tens = (pair * 205) >> 11;
    out[--at] = ZERO + pair - tens * 10;
    out[--at] = ZERO + tens;
    rest = next;
  }
  const tens = (rest * 205) >> 11;
  out[--at] = ZERO + rest - tens * 10;
  if (tens > 0) out[--at] = ZERO + tens;
  return end;
}

/** Checks and copies a number that is written as it is stored; where the copy ends, or 0 where it is not. */
function copyNumber(
  bytes: Buffer,
  from: number,
  to: number,
  { wholeDigits, fractionDigits, minus }: Column,
  out: Buffer,
  at: number,
): number {
  let i = from;
  let byte = bytes[i]!;
  if (byte === MINUS && minus) {
    out[at++] = byte;
    byte = bytes[++i]!;
  }
  const digits = i;
  const zero = byte === ZERO;
  while (i < to && (byte = bytes[i]!) >= ZERO && byte <= NINE) {
    out[at++] = byte;
    i++;
  }
  const whole = i - digits;
  if (whole === 0 || whole > wholeDigits || (zero && (whole > 1 || digits > from))) return 0;
  if (i === to) return at;
  if (byte !== DOT || fractionDigits === 0) return 0;
  out[at++] = DOT;
  const point = i++;
  while (i < to && (byte = bytes[i]!) >= ZERO && byte <= NINE) {
    out[at++] = byte;
    i++;
  }
  return i < to || i === point + 1 || i - point - 1 > fractionDigits ? 0 : at;
}

function widthOf(value: number): number {
  if (value < 100_000) return value < 100 ? (value < 10 ? 1 : 2) : value < 1000 ? 3 : value < 10_000 ? 4 : 5;
  let width = 6;
  for (let bound = 1_000_000; bound <= value; bound *= 10) width++;
  return width;
}

function headerOf(job: SegmentJob, column: number | null): string | null {
  return column === null ? null : (job.columns[column]?.name ?? null);
}

const EMPTY_CODES = new Set(['required', 'key_missing']);

function copyEscape(character: string): string {
  return `\\${String.fromCharCode(COPY_ESCAPES[character.charCodeAt(0)]!)}`;
}

function spells(bytes: Buffer, from: number, to: number, word: string): boolean {
  if (to - from !== word.length) return false;
  for (let i = 0; i < word.length; i++) if ((bytes[from + i]! | 32) !== word.charCodeAt(i)) return false;
  return true;
}

function digitsOf(bytes: Buffer, from: number, count: number): number {
  let value = 0;
  for (let i = from; i < from + count; i++) {
    const digit = bytes[i]! - ZERO;
    if (digit < 0 || digit > 9) return -1;
    value = value * 10 + digit;
  }
  return value;
}

function issueOf(
  line: number,
  rule: CompiledRule,
  fault: Fault,
  text: string | null,
  severity: Severity,
): Issue {
  const value = text === null ? null : cut(text, VALUE_CHARACTERS);
  return {
    line,
    column: rule.header,
    field: rule.name,
    code: fault.code,
    severity,
    value,
    message: fault.message,
    ...(fault.suggestion === undefined ? {} : { suggestion: fault.suggestion }),
  };
}
