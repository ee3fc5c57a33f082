import { createHash } from 'node:crypto';
import { open, type FileHandle } from 'node:fs/promises';
import { emptyFile, gunzip, identify, refuseForeignText, type Container } from './container.ts';
import { encodingOfHead, EscapeWatch } from './encoding.ts';
import { looksLikeJson } from './json/kind.ts';
import { MAX_RECORD_BYTES } from './scan.ts';
import type { TextAnalysis } from './text-analysis.ts';
import { FileError, type FileOptions } from './types.ts';

export interface InspectLimits {
  maxRecordBytes?: number;
  segmentBytes?: number;
  /** Of a compressed file: what may come out of it, and how many times its size. */
  maxUnpackedBytes?: number;
  maxRatio?: number;
}

/** Where a file's bytes are kept on this host. */
export interface Spool {
  rawPath: string;
  canonicalPath: string;
  /** The raw path is the file that is being read: it is not written again. */
  rawIsSource?: boolean;
}

export interface InspectInput {
  /** A chunk need not stay what it was once the next one is asked for. */
  source: AsyncIterable<Buffer>;
  spool: Spool;
  fileName: string;
  options: FileOptions;
  limits?: InspectLimits;
  signal?: AbortSignal;
  onProgress?(progress: { bytesRead: number; records: number }): void;
}

export const LIMITS: Required<InspectLimits> = {
  maxRecordBytes: MAX_RECORD_BYTES,
  segmentBytes: 4 * 1024 * 1024,
  maxUnpackedBytes: 16 * 1024 ** 3,
  maxRatio: 100,
};
/** So much of a file's beginning says what it is. */
const PEEK_BYTES = 64 * 1024;
const PROGRESS_BYTES = 1024 * 1024;

/** What came in, once it has all been read. */
export interface Received {
  container: Container;
  compression: 'gzip' | null;
  contentPath: string;
  sha256: string;
  contentSha256: string;
  bytes: number;
  contentBytes: number;
  /** The first 64 KiB of the unpacked bytes. */
  head: Buffer;
  json: boolean;
  /** The hopeful analysis stopped before the end. */
  gaveUp: boolean;
  /** Escape sequences of seven-bit Japanese, and nothing that is not seven-bit. */
  escapes: boolean;
}

/** Reads the source once: hashes, unpacks, spools and looks at the bytes as they pass. */
export async function receive(
  input: InspectInput,
  limits: Required<InspectLimits>,
  analysis: TextAnalysis | null,
): Promise<Received> {
  const { spool, signal, onProgress } = input;
  const stored = createHash('sha256');
  let bytes = 0;
  let reported = 0;
  const raw = async function* () {
    for await (const chunk of input.source) {
      signal?.throwIfAborted();
      stored.update(chunk);
      bytes += chunk.length;
      if (onProgress && bytes - reported >= PROGRESS_BYTES) {
        reported = bytes;
        onProgress({ bytesRead: bytes, records: analysis?.records ?? 0 });
      }
      yield chunk;
    }
  };
  const stream = await peek(raw(), PEEK_BYTES);
  const container = identify(stream.head);
  const packed = container === 'gzip';
  const unpacked = packed ? createHash('sha256') : null;
  const contentPath = packed ? spool.canonicalPath : spool.rawPath;
  const file = packed || !spool.rawIsSource ? await SpoolFile.create(contentPath) : null;
  let contentBytes = 0;
  let head: Buffer = stream.head;
  let json = false;
  const escapes = analysis ? new EscapeWatch() : null;
  try {
    let content = stream.all;
    if (packed) ({ head, all: content } = await peek(gunzip(content, limits), PEEK_BYTES));
    if (packed && head.length > 0 && identify(head) !== 'text')
      throw new FileError(
        'nested_archive',
        'The gzip file holds another compressed file. Unpack it once and import what is in it.',
      );
    json =
      container !== 'zip' && input.options.delimiter === undefined && beginsLikeJson(head, input.options);
    const looker = container === 'zip' || json ? null : analysis;
    for await (const chunk of content) {
      contentBytes += chunk.length;
      const written = file?.write(chunk);
      unpacked?.update(chunk);
      looker?.write(chunk);
      if (looker) escapes?.write(chunk);
      await written;
    }
  } catch (error) {
    if (error instanceof FileError && error.code === 'truncated_gzip') throw truncated(error, analysis);
    throw error;
  } finally {
    await file?.close();
  }
  if (contentBytes === 0) throw emptyFile();
  onProgress?.({ bytesRead: bytes, records: analysis?.records ?? 0 });
  const sha256 = stored.digest('hex');
  return {
    container,
    compression: packed ? 'gzip' : null,
    contentPath,
    sha256,
    contentSha256: unpacked?.digest('hex') ?? sha256,
    bytes,
    contentBytes,
    head: head.subarray(0, PEEK_BYTES),
    json,
    gaveUp: analysis?.notUtf8 ?? false,
    escapes: (escapes?.found ?? false) && !analysis?.notUtf8 && !analysis?.nonAscii,
  };
}

function truncated(error: FileError, analysis: TextAnalysis | null): FileError {
  const rows = analysis?.rowsSoFar() ?? 0;
  if (rows === 0) return error;
  return new FileError(
    error.code,
    `The gzip file ends in the middle, after row ${rows}. Upload it again, completely.`,
  );
}

/** Does the text begin as JSON, in whatever encoding? Text that can never be a table is refused. */
function beginsLikeJson(head: Buffer, options: FileOptions): boolean {
  const encoding = encodingOfHead(head)?.encoding ?? options.encoding;
  const utf16 = encoding?.startsWith('utf-16') ?? false;
  const text = utf16
    ? new TextDecoder(encoding).decode(head)
    : head.toString('latin1').replace(/^\xEF\xBB\xBF/u, '');
  refuseForeignText(text);
  return looksLikeJson(text);
}

/** The first bytes of a stream, and the whole of it all the same. */
async function peek(
  source: AsyncGenerator<Buffer>,
  least: number,
): Promise<{ head: Buffer; all: AsyncGenerator<Buffer> }> {
  const first: Buffer[] = [];
  let length = 0;
  while (length < least) {
    const next = await source.next();
    if (next.done) break;
    first.push(Buffer.from(next.value));
    length += next.value.length;
  }
  const all = async function* () {
    yield* first;
    yield* source;
  };
  return { head: Buffer.concat(first), all: all() };
}

/** A file written front to back. */
export class SpoolFile {
  bytes = 0;
  private readonly file: FileHandle;

  private constructor(file: FileHandle) {
    this.file = file;
  }

  static async create(path: string): Promise<SpoolFile> {
    return new SpoolFile(await open(path, 'w'));
  }

  async write(chunk: Buffer): Promise<void> {
    this.bytes += chunk.length;
    for (let at = 0; at < chunk.length;) at += (await this.file.write(chunk, at)).bytesWritten;
  }

  close(): Promise<void> {
    return this.file.close();
  }
}
