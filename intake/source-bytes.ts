import { strayUtf8 } from './encoding.ts';

/**
 * Finds where records of a transcoded copy stand in the bytes they were made from. Forward only: ask in the order of
 * the file.
 */
export class SourceBytes {
  private readonly decoder: InstanceType<typeof TextDecoder>;
  private readonly lines: AsyncGenerator<Buffer>;
  /** The encoding, where some lines are UTF-8 all the same and are marked (see `transcode`). */
  private readonly mixed: string | null;
  private source: number;
  private canonical = 0;

  constructor(content: AsyncIterable<Buffer>, encoding: string, bomBytes: number, mixed = false) {
    this.mixed = mixed ? encoding : null;
    this.decoder = new TextDecoder(encoding, { ignoreBOM: true });
    this.lines = linesOf(content, encoding, bomBytes);
    this.source = bomBytes;
  }

  /** The lines between two offsets of the copy, the first of them the beginning of a line. */
  async between(from: number, to: number, most: number): Promise<{ offset: number; bytes: Buffer }> {
    while (this.canonical < from && (await this.step()));
    const offset = this.source;
    const parts: Buffer[] = [];
    let length = 0;
    while (this.canonical < to) {
      const line = await this.step();
      if (!line) break;
      if (length < most) parts.push(line);
      length += line.length;
    }
    return { offset, bytes: withoutLineEnd(Buffer.concat(parts)).subarray(0, most) };
  }

  private async step(): Promise<Buffer | null> {
    const line = await this.read();
    if (!line) return null;
    this.source += line.bytes.length;
    this.canonical += line.length;
    return line.bytes;
  }

  private async read(): Promise<{ bytes: Buffer; length: number } | null> {
    const line = await this.lines.next();
    if (line.done) return null;
    const text = this.decoder.decode(line.value, { stream: true });
    // What cannot be decoded is one byte of the copy (see `transcode`), and U+FFFD would be three.
    const undecodable = text.match(/\uFFFD/gu)?.length ?? 0;
    const mark = this.mixed !== null && strayUtf8(line.value, this.mixed) ? 1 : 0;
    return { bytes: line.value, length: Buffer.byteLength(text) - 2 * undecodable + mark };
  }
}

function withoutLineEnd(bytes: Buffer): Buffer {
  let end = bytes.length;
  while (end > 0 && (bytes[end - 1] === 10 || bytes[end - 1] === 13)) end--;
  return bytes.subarray(0, end);
}

/** Pieces that end with LF or at the end of what is there; a piece never divides a unit of UTF-16. */
async function* linesOf(
  content: AsyncIterable<Buffer>,
  encoding: string,
  skip: number,
): AsyncGenerator<Buffer> {
  const wide = encoding.startsWith('utf-16') ? 2 : 1;
  const high = encoding === 'utf-16be' ? 0 : 1;
  let rest: Buffer = Buffer.alloc(0);
  let skipped = 0;
  for await (let chunk of content) {
    if (skipped < skip) {
      const part = Math.min(skip - skipped, chunk.length);
      skipped += part;
      chunk = chunk.subarray(part);
    }
    const bytes = Buffer.concat([rest, chunk]);
    let from = 0;
    for (let i = 0; i + wide <= bytes.length; i += wide) {
      const low = wide === 1 ? bytes[i]! : high === 1 ? bytes[i]! : bytes[i + 1]!;
      if ((low === 10 || low === 13) && (wide === 1 || bytes[i + high] === 0)) {
        yield bytes.subarray(from, i + wide);
        from = i + wide;
      }
    }
    rest = bytes.subarray(from);
  }
  if (rest.length > 0) yield rest;
}
