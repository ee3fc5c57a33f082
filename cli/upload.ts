import { createHash } from 'node:crypto';
import { open as openFile } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { ApiError, Unreachable, open, readAll } from './client.ts';
import type { Client } from './client.ts';
import { EXIT, Refusal } from './refusal.ts';

interface PartUrl {
  part_number: number;
  url: string;
  size: number | null;
}

export interface Upload {
  upload_id: string;
  presigned_url: string | null;
  part_urls: PartUrl[];
  file_key: string;
  max_part_size: number;
  idempotency_key: string;
}

export interface Uploaded {
  upload: Upload;
  size: number;
  sha256: string;
  parts: { part_number: number; etag: string }[];
}

/** Parts held in memory at once, in bytes; at least one, at most four parts. */
const MEMORY = 48 * 1024 * 1024;
const READ = 2 * 1024 * 1024;
const ATTEMPTS = 6;

/** The store said no to one part: `expired` where a newly signed address may help. */
class PartRefused extends Error {
  readonly status: number;
  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

async function putPart(url: string, body: Buffer): Promise<string> {
  const response = await open('PUT', url, { 'content-length': body.length }, body, { silentMs: 60_000 });
  const text = await readAll(response);
  const status = response.statusCode ?? 0;
  const etag = response.headers.etag;
  if (status >= 500 || status === 429 || status === 408)
    throw new Unreachable(`the object store answered ${status}`);
  if (status >= 300) throw new PartRefused(status, text.slice(0, 300));
  if (!etag) throw new PartRefused(status, 'the object store named no ETag');
  return etag.replaceAll('"', '');
}

/**
 * Reads a file once, front to back, hashing as it goes, and puts its parts into the object store, several at a
 * time. A part that has arrived before is only read. The API never sees the bytes.
 */
export async function uploadFile(
  client: Client,
  path: string,
  begin: (size: number) => Promise<{ upload: Upload; arrived: Map<number, string> }>,
  onProgress: (sent: number, size: number) => void,
): Promise<Uploaded> {
  const file = await openForReading(path);
  try {
    const before = await file.stat();
    if (before.isDirectory()) throw new Refusal('not_a_file', `${path} is a folder; name a file.`);
    if (!before.isFile())
      throw new Refusal('not_a_file', `${path} is no regular file; save it to one first.`);
    const { upload, arrived } = await begin(before.size);
    const done = await sendParts(client, file, before.size, upload, arrived, onProgress);
    const after = await file.stat();
    if (after.size !== before.size || after.mtimeMs !== before.mtimeMs) {
      throw new Refusal(
        'file_changed',
        `${path} was changed while it was read. Nothing was imported; try again.`,
      );
    }
    return { upload, size: before.size, ...done };
  } finally {
    await file.close();
  }
}

async function openForReading(path: string): Promise<FileHandle> {
  try {
    return await openFile(path, 'r');
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    throw new Refusal(
      'no_such_file',
      code === 'ENOENT' ? `There is no file ${path}.` : `${path} cannot be read: ${message}.`,
    );
  }
}

async function sendParts(
  client: Client,
  file: FileHandle,
  size: number,
  upload: Upload,
  arrived: Map<number, string>,
  onProgress: (sent: number, size: number) => void,
): Promise<{ sha256: string; parts: { part_number: number; etag: string }[] }> {
  const partSize = upload.max_part_size;
  const urls = new Map(upload.part_urls.map((part) => [part.part_number, part.url]));
  const count = Math.max(1, Math.ceil(size / partSize));
  const lanes = Math.min(4, count, Math.max(1, Math.floor(MEMORY / partSize)));
  const free = Array.from({ length: lanes }, () => Buffer.allocUnsafe(Math.min(partSize, size)));
  const hash = createHash('sha256');
  const etags = new Map(arrived);
  const sending = new Set<Promise<void>>();
  let failed: unknown;
  let sent = 0;

  const send = async (part: number, buffer: Buffer, length: number) => {
    for (let attempt = 1; ; attempt++) {
      const url = urls.get(part);
      try {
        if (url === undefined) throw new PartRefused(403, 'no address for this part');
        etags.set(part, await putPart(url, buffer.subarray(0, length)));
        sent += length;
        onProgress(sent, size);
        return;
      } catch (error) {
        const passing =
          error instanceof Unreachable || (error instanceof PartRefused && error.status === 403);
        if (!passing || attempt === ATTEMPTS || failed) throw error;
        // An address lives for minutes, an outage may be longer: sign anew.
        if (error instanceof PartRefused || attempt > 2) await signAnew(client, upload.upload_id, part, urls);
        await sleep(Math.min(150 * 2 ** attempt, 5_000) * (0.5 + Math.random()));
      }
    }
  };

  for (let part = 1, offset = 0; part <= count && !failed; part++) {
    while (free.length === 0) await Promise.race(sending);
    if (failed) break;
    const buffer = free.pop()!;
    const length = Math.min(partSize, size - offset);
    await readExactly(file, buffer, offset, length, (slice) => hash.update(slice));
    offset += length;
    if (etags.has(part)) {
      sent += length;
      onProgress(sent, size);
      free.push(buffer);
      continue;
    }
    const one: Promise<void> = send(part, buffer, length)
      .catch((error: unknown) => {
        failed ??= error;
      })
      .finally(() => {
        sending.delete(one);
        free.push(buffer);
      });
    sending.add(one);
  }
  await Promise.all(sending);
  if (failed) throw storeTrouble(failed);
  const parts = Array.from({ length: count }, (_, i) => ({ part_number: i + 1, etag: etags.get(i + 1)! }));
  return { sha256: hash.digest('hex'), parts };
}

async function signAnew(client: Client, id: string, part: number, urls: Map<number, string>): Promise<void> {
  const signed = await client.post<{ missing: PartUrl[] }>(`/imports/${encodeURIComponent(id)}/parts`, {
    part_numbers: [part],
  });
  for (const { part_number, url } of signed.missing) urls.set(part_number, url);
}

async function readExactly(
  file: FileHandle,
  buffer: Buffer,
  offset: number,
  length: number,
  each: (slice: Buffer) => void,
): Promise<void> {
  for (let at = 0; at < length;) {
    const { bytesRead } = await file.read(buffer, at, Math.min(READ, length - at), offset + at);
    if (bytesRead === 0) {
      throw new Refusal(
        'file_changed',
        'The file became shorter while it was read. Nothing was imported; try again.',
      );
    }
    each(buffer.subarray(at, at + bytesRead));
    at += bytesRead;
  }
}

function storeTrouble(error: unknown): unknown {
  if (error instanceof Refusal || error instanceof ApiError) return error;
  const why = (error as Error).message;
  return new Refusal(
    'upload_failed',
    `The file could not be uploaded to the object store (${why}). The same command again goes on where this one stopped.`,
    EXIT.failed,
  );
}
