import { crc32, createInflateRaw } from 'node:zlib';
import { open, type Entry, type ZipFile } from 'yauzl';
import { FileError } from '../types.ts';

export interface ZipLimits {
  maxEntries: number;
  /** Of what really comes out of all parts that are read, and against the size of the file. */
  maxUnpackedBytes: number;
  maxRatio: number;
}
/** Below this much a workbook is small, however well it packs. */
const RATIO_FROM = 16 * 1024 * 1024;
const INFLATE_BYTES = 128 * 1024;
const STORED = 0;
const DEFLATED = 8;
const ENCRYPTED = 1;

/** The parts of a workbook, each unpacked as a stream; what comes out is counted, whatever the archive claims. */
export class Parts {
  private produced = 0;
  private readonly zip: ZipFile;
  /** By name in small letters: part names differ by more than case. */
  private readonly entries: Map<string, Entry>;
  private readonly limits: ZipLimits;

  private constructor(zip: ZipFile, entries: Map<string, Entry>, limits: ZipLimits) {
    this.zip = zip;
    this.entries = entries;
    this.limits = limits;
  }

  static async open(path: string, limits: ZipLimits): Promise<Parts> {
    const zip = await new Promise<ZipFile>((resolve, reject) =>
      open(path, { lazyEntries: true, autoClose: false }, (error, found) =>
        error ? reject(broken(error.message)) : resolve(found),
      ),
    );
    if (zip.entryCount > limits.maxEntries) {
      throw new FileError(
        'too_many_parts',
        `The workbook claims ${zip.entryCount} parts; no real one has so many. It was not read.`,
      );
    }
    const entries = new Map<string, Entry>();
    await new Promise<void>((resolve, reject) => {
      zip.on('error', (error: Error) => reject(broken(error.message)));
      zip.on('end', () => resolve());
      zip.on('entry', (entry: Entry) => {
        const key = entry.fileName.replace(/^\//u, '').toLowerCase();
        // Which of the two would be read differs from program to program.
        if (entries.has(key)) return reject(broken(`it holds ${entry.fileName} twice`));
        entries.set(key, entry);
        zip.readEntry();
      });
      zip.readEntry();
    });
    return new Parts(zip, entries, limits);
  }

  has(name: string): boolean {
    return this.entries.has(name.toLowerCase());
  }

  names(): string[] {
    return Array.from(this.entries.values(), ({ fileName }) => fileName);
  }

  /** Chunks of a part, unpacked; its size and checksum have proven right when the last one was taken. */
  async *read(name: string): AsyncGenerator<Buffer> {
    const entry = this.entries.get(name.toLowerCase());
    if (!entry) throw broken(`its part ${name} is missing`);
    if ((entry.generalPurposeBitFlag & ENCRYPTED) !== 0)
      throw new FileError('encrypted', 'The workbook has a password. Save it without one and import that.');
    const { compressionMethod: method, uncompressedSize: claimed } = entry;
    if (method !== STORED && method !== DEFLATED)
      throw broken(`${name} is packed in a way that workbooks do not use, method ${method}`);
    const packed = await new Promise<NodeJS.ReadableStream>((resolve, reject) =>
      this.zip.openReadStream(entry, { decodeFileData: false }, (error, found) =>
        error ? reject(broken(error.message)) : resolve(found),
      ),
    );
    let stream = packed;
    if (method === DEFLATED) {
      const inflate = createInflateRaw({ chunkSize: INFLATE_BYTES });
      packed.on('error', (error) => inflate.destroy(error));
      stream = packed.pipe(inflate);
    }
    let size = 0;
    let checksum = 0;
    try {
      for await (const chunk of stream as AsyncIterable<Buffer>) {
        size += chunk.length;
        this.produced += chunk.length;
        const { maxUnpackedBytes, maxRatio } = this.limits;
        if (
          this.produced > maxUnpackedBytes ||
          (this.produced > RATIO_FROM && this.produced > this.zip.fileSize * maxRatio)
        ) {
          throw new FileError(
            'unpacks_too_large',
            `The workbook of ${megabytes(this.zip.fileSize)} MB unpacks to more than ${megabytes(this.produced)} MB, which no real one does. It was not read further.`,
          );
        }
        if (size > claimed) throw broken(`${name} claims ${claimed} bytes and holds more`);
        checksum = crc32(chunk, checksum);
        yield chunk;
      }
    } catch (error) {
      throw error instanceof FileError ? error : broken((error as Error).message);
    }
    if (size !== claimed) throw broken(`${name} claims ${claimed} bytes and holds ${size}`);
    if (checksum !== entry.crc32) throw broken(`the checksum of ${name} does not fit`);
  }

  /** So many bytes of rows may come from what was unpacked so far. */
  mostRows(): number {
    const { maxUnpackedBytes, maxRatio } = this.limits;
    return Math.min(maxUnpackedBytes, this.produced * maxRatio);
  }

  close(): void {
    this.zip.close();
  }
}

function megabytes(bytes: number): string {
  return (bytes / 1e6).toFixed(bytes < 1e7 ? 1 : 0);
}

function broken(what: string): FileError {
  return new FileError(
    'broken_zip',
    `The workbook is damaged (${what}). Open it in Excel, save it again, and import that.`,
  );
}
