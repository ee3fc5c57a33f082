import { DUPLICATE_NAME, MARK, NOT_AN_OBJECT, TOO_LARGE } from '../scan.ts';
import { FileError } from '../types.ts';
import type { Element } from './elements.ts';
import { Fault, JsonReader, MAX_DEPTH, utf8 } from './reader.ts';

const MAX_COLUMNS = 4096;
/** So much of a rejected record goes into the copy, to be shown. */
const RAW_BYTES = 64 * 1024;
/** Bytes for what is no value: so many, and so many times the bytes there were to read, are no table. */
const NO_TABLE = { blank: 32 * 1024 * 1024, timesContent: 32 };
/** An exponent beyond this stays as it is written. */
const MAX_EXPONENT = 400;

const LF = 10;
const QUOTE = 34;
const COMMA = 44;

/** How a cell's bytes become CSV: as they are, in quotes, in quotes with quotes doubled, from a text, or not at all. */
const ABSENT = 0;
const PLAIN = 1;
const QUOTED = 2;
const DOUBLED = 3;
const TEXT = 4;

/** A name inside an object, and what was found under it. */
class Branch {
  readonly path: string;
  readonly bytes: Buffer;
  column = -1;
  seenIn = -1;
  readonly children: Branch[] = [];
  private readonly byName = new Map<string, Branch>();

  constructor(path: string, bytes: Buffer) {
    this.path = path;
    this.bytes = bytes;
  }

  child(name: string, raw: Buffer): Branch {
    let child = this.byName.get(name);
    if (!child) {
      child = new Branch(this.path === '' ? name : `${this.path}.${name}`, Buffer.from(raw));
      this.byName.set(name, child);
      this.children.push(child);
    }
    return child;
  }
}

/**
 * Makes records of one table from JSON objects, each a line of canonical CSV: nested objects become dotted columns, arrays
 * stay JSON text, null is an empty cell. Numbers are copied digit by digit. What cannot be a record is written as
 * a line that the scanner rejects with the reason in it (`MARK`).
 */
export class Flattener extends JsonReader {
  /** Dotted names in the order in which they came up. */
  readonly columns: string[] = [];
  /** Columns came up after records had been written: the lines so far are too short. */
  grew = false;

  private readonly max: number;
  private readonly maxBlank: number;
  private readonly root = new Branch('', Buffer.alloc(0));
  private record = 0;
  private written = 0;
  private line = 0;
  /** Bytes for cells that no record had a value for and for what is said of records that are none; and the records'. */
  private blank = 0;
  private content = 0;
  private length = 0;
  private from = new Int32Array(64);
  private until = new Int32Array(64);
  private kind = new Uint8Array(64);
  private readonly texts: string[] = [];
  private out = Buffer.allocUnsafeSlow(256 * 1024);
  private used = 0;

  constructor(max: number, maxBlank = NO_TABLE.blank) {
    super();
    this.max = max;
    this.maxBlank = maxBlank;
  }

  /** Begins anew, with the columns that are known by now. */
  again(): void {
    this.grew = false;
    this.written = 0;
    this.line = 0;
    this.used = 0;
    this.blank = this.content = 0;
  }

  add(element: Element): void {
    const { bytes, from, to, line } = element;
    this.record++;
    const before = this.columns.length;
    let fault: Fault | null = null;
    try {
      if (element.length > this.max)
        throw new Fault(TOO_LARGE, `This record is larger than one may be (${element.length} bytes).`);
      this.kind.fill(ABSENT, 0, before);
      this.data = bytes;
      this.at = from;
      this.to = to;
      this.length = to - from;
      this.top();
    } catch (error) {
      if (!(error instanceof Fault)) throw error;
      fault = error;
    }
    if (this.written > 0 && this.columns.length > before) this.grew = true;
    if (this.grew) return;
    while (this.line < line - 1) this.end();
    this.reserve((to - from) * 2 + this.columns.length * 3 + 64);
    if (fault)
      this.mark(fault, bytes.subarray(from, Math.min(to, from + Math.min(RAW_BYTES, this.max >> 1))));
    else this.write();
    this.end();
    this.written++;
    this.content += to - from;
    if (this.blank > this.maxBlank && this.blank > this.content * NO_TABLE.timesContent) {
      throw new FileError(
        'unpacks_too_large',
        `Hardly anything in this JSON is a record with values (it names ${this.columns.length} columns): as rows it would be more than ${NO_TABLE.timesContent} times as large. It was not read further. Export it as an array of objects, or as .csv.`,
      );
    }
  }

