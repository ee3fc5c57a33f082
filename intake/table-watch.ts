import { readHead, type HeadRecord } from './dialect.ts';
import type { RecordScanner } from './scan.ts';
import { couldBeHeader, differs, DOUBTED_RECORDS, isLone, misfits, repeatsHeader } from './table-end.ts';
import type { Dialect } from './types.ts';

/** A place in the stream to go back to: what had been counted when the record there was met. */
export interface Place {
  offset: number;
  line: number;
  records: number;
  /** Segments begun so far, and what the last of them held. */
  segments: number;
  accepted: number;
  rejected: number;
}

/** Looks are not cheap: a file that gives cause for more than so many is left alone. */
const MOST_LOOKS = 20_000;

/** Watches the records of a file too large to be judged as a whole for the beginning of another table. */
export class TableWatch {
  private readonly names: string[] | null;
  private readonly width: number;
  private readonly types: string[];
  private readonly dialect: Dialect;
  /** In a record that begins with it the header may stand once more. */
  readonly firstName: Buffer;
  private line = -1;
  private looks = 0;
  /** Where a line with a single value stands, which may be the title of what follows. */
  private title: Place | null = null;
  private doubt: { place: Place; first: HeadRecord; behind: HeadRecord[] } | null = null;

  constructor(names: string[] | null, width: number, types: string[], dialect: Dialect) {
    this.names = names;
    this.width = width;
    this.types = types;
    this.dialect = dialect;
    this.firstName = Buffer.from(names?.[0] ?? '');
  }

  /** Is there a reason to look: another number of fields, a blank line above, the first column's name in it? */
  suspects(scanner: RecordScanner): boolean {
    const { bounds, window, fields, line } = scanner;
    const gap = line !== this.line;
    this.line = scanner.nextLine;
    if (this.doubt !== null || this.title !== null) return true;
    if (this.looks > MOST_LOOKS) return false;
    if (gap || fields !== this.width) return true;
    const { firstName } = this;
    const from = bounds[0]!;
    return (
      bounds[1]! - from === firstName.length &&
      firstName.length > 0 &&
      window[from] === firstName[0] &&
      firstName.equals(window.subarray(from, bounds[1]))
    );
  }

  /** Does nothing speak for another table so far, so that plain records of this one need not be looked at? */
  mayPass(scanner: RecordScanner): boolean {
    return this.doubt === null && this.title === null && this.line === scanner.nextLine;
  }

  /** Such records were passed over. */
  passed(scanner: RecordScanner): void {
    this.line = scanner.nextLine;
  }

  /** Where the other table began, as soon as that is certain. */
  look(scanner: RecordScanner, place: () => Place): Place | null {
    this.looks++;
    const record = this.recordOf(scanner);
    const { title } = this;
    this.title = null;
    if (!record.rejected && this.names && repeatsHeader(record.cells, this.names)) return title ?? place();
    if (this.doubt === null) {
      if (isLone(record, this.width)) this.title = place();
      else if (!record.rejected && couldBeHeader(record.cells))
        this.doubt = { place: title ?? place(), first: record, behind: [] };
      return null;
    }
    this.doubt.behind.push(record);
    return this.doubt.behind.length < DOUBTED_RECORDS ? null : this.finish();
  }

  /** The record as it stands, with all its cells: the scanner tells apart no more than the table has columns. */
  private recordOf(scanner: RecordScanner): HeadRecord {
    const bytes = Buffer.from(scanner.window.subarray(scanner.start, scanner.end));
    const [record] = readHead(bytes, true, this.dialect, 1, scanner.offset, scanner.line);
    return record ?? { ...NOTHING, line: scanner.line, offset: scanner.offset };
  }

  /** What is to be made of a doubt that is still open. */
  finish(): Place | null {
    const { doubt } = this;
    this.doubt = null;
    if (!doubt || doubt.behind.length < 2) return null;
    const { place, first, behind } = doubt;
    const other = first.cells.length;
    if (other === this.width && !misfits(first.cells, this.types)) return null;
    return differs(behind, other, this.width, this.types) ? place : null;
  }
}

const NOTHING: HeadRecord = {
  line: 0,
  offset: 0,
  next: 0,
  nextLine: 0,
  cells: [''],
  rejected: true,
  terminator: 0,
  quoted: 0,
  strays: 0,
  doubted: false,
};
