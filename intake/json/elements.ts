import { FileError } from '../types.ts';

/** How the records of a file follow one another: one a line, the elements of an array, or objects one after another. */
export type JsonShape = 'lines' | 'document' | 'sequence';

/** One value that should be a record. Indexes are of `bytes`, which is good until the next push. */
export interface Element {
  bytes: Buffer;
  from: number;
  to: number;
  /** Of its first byte, in what was pushed. */
  offset: number;
  /** Bytes in all; more than `to - from` where it is over the limit and only its beginning is here. */
  length: number;
  /** Its line where a record is a line, else its number among the records, from 1. */
  line: number;
}

/** An array of objects found inside an object, by its dotted path. */
export interface RecordArray {
  path: string;
  rows: number;
}

const LF = 10;
const CR = 13;
/** Stands before each record of a JSON text sequence (RFC 7464). */
const RECORD_SEPARATOR = 0x1e;
const QUOTE = 34;
const COMMA = 44;
const COLON = 58;
const OPEN_ARRAY = 91;
const BACKSLASH = 92;
const CLOSE_ARRAY = 93;
const OPEN_OBJECT = 123;
const CLOSE_OBJECT = 125;

const HEAD_BYTES = 64 * 1024;
const KEY_BYTES = 1024;
const MAX_DEPTH = 64;

/** What is being waited for, or passed over. */
const VALUE = 0;
const FIRST_OF_ARRAY = 1;
const ELEMENT = 2;
const IN_ELEMENT = 3;
const AFTER_ELEMENT = 4;
const KEY = 5;
const IN_KEY = 6;
const BEFORE_COLON = 7;
const AFTER_VALUE = 8;
const PASSING = 9;
const END = 10;

/** Bytes that matter inside a value, and inside a string. */
const STRUCTURE = new Uint8Array(256);
for (const byte of [QUOTE, OPEN_ARRAY, CLOSE_ARRAY, OPEN_OBJECT, CLOSE_OBJECT]) STRUCTURE[byte] = 1;

/**
 * Cuts JSON into records as its bytes come, whatever the chunks. It only knows brackets and strings: whether a record is
 * good JSON is for whoever takes it.
 */
export class JsonElements {
  /** Of an object that holds arrays of objects: each of them; the records are those of `chosen`. */
  readonly arrays: RecordArray[] = [];
  chosen: string | null = null;
  /** The first value was an object, and another one follows it: the file is one of lines, or a sequence. */
  several = false;
  records = 0;
  /** Line breaks inside the first value, and between it and the next one. */
  private spreads = false;
  private apart = false;

  private readonly shape: JsonShape;
  private readonly max: number;
  private readonly wanted: string | null;
  private readonly take: (element: Element) => void;
  private rest: Buffer = Buffer.alloc(0);
  private offset = 0;
  private line = 0;
  private state = VALUE;
  private readonly path: string[] = [];
  private key: number[] = [];
  private depth = 0;
  private inString = false;
  private escaped = false;
  private scalar = false;
  /** Of the element at hand: where it begins in the bytes, or how much of it is gone already. */
  private start = -1;
  private dropped = 0;
  private head: Buffer | null = null;
  private taking = true;
  private isArray = false;

  /** The first value is an object. */
  get isObject(): boolean {
    return !this.isArray;
  }

  /** Where there are several: the first of them stands on a line of its own. */
  get onLines(): boolean {
    return this.apart && !this.spreads;
  }

  constructor(
    shape: JsonShape,
    { max, wanted = null }: { max: number; wanted?: string | null },
    take: (element: Element) => void,
  ) {
    this.shape = shape;
    this.max = max;
    this.wanted = wanted;
    this.take = take;
  }

  push(chunk: Buffer): void {
    if (this.several) return;
    const bytes = this.rest.length > 0 ? Buffer.concat([this.rest, chunk]) : chunk;
    const from = this.rest.length;
    this.rest = NOTHING;
    if (this.shape === 'lines') this.lines(bytes, from);
    else this.walk(bytes, from);
  }

  finish(): void {
    if (this.several) return;
    if (this.shape === 'lines') {
      if (this.rest.length > 0 || this.head) this.endLine(this.rest, 0, this.rest.length);
      return;
    }
    if (this.state === IN_ELEMENT && this.scalar && this.path.length === 0 && this.shape === 'sequence')
      this.endElement(this.rest, this.rest.length);
    if (this.state !== END && !(this.shape === 'sequence' && this.state === VALUE && this.records > 0)) {
      throw new FileError(
        'truncated_json',
        `The JSON ends in the middle, after record ${this.records}. Download or upload it again, completely.`,
      );
    }
  }