  /** What was written since the last time. */
  take(): Buffer | null {
    if (this.used === 0) return null;
    const bytes = this.out.subarray(0, this.used);
    this.out = Buffer.allocUnsafeSlow(Math.max(256 * 1024, this.out.length));
    this.used = 0;
    return bytes;
  }

  private end(): void {
    this.reserve(1);
    this.out[this.used++] = LF;
    this.line++;
  }

  private reserve(more: number): void {
    if (this.used + more <= this.out.length) return;
    const larger = Buffer.allocUnsafeSlow(Math.max(this.out.length * 2, this.used + more));
    this.out.copy(larger, 0, 0, this.used);
    this.out = larger;
  }

  /** Status, reason and the record itself, behind a byte that no text holds. */
  private mark({ status, message }: Fault, raw: Buffer): void {
    const line = `,${quoted(Buffer.from(message).toString('latin1'))},${quoted(raw.toString('latin1'))}`;
    this.reserve(line.length + 8);
    this.blank += line.length;
    this.out[this.used++] = MARK;
    this.out[this.used++] = 64 + status;
    this.used += this.out.write(line, this.used, 'latin1');
  }

  private write(): void {
    const { kind, from, until, data, columns } = this;
    const only = columns.length === 1;
    for (let column = 0; column < columns.length; column++) {
      if (column > 0) this.out[this.used++] = COMMA;
      const start = from[column]!;
      const end = until[column]!;
      switch (kind[column]) {
        case ABSENT:
          this.blank++;
          // A line without anything would be none.
          if (only) this.quotes(2);
          break;
        case PLAIN:
          this.copy(data, start, end);
          break;
        case QUOTED:
          this.quotes(1);
          this.copy(data, start, end);
          this.quotes(1);
          break;
        case DOUBLED:
          this.quotes(1);
          for (let i = start; i < end; i++) {
            const byte = data[i]!;
            if (byte === QUOTE) this.out[this.used++] = QUOTE;
            this.out[this.used++] = byte;
          }
          this.quotes(1);
          break;
        default: {
          const text = csv(this.texts[column]!);
          this.reserve(text.length * 3 + columns.length * 3 + this.length * 2);
          this.used += this.out.write(text, this.used);
        }
      }
    }
    if (columns.length === 0) this.quotes(2);
  }

  private quotes(count: number): void {
    for (; count > 0; count--) this.out[this.used++] = QUOTE;
  }

  private copy(data: Buffer, from: number, to: number): void {
    const out = this.out;
    let at = this.used;
    if (to - from > 64) {
      data.copy(out, at, from, to);
      this.used = at + to - from;
      return;
    }
    for (let i = from; i < to; i++) out[at++] = data[i]!;
    this.used = at;
  }

  private top(): void {
    const { data, to } = this;
    if (data[this.at] !== 123) {
      // A value that is none at all is worse than one of the wrong kind.
      this.value();
      this.space();
      if (this.at < to) throw this.broken('something follows its end');
      throw new Fault(NOT_AN_OBJECT, 'This record is no JSON object with names and values.');
    }
    this.object(this.root, 0);
    this.space();
    if (this.at < to) throw this.broken('something follows its end');
  }

  private object(branch: Branch, depth: number): void {
    const { data } = this;
    if (depth > MAX_DEPTH) throw this.tooDeep();
    this.at++;
    let expected = 0;
    for (let first = true; ; first = false) {
      this.space();
      if (data[this.at] === 125 && first) {
        this.at++;
        return;
      }
      if (data[this.at] !== QUOTE) throw this.broken('a name in quotes is missing');
      const from = this.at + 1;
      const plain = this.string();
      const child = this.childAt(branch, expected, from, this.at - 1, plain);
      expected = branch.children[expected] === child ? expected + 1 : branch.children.indexOf(child) + 1;
      if (child.seenIn === this.record)
        throw new Fault(DUPLICATE_NAME, `The name "${child.path}" stands in this record twice.`);
      child.seenIn = this.record;
      this.space();
      if (data[this.at] !== 58) throw this.broken('a colon is missing');
      this.at++;
      this.space();
      if (data[this.at] === 123) this.object(child, depth + 1);
      else this.cell(child);
      this.space();
      const byte = data[this.at++];
      if (byte === 125 && this.at <= this.to) return;
      if (byte !== COMMA || this.at > this.to) throw this.broken('a comma or a closing brace is missing');
    }
  }

