import { linesIn, strayUtf8, wholeLines } from './encoding.ts';

/**
 * Finds where records of a transcoded copy stand in the bytes they were made from. Forward only: ask in the order of
 * the file.
 */
export class SourceBytes {
  private readonly decoder: InstanceType<typeof TextDecoder>;
  private readonly lines: AsyncGenerator<Buffer>;
  /** The encoding, where some lines are UTF-8 all the same and are marked (see `transcode`). */
  private readonly mixed: string | null;
  private readonly unit: [wide: number, high: number];
  private source: number;
  private canonical = 0;

  constructor(content: AsyncIterable<Buffer>, encoding: string, bomBytes: number, mixed = false) {
    this.mixed = mixed ? encoding : null;
    this.decoder = new TextDecoder(encoding, { ignoreBOM: true });
    const text = behind(content, bomBytes);
    this.lines = mixed ? linesOf(text) : piecesOf(text, encoding);
    this.unit = unitOf(encoding);
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
    return { offset, bytes: withoutLineEnd(Buffer.concat(parts), ...this.unit).subarray(0, most) };
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

function withoutLineEnd(bytes: Buffer, wide: number, high: number): Buffer {
  let end = bytes.length;
  while (end >= wide && isLineEnd(bytes, end - wide, wide, high)) end -= wide;
  return bytes.subarray(0, end);
}

/** Bytes of a unit, and where in one of two the high byte stands. */
const unitOf = (encoding: string): [wide: number, high: number] => [
  encoding.startsWith('utf-16') ? 2 : 1,
  encoding === 'utf-16be' ? 0 : 1,
];

function isLineEnd(bytes: Buffer, at: number, wide: number, high: number): boolean {
  const low = bytes[at + (wide === 2 && high === 0 ? 1 : 0)];
  return (low === 10 || low === 13) && (wide === 1 || bytes[at + high] === 0);
}

/** Pieces that end with a line, or with what was read of it; a piece never divides a unit of UTF-16. */
async function* piecesOf(content: AsyncIterable<Buffer>, encoding: string): AsyncGenerator<Buffer> {
  const [wide, high] = unitOf(encoding);
  let odd: Buffer = Buffer.alloc(0);
  for await (const chunk of content) {
    const bytes = odd.length > 0 ? Buffer.concat([odd, chunk]) : chunk;
    const end = bytes.length - (bytes.length % wide);
    let from = 0;
    for (let i = 0; i < end; i += wide) {
      if (isLineEnd(bytes, i, wide, high)) {
        yield bytes.subarray(from, i + wide);
        from = i + wide;
      }
    }
    if (from < end) yield bytes.subarray(from, end);
    odd = bytes.subarray(end);
  }
  if (odd.length > 0) yield odd;
}

/** What decides about whole lines (`transcode`) gets whole lines. */
async function* linesOf(content: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  for await (const lines of wholeLines(content)) yield* linesIn(lines);
}

async function* behind(content: AsyncIterable<Buffer>, skip: number): AsyncGenerator<Buffer> {
  let skipped = 0;
  for await (const chunk of content) {
    const part = Math.min(skip - skipped, chunk.length);
    skipped += part;
    yield chunk.subarray(part);
  }
}