  private lines(bytes: Buffer, scanned: number): void {
    let from = 0;
    for (let end = bytes.indexOf(LF, scanned); end >= 0; end = bytes.indexOf(LF, from)) {
      this.endLine(bytes, from, end);
      this.offset += end + 1 - from;
      from = end + 1;
    }
    if (bytes.length - from > this.max || this.head) {
      this.head ??= Buffer.from(bytes.subarray(from, from + HEAD_BYTES));
      this.dropped += bytes.length - from;
      this.offset += bytes.length - from;
    } else this.rest = Buffer.from(bytes.subarray(from));
  }

  private endLine(bytes: Buffer, from: number, end: number): void {
    this.line++;
    if (this.head) {
      const head = this.head;
      const length = this.dropped + end - from;
      this.head = null;
      this.take({
        bytes: head,
        from: 0,
        to: head.length,
        offset: this.offset - this.dropped,
        length,
        line: this.line,
      });
      this.records++;
      this.dropped = 0;
      return;
    }
    let to = end;
    while (to > from && isSpace(bytes[to - 1]!)) to--;
    let start = from;
    while (start < to && isSpace(bytes[start]!)) start++;
    if (start === to) return;
    this.records++;
    this.take({
      bytes,
      from: start,
      to,
      offset: this.offset + start - from,
      length: to - start,
      line: this.line,
    });
  }

  private walk(bytes: Buffer, scanned: number): void {
    const to = bytes.length;
    let i = scanned;
    while (i < to) {
      if (this.state === IN_ELEMENT || this.state === PASSING) {
        const from = i;
        const looks = this.shape === 'document' && !this.isArray && !this.spreads;
        i = this.pass(bytes, i, to);
        if (looks && bytes.subarray(from, i).includes(LF)) this.spreads = true;
        continue;
      }
      const byte = bytes[i]!;
      if (this.state === IN_KEY) {
        if (this.escaped) this.escaped = false;
        else if (byte === BACKSLASH) this.escaped = true;
        else if (byte === QUOTE) {
          this.state = BEFORE_COLON;
          i++;
          continue;
        }
        if (this.key.length < KEY_BYTES) this.key.push(byte);
        i++;
        continue;
      }
      if (isSpace(byte)) {
        if (byte === LF && this.state === END) this.apart = true;
        else if (byte === LF && (this.state !== VALUE || this.path.length > 0)) this.spreads = true;
        i++;
        continue;
      }
      i = this.step(bytes, i, byte);
      if (this.several) return;
    }
    if (this.state === IN_ELEMENT && this.start >= 0 && this.taking) {
      if (to - this.start > this.max || this.head) {
        this.head ??= Buffer.from(bytes.subarray(this.start, this.start + HEAD_BYTES));
        this.dropped += to - this.start;
        this.start = 0;
      } else {
        this.rest = Buffer.from(bytes.subarray(this.start));
        this.offset += this.start;
        this.start = 0;
        return;
      }
    }
    this.offset += to;
  }

  /** One byte outside of elements and keys. */
  private step(bytes: Buffer, i: number, byte: number): number {
    switch (this.state) {
      case VALUE:
        return this.value(bytes, i, byte);
      case FIRST_OF_ARRAY:
        if (byte === OPEN_OBJECT || this.path.length === 0) {
          this.openArray();
          this.state = ELEMENT;
          return i;
        }
        if (byte === CLOSE_ARRAY) {
          this.state = AFTER_VALUE;
          return i + 1;
        }
        this.state = PASSING;
        this.depth = 1;
        return i;
      case ELEMENT:
        if (byte === CLOSE_ARRAY) return this.closeArray(i);
        return this.begin(i, byte);
      case AFTER_ELEMENT:
        if (byte === COMMA) this.state = ELEMENT;
        else if (byte === CLOSE_ARRAY) return this.closeArray(i);
        else throw this.broken(i, `a comma is missing before record ${this.records + 1}`);
        return i + 1;
      case KEY:
        if (byte === QUOTE) {
          this.state = IN_KEY;
          this.key = [];
        } else if (byte === CLOSE_OBJECT) return this.closeObject(i);
        else if (byte !== COMMA) throw this.broken(i, 'a name in quotes should stand here');
        return i + 1;
      case BEFORE_COLON:
        if (byte !== COLON) throw this.broken(i, 'a colon is missing behind a name');
        this.path.push(Buffer.from(this.key).toString('utf8'));
        this.state = VALUE;
        return i + 1;
      case AFTER_VALUE:
        this.path.pop();
        if (byte === COMMA) this.state = KEY;
        else if (byte === CLOSE_OBJECT) return this.closeObject(i);
        else throw this.broken(i, 'a comma is missing');
        return i + 1;
      default:
        // Behind the end: only another object makes sense there, and of those only one that may be a record.
        if (byte !== OPEN_OBJECT || this.isArray || (this.arrays.length > 0 && this.offset + i > this.max))
          throw this.broken(i, 'something follows the end of the data');
        this.several = true;
        return i;
    }
  }

