import { mkdtempSync, rmSync } from 'node:fs';
import { access, open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer, json } from 'node:stream/consumers';
import type { StoredImport } from '../db/imports.ts';
import { rebuildCanonical } from '../intake/ensure-canonical.ts';
import { pickRecords, type Position } from '../intake/pick-records.ts';
import type { Manifest } from '../intake/types.ts';
import { openSpool, type Spool } from '../storage/spool.ts';
import type { ApiDeps } from './deps.ts';
import { ApiError } from './problem.ts';

/** Copies of files whose bytes the store cannot address (workbooks, packed or in another encoding), while asked for. */
const QUOTA_BYTES = 1024 ** 3;

let spool: Spool | null = null;
function copies(): Spool {
  if (!spool) {
    const folder = mkdtempSync(join(tmpdir(), 'waybill-copies-'));
    process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
    spool = openSpool(folder, QUOTA_BYTES);
  }
  return spool;
}

export interface OriginalFile {
  manifest: Manifest;
  /** The cells of accepted records by their positions, which come in the order of the file. */
  records(positions: Position[]): Promise<string[][]>;
  /** A range of the text that positions refer to. */
  text(position: Position): Promise<string>;
  close(): Promise<void>;
}

/** Opens the file of an import as it was read, to read records again: by ranges where the store can serve them. */
export async function openOriginal(
  deps: ApiDeps,
  stored: StoredImport,
  signal?: AbortSignal,
): Promise<OriginalFile> {
  if (stored.manifestKey === null || stored.objectKey === null)
    throw new ApiError(409, 'not_inspected', 'The file of this import was never read to its end.');
  const manifest = (await json(await deps.store.read(stored.manifestKey))) as Manifest;
  const { objectKey, objectEtag } = stored;
  const etag = objectEtag ?? undefined;
  const file =
    manifest.canonical === 'copy' ? await open(await copyOf(deps, stored, manifest, signal), 'r') : null;
  const read = async (start: number, end: number): Promise<Buffer> => {
    if (!file) return buffer(await deps.store.read(objectKey, { etag, start, end, signal }));
    const bytes = Buffer.alloc(end - start);
    const { bytesRead } = await file.read(bytes, 0, bytes.length, start);
    return bytes.subarray(0, bytesRead);
  };
  return {
    manifest,
    records: (positions) =>
      pickRecords(read, positions, {
        dialect: manifest.canonicalDialect,
        columns: manifest.columns.length,
        maxRecordBytes: manifest.maxRecordBytes,
      }),
    text: async ({ offset, bytes }) => (await read(offset, offset + bytes)).toString('utf8'),
    close: async () => file?.close(),
  };
}

async function copyOf(
  deps: ApiDeps,
  stored: StoredImport,
  manifest: Manifest,
  signal?: AbortSignal,
): Promise<string> {
  const paths = await copies().open(stored.id);
  try {
    await access(paths.canonicalPath);
    return paths.canonicalPath;
  } catch {
    const source = await deps.store.read(stored.objectKey!, { etag: stored.objectEtag ?? undefined, signal });
    return rebuildCanonical({ source, manifest, spool: paths, signal });
  }
}
