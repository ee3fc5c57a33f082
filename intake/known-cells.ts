const SLOTS = 256;
const MOST_BYTES = 64;
/** After so many cells of which hardly half were known, the column has no words that come again. */
const ENOUGH_CELLS = 4096;

/**
 * Cells of one column that were judged before, with what was written for them: words of a value map, of a list, for yes
 * and no come again and again, and need not become a string each time. With the short way for text outside ASCII, a
 * quoted file with two value maps takes 0.22 of the time. Bounded, whatever the cells are.
 */
export class KnownCells {
  private readonly cells: (Buffer | null)[] = Array<Buffer | null>(SLOTS).fill(null);
  private readonly written: Buffer[] = [];
  private asked = 0;
  private found = 0;
  private slot = -1;

  /** What is written for the cell; null where it has to be judged. Only of cells that need no unescaping. */
  find(bytes: Buffer, from: number, to: number): Buffer | null {
    this.slot = -1;
    const length = to - from;
    if (length > MOST_BYTES || (this.asked >= ENOUGH_CELLS && this.found * 2 < this.asked)) return null;
    this.asked++;
    let hash = length;
    for (let i = from; i < to; i++) hash = (Math.imul(hash, 31) + bytes[i]!) | 0;
    const slot = (hash ^ (hash >>> 8) ^ (hash >>> 16)) & (SLOTS - 1);
    this.slot = slot;
    const known = this.cells[slot]!;
    if (known === null || known.length !== length) return null;
    for (let i = 0; i < length; i++) if (known[i] !== bytes[from + i]) return null;
    this.found++;
    return this.written[slot]!;
  }

  /** What was written for the cell that `find` did not know. Whatever had its place is forgotten. */
  learn(bytes: Buffer, from: number, to: number, written: Buffer): void {
    if (this.slot < 0) return;
    this.cells[this.slot] = Buffer.from(bytes.subarray(from, to));
    this.written[this.slot] = Buffer.from(written);
  }
}
