import { recordScanner } from './scan-uncommon.ts';
import { OK, recordTexts } from './scan.ts';
import type { Dialect } from './types.ts';

export interface Position {
  /** Bytes of the canonical file. */
  offset: number;
  bytes: number;
}

/** Wanted records that lie closer together than this are read in one go. */
const GAP_BYTES = 256 * 1024;
const MOST_BYTES = 4 * 1024 * 1024;
const LINE_END = Buffer.from('\n');

/**
 * The cells of accepted records, read again by their positions, which come in the order of the file. `read` hands out
 * a range of the canonical bytes, the end exclusive.
 */
export async function pickRecords(
  read: (start: number, end: number) => Promise<Buffer>,
  positions: Position[],
  file: { dialect: Dialect; columns: number; maxRecordBytes: number },
): Promise<string[][]> {
  const records: string[][] = [];
  for (const group of groupsOf(positions)) {
    const start = group[0]!.offset;
    const last = group.at(-1)!;
    const bytes = await read(start, last.offset + last.bytes);
    const picked = group.flatMap(({ offset, bytes: length }) => [
      withoutLineEnd(bytes.subarray(offset - start, offset - start + length)),
      LINE_END,
    ]);
    records.push(...cellsOf(Buffer.concat(picked), group.length, file));
  }
  return records;
}

function* groupsOf(positions: Position[]): Generator<Position[]> {
  let group: Position[] = [];
  for (const position of positions) {
    const first = group[0];
    const last = group.at(-1);
    if (
      first &&
      last &&
      (position.offset - (last.offset + last.bytes) > GAP_BYTES ||
        position.offset + position.bytes - first.offset > MOST_BYTES)
    ) {
      yield group;
      group = [];
    }
    group.push(position);
  }
  if (group.length > 0) yield group;
}

function withoutLineEnd(bytes: Buffer): Buffer {
  let end = bytes.length;
  while (end > 0 && (bytes[end - 1] === 10 || bytes[end - 1] === 13)) end--;
  return bytes.subarray(0, end);
}

function cellsOf(
  bytes: Buffer,
  expected: number,
  { dialect, columns, maxRecordBytes }: { dialect: Dialect; columns: number; maxRecordBytes: number },
): string[][] {
  const scanner = recordScanner({ dialect, columns, maxRecordBytes });
  const records: string[][] = [];
  const take = () => {
    while (scanner.next()) if (scanner.status === OK) records.push(recordTexts(scanner, dialect));
  };
  for (let at = 0; at < bytes.length;) {
    const room = scanner.room();
    const length = bytes.copy(room, 0, at, Math.min(bytes.length, at + room.length));
    scanner.commit(length);
    at += length;
    take();
  }
  scanner.finish();
  take();
  if (records.length !== expected)
    throw new Error(
      `${records.length} records stand where ${expected} were read before: the file is not what it was`,
    );
  return records;
}
