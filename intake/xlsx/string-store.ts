import { closeSync, openSync, readSync, rmSync, writeSync } from 'node:fs';

const PAGE_STRINGS = 256;
const PAGE_SHIFT = 8;
const MEMORY_BYTES = 8 * 1024 * 1024;
/** Pages take whole steps of this, so that the room of one that left fits the next. */
const STEP_BYTES = 4096;

interface Page {
  number: number;
  /** Where each string begins in `data`; one more than there are strings. */
  offsets: Uint32Array;
  data: Buffer;
  room: ArrayBuffer;
  used: boolean;
}

/**
 * Byte strings by number, in pages of 256. So many bytes of pages stay in memory, the rest is in a file, and what is
 * asked for comes back from there: neither many nor long strings make it grow (a page costs eight bytes of index).
 */
export class StringStore {
  count = 0;
  /** The string that `find` found: `data` from `from` to `to`. */
  data: Buffer = Buffer.alloc(0);
  from = 0;
  to = 0;

  private readonly spillPath: string;
  private readonly memoryBytes: number;
  private file: number | null = null;
  private fileBytes = 0;
  private starts = new Float64Array(256).fill(-1);
  private lengths = new Uint32Array(256);
  private readonly resident = new Map<number, Page>();
  private residentBytes = 0;
  /** Rooms of pages that left, by size. */
  private readonly free = new Map<number, ArrayBuffer[]>();
  private freeBytes = 0;
  private current: Page | null = null;
  private building = Buffer.allocUnsafeSlow(64 * 1024);
  private built = 0;
  private readonly bounds = new Uint32Array(PAGE_STRINGS + 1);

  /** @param spillPath a file that is made when memory does not hold the strings, and is gone after `close`. */
  constructor(spillPath: string, memoryBytes = MEMORY_BYTES) {
    this.spillPath = spillPath;
    this.memoryBytes = memoryBytes;
  }

  /** Room for so many more bytes of the string being written; write it at the offset, then `add` its length. */
  room(bytes: number): { buffer: Buffer; offset: number } {
    if (this.building.length - this.built < bytes) {
      const larger = Buffer.allocUnsafeSlow(Math.max(this.building.length * 2, this.built + bytes));
      this.building.copy(larger, 0, 0, this.built);
      this.building = larger;
    }
    return { buffer: this.building, offset: this.built };
  }

  add(length: number): void {
    this.built += length;
    this.count++;
    const inPage = ((this.count - 1) & (PAGE_STRINGS - 1)) + 1;
    this.bounds[inPage] = this.built;
    if (inPage === PAGE_STRINGS) this.closePage(inPage);
  }

  /** After the last string. */
  finish(): void {
    const inPage = this.count & (PAGE_STRINGS - 1);
    if (inPage > 0) this.closePage(inPage);
    this.building = Buffer.alloc(0);
  }

  find(index: number): boolean {
    if (!(index >= 0 && index < this.count)) return false;
    const number = index >>> PAGE_SHIFT;
    let page = this.current;
    if (page === null || page.number !== number) {
      page = this.resident.get(number) ?? this.fetch(number);
      page.used = true;
      this.current = page;
    }
    const at = index & (PAGE_STRINGS - 1);
    this.data = page.data;
    this.from = page.offsets[at]!;
    this.to = page.offsets[at + 1]!;
    return true;
  }

  close(): void {
    if (this.file !== null) {
      closeSync(this.file);
      rmSync(this.spillPath, { force: true });
    }
    this.file = null;
    this.resident.clear();
  }

  private closePage(strings: number): void {
    const number = (this.count - 1) >>> PAGE_SHIFT;
    const length = (strings + 1) * 4 + this.built;
    const page = this.pageOf(number, strings, length);
    page.offsets.set(this.bounds.subarray(0, strings + 1));
    this.building.copy(page.data, 0, 0, this.built);
    this.built = 0;
    if (number >= this.starts.length) {
      const starts = new Float64Array(this.starts.length * 2).fill(-1);
      starts.set(this.starts);
      this.starts = starts;
      const lengths = new Uint32Array(this.lengths.length * 2);
      lengths.set(this.lengths);
      this.lengths = lengths;
    }
    this.lengths[number] = length;
    this.keep(page);
  }

  private fetch(number: number): Page {
    const strings = Math.min(PAGE_STRINGS, this.count - number * PAGE_STRINGS);
    const length = this.lengths[number]!;
    const page = this.pageOf(number, strings, length);
    const bytes = Buffer.from(page.room, 0, length);
    for (let at = 0; at < length;) {
      const read = readSync(this.file!, bytes, at, length - at, this.starts[number]! + at);
      if (read === 0) throw new Error('the file of strings is shorter than what was written');
      at += read;
    }
    this.keep(page);
    return page;
  }

  private pageOf(number: number, strings: number, length: number): Page {
    const size = Math.ceil(length / STEP_BYTES) * STEP_BYTES;
    const known = this.free.get(size)?.pop();
    if (known) this.freeBytes -= size;
    const room = known ?? new ArrayBuffer(size);
    const head = (strings + 1) * 4;
    return {
      number,
      offsets: new Uint32Array(room, 0, strings + 1),
      data: Buffer.from(room, head, length - head),
      room,
      used: false,
    };
  }

  private keep(page: Page): void {
    this.resident.set(page.number, page);
    this.residentBytes += page.room.byteLength;
    if (this.residentBytes > this.memoryBytes) this.evict(page);
  }

  /** A page that was used since it was last looked at gets a second chance. What `find` found is good until then. */
  private evict(kept: Page): void {
    for (const page of this.resident.values()) {
      if (this.residentBytes <= this.memoryBytes) break;
      if (page === kept) continue;
      this.resident.delete(page.number);
      if (page.used) {
        page.used = false;
        this.resident.set(page.number, page);
        continue;
      }
      if (this.starts[page.number]! < 0) this.spill(page);
      this.residentBytes -= page.room.byteLength;
      this.release(page.room);
    }
  }

  private release(room: ArrayBuffer): void {
    if (this.freeBytes > this.memoryBytes / 2) return;
    this.freeBytes += room.byteLength;
    const free = this.free.get(room.byteLength);
    if (free) free.push(room);
    else this.free.set(room.byteLength, [room]);
  }

  private spill(page: Page): void {
    this.file ??= openSync(this.spillPath, 'w+', 0o600);
    const bytes = Buffer.from(page.room, 0, this.lengths[page.number]);
    for (let at = 0; at < bytes.length;)
      at += writeSync(this.file, bytes, at, bytes.length - at, this.fileBytes + at);
    this.starts[page.number] = this.fileBytes;
    this.fileBytes += bytes.length;
  }
}
