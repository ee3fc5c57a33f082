import { open, type Entry, type ZipFile } from 'yauzl';
import { FileError } from '../types.ts';

export interface ZipLimits {
  maxEntries: number;
  /** Of what really comes out of all parts that are read, and against the size of the file. */
  maxUnpackedBytes: number;
  maxRatio: number;
}
const RATIO_FROM = 64 * 1024 * 1024;

/** The parts of a workbook, each unpacked as a stream; what comes out is counted, whatever the archive claims. */
export class Parts {
  private produced = 0;
  private readonly zip: ZipFile;
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
        error ? reject(broken(error)) : resolve(found),
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
      zip.on('error', (error: Error) => reject(broken(error)));
      zip.on('end', () => resolve());
      zip.on('entry', (entry: Entry) => {
        entries.set(entry.fileName.replace(/^\//u, ''), entry);
        zip.readEntry();
      });
      zip.readEntry();
    });
    return new Parts(zip, entries, limits);
  }

  has(name: string): boolean {
    return this.entries.has(name);
  }

  names(): string[] {
    return [...this.entries.keys()];
  }

  async *read(name: string): AsyncGenerator<Buffer> {
    const entry = this.entries.get(name);
    if (!entry)
      throw new FileError(
        'broken_workbook',
        `The workbook lacks its part ${name}. Open it in Excel, save it again, and import that.`,
      );
    if ((entry.generalPurposeBitFlag & 1) !== 0)
      throw new FileError('encrypted', 'The workbook has a password. Save it without one and import that.');
    const stream = await new Promise<AsyncIterable<Buffer>>((resolve, reject) =>
      this.zip.openReadStream(entry, (error, found) =>
        error ? reject(broken(error)) : resolve(found as AsyncIterable<Buffer>),
      ),
    );
    try {
      for await (const chunk of stream) {
        this.produced += chunk.length;
        const { maxUnpackedBytes, maxRatio } = this.limits;
        if (
          this.produced > maxUnpackedBytes ||
          (this.produced > RATIO_FROM && this.produced > this.zip.fileSize * maxRatio)
        ) {
          throw new FileError(
            'unpacks_too_large',
            'The workbook unpacks to far more than it should. It was not read further.',
          );
        }
        yield chunk;
      }
    } catch (error) {
      throw error instanceof FileError ? error : broken(error as Error);
    }
  }

  close(): void {
    this.zip.close();
  }
}

function broken(error: Error): FileError {
  return new FileError(
    'broken_zip',
    `The workbook is damaged (${error.message}). Open it in Excel, save it again, and import that.`,
  );
}