  private value(bytes: Buffer, i: number, byte: number): number {
    if (this.shape === 'sequence') return this.begin(i, byte);
    if (byte === OPEN_ARRAY) {
      this.state = FIRST_OF_ARRAY;
      return i + 1;
    }
    if (byte === OPEN_OBJECT && this.path.length < MAX_DEPTH) {
      this.state = KEY;
      return i + 1;
    }
    if (this.path.length === 0) throw this.broken(i, 'neither an object nor an array begins here');
    this.state = PASSING;
    this.depth = 0;
    this.scalar = byte !== OPEN_OBJECT && byte !== QUOTE;
    return i;
  }

  private openArray(): void {
    const path = this.path.join('.');
    if (this.path.length > 0) this.arrays.push({ path, rows: 0 });
    else this.isArray = true;
    this.taking =
      this.path.length === 0 || (this.wanted === null ? this.chosen === null : path === this.wanted);
    if (this.taking && this.path.length > 0) this.chosen = path;
  }

  private closeArray(i: number): number {
    this.state = this.path.length > 0 ? AFTER_VALUE : END;
    return i + 1;
  }

  private closeObject(i: number): number {
    this.state = this.path.length > 0 ? AFTER_VALUE : END;
    return i + 1;
  }

  private begin(i: number, byte: number): number {
    this.state = IN_ELEMENT;
    this.start = i;
    this.depth = 0;
    this.scalar = byte !== OPEN_OBJECT && byte !== OPEN_ARRAY && byte !== QUOTE;
    return i;
  }

  /** Goes on inside a value, up to its end or that of the bytes. */
  private pass(bytes: Buffer, from: number, to: number): number {
    let i = from;
    while (i < to) {
      if (this.inString) {
        if (this.escaped) {
          this.escaped = false;
          i++;
          continue;
        }
        while (i < to && bytes[i] !== QUOTE && bytes[i] !== BACKSLASH) i++;
        if (i >= to) break;
        if (bytes[i] === BACKSLASH) this.escaped = true;
        else {
          this.inString = false;
          if (this.depth === 0) return this.endValue(bytes, i + 1);
        }
        i++;
        continue;
      }
      if (this.scalar && this.depth === 0) {
        // Between objects that follow one another a lone comma or bracket is a record of its own, and none.
        if (i === this.start && !this.head && this.shape === 'sequence' && endsScalar(bytes[i]!))
          return this.endValue(bytes, i + 1);
        while (i < to && !endsScalar(bytes[i]!)) i++;
        if (i >= to) break;
        return this.endValue(bytes, i);
      }
      while (i < to && STRUCTURE[bytes[i]!] === 0) i++;
      if (i >= to) break;
      const byte = bytes[i]!;
      if (byte === QUOTE) this.inString = true;
      else if (byte === OPEN_ARRAY || byte === OPEN_OBJECT) this.depth++;
      else if (--this.depth <= 0) return this.endValue(bytes, i + 1);
      i++;
    }
    return i;
  }

  private endValue(bytes: Buffer, end: number): number {
    this.scalar = false;
    if (this.state === PASSING) this.state = AFTER_VALUE;
    else this.endElement(bytes, end);
    return end;
  }

  private endElement(bytes: Buffer, end: number): void {
    const { head, start } = this;
    this.records++;
    if (this.taking) this.line++;
    const array = this.arrays.at(-1);
    if (array) array.rows++;
    if (this.taking) {
      const dropped = this.dropped;
      if (head) {
        const length = dropped + end - start;
        const offset = this.offset + start - dropped;
        this.take({ bytes: head, from: 0, to: head.length, offset, length, line: this.line });
      } else {
        this.take({
          bytes,
          from: start,
          to: end,
          offset: this.offset + start,
          length: end - start,
          line: this.line,
        });
      }
    }
    this.head = null;
    this.dropped = 0;
    this.start = -1;
    this.state = this.shape === 'sequence' ? VALUE : AFTER_ELEMENT;
  }

  private broken(i: number, what: string): FileError {
    return new FileError(
      'broken_json',
      `This is no valid JSON: at byte ${this.offset + i} ${what}. Nothing was read; export the file again.`,
    );
  }
}

const NOTHING: Buffer = Buffer.alloc(0);

function isSpace(byte: number): boolean {
  return byte === 32 || byte === LF || byte === CR || byte === 9 || byte === RECORD_SEPARATOR;
}

function endsScalar(byte: number): boolean {
  return byte === COMMA || byte === CLOSE_ARRAY || byte === CLOSE_OBJECT || isSpace(byte);
}
