import { createHash, randomUUID } from 'node:crypto';
import { rename, rm } from 'node:fs/promises';
import { gunzip } from './container.ts';
import { transcode } from './encoding.ts';
import { writeJsonCopy } from './json/inspect.ts';
import { LIMITS, SpoolFile, type InspectLimits, type Spool } from './receive.ts';
import { FileError, type Manifest } from './types.ts';
import { readWorkbook } from './xlsx/workbook.ts';

export interface RebuildInput {
  source: AsyncIterable<Buffer>;
  manifest: Manifest;
  spool: Spool;
  limits?: InspectLimits;
  signal?: AbortSignal;
}

/**
 * Makes the spool files again from the object and its manifest, on a host that does not have them. Nothing is detected
 * anew; an object that is no longer the one inspected is refused (`source_changed`). Answers the path that segments
 * refer to.
 */
export async function rebuildCanonical({
  source,
  manifest,
  spool,
  limits,
  signal,
}: RebuildInput): Promise<string> {
  const stored = createHash('sha256');
  const raw = async function* () {
    for await (const chunk of source) {
      signal?.throwIfAborted();
      stored.update(chunk);
      yield chunk;
    }
  };
  const gzip = manifest.compression === 'gzip';
  const utf8 = manifest.encoding === 'utf-8';
  const content = gzip ? gunzip(raw(), { ...LIMITS, ...limits }) : raw();
  if (manifest.canonical === 'raw') await spoolTo(spool.rawPath, content);
  else if (manifest.type !== 'csv') await spoolTo(spool.rawPath, content);
  else if (utf8) await spoolTo(spool.canonicalPath, content);
  else await spoolTo(spool.canonicalPath, transcode(content, manifest.encoding, manifest.mixedEncoding));
  if (stored.digest('hex') !== manifest.sha256) {
    await Promise.all([rm(spool.rawPath, { force: true }), rm(spool.canonicalPath, { force: true })]);
    throw new FileError(
      'source_changed',
      'The stored file is no longer the one that was inspected. Upload it again as a new import.',
    );
  }
  if (manifest.type === 'xlsx') {
    const part = `${spool.canonicalPath}.${randomUUID()}`;
    const { maxUnpackedBytes } = { ...LIMITS, ...limits };
    await readWorkbook({
      path: spool.rawPath,
      canonicalPath: part,
      sheet: manifest.sheet,
      onlySheet: true,
      maxUnpackedBytes,
      signal,
    });
    await rename(part, spool.canonicalPath);
  }
  if (manifest.type === 'json' || manifest.type === 'ndjson') {
    const part = `${spool.canonicalPath}.${randomUUID()}`;
    await writeJsonCopy(part, {
      contentPath: spool.rawPath,
      encoding: manifest.encoding,
      mixed: manifest.mixedEncoding,
      array: manifest.sheet,
      maxRecordBytes: manifest.maxRecordBytes,
      signal,
    });
    await rename(part, spool.canonicalPath);
    if (gzip) await rm(spool.rawPath, { force: true });
  }
  return manifest.canonical === 'raw' ? spool.rawPath : spool.canonicalPath;
}

/** Written under another name first: a file of the right name is whole. */
async function spoolTo(path: string, chunks: AsyncIterable<Buffer>): Promise<void> {
  const part = `${path}.${randomUUID()}`;
  const file = await SpoolFile.create(part);
  try {
    for await (const chunk of chunks) await file.write(chunk);
  } catch (error) {
    await rm(part, { force: true });
    throw error;
  } finally {
    await file.close();
  }
  await rename(part, path);
}
