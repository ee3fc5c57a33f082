import { closeSync, openSync, readSync } from 'node:fs';
import { RowWriter } from './row-writer.ts';
import type { RecordScanner } from './scan.ts';
import { recordScanner } from './scan-uncommon.ts';
import type { Segment, SegmentJob, SegmentResult } from './types.ts';

const READ_BYTES = 128 * 1024;

/**
 * Reads one segment of the canonical file and yields its records as COPY text, in chunks of about 128 KiB. It blocks
 * on the disk: it is made for a thread of its own.
 */
export function* parseSegment(job: SegmentJob): Generator<Buffer, SegmentResult, void> {
  const writer = new RowWriter(job);
  const reader = new SegmentReader(job);
  const { scanner } = reader;
  try {
    while (reader.next()) {
      const chunk = writer.full(scanner);
      if (chunk) yield chunk;
      writer.write(scanner);
    }
  } finally {
    reader.close();
  }
  const rest = writer.rest();
  if (rest) yield rest;
  return writer.result;
}

type Range = Pick<SegmentJob, 'path' | 'segment' | 'dialect' | 'columns' | 'maxRecordBytes'>;

/** The records of a range, one after another in one scanner. */
export function* scanSegment(range: Range): Generator<RecordScanner, void, void> {
  const reader = new SegmentReader(range);
  try {
    while (reader.next()) yield reader.scanner;
  } finally {
    reader.close();
  }
}

/** Finds the records of a range. No generator: a million steps of one are a tenth of what parsing takes. */
class SegmentReader {
  readonly scanner: RecordScanner;
  private readonly segment: Segment;
  private readonly rows: boolean;
  private readonly file: number;
  private position: number;
  private ended = false;

  constructor({ path, segment, dialect, columns, maxRecordBytes }: Range) {
    this.segment = segment;
    this.rows = dialect.rows === true;
    this.position = segment.start;
    this.scanner = recordScanner({
      dialect,
      columns: columns.length,
      maxRecordBytes,
      offset: segment.start,
      line: segment.firstLine,
      secondTable: segment.secondTable,
    });
    this.file = openSync(path, 'r');
  }

  /** False after the last record of the range. */
  next(): boolean {
    const { scanner, segment } = this;
    for (;;) {
      if (scanner.next()) return scanner.offset < segment.end;
      if (this.ended || (scanner.nextOffset >= segment.end && !scanner.skipping)) return false;
      this.read();
    }
  }

  close(): void {
    closeSync(this.file);
  }

  /**
   * Where the segment's last record is not complete by itself (a quote that never closes), the reader needs to see what
   * the inspection saw: it reads on behind the segment's end.
   */
  private read(): void {
    const { scanner, segment, position } = this;
    const room = scanner.room();
    const wanted = position < segment.end ? Math.min(READ_BYTES, segment.end - position) : READ_BYTES;
    const read = readSync(this.file, room, 0, Math.min(room.length, wanted), position);
    this.position += read;
    if (read > 0) return scanner.commit(read);
    this.ended = true;
    if (!this.rows) scanner.dropEndMark();
    scanner.finish();
  }
}
