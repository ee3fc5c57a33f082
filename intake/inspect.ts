import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { open, rename, rm, type FileHandle } from 'node:fs/promises';
import { emptyFile, gunzip, identify, nameWarning, type Container } from './container.ts';
import {
  canonicalLabel,
  detectEncoding,
  encodingOfHead,
  EscapeWatch,
  transcode,
  type EncodingFound,
} from './encoding.ts';
import { MAX_RECORD_BYTES } from './scan.ts';
import { TextAnalysis } from './text-analysis.ts';
import { readWorkbook } from './xlsx/workbook.ts';
import { FileError, type Dialect, type FileOptions, type FileWarning, type Manifest } from './types.ts';

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
  maxRatio: 200,
};
const PEEK_BYTES = 4096;
const PROGRESS_BYTES = 1024 * 1024;
const READ_BYTES = 256 * 1024;

/**
 * One streaming read of a file: hashes, unpacks, spools and counts as the bytes pass. A text that proves not to be
 * UTF-8 is read once more, from the spool.
 */
export async function inspectFile(input: InspectInput): Promise<Manifest> {
  const limits = { ...LIMITS, ...input.limits };
  const { options } = input;
  const asked = options.encoding === undefined ? null : canonicalLabel(options.encoding);
  const hopeful = asked === null || asked === 'utf-8' ? new TextAnalysis(options, limits) : null;
  const received = await receive(input, limits, hopeful);
  input.signal?.throwIfAborted();
  const head = await headOf(received.contentPath);
  if (received.container === 'zip') return inspectWorkbook(input, limits, received);

  const certain = encodingOfHead(head);
  let found: EncodingFound | null = asked
    ? { encoding: asked, bom: certain?.encoding === asked && certain.bom, confidence: 1 }
    : certain;
  const first = hopeful && (found === null || found.encoding === 'utf-8') ? hopeful.end() : null;
  if (found === null && received.escapes) found = { encoding: 'iso-2022-jp', bom: false, confidence: 0.99 };
  if (found === null && hopeful?.notUtf8) found = await detectEncoding(received.contentPath);
  found ??= { encoding: 'utf-8', bom: false, confidence: 1 };
  const usable = first !== null && found.encoding === 'utf-8' && !received.gaveUp;
  const again = usable ? null : await readAgain(input, limits, received, found);
  const result = again?.result ?? first!;
  const analysis = again?.analysis ?? hopeful!;

  const warnings = [
    nameWarning(input.fileName, received.container, 'csv'),
    encodingWarning(found),
    ...analysis.warnings,
  ];
  const { canonicalDialect, ...rest } = result;
  return {
    version: 1,
    fileName: input.fileName,
    type: 'csv',
    compression: received.compression,
    encoding: found.encoding,
    bom: found.bom,
    encodingConfidence: found.confidence,
    ...(found.mixed ? { mixedEncoding: true } : {}),
    dialect: canonicalDialect,
    ...rest,
    sheets: null,
    sheet: null,
    sha256: received.sha256,
    contentSha256: received.contentSha256,
    bytes: received.bytes,
    contentBytes: received.contentBytes,
    canonical: received.compression || found.encoding !== 'utf-8' ? 'copy' : 'raw',
    canonicalDialect,
    canonicalBytes: again?.canonicalBytes ?? received.contentBytes,
    maxRecordBytes: limits.maxRecordBytes,
    warnings: warnings.filter((warning) => warning !== null),
  };
}

/** The second reading, from the spool: as what the whole file proved to be, made UTF-8 on the way where it is not. */
async function readAgain(
  input: InspectInput,
  limits: Required<InspectLimits>,
  received: Received,
  found: EncodingFound,
): Promise<{ analysis: TextAnalysis; result: ReturnType<TextAnalysis['end']>; canonicalBytes: number }> {
  const { canonicalPath } = input.spool;
  const analysis = new TextAnalysis({ ...input.options, encoding: found.encoding }, limits);
  const utf8 = found.encoding === 'utf-8';
  let content = received.contentPath;
  if (!utf8 && content === canonicalPath) {
    content = `${canonicalPath}.unpacked`;
    await rename(canonicalPath, content);
  }
  const bytes = createReadStream(content, { highWaterMark: READ_BYTES }) as AsyncIterable<Buffer>;
  const copy = utf8 ? null : await SpoolFile.create(canonicalPath);
  try {
    for await (const chunk of utf8 ? bytes : transcode(bytes, found.encoding, found.mixed)) {
      input.signal?.throwIfAborted();
      await copy?.write(chunk);
      analysis.write(chunk);
    }
  } finally {
    await copy?.close();
    if (content !== received.contentPath) await rm(content, { force: true });
  }
  return { analysis, result: analysis.end(), canonicalBytes: copy?.bytes ?? received.contentBytes };
}

