import type { Manifest } from '../types.ts';
import { JsonElements, type JsonShape } from './elements.ts';

/**
 * Finds where records of a JSON file stand in its (unpacked, UTF-8) bytes. Forward only: ask in the order of the file.
 */
export class RecordPositions {
  private readonly chunks: AsyncIterator<Buffer>;
  private readonly manifest: Manifest;
  private readonly most: number;
  private elements: JsonElements | null = null;
  private found: { line: number; offset: number; bytes: Buffer }[] = [];
  private mark = 0;

  constructor(content: AsyncIterable<Buffer>, manifest: Manifest, most: number) {
    this.chunks = content[Symbol.asyncIterator]();
    this.manifest = manifest;
    this.most = most;
  }

  /** The record of that line (as its scanner says it): its offset, and as much of it as was asked for. */
  async at(line: number): Promise<{ offset: number; bytes: Buffer } | null> {
    for (;;) {
      const at = this.found.findIndex((record) => record.line >= line);
      if (at >= 0) {
        this.found = this.found.slice(at);
        return this.found[0]!.line === line ? this.found[0]! : null;
      }
      this.found = [];
      const next = await this.chunks.next();
      if (next.done) {
        if (!this.elements) return null;
        this.elements.finish();
        this.elements = null;
      } else this.take(next.value);
    }
  }

  private take(chunk: Buffer): void {
    let bytes = chunk;
    if (!this.elements) {
      const marked = bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf;
      this.mark = marked ? 3 : 0;
      bytes = bytes.subarray(this.mark);
      this.elements = new JsonElements(
        this.shapeOf(bytes),
        { max: this.manifest.maxRecordBytes, wanted: this.manifest.sheet },
        ({ bytes: held, from, to, offset, line }) =>
          this.found.push({
            line,
            offset: offset + this.mark,
            bytes: Buffer.from(held.subarray(from, Math.min(to, from + this.most))),
          }),
      );
    }
    this.elements.push(bytes);
  }

  private shapeOf(bytes: Buffer): JsonShape {
    const { type, sheet } = this.manifest;
    if (type === 'ndjson') return 'lines';
    return sheet !== null || /^[\s\x1E]*\[/u.test(bytes.toString('latin1', 0, 4096))
      ? 'document'
      : 'sequence';
  }
}
