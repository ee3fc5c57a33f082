import { unescapeText } from './cell-text.ts';
import { parseXml } from './xml.ts';

const BLOCK_BYTES = 1024 * 1024;

/**
 * The workbook's strings as UTF-8 in blocks, with one number for each: a million take what their text takes, not what
 * as many JavaScript strings would.
 */
export class SharedStrings {
  private readonly blocks: Buffer[] = [];
  private used = BLOCK_BYTES;
  private positions = new Float64Array(1024);
  private lengths = new Uint32Array(1024);
  count = 0;

  static async read(
    part: AsyncIterable<Buffer>,
    afterChunk: () => Promise<void> | undefined,
  ): Promise<SharedStrings> {
    const strings = new SharedStrings();
    let text = '';
    let inText = false;
    let phonetic = false;
    await parseXml(
      part,
      {
        open: (name) => {
          if (name === 'si') text = '';
          else if (name === 'rPh') phonetic = true;
          else if (name === 't') inText = !phonetic;
        },
        text: (piece) => {
          if (inText) text += piece;
        },
        close: (name) => {
          if (name === 't') inText = false;
          else if (name === 'rPh') phonetic = false;
          else if (name === 'si') strings.add(unescapeText(text));
        },
      },
      afterChunk,
    );
    return strings;
  }

  get(index: number): string | null {
    if (!(index >= 0 && index < this.count)) return null;
    const position = this.positions[index]!;
    const block = this.blocks[Math.floor(position / BLOCK_BYTES)]!;
    const at = position % BLOCK_BYTES;
    return block.toString('utf8', at, at + this.lengths[index]!);
  }

  private add(text: string): void {
    const length = Buffer.byteLength(text);
    if (this.used + length > BLOCK_BYTES) {
      this.blocks.push(Buffer.allocUnsafeSlow(Math.max(BLOCK_BYTES, length)));
      this.used = 0;
    }
    if (this.count === this.positions.length) {
      this.positions = grown(this.positions, new Float64Array(this.count * 2));
      this.lengths = grown(this.lengths, new Uint32Array(this.count * 2));
    }
    this.blocks.at(-1)!.write(text, this.used);
    this.positions[this.count] = (this.blocks.length - 1) * BLOCK_BYTES + this.used;
    this.lengths[this.count] = length;
    this.count++;
    this.used += length;
  }
}

function grown<T extends Float64Array | Uint32Array>(old: T, larger: T): T {
  larger.set(old);
  return larger;
}
