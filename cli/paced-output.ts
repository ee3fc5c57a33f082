import type { Writable } from 'node:stream';
import { setImmediate } from 'node:timers/promises';
import { csvText } from '../intake/csv-line.ts';
import { ESCAPED, fieldText, type RecordScanner } from '../intake/scan.ts';
import { FileError, type Dialect } from '../intake/types.ts';

const OUT_BYTES = 128 * 1024;
const LINE_END = '\r\n';
const QUOTE = 34;
const COMMA = 44;

/** What makes a cell need quotes: `"`, `,`, CR and LF. */
const NEEDS_QUOTES = new Uint8Array(256);
for (const byte of [QUOTE, COMMA, 13, 10]) NEEDS_QUOTES[byte] = 1;

/**
 * Gathers small writes in one buffer of its own and waits until the stream has taken it: cells go from the scanner to the
 * stream without becoming strings, and nothing is left behind for each write.
 */
export class PacedOutput {
  private readonly stream: Writable;
  private readonly name: string;
  private bytes = Buffer.allocUnsafeSlow(OUT_BYTES);
  private used = 0;

  /** @param name what a person calls it, where it cannot be written. */
  constructor(stream: Writable, name: string) {
    this.stream = stream;
    this.name = name;
    // Each write hears of its own failure; without a listener the process would end by it.
    stream.on('error', () => {});
  }

  async line(text: string): Promise<void> {
    const most = text.length * 3;
    if (!this.fits(most)) await this.makeRoom(most);
    this.used += this.bytes.write(text, this.used);
  }

  cells(cells: string[]): Promise<void> {
    return this.line(recordLine(cells));
  }

  /** Whether there is room for the record as it is. Nearly always there is, and waiting for nothing takes its time too. */
  hasRoom(scanner: RecordScanner, width: number): boolean {
    return this.fits(roomFor(scanner, width));
  }

  makeRoomFor(scanner: RecordScanner, width: number): Promise<void> {
    return this.makeRoom(roomFor(scanner, width));
  }

  /** A record for which there is room. */
  record(scanner: RecordScanner, width: number, dialect: Dialect): void {
    const { bounds, window } = scanner;
    const begin = this.used;
    for (let field = 0; field < width; field++) {
      if (field > 0) this.bytes[this.used++] = COMMA;
      const at = field * 3;
      if (bounds[at + 2]! & ESCAPED) {
        this.used += this.bytes.write(csvText([fieldText(scanner, field, dialect)]), this.used);
      } else this.copy(window, bounds[at]!, bounds[at + 1]!);
    }
    // A record of one empty cell would be a blank line, which readers skip.
    if (width === 1 && this.used === begin) {
      this.bytes[this.used++] = QUOTE;
      this.bytes[this.used++] = QUOTE;
    }
    this.bytes[this.used++] = 13;
    this.bytes[this.used++] = 10;
  }

  async flush(): Promise<void> {
    if (this.used > 0) {
      const part = this.bytes.subarray(0, this.used);
      this.used = 0;
      await new Promise<void>((resolve, reject) => {
        this.stream.write(part, (error) => (error ? reject(notWritten(this.name, error)) : resolve()));
      });
    }
    // A stream that takes everything at once would never let a signal through.
    await setImmediate();
  }

  /** The bytes of a cell; in quotes as soon as something in it asks for them. */
  private copy(from: Buffer, start: number, end: number): void {
    const { bytes } = this;
    let at = this.used;
    for (let i = start; i < end; i++) {
      const byte = from[i]!;
      if (NEEDS_QUOTES[byte] !== 0) return this.copyQuoted(from, start, end);
      bytes[at++] = byte;
    }
    this.used = at;
  }

  private copyQuoted(from: Buffer, start: number, end: number): void {
    const { bytes } = this;
    let at = this.used;
    bytes[at++] = QUOTE;
    for (let i = start; i < end; i++) {
      const byte = from[i]!;
      if (byte === QUOTE) bytes[at++] = QUOTE;
      bytes[at++] = byte;
    }
    bytes[at++] = QUOTE;
    this.used = at;
  }

  private fits(more: number): boolean {
    return this.used + more <= this.bytes.length;
  }

  private async makeRoom(more: number): Promise<void> {
    await this.flush();
    if (more > this.bytes.length) this.bytes = Buffer.allocUnsafeSlow(more);
  }
}

/** Every byte a quote that is doubled, and every cell in quotes, with its comma. */
const roomFor = (scanner: RecordScanner, width: number): number =>
  (scanner.end - scanner.start) * 2 + width * 3 + 4;

function recordLine(cells: string[]): string {
  if (cells.length === 1 && cells[0] === '') return `""${LINE_END}`;
  return `${csvText(cells)}${LINE_END}`;
}

/** A reader that has seen enough (EPIPE) is no failure, and stays what it is. */
export function notWritten(name: string, error: NodeJS.ErrnoException): Error {
  if (error instanceof FileError || error.code === 'EPIPE' || error.code === undefined) return error;
  const reasons: Record<string, string> = {
    ENOENT: 'there is no such folder',
    ENOTDIR: 'there is no such folder',
    EISDIR: 'it is a folder',
    ENOSPC: 'the disk is full',
    EDQUOT: 'the disk is full',
    EACCES: 'you may not write there',
    EPERM: 'you may not write there',
    EROFS: 'you may not write there',
  };
  return new FileError('not_written', `${name} cannot be written: ${reasons[error.code] ?? error.code}.`);
}
