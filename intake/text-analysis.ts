import { TypeTally } from './cell-types.ts';
import { CELL_ERROR } from './check-cell.ts';
import { emptyFile } from './container.ts';
import { detectDialect, dialectOf, readHead, type HeadRecord } from './dialect.ts';
import { findHeader, nameColumns, typeColumns } from './header.ts';
import { fieldText, OK, RecordScanner, recordTexts } from './scan.ts';
import {
  FileError,
  type Dialect,
  type FileOptions,
  type FileWarning,
  type Manifest,
  type Segment,
} from './types.ts';

const HEAD_BYTES = 256 * 1024;
const HEAD_RECORDS = 500;
const SAMPLE_ROWS = 200;
/** Cells looked at to settle the types: of the first records of the file, and of each segment. */
const TYPED_RECORDS = 1000;
const TYPED_PER_SEGMENT = 20;
/** Records with invalid bytes, and no character that is valid outside ASCII: this is not UTF-8. */
const GIVE_UP_AFTER = 20;

export interface AnalysisLimits {
  maxRecordBytes: number;
  segmentBytes: number;
}

type Found = Pick<
  Manifest,
  | 'lineEnding'
  | 'preambleRows'
  | 'headerRow'
  | 'columns'
  | 'rows'
  | 'rejected'
  | 'canonicalDialect'
  | 'segments'
  | 'sample'
>;

/** Takes canonical UTF-8 bytes as they come, and finds dialect, header, columns, records and segments in them. */
export class TextAnalysis {
  readonly warnings: FileWarning[] = [];
  records = 0;
  rejected = 0;
  /** Where the records come from something that has names of its own, they are these, and no record is a header. */
  names: string[] | null = null;
  /** Too much of it is not UTF-8: whoever feeds it may stop and decide the encoding again. */
  notUtf8 = false;

  private readonly options: FileOptions;
  private readonly limits: AnalysisLimits;
  private readonly fixedDialect: Dialect | null;
  private head: Buffer[] = [];
  private headBytes = 0;
  private scanner: RecordScanner | null = null;
  private dialect: Dialect = dialectOf(',', '"');
  private header: string[] | null = null;
  private headerRow: number | null = null;
  private preambleRows = 0;
  private width = 1;
  private readonly tallies: TypeTally[] = [];
  private readonly segments: Segment[] = [];
  private typedInSegment = 0;
  private readonly sample: string[][] = [];
  private readonly endings = { lf: 0, crlf: 0, cr: 0 };

  constructor(options: FileOptions, limits: AnalysisLimits, fixedDialect: Dialect | null = null) {
    this.options = options;
    this.limits = limits;
    this.fixedDialect = fixedDialect;
  }

  /** Characters outside ASCII were met, and valid. */
  get nonAscii(): boolean {
    return (this.scanner?.nonAscii ?? 0) > 0;
  }

  /** Rows met, where reading ended before the file did. */
  rowsSoFar(): number {
    if (!this.scanner && this.headBytes > 0) this.begin(false);
    return this.records;
  }

  write(chunk: Buffer): void {
    if (this.notUtf8) return;
    if (this.scanner) return this.feed(this.scanner, chunk, 0);
    this.head.push(chunk);
    this.headBytes += chunk.length;
    if (this.headBytes >= HEAD_BYTES) this.begin(false);
  }

  end(): Found {
    const scanner = this.scanner ?? this.begin(true);
    scanner.finish();
    this.drain(scanner);
    if (this.records === 0 && !this.header) throw emptyFile();
    if (scanner.invalid > scanner.nonAscii) this.notUtf8 = true;
    const last = this.segments.at(-1);
    if (last) last.end = scanner.nextOffset;
    const names = nameColumns(this.names ?? this.header, this.width);
    this.warn(names);
    return {
      lineEnding: this.lineEnding(),
      preambleRows: this.preambleRows,
      headerRow: this.headerRow,
      columns: typeColumns(names, this.tallies),
      rows: this.records - this.rejected,
      rejected: this.rejected,
      canonicalDialect: this.dialect,
      segments: this.segments,
      sample: this.sample,
    };
  }

  private begin(whole: boolean): RecordScanner {
    const bytes = Buffer.concat(this.head);
    this.head = [];
    const bom = bytes.subarray(0, 3).equals(Buffer.from([0xef, 0xbb, 0xbf])) ? 3 : 0;
    const separator = this.fixedDialect
      ? null
      : /^sep=(.)(\r\n|\n|\r)/u.exec(bytes.toString('latin1', bom, bom + 16));
    const from = bom + (separator ? separator[0].length : 0);
    const firstLine = separator ? 2 : 1;
    const text = bytes.subarray(from);
    const options =
      separator && this.options.delimiter === undefined
        ? { ...this.options, delimiter: separator[1] }
        : this.options;
    this.dialect = this.fixedDialect ?? detectDialect(text, whole, options);
    const records = readHead(text, whole, this.dialect, HEAD_RECORDS, from, firstLine);
    const start = this.placeHeader(records, from, firstLine);
    this.scanner = new RecordScanner({
      dialect: this.dialect,
      columns: this.width,
      maxRecordBytes: this.limits.maxRecordBytes,
      offset: start.offset,
      line: start.line,
    });
    for (const { terminator } of records.slice(0, 1)) this.countEnding(terminator);
    this.feed(this.scanner, bytes, start.offset);
    return this.scanner;
  }

