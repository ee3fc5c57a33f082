import { TypeTally } from './cell-types.ts';
import { CELL_ERROR } from './check-cell.ts';
import { emptyFile } from './container.ts';
import { detectDialect, dialectOf, readHead, type HeadRecord, type Sample } from './dialect.ts';
import { findHeader, nameColumns, ShapeTally, typeColumns, typeOf } from './header.ts';
import { recordScanner } from './scan-uncommon.ts';
import {
  ESCAPED,
  fieldText,
  MAX_FIELDS,
  OK,
  recordTexts,
  withoutEndMark,
  type RecordScanner,
} from './scan.ts';
import { findFooter, findSecondTable, FOOTER_RECORDS } from './table-end.ts';
import { TableWatch, type Place } from './table-watch.ts';
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
/** A file of no more bytes and records than these is judged as a whole before it is read. */
const WHOLE_RECORDS = 5000;
/** Of a larger one so much of its end is kept, with a place in every so many bytes where a record begins. */
const TAIL_BYTES = 64 * 1024;
const PLACE_BYTES = 16 * 1024;
/** Samples from further down, to question the dialect with: the first behind so many bytes, then at twice as many ... */
const FIRST_SAMPLE = 512 * 1024;
const SAMPLE_BYTES = 32 * 1024;
/** A dialect under which more of the file than this cannot be read is questioned. */
const DOUBTFUL = 0.01;
const SAMPLE_ROWS = 200;
/** Records whose cells show how each column's are built. */
const SHAPED_RECORDS = 1000;
/** What a sheet's errors begin with. */
const HASH = 35;
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
  | 'headerRows'
  | 'footerRows'
  | 'footerRow'
  | 'secondTableRow'
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
  /** What the middle and the end of the file show to be the dialect, where the head was misleading. */
  otherDialect: Dialect | null = null;

  private readonly options: FileOptions;
  private readonly limits: AnalysisLimits;
  private readonly fixedDialect: Dialect | null;
  private head: Buffer[] = [];
  private headBytes = 0;
  /** Is there a line's end in it? */
  private lineEnds = false;
  private scanner: RecordScanner | null = null;
  private dialect: Dialect = dialectOf(',', '"');
  private header: string[] | null = null;
  private headerRow: number | null = null;
  private preambleRows = 0;
  private width = 1;
  private headerRows = 0;
  private namesJoined = false;
  private readonly tallies: TypeTally[] = [];
  /** Columns whose cells are still looked at. */
  private readonly typed: number[] = [];
  private readonly typedTallies: TypeTally[] = [];
  private readonly shapes: ShapeTally[] = [];
  /** Where the table ends: from there on records are passed over, or belong to another table. */
  private endAt = Infinity;
  private footer: { offset: number; line: number } | null = null;
  private secondTable: { offset: number; line: number } | null = null;
  private foreign = false;
  private watch: TableWatch | null = null;
  private readonly places: { offset: number; line: number }[] = [];
  private nextPlace = 0;
  private readonly tail = new Tail();
  private readonly samples: Sample[] = [];
  private nextSample = FIRST_SAMPLE;
  private separated = false;
  private readonly segments: Segment[] = [];
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
    this.tail.add(chunk);
    if (this.scanner) return this.feed(this.scanner, chunk, 0);
    this.head.push(Buffer.from(chunk));
    this.headBytes += chunk.length;
    if (this.headBytes < HEAD_BYTES) return;
    this.lineEnds ||= this.head.some((bytes) => bytes.includes(10) || bytes.includes(13));
    if (this.lineEnds || this.fixedDialect) this.begin(false);
    else if (this.headBytes > this.limits.maxRecordBytes) throw firstLineTooLong(this.limits.maxRecordBytes);
  }

  end(): Found {
    const scanner = this.scanner ?? this.begin(true);
    if (!this.dialect.rows && scanner.dropEndMark()) this.warnings.push(END_MARK_SKIPPED);
    scanner.finish();
    this.drain(scanner);
    if (this.width >= MAX_FIELDS && this.records > 0 && this.rejected === this.records)
      throw tooManyColumns();
    const late = this.watch?.finish();
    if (late) this.cutOff(late);
    else if (this.watch) this.findLateFooter();
    this.question();
    if (this.records === 0 && !this.header) throw emptyFile();
    if (scanner.invalid > scanner.nonAscii) this.notUtf8 = true;
    const last = this.segments.at(-1);
    if (last) last.end = this.footer?.offset ?? scanner.nextOffset;
    const footerRows = this.footer ? scanner.nextLine - this.footer.line : 0;
    const names = nameColumns(this.names ?? this.header, this.width);
    this.warn(names, scanner, footerRows);
    return {
      lineEnding: this.lineEnding(),
      preambleRows: this.preambleRows,
      headerRow: this.headerRow,
      headerRows: this.headerRows,
      footerRows,
      footerRow: this.footer?.line ?? null,
      secondTableRow: this.secondTable?.line ?? null,
      columns: typeColumns(names, this.tallies, this.shapes),
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
    let bom = 0;
    while (bytes.subarray(bom, bom + 3).equals(BYTE_ORDER_MARK)) bom += 3;
    const separator = this.fixedDialect
      ? null
      : /^"?sep=(.)"?[,;\t]*(?:\r\n|\n|\r)/iu.exec(bytes.toString('latin1', bom, bom + 24));
    const from = bom + (separator ? separator[0].length : 0);
    const firstLine = separator ? 2 : 1;
    this.separated = separator !== null;
    const ends = whole && this.fixedDialect?.rows !== true;
    const text = ends ? withoutEndMark(bytes.subarray(from)) : bytes.subarray(from);
    if (ends && !text.includes(10) && !text.includes(13) && text.includes(RECORD_SEPARATOR))
      throw noLineBreaks();
    const options =
      separator && this.options.delimiter === undefined
        ? { ...this.options, delimiter: separator[1] }
        : this.options;
    this.dialect = this.fixedDialect ?? detectDialect([{ bytes: text, whole }], options);
    const most = whole ? WHOLE_RECORDS : HEAD_RECORDS;
    const records = readHead(text, whole, this.dialect, most, from, firstLine);
    const start = this.placeHeader(records, from, firstLine);
    this.doubtQuotes(records);
    this.samples.push({ bytes: text.subarray(0, TAIL_BYTES), whole: whole && text.length <= TAIL_BYTES });
    const body = (
      this.dialect.comment ? readHead(text, whole, this.dialect, most, from, firstLine, this.width) : records
    ).filter(({ offset }) => offset >= start.offset);
    if (!this.names) {
      // Of the upper half: what stands further down may be another table.
      const types = typesOf(body.slice(0, Math.ceil(body.length / 2)), this.width);
      if (whole && records.length < most) this.findTableEnd(body, types);
      else this.watch = new TableWatch(this.header, this.width, types, this.dialect);
    }
    this.scanner = recordScanner({
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

  private doubtQuotes(records: HeadRecord[]): void {
    if (this.dialect.quote !== "'" || this.fixedDialect || this.options.quote !== undefined) return;
    const other = records.find(({ cells }) => cells.some((cell) => /^".*"$/su.test(cell)));
    if (!other) return;
    this.warnings.push({
      code: 'quotes_mixed',
      message: `Apostrophes were taken for the quotes, but line ${other.line} has fields in double quotes too, which were kept as they are. If double quotes are right, say so.`,
    });
  }

  private placeHeader(records: HeadRecord[], offset: number, line: number): { offset: number; line: number } {
    const wanted = this.options.headerRow;
    const found = findHeader(records, wanted, this.dialect.delimiter);
    this.width = this.names?.length ?? found.width;
    for (let column = 0; column < this.width; column++) {
      this.tallies.push(new TypeTally(this.dialect.rows === true));
      this.shapes.push(new ShapeTally());
      this.typed.push(column);
      this.typedTallies.push(this.tallies[column]!);
    }
    if (wanted && found.header < 0) {
      throw new FileError(
        'no_header_row',
        `There is no row ${wanted} near the beginning of the file to take the column names from.`,
      );
    }
    const header = records[found.header];
    if (header) {
      const below = records[found.data - 1]!;
      this.header = found.names;
      this.headerRow = header.line;
      this.headerRows = below.nextLine - header.line;
      this.preambleRows = header.line - 1;
      this.namesJoined = found.joined === true;
      if (found.shifted) {
        this.warnings.push({
          code: 'names_shifted',
          message: `There is one name fewer (line ${header.line}) than there are columns, so the first column was taken for the one without a name. If the names belong to other columns, correct that line.`,
        });
      }
      if (found.doubtful) {
        this.warnings.push({
          code: 'header_guessed',
          message: `Row ${header.line} was taken for the column names, but nothing proves it. If it is data, say that the file has no header.`,
        });
      }
      if (this.header && this.header.length < this.width) {
        this.warnings.push({
          code: 'header_too_short',
          message: `The column names (line ${header.line}) are fewer than the columns: the last column, always empty, got no name. If a name is missing elsewhere, correct that line.`,
        });
      }
      return { offset: below.next, line: below.nextLine };
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
    const { endings, limits, watch } = this;
    let segment = this.segments.at(-1);
    for (;;) {
      if (segment) this.pass(scanner, segment);
      if (!scanner.next()) return;
      const { offset } = scanner;
      if (offset >= this.endAt) {
        if (this.footer) continue;
        if (!this.foreign) segment = this.beginSecondTable(scanner);
      }
      if (!segment || offset - segment.start >= limits.segmentBytes) {
        if (segment) segment.end = offset;
        segment = this.openSegment(scanner);
      }
      if (offset >= this.nextPlace) this.keepPlace(scanner);
      if (watch !== null && !this.foreign && watch.suspects(scanner)) {
        const place = watch.look(scanner, () => this.placeOf(scanner, segment!));
        if (place) {
          this.cutOff(place);
          segment = this.segments.at(-1)!;
        }
      }
      this.records++;
      const ending = scanner.terminator;
      if (ending === 10) endings.lf++;
      else if (ending === 23) endings.crlf++;
      else if (ending === 13) endings.cr++;
      if (scanner.status !== OK || this.foreign) {
        segment.rejected++;
        this.rejected++;
        continue;
      }
      segment.accepted++;
      if (this.records <= SHAPED_RECORDS) this.look(scanner);
      this.type(scanner);
    }
  }

  /** Passes over records about which nothing has to be decided: nearly all of them. */
  private pass(scanner: RecordScanner, segment: Segment): void {
    const { watch, dialect, limits, typed } = this;
    if (this.records < SHAPED_RECORDS || this.foreign || this.footer || dialect.rows) return;
    if (watch !== null && !watch.mayPass(scanner)) return;
    const until = Math.min(this.endAt, this.nextPlace, segment.start + limits.segmentBytes);
    scanner.passPlain(until, typed, this.typedTallies, watch?.firstName ?? NO_NAME);
    const { records, crlf } = scanner.passed;
    if (records === 0) return;
    this.records += records;
    segment.accepted += records;
    this.endings.lf += records - crlf;
    this.endings.crlf += crlf;
    watch?.passed(scanner);
    this.dropSettled();
  }

  private dropSettled(): void {
    const { typed, typedTallies } = this;
    for (let index = typed.length - 1; index >= 0; index--) {
      if (!typedTallies[index]!.settled) continue;
      typed.splice(index, 1);
      typedTallies.splice(index, 1);
    }
  }

  private findTableEnd(body: HeadRecord[], types: string[]): void {
    const second = findSecondTable(body, this.header, this.width, types);
    if (second > 0) {
      const { offset, line } = body[second]!;
      this.secondTable = { offset, line };
      this.endAt = offset;
      return;
    }
    if (this.options.keepFooter) return;
    const footer = body[findFooter(body, this.width, body)];
    if (!footer) return;
    this.footer = { offset: footer.offset, line: footer.line };
    this.endAt = footer.offset;
  }

  /** In a file too large to be judged as a whole: are its last records totals or notes? */
  private findLateFooter(): void {
    if (this.options.keepFooter) return;
    const place = this.placeInTail();
    if (!place) return;
    const bytes = withoutEndMark(this.tail.from(place.offset));
    const tail = readHead(bytes, true, this.dialect, Infinity, place.offset, place.line, this.width);
    const found = findFooter(tail, this.width, tail.slice(0, -FOOTER_RECORDS));
    const footer = tail[found];
    if (!footer) return;
    this.footer = { offset: footer.offset, line: footer.line };
    for (const { offset, cells, rejected, doubted } of tail.slice(found)) {
      const segment = this.segments.findLast(({ start }) => start <= offset)!;
      const accepted =
        !rejected && cells.length === this.width && (!doubted || this.dialect.looseQuotes === true);
      this.records--;
      if (accepted) segment.accepted--;
      else {
        segment.rejected--;
        this.rejected--;
      }
    }
    while ((this.segments.at(-1)?.start ?? -1) >= footer.offset) this.segments.pop();
  }

  private beginSecondTable(scanner: RecordScanner): Segment {
    const last = this.segments.at(-1);
    if (last) last.end = scanner.offset;
    this.foreign = true;
    return this.openSegment(scanner);
  }

  /** Another table has begun at a place passed already: what was counted since is rejected. */
  private cutOff(place: Place): void {
    const since = this.records - place.records;
    this.segments.length = place.segments;
    const segment = this.segments.at(-1)!;
    segment.end = place.offset;
    segment.accepted = place.accepted;
    segment.rejected = place.rejected;
    if (segment.accepted + segment.rejected === 0) this.segments.pop();
    this.rejected = this.segments.reduce((sum, { rejected }) => sum + rejected, since);
    this.segments.push({
      index: this.segments.length,
      start: place.offset,
      end: place.offset,
      firstRecord: place.records + 1,
      firstLine: place.line,
      accepted: 0,
      rejected: since,
      secondTable: true,
    });
    this.secondTable = { offset: place.offset, line: place.line };
    this.foreign = true;
  }

  private placeOf(scanner: RecordScanner, segment: Segment): Place {
    const { offset, line } = scanner;
    const { accepted, rejected } = segment;
    return { offset, line, records: this.records, segments: this.segments.length, accepted, rejected };
  }

  private keepPlace(scanner: RecordScanner): void {
    this.places.push({ offset: scanner.offset, line: scanner.line });
    if (this.places.length > (2 * TAIL_BYTES) / PLACE_BYTES) this.places.splice(0, TAIL_BYTES / PLACE_BYTES);
    this.nextPlace = scanner.offset + PLACE_BYTES;
    if (scanner.offset < this.nextSample) return;
    this.samples.push({ bytes: scanner.ahead(SAMPLE_BYTES), whole: false });
    this.nextSample *= 2;
  }

  private placeInTail(): { offset: number; line: number } | undefined {
    return this.places.find(({ offset }) => offset >= this.tail.begin);
  }

  /** Does the rest of the file speak for another dialect than its head? */
  private question(): void {
    const { rejected, records, dialect, options, samples } = this;
    if (
      this.fixedDialect ||
      this.separated ||
      this.foreign ||
      (rejected <= records * DOUBTFUL && dialect.delimiter !== '')
    )
      return;
    const place = this.placeInTail();
    if (samples.length < 2 || !place) return;
    const end = this.tail.from(place.offset);
    const other = detectDialect([...samples, { bytes: end, whole: true }], options);
    const same = (['delimiter', 'quote', 'escape', 'runs', 'skipSpace'] as const).every(
      (member) => other[member] === dialect[member],
    );
    if (!same) this.otherDialect = other;
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
      ...(this.foreign ? { secondTable: true } : {}),
    };
    this.segments.push(segment);
    return segment;
  }

  private look(scanner: RecordScanner): void {
    for (let column = 0; column < this.width; column++) {
      const text = fieldText(scanner, column, this.dialect);
      if (!this.dialect.rows || !CELL_ERROR.test(text)) this.shapes[column]!.add(text);
    }
    if (this.sample.length < SAMPLE_ROWS) this.sample.push(recordTexts(scanner, this.dialect));
  }

  /** Every cell of every record, but of those columns alone that are not text without doubt. */
  private type(scanner: RecordScanner): void {
    const { bounds, window } = scanner;
    const { typed, typedTallies, dialect } = this;
    let settled = false;
    for (let index = 0; index < typed.length; index++) {
      const column = typed[index]!;
      const tally = typedTallies[index]!;
      const at = column * 3;
      const from = bounds[at]!;
      const to = bounds[at + 1]!;
      if ((bounds[at + 2]! & ESCAPED) !== 0) tally.add(fieldText(scanner, column, dialect));
      else if (!dialect.rows || window[from] !== HASH || !CELL_ERROR.test(window.toString('utf8', from, to)))
        tally.addBytes(window, from, to);
      if (tally.settled) settled = true;
    }
    if (settled) this.dropSettled();
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

  private warn(
    names: { name: string; original: string }[],
    scanner: RecordScanner,
    footerRows: number,
  ): void {
    if (this.secondTable) {
      const { line } = this.secondTable;
      const lost = this.segments.reduce(
        (sum, { secondTable, rejected }) => sum + (secondTable ? rejected : 0),
        0,
      );
      this.warnings.push({
        code: 'second_table',
        message: `Another table begins on line ${line}. Its ${lost} rows were not read as part of the first one. Import it as a file of its own.`,
      });
    }
    if (this.footer) {
      const { line } = this.footer;
      this.warnings.push({
        code: 'footer_skipped',
        message: `${footerRows === 1 ? `The last line (${line}) was` : `The last ${footerRows} lines (from line ${line} on) were`} skipped: totals or notes below the table. If they are records, say that they are to be kept.`,
      });
    }
    if (scanner.remarks > 0) {
      this.warnings.push({
        code: 'remarks_skipped',
        message: `${scanner.remarks === 1 ? 'One line was' : `${scanner.remarks} lines were`} skipped as remarks, because they begin with ${this.dialect.comment} (line ${scanner.remarkLines.join(', ')}${scanner.remarks > scanner.remarkLines.length ? ' ...' : ''}).`,
      });
    }
    if (this.namesJoined) {
      this.warnings.push({
        code: 'header_joined',
        message: `The column names stand on ${this.headerRows} lines (from line ${this.headerRow} on) and were joined.`,
      });
    }
    if (this.records === 0) {
      this.warnings.push({ code: 'no_rows', message: 'The file has column names but no rows below them.' });
    }
    if (this.preambleRows > 0) {
      this.warnings.push({
        code: 'preamble_skipped',
        message: `${this.preambleRows === 1 ? 'The first line was skipped: it stands' : `The first ${this.preambleRows} lines were skipped: they stand`} above the table.`,
      });
    }
    const given = this.header !== null || this.names !== null;
    const renamed = given ? names.filter(({ name, original }) => name !== original.trim()).length : 0;
    if (renamed > 0) {
      this.warnings.push({
        code: 'columns_renamed',
        message: `${renamed === 1 ? 'One column has' : `${renamed} columns have`} a blank, repeated or very long name and got another one.`,
      });
    }
  }
}

const BYTE_ORDER_MARK = Buffer.from('\uFEFF');
const END_MARK_SKIPPED: FileWarning = {
  code: 'end_mark_skipped',
  message:
    'The file ends with an end mark as old programs write it (0x1A). It was left out: it is no part of the last row.',
};

const firstLineTooLong = (most: number) =>
  new FileError(
    'first_line_too_long',
    `The first line of the file is longer than a row may be (${most} bytes), so that no columns can be told. If the rows end with something else than a line break, put line breaks there; else export the file again.`,
  );

/** What ASCII has to end records with, and next to nobody uses. */
const RECORD_SEPARATOR = 0x1e;

const noLineBreaks = () =>
  new FileError(
    'no_line_breaks',
    'The rows of this file end with the sign 0x1E and not with line breaks, so that all of it is one line. Put a line break in place of each, or export the file again.',
  );

const tooManyColumns = () =>
  new FileError(
    'too_many_columns',
    `The file has more than ${MAX_FIELDS} columns, which is the most that can be read. Leave out what is not needed, or divide it into files of fewer columns.`,
  );

const NO_NAME: Buffer = Buffer.alloc(0);

/** What the columns of the head hold, `text` where that is anything. */
function typesOf(records: HeadRecord[], width: number): string[] {
  const whole = records
    .filter(({ cells, rejected }) => !rejected && cells.length === width)
    .slice(0, SAMPLE_ROWS);
  return Array.from({ length: width }, (_, column) => typeOf(whole.map(({ cells }) => cells[column]!)));
}

/** The last 64 KiB of what was written, or a little more. */
class Tail {
  /** Where in the text it begins. */
  begin = 0;
  private readonly bytes = Buffer.allocUnsafeSlow(2 * TAIL_BYTES);
  private length = 0;

  add(chunk: Buffer): void {
    const kept = chunk.subarray(-TAIL_BYTES);
    if (this.length + kept.length > this.bytes.length || kept.length < chunk.length) {
      const stay = kept.length < chunk.length ? 0 : Math.min(this.length, TAIL_BYTES);
      this.begin += this.length - stay + chunk.length - kept.length;
      this.bytes.copyWithin(0, this.length - stay, this.length);
      this.length = stay;
    }
    this.length += kept.copy(this.bytes, this.length);
  }

  /** What stands from that offset on. */
  from(offset: number): Buffer {
    return this.bytes.subarray(offset - this.begin, this.length);
  }
}