/** The dialect of the copy that is made from a sheet. */
const SHEET_DIALECT: Dialect = { delimiter: ',', quote: '"', escape: '"', rows: true };

async function inspectWorkbook(
  input: InspectInput,
  limits: Required<InspectLimits>,
  received: Received,
): Promise<Manifest> {
  const { spool, options, signal } = input;
  const book = await readWorkbook({
    path: spool.rawPath,
    canonicalPath: spool.canonicalPath,
    sheet: options.sheet ?? null,
    maxUnpackedBytes: limits.maxUnpackedBytes,
    signal,
    onRows: (records) => input.onProgress?.({ bytesRead: received.bytes, records }),
  });
  const analysis = new TextAnalysis(
    { headerRow: options.headerRow, encoding: 'utf-8' },
    limits,
    SHEET_DIALECT,
  );
  let canonicalBytes = 0;
  for await (const chunk of createReadStream(spool.canonicalPath, {
    highWaterMark: READ_BYTES,
  }) as AsyncIterable<Buffer>) {
    signal?.throwIfAborted();
    canonicalBytes += chunk.length;
    analysis.write(chunk);
  }
  const result = analysis.end();
  return {
    version: 1,
    fileName: input.fileName,
    type: 'xlsx',
    compression: null,
    encoding: 'utf-8',
    bom: false,
    dialect: null,
    ...result,
    lineEnding: null,
    sheets: book.sheets,
    sheet: book.sheet,
    sha256: received.sha256,
    contentSha256: received.contentSha256,
    bytes: received.bytes,
    contentBytes: received.contentBytes,
    canonical: 'copy',
    canonicalBytes,
    maxRecordBytes: limits.maxRecordBytes,
    warnings: [nameWarning(input.fileName, 'zip', 'xlsx'), ...book.warnings, ...analysis.warnings].filter(
      (warning) => warning !== null,
    ),
  };
}

interface Received {
  container: Container;
  compression: 'gzip' | null;
  contentPath: string;
  sha256: string;
  contentSha256: string;
  bytes: number;
  contentBytes: number;
  /** The hopeful analysis stopped before the end. */
  gaveUp: boolean;
  /** Escape sequences of seven-bit Japanese, and nothing that is not seven-bit. */
  escapes: boolean;
}

async function receive(
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
  const { head, all } = await peek(raw(), PEEK_BYTES);
  const container = identify(head);
  const packed = container === 'gzip';
  const content = packed ? gunzip(all, limits) : all;
  const unpacked = packed ? createHash('sha256') : null;
  const contentPath = packed ? spool.canonicalPath : spool.rawPath;
  const file = packed || !spool.rawIsSource ? await SpoolFile.create(contentPath) : null;
  let contentBytes = 0;
  const escapes = analysis ? new EscapeWatch() : null;
  try {
    let inner = packed;
    for await (const chunk of content) {
      if (inner) {
        inner = false;
        if (identify(chunk) !== 'text')
          throw new FileError(
            'nested_archive',
            'The gzip file holds another compressed file. Unpack it once and import what is in it.',
          );
      }
      contentBytes += chunk.length;
      const written = file?.write(chunk);
      unpacked?.update(chunk);
      if (container !== 'zip') {
        analysis?.write(chunk);
        escapes?.write(chunk);
      }
      await written;
    }
  } catch (error) {
    if (error instanceof FileError && error.code === 'truncated_gzip' && analysis) {
      throw new FileError(
        error.code,
        `The gzip file ends in the middle, after row ${analysis.records}. Upload it again, completely.`,
      );
    }
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
    gaveUp: analysis?.notUtf8 ?? false,
    escapes: (escapes?.found ?? false) && !analysis?.notUtf8 && !analysis?.nonAscii,
  };
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
    first.push(next.value);
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

async function headOf(path: string): Promise<Buffer> {
  const file = await open(path, 'r');
  try {
    const head = Buffer.alloc(64 * 1024);
    const { bytesRead } = await file.read(head, 0, head.length, 0);
    return head.subarray(0, bytesRead);
  } finally {
    await file.close();
  }
}

function encodingWarning(found: EncodingFound): FileWarning | null {
  if (found.confidence >= 1) return null;
  return {
    code: 'encoding_guessed',
    message: `The text was read as ${found.encoding} (${Math.round(found.confidence * 100)}% sure). If letters look wrong, name the encoding.`,
  };
}