  private placeHeader(records: HeadRecord[], offset: number, line: number): { offset: number; line: number } {
    const wanted = this.options.headerRow;
    const found = findHeader(records, wanted);
    this.width = this.names?.length ?? found.width;
    for (let column = 0; column < this.width; column++) this.tallies.push(new TypeTally());
    if (wanted && found.header < 0) {
      throw new FileError(
        'no_header_row',
        `There is no row ${wanted} near the beginning of the file to take the column names from.`,
      );
    }
    const header = records[found.header];
    if (header) {
      this.header = header.cells;
      this.headerRow = header.line;
      this.preambleRows = header.line - 1;
      if (found.doubtful) {
        this.warnings.push({
          code: 'header_guessed',
          message: `Row ${header.line} was taken for the column names, but nothing proves it. If it is data, say that the file has no header.`,
        });
      }
      return { offset: header.next, line: header.nextLine };
    }
    if (found.doubtful && records.length > 0) {
      this.warnings.push({
        code: 'header_guessed',
        message:
          'No row looks like column names, so the first row was read as data. If it is the header, say so.',
      });
    }
    this.preambleRows = line - 1;
    return { offset, line };
  }

  private feed(scanner: RecordScanner, chunk: Buffer, from: number): void {
    for (let at = from; at < chunk.length;) {
      at += scanner.push(chunk, at);
      this.drain(scanner);
      if (scanner.invalid > GIVE_UP_AFTER && scanner.nonAscii === 0 && !this.options.encoding) {
        this.notUtf8 = true;
        return;
      }
    }
  }

  private drain(scanner: RecordScanner): void {
    const { endings, limits } = this;
    let segment = this.segments.at(-1);
    while (scanner.next()) {
      if (!segment || scanner.offset - segment.start >= limits.segmentBytes) {
        if (segment) segment.end = scanner.offset;
        segment = this.openSegment(scanner);
      }
      this.records++;
      const ending = scanner.terminator;
      if (ending === 10) endings.lf++;
      else if (ending === 23) endings.crlf++;
      else if (ending === 13) endings.cr++;
      if (scanner.status !== OK) {
        segment.rejected++;
        this.rejected++;
        continue;
      }
      segment.accepted++;
      if (this.records <= TYPED_RECORDS || this.typedInSegment < TYPED_PER_SEGMENT) this.look(scanner);
    }
  }

  private openSegment(scanner: RecordScanner): Segment {
    const segment: Segment = {
      index: this.segments.length,
      start: scanner.offset,
      end: scanner.offset,
      firstRecord: this.records + 1,
      firstLine: scanner.line,
      accepted: 0,
      rejected: 0,
    };
    this.segments.push(segment);
    this.typedInSegment = 0;
    return segment;
  }

  private look(scanner: RecordScanner): void {
    this.typedInSegment++;
    for (let column = 0; column < this.width; column++) {
      const text = fieldText(scanner, column, this.dialect);
      if (!this.dialect.rows || !CELL_ERROR.test(text)) this.tallies[column]!.add(text);
    }
    if (this.sample.length < SAMPLE_ROWS) this.sample.push(recordTexts(scanner, this.dialect));
  }

  private countEnding(terminator: number): void {
    if (terminator === 10) this.endings.lf++;
    else if (terminator === 23) this.endings.crlf++;
    else if (terminator === 13) this.endings.cr++;
  }

  private lineEnding(): Manifest['lineEnding'] {
    const used = (['lf', 'crlf', 'cr'] as const).filter((ending) => this.endings[ending] > 0);
    return used.length > 1 ? 'mixed' : (used[0] ?? null);
  }

  private warn(names: { name: string; original: string }[]): void {
    if (this.records === 0) {
      this.warnings.push({ code: 'no_rows', message: 'The file has column names but no rows below them.' });
    }
    if (this.preambleRows > 0) {
      this.warnings.push({
        code: 'preamble_skipped',
        message: `${this.preambleRows === 1 ? 'The first line was' : `The first ${this.preambleRows} lines were`} skipped: they stand above the table.`,
      });
    }
    const renamed = this.header ? names.filter(({ name, original }) => name !== original.trim()).length : 0;
    if (renamed > 0) {
      this.warnings.push({
        code: 'columns_renamed',
        message: `${renamed === 1 ? 'One column has' : `${renamed} columns have`} a blank, repeated or very long name and got another one.`,
      });
    }
  }
}