  /** Names nearly always come in the order of the record before. */
  private childAt(branch: Branch, expected: number, from: number, to: number, plain: boolean): Branch {
    const { data } = this;
    const guess = branch.children[expected];
    if (guess && plain && guess.bytes.length === to - from) {
      const { bytes } = guess;
      let i = 0;
      while (i < bytes.length && bytes[i] === data[from + i]) i++;
      if (i === bytes.length) return guess;
    }
    const raw = data.subarray(from, to);
    const name = plain ? utf8(raw) : this.decode(from, to);
    return branch.child(name, plain ? raw : Buffer.from(name));
  }

  private cell(branch: Branch): void {
    const { data } = this;
    const from = this.at;
    const byte = data[from];
    let kind = PLAIN;
    let start = from;
    let text: string | null = null;
    if (byte === QUOTE) {
      const plain = this.string();
      start++;
      const end = this.at - 1;
      if (!plain) {
        text = this.decode(start, end);
        kind = TEXT;
      } else if (start === end) {
        start = from;
        this.set(branch, PLAIN, from, this.at, null);
        return;
      } else kind = hasComma(data, start, end) ? QUOTED : PLAIN;
      this.set(branch, kind, start, end, text);
      return;
    }
    if (byte === 91) {
      const spaces = this.array(0);
      if (spaces) this.set(branch, TEXT, from, this.at, compact(utf8(data.subarray(from, this.at))));
      else this.set(branch, DOUBLED, from, this.at, null);
      return;
    }
    if (byte === 110) {
      this.word('null');
      this.set(branch, ABSENT, from, from, null);
      return;
    }
    const exponent = this.scalar();
    const expanded = exponent ? expand(data.toString('latin1', from, this.at)) : null;
    this.set(branch, expanded === null ? PLAIN : TEXT, from, this.at, expanded);
  }

  private set(branch: Branch, kind: number, from: number, to: number, text: string | null): void {
    if (branch.column < 0) branch.column = this.newColumn(branch.path);
    const { column } = branch;
    this.kind[column] = kind;
    this.from[column] = from;
    this.until[column] = to;
    if (text !== null) this.texts[column] = text;
  }

  private newColumn(path: string): number {
    const column = this.columns.push(path) - 1;
    if (column >= MAX_COLUMNS) {
      throw new FileError(
        'json_too_wide',
        `The records have more than ${MAX_COLUMNS} different names between them: they are no table.`,
      );
    }
    if (column >= this.kind.length) {
      const wider = column * 2;
      this.kind = widened(new Uint8Array(wider), this.kind);
      this.from = widened(new Int32Array(wider), this.from);
      this.until = widened(new Int32Array(wider), this.until);
    }
    return column;
  }
}

function widened<T extends Uint8Array | Int32Array>(wider: T, old: T): T {
  wider.set(old);
  return wider;
}

function hasComma(data: Buffer, from: number, to: number): boolean {
  for (let i = from; i < to; i++) if (data[i] === COMMA) return true;
  return false;
}

function csv(text: string): string {
  return text === '' || /[",\r\n]/u.test(text) ? quoted(text) : text;
}

function quoted(text: string): string {
  return `"${text.replaceAll('"', '""')}"`;
}

/** JSON text without the spaces between its parts. */
function compact(json: string): string {
  return json.replace(/("(?:[^"\\]|\\.)*")|\s+/gu, '$1');
}

/** `1.5e3` as `1500`, digit by digit; null where that would be a monster. */
function expand(number: string): string | null {
  const [, sign = '', whole = '', fraction = '', power = ''] = /^(-?)(\d+)(?:\.(\d+))?[eE]([+-]?\d+)$/u.exec(
    number,
  )!;
  const exponent = Number(power);
  if (Math.abs(exponent) > MAX_EXPONENT) return null;
  const digits = whole + fraction;
  const point = whole.length + exponent;
  const padded =
    point <= 0
      ? `0.${'0'.repeat(-point)}${digits}`
      : point >= digits.length
        ? digits + '0'.repeat(point - digits.length)
        : `${digits.slice(0, point)}.${digits.slice(point)}`;
  return sign + padded.replace(/^0+(?=\d)/u, '');
}
