import { open } from 'node:fs/promises';
import { recordScanner } from './scan-uncommon.ts';
import { recordTexts } from './scan.ts';
import type { Dialect } from './types.ts';

/** The cells of one record, read again by its position in the canonical file (`_offset` and `_bytes` of its row). */
export async function readRecord(record: {
  path: string;
  offset: number;
  bytes: number;
  dialect: Dialect;
}): Promise<string[]> {
  const scanner = recordScanner({
    dialect: record.dialect,
    columns: null,
    most: record.bytes,
    maxRecordBytes: Math.max(record.bytes, 1),
  });
  const file = await open(record.path, 'r');
  try {
    for (let read = 0; read < record.bytes;) {
      const room = scanner.room();
      const { bytesRead } = await file.read(
        room,
        0,
        Math.min(room.length, record.bytes - read),
        record.offset + read,
      );
      if (bytesRead === 0)
        throw new Error(`The record at byte ${record.offset} is not there: the file is shorter than it was.`);
      scanner.commit(bytesRead);
      read += bytesRead;
      if (scanner.next()) break;
    }
    scanner.finish();
    if (scanner.fields === 0) scanner.next();
    return scanner.fields === 0 ? [''] : recordTexts(scanner, record.dialect);
  } finally {
    await file.close();
  }
}
