import { isUtf8 } from 'node:buffer';
import { BROKEN_JSON, INVALID_BYTES, LONE_SURROGATE, NUL_BYTE, TOO_DEEP } from '../scan.ts';

export const MAX_DEPTH = 64;

const LF = 10;
const QUOTE = 34;
const COMMA = 44;
const MINUS = 45;
const DOT = 46;
const ZERO = 48;
const NINE = 57;

/** Bytes of a string that need a look: its end, a backslash, control characters. */
const IN_STRING = new Uint8Array(256);
for (let byte = 0; byte < 32; byte++) IN_STRING[byte] = 1;
for (const byte of [QUOTE, 92]) IN_STRING[byte] = 1;

/** Why a record is none: the status that the scanner will give it, and a sentence. No stack: there may be millions. */
export class Fault extends Error {
  readonly status: number;
  constructor(status: number, message: string) {
    const { stackTraceLimit } = Error;
    Error.stackTraceLimit = 0;
    super(message);
    Error.stackTraceLimit = stackTraceLimit;
    this.status = status;
  }
}

/** Goes through the bytes of one JSON value and judges them; what it leaves behind is where things begin and end. */
export class JsonReader {
  /** Records held invalid bytes. */
  invalid = 0;
  protected data: Buffer = Buffer.alloc(0);
  protected at = 0;
  protected to = 0;

  /** Any value; true where spaces stand inside it, outside its strings. */
  protected value(depth = 0): boolean {
    const byte = this.data[this.at];
    if (byte === QUOTE) {
      const from = this.at + 1;
      if (!this.string()) this.decode(from, this.at - 1);
    } else if (byte === 91) return this.array(depth);
    else if (byte === 123) return this.inner(depth);
    else if (byte === 110) this.word('null');
    else this.scalar();
    return false;
  }

  protected array(depth: number): boolean {
    if (depth > MAX_DEPTH) throw this.tooDeep();
    this.at++;
    let spaces = this.space();
    if (this.data[this.at] === 93 && this.at < this.to) {
      this.at++;
      return spaces;
    }
    for (;;) {
      spaces = this.space() || spaces;
      spaces = this.value(depth + 1) || spaces;
      spaces = this.space() || spaces;
      const byte = this.at < this.to ? this.data[this.at++] : -1;
      if (byte === 93) return spaces;
      if (byte !== COMMA) throw this.broken('a comma or a closing bracket is missing');
    }
  }

  /** An object inside an array: it stays JSON text. */
  protected inner(depth: number): boolean {
    if (depth > MAX_DEPTH) throw this.tooDeep();
    this.at++;
    let spaces = this.space();
    if (this.data[this.at] === 125 && this.at < this.to) {
      this.at++;
      return spaces;
    }
    for (;;) {
      spaces = this.space() || spaces;
      if (this.data[this.at] !== QUOTE || this.at >= this.to)
        throw this.broken('a name in quotes is missing');
      const from = this.at + 1;
      if (!this.string()) this.decode(from, this.at - 1);
      spaces = this.space() || spaces;
      if (this.data[this.at] !== 58 || this.at >= this.to) throw this.broken('a colon is missing');
      this.at++;
      spaces = this.space() || spaces;
      spaces = this.value(depth + 1) || spaces;
      spaces = this.space() || spaces;
      const byte = this.at < this.to ? this.data[this.at++] : -1;
      if (byte === 125) return spaces;
      if (byte !== COMMA) throw this.broken('a comma or a closing brace is missing');
    }
  }

  /** Passes over a string; false where it holds escapes. */
  protected string(): boolean {
    const { data, to } = this;
    let plain = true;
    let high = 0;
    let i = this.at + 1;
    const from = i;
    for (;;) {
      while (i < to && IN_STRING[data[i]!] === 0) high |= data[i++]!;
      if (i >= to) throw this.broken('a text is not closed');
      const byte = data[i]!;
      if (byte === QUOTE) break;
      if (byte !== 92)
        throw this.broken('a control character stands in a text; it must be written as \\uXXXX');
      plain = false;
      i += 2;
    }
    if (high >= 0x80 && !isUtf8(data.subarray(from, i))) {
      this.invalid++;
      throw new Fault(INVALID_BYTES, 'This record holds bytes that are no text in the encoding of the file.');
    }
    this.at = i + 1;
    return plain;
  }

  protected decode(from: number, to: number): string {
    let text: string;
    try {
      text = JSON.parse(`"${utf8(this.data.subarray(from, to))}"`) as string;
    } catch {
      throw this.broken('a backslash is followed by what makes no character');
    }
    if (text.includes('\0'))
      throw new Fault(NUL_BYTE, 'This record holds a NUL character (\\u0000), which no text may hold.');
    if (!text.isWellFormed())
      throw new Fault(
        LONE_SURROGATE,
        'This record holds half a character (a lone surrogate such as \\ud800). It was cut in the middle by whoever wrote it.',
      );
    return text;
  }

  /** A number or a word; true where it is a number with an exponent. */
  protected scalar(): boolean {
    const { data, to } = this;
    let i = this.at;
    const first = data[i];
    if (first === 116) return this.word('true');
    if (first === 102) return this.word('false');
    if (first === MINUS) i++;
    const digits = i;
    while (i < to && isDigit(data[i]!)) i++;
    if (i === digits || (data[digits] === ZERO && i - digits > 1))
      throw this.broken('a value is missing or no JSON');
    if (data[i] === DOT && i < to) {
      const fraction = ++i;
      while (i < to && isDigit(data[i]!)) i++;
      if (i === fraction) throw this.broken('a number ends with its point');
    }
    let exponent = false;
    if (i < to && (data[i]! | 32) === 101) {
      exponent = true;
      i++;
      if (data[i] === MINUS || data[i] === 43) i++;
      const power = i;
      while (i < to && isDigit(data[i]!)) i++;
      if (i === power) throw this.broken('a number has an empty exponent');
    }
    this.at = i;
    return exponent;
  }

  protected word(word: string): false {
    for (let i = 0; i < word.length; i++) {
      if (this.data[this.at + i] !== word.charCodeAt(i) || this.at + i >= this.to)
        throw this.broken('a value is missing or no JSON');
    }
    this.at += word.length;
    return false;
  }

  protected space(): boolean {
    const { data, to } = this;
    let i = this.at;
    while (i < to && (data[i] === 32 || data[i] === LF || data[i] === 13 || data[i] === 9)) i++;
    const moved = i > this.at;
    this.at = i;
    return moved;
  }

  protected broken(what: string): Fault {
    return new Fault(BROKEN_JSON, `This record is no valid JSON: ${what}.`);
  }

  protected tooDeep(): Fault {
    return new Fault(
      TOO_DEEP,
      `This record is nested deeper than ${MAX_DEPTH} levels. Export it with fewer, or without what is nested so deep.`,
    );
  }
}

function isDigit(byte: number): boolean {
  return byte >= ZERO && byte <= NINE;
}

export function utf8(bytes: Buffer): string {
  return bytes.toString('utf8');
}
