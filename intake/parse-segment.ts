import { closeSync, openSync, readSync } from 'node:fs';
import { RowWriter } from './row-writer.ts';
import type { RecordScanner } from './scan.ts';
import { recordScanner } from './scan-uncommon.ts';
import type { SegmentJob, SegmentResult } from './types.ts';

const READ_BYTES = 128 * 1024;

/**
 * Reads one segment of the canonical file and yields its records as COPY text, in chunks of about 128 KiB. It blocks
 * on the disk: it is made for a thread of its own.
 */
export function* parseSegment(job: SegmentJob): Generator<Buffer, SegmentResult, void> {
  const writer = new RowWriter(job);
  for (const scanner of scanSegment(job)) {
    const chunk = writer.full(scanner);
    if (chunk) yield chunk;
    writer.write(scanner);
  }
  const rest = writer.rest();
  if (rest) yield rest;
  return writer.result;
}

/** The records of a range, one after another in one scanner. */
export function* scanSegment(
  job: Pick<SegmentJob, 'path' | 'segment' | 'dialect' | 'columns' | 'maxRecordBytes'>,
): Generator<RecordScanner, void, void> {
  const { segment, dialect, columns, maxRecordBytes } = job;
  const scanner = recordScanner({
    dialect,
    columns: columns.length,
    maxRecordBytes,
    offset: segment.start,
    line: segment.firstLine,
    secondTable: segment.secondTable,
  });
  const file = openSync(job.path, 'r');
  try {
    for (let position = segment.start; ;) {
      while (scanner.next()) {
        if (scanner.offset >= segment.end) return;
        yield scanner;
      }
      if (scanner.nextOffset >= segment.end && !scanner.skipping) return;
      // Where the segment's last record is not complete by itself (a quote that never closes), the reader needs to
      // see what the inspection saw: it reads on behind the segment's end.
      const room = scanner.room();
      const wanted = position < segment.end ? Math.min(READ_BYTES, segment.end - position) : READ_BYTES;
      const read = readSync(file, room, 0, Math.min(room.length, wanted), position);
      position += read;
      if (read > 0) scanner.commit(read);
      else {
        scanner.finish();
        while (scanner.next()) {
          if (scanner.offset >= segment.end) return;
          yield scanner;
        }
        return;
      }
    }
  } finally {
    closeSync(file);
  }
}
