import { writeSync } from 'node:fs';
import { FileError } from '../types.ts';
import { copyCell, csvCell } from './shared-strings.ts';
import { brokenPart } from './xml.ts';

export const MOST_ROWS = 1_048_576;
export const MOST_COLUMNS = 16_384;

/** So many rows are held back to learn how wide the table is and where it begins. */
const HELD_ROWS = 500;
const HELD_BYTES = 4 * 1024 * 1024;
const OUT_BYTES = 256 * 1024;
/** Commas that make short rows as wide as the widest: so many, and so many times what there is to read, are no table. */
const NO_TABLE = { padding: 64 * 1024 * 1024, timesContent: 32, mostPadding: 2 * 1024 ** 3 };

/** Rows of so many bytes are written whatever they were made from. */
const COPY_FROM = 64 * 1024 * 1024;

/** One row on its way into the copy: canonical CSV from its first filled cell on. */
export class RowLine {
  bytes = Buffer.allocUnsafeSlow(64 * 1024);
  length = 0;
  /** Columns of the first and the last filled cell, from 0; -1 while there is none. */
  first = -1;
  last = -1;

  clear(): void {
    this.length = 0;
    this.first = this.last = -1;
  }

  reserve(more: number): void {
    if (this.length + more <= this.bytes.length) return;
    const larger = Buffer.allocUnsafeSlow(Math.max(this.bytes.length * 2, this.length + more));
    this.bytes.copy(larger, 0, 0, this.length);
    this.bytes = larger;
  }

  /** The next cell is this column's, which stands behind the last one's. */
  begin(column: number): void {
    if (this.first < 0) this.first = column;
    else {
      const gap = column - this.last;
      this.reserve(gap);
      if (gap === 1) this.bytes[this.length++] = 0x2c;
      else {
        this.bytes.fill(0x2c, this.length, this.length + gap);
        this.length += gap;
      }
    }
    this.last = column;
  }

  /** A cell that is CSV already. */
  addBytes(column: number, data: Buffer, from: number, to: number): void {
    this.begin(column);
    this.reserve(to - from);
    this.length = copyCell(data, from, to, 0, this.bytes, this.length);
  }

  addText(column: number, text: string): void {
    const cell = csvCell(text);
    this.begin(column);
    this.reserve(cell.length * 3);
    this.length += this.bytes.write(cell, this.length);
  }
}

/** The table stands further left than its first rows said: the sheet has to be read again from there. */
export class FurtherLeft extends Error {}

/**
 * A sheet as canonical CSV: every line is the row of that number, a row without values is a blank line. Empty columns to
 * the left of everything are left out; rows are filled up to the width of the first 500 that hold anything, and
 * where one is wider, it is the reader's to reject.
 */
export class CanonicalSheet {
  /** Rows that hold anything. */
  filled = 0;
  private readonly file: number | null;
  private readonly sheet: string;
  private readonly mostBytes: () => number;
  private held: { row: number; first: number; last: number; bytes: Buffer }[] | null = [];
  private heldBytes = 0;
  private leading: number;
  private width = 0;
  private lastRow = 0;
  private written = 0;
  private padding = 0;
  private content = 0;
  private readonly out = Buffer.allocUnsafeSlow(OUT_BYTES);
  private used = 0;

  /**
   * @param file where the copy goes; null where only the rows are counted.
   * @param mayBeginLater false: the copy begins with column A, whatever is in it.
   * @param mostBytes what cells may take, as far as the workbook has been unpacked: one text may stand in many of them.
   */
  constructor(
    file: number | null,
    sheet: string,
    mayBeginLater: boolean,
    mostBytes: () => number = () => Infinity,
  ) {
    this.file = file;
    this.sheet = sheet;
    this.mostBytes = mostBytes;
    this.leading = mayBeginLater ? MOST_COLUMNS : 0;
  }

  /** Takes the line as row so-and-so, and nothing where it is empty. */
  row(row: number, line: RowLine): void {
    if (line.first < 0) return;
    if (row <= this.lastRow)
      throw brokenPart(
        `in the sheet "${this.sheet}" row ${row} ${row === this.lastRow ? 'is there twice' : `stands behind row ${this.lastRow}`}`,
      );
    this.lastRow = row;
    this.filled++;
    if (this.file === null) return;
    if (this.held === null) {
      if (line.first < this.leading) throw new FurtherLeft();
      this.put(row, line.first, line.last, line.bytes, line.length);
      return;
    }
    this.held.push({
      row,
      first: line.first,
      last: line.last,
      bytes: Buffer.from(line.bytes.subarray(0, line.length)),
    });
    this.heldBytes += line.length;
    this.leading = Math.min(this.leading, line.first);
    this.width = Math.max(this.width, line.last + 1);
    if (this.held.length >= HELD_ROWS || this.heldBytes >= HELD_BYTES) this.release();
  }

  end(): void {
    this.release();
    this.flush();
  }

  private release(): void {
    const held = this.held ?? [];
    this.held = null;
    for (const { row, first, last, bytes } of held) this.put(row, first, last, bytes, bytes.length);
  }

  private put(row: number, first: number, last: number, bytes: Buffer, length: number): void {
    this.fill(0x0a, row - this.written - 1);
    const behind = Math.max(0, this.width - 1 - last);
    this.padding += behind;
    this.content += length;
    const { padding, timesContent, mostPadding } = NO_TABLE;
    if (
      this.padding > mostPadding ||
      (this.padding > padding && this.padding > this.content * timesContent)
    ) {
      throw new FileError(
        'sheet_too_wide',
        `Something stands far to the right in the sheet "${this.sheet}" and makes it ${this.width} columns wide. Delete the columns behind the table, save the workbook, and import that.`,
      );
    }
    if (this.content > COPY_FROM && this.content > this.mostBytes()) {
      throw new FileError(
        'unpacks_too_large',
        `The sheet "${this.sheet}" repeats long texts and makes more than ${Math.floor(this.content / 1e6)} MB of rows from a small workbook, which no real one does. It was not read further.`,
      );
    }
    this.fill(0x2c, first - this.leading);
    if (length > OUT_BYTES - this.used) this.flush();
    if (length > OUT_BYTES) this.write(bytes, length);
    else {
      bytes.copy(this.out, this.used, 0, length);
      this.used += length;
    }
    this.fill(0x2c, behind);
    this.fill(0x0a, 1);
    this.written = row;
  }

  private fill(byte: number, count: number): void {
    while (count > 0) {
      if (this.used === OUT_BYTES) this.flush();
      const now = Math.min(count, OUT_BYTES - this.used);
      if (now === 1) this.out[this.used] = byte;
      else this.out.fill(byte, this.used, this.used + now);
      this.used += now;
      count -= now;
    }
  }

  private flush(): void {
    if (this.used > 0) this.write(this.out, this.used);
    this.used = 0;
  }

  private write(bytes: Buffer, length: number): void {
    for (let at = 0; at < length;) at += writeSync(this.file!, bytes, at, length - at);
  }
}
