import { isAscii, isUtf8 } from 'node:buffer';
import { INDEX_BYTES, INDEX_STEP, NEVER_QUOTES, QUOTES, StructuralIndex } from './structural-index.ts';
import type { Dialect } from './types.ts';

/** Flags of a field. */
export const QUOTED = 1;
/** The field holds an escaped quote: its bytes are not yet its text. */
export const ESCAPED = 2;
/** While a plain field is read: an odd number of quotes so far. */
const ODD = 4;

/** Status of a record; every one but `OK` rejects it. */
export const OK = 0;
const TOO_FEW = 1;
const TOO_MANY = 2;
export const UNCLOSED = 3;
export const TOO_LARGE = 4;
export const NUL_BYTE = 5;
export const INVALID_BYTES = 6;
const STRAY_QUOTE = 7;
const SECOND_TABLE = 8;
export const BROKEN_JSON = 9;
export const DUPLICATE_NAME = 10;
export const NOT_AN_OBJECT = 11;
export const LONE_SURROGATE = 12;
export const TOO_DEEP = 13;
export const REJECT_CODES = [
  '',
  'too_few_columns',
  'too_many_columns',
  'unclosed_quote',
  'record_too_large',
  'nul_byte',
  'invalid_bytes',
  'stray_quote',
  'second_table',
  'broken_json',
  'duplicate_name',
  'not_an_object',
  'lone_surrogate',
  'too_deep',
] as const;

/**
 * Begins a record of a canonical copy (`rows`) that was rejected when the copy was made: behind it stand 64 + its status,
 * the reason and what it was, as CSV.
 */
export const MARK = 0xff;

export const MAX_RECORD_BYTES = 1024 * 1024;
/** So much of a record over the limit is kept to show it. */
const HEAD_BYTES = 64 * 1024;
const PUSH_BYTES = 256 * 1024;
/** Where the number of columns is not known yet, so many fields of a record are told apart: as many as a sheet has. */
export const MAX_FIELDS = 16_384;

/** So many lines below an unclosed quote are looked at to tell where it ends. */
const DOUBTED_LINES = 200;

/** An index is made where so much is to be read. */
const SMALL_BYTES = 2048;
/** After so many records in a row that are not plain, the index is not asked for so many more. */
const MOST_MISSES = 8;
const REST_RECORDS = 256;

const LF = 10;
const END_MARK = 0x1a;
const CR = 13;

export interface ScannerOptions {
  dialect: Dialect;
  /** How many columns a record must have; null where that is not known yet: then none is ragged. */
  columns: number | null;
  /** Where that is known all the same: a line that begins like a remark and divides into so many cells is a record. */
  shape?: number;
  maxRecordBytes?: number;
  /** Where the bytes that will be pushed begin in the canonical file, and on which line. */
  offset?: number;
  line?: number;
  /** No more bytes than these will come: little is held for little. */
  most?: number;
  /** The records belong to another table: all of them are rejected. */
  secondTable?: boolean;
}

/** Is shown cells of a column, in UTF-8. */
export interface Visitor {
  addBytes(bytes: Buffer, from: number, to: number): void;
}

const REPLACEMENT = Buffer.from('\uFFFD');
const BYTE_ORDER_MARK = Buffer.from('\uFEFF');

/**
 * Finds records and fields in UTF-8 bytes, whatever the chunks they come in. The one judge of what a record is: the
 * inspection that counts and the threads that parse both use it, so that they cannot disagree.
 *
 * Outside quotes LF, CRLF and CR end a record. A quote inside an unquoted field is literal, and so is a quote inside
 * a quoted field that no delimiter follows, as long as that field stays on its line. A field with both a stray quote
 * and a line break was more likely never closed; the lines below tell (`contain`). A quote that was never closed rejects
 * the record up to the end of the line where it opened, and reading goes on at the line after it. Two quotes in two
 * plain fields that may belong together, the delimiter between them then being text, are doubted (`stray_quote`).
 *
 * Push bytes, then call `next()` until it says false; `finish()` once when there are no more. Between two pushes
 * `start`, `end` and `bounds` are indexes into `window`.
 */
export class RecordScanner {
  window: Buffer;
  /** The record found last, without its line end. */
  start = 0;
  end = 0;
  offset = 0;
  length = 0;
  line = 0;
  status = OK;
  fields = 0;
  /** Start, end and flags of each field. */
  bounds: Int32Array;
  /** How the record ended: LF, CR, CR + LF (23), or 0 at the end of the file. */
  terminator = 0;
  /** The first bytes of a record that was too large to be held. */
  head: Buffer | null = null;
  /** Of an unclosed quote: the line where it opened. */
  openLine = 0;
  /** Absolute offset and line behind the last record. */
  get nextOffset(): number {
    return this.base + this.pos;
  }
  nextLine: number;
  /** Absolute offset behind the last byte held. */
  get heldOffset(): number {
    return this.base + this.to;
  }
  /** Lines of remarks passed over, and which were the first of them. */
  remarks = 0;
  readonly remarkLines: number[] = [];
  /** What `passPlain` did. */
  readonly passed = { records: 0, crlf: 0 };
  /** Stretches that held valid characters outside ASCII, and records that held invalid bytes. */
  nonAscii = 0;
  invalid = 0;

  private readonly table = new Uint8Array(256);
  private readonly quotedTable = new Uint8Array(256);
  protected readonly delimiter: number;
  protected readonly quote: number;
  protected escape: number;
  private readonly columns: number;
  protected readonly capacity: number;
  private readonly rows: boolean;
  protected readonly blankIsRecord: boolean;
  private readonly loose: boolean;
  private readonly secondTable: boolean;
  protected readonly max: number;
  protected base: number;
  protected pos = 0;
  protected to = 0;
  protected finished = false;
  private checked: number;
  private dirtyUntil = -1;
  /** Of the bytes between `indexedFrom` and `indexedTo`, and which of its positions comes next. */
  private index: StructuralIndex | null = null;
  private indexedFrom = 0;
  private indexedTo = 0;
  private known = 0;
  private cursor = 0;
  /** There is no index on behind `indexedTo`: a quote there has to be looked at. */
  private indexEnds = false;
  /** Records in a row that the index could not find; while there are too many of them it is left aside. */
  private misses = 0;
  /** While the rest of a record over the limit is passed over: line breaks met inside it. */
  skipping = false;
  private skippedBreaks = 0;

  constructor(options: ScannerOptions) {
    const { dialect, columns } = options;
    this.delimiter = dialect.delimiter ? dialect.delimiter.charCodeAt(0) : -1;
    this.quote = dialect.quote ? dialect.quote.charCodeAt(0) : -1;
    this.escape =
      dialect.quote && dialect.escape && dialect.escape !== dialect.quote ? dialect.escape.charCodeAt(0) : -1;
    for (const byte of [this.delimiter, this.quote, LF, CR, 0]) if (byte >= 0) this.table[byte] = 1;
    for (const byte of [this.quote, this.escape, LF, CR, 0]) if (byte >= 0) this.quotedTable[byte] = 1;
    this.columns = columns ?? -1;
    const most = options.most ?? PUSH_BYTES;
    this.capacity = columns ?? Math.min(MAX_FIELDS, most + 1);
    this.bounds = new Int32Array(this.capacity * 3);
    this.rows = dialect.rows === true;
    this.blankIsRecord = columns === 1 && !this.rows;
    this.loose = dialect.looseQuotes === true || this.rows;
    this.secondTable = options.secondTable === true;
    this.max = options.maxRecordBytes ?? MAX_RECORD_BYTES;
    this.base = options.offset ?? 0;
    this.checked = this.base;
    this.nextLine = options.line ?? 1;
    this.window = Buffer.allocUnsafeSlow(Math.min(PUSH_BYTES, most + 64));
  }

  /** Room to write the next bytes into, at least 64 KiB (less where little was announced); `commit` says how many were written. */
  room(): Buffer {
    if (this.pos > 0) {
      this.window.copyWithin(0, this.pos, this.to);
      this.base += this.pos;
      this.to -= this.pos;
      this.pos = 0;
      this.forgetIndex();
    }
    if (this.window.length - this.to < Math.min(PUSH_BYTES, this.window.length) / 4) {
      const larger = Buffer.allocUnsafeSlow(this.window.length * 2);
      this.window.copy(larger, 0, 0, this.to);
      this.window = larger;
    }
    return this.window.subarray(this.to);
  }

  commit(bytes: number): void {
    this.to += bytes;
    const from = this.checked - this.base;
    const cut = completeCharacters(this.window, from, this.to);
    this.check(from, cut);
  }

  /** Takes as much of the chunk as there is room for; answers how much that was. */
  push(chunk: Buffer, from = 0): number {
    const taken = chunk.copy(this.room(), 0, from);
    this.commit(taken);
    return taken;
  }

  /** A copy of what is held from the last record on, at most so many bytes. */
  ahead(most: number): Buffer {
    return Buffer.from(this.window.subarray(this.start, Math.min(this.to, this.start + most)));
  }

  /** A mark of the file's end (0x1A, as DOS wrote it) is no part of the last record. Before `finish`; true if there was one. */
  dropEndMark(): boolean {
    const held = this.to;
    this.to = this.pos + withoutEndMark(this.window.subarray(this.pos, this.to)).length;
    return this.to < held;
  }

  finish(): void {
    this.finished = true;
    this.check(this.checked - this.base, this.to);
  }

  next(): boolean {
    if (this.skipping) return this.skipRest();
    const window = this.window;
    const to = this.to;
    let i = this.pos;
    while (i < to) {
      const byte = window[i]!;
      if (byte !== LF && byte !== CR) break;
      if (this.blankIsRecord) break;
      if (byte === CR && i + 1 >= to && !this.finished) break;
      i += byte === CR && i + 1 < to && window[i + 1] === LF ? 2 : 1;
      this.nextLine++;
    }
    this.pos = i;
    if (i >= to) return false;
    if (this.misses < MOST_MISSES) {
      if (this.plainRecord(i)) {
        this.misses = 0;
        return true;
      }
      this.misses++;
    } else if (++this.misses > MOST_MISSES + REST_RECORDS) this.misses = 0;

    const table = this.table;
    const quotedTable = this.quotedTable;
    const quote = this.quote;
    const delimiter = this.delimiter;
    const bounds = this.bounds;
    const capacity = this.capacity;
    const start = i;
    const limit = start + this.max + 1;
    const stop = to < limit ? to : limit;
    // Four bytes a turn: the loops over plain bytes are where the time goes (1.5 times as fast).
    const stop4 = stop - 3;
    let count = 0;
    let breaks = 0;
    let nul = false;
    let odd = 0;
    for (;;) {
      let from = i;
      let until = i;
      let flags = 0;
      if (i < stop && window[i] === quote) {
        flags = QUOTED;
        from = ++i;
        let stray = false;
        let firstBreak = -1;
        let afterBreak = -1;
        let breaksBefore = breaks;
        for (;;) {
          while (i < stop4) {
            if (quotedTable[window[i]!] !== 0) break;
            if (quotedTable[window[++i]!] !== 0) break;
            if (quotedTable[window[++i]!] !== 0) break;
            if (quotedTable[window[++i]!] !== 0) break;
            i++;
          }
          while (i < stop && quotedTable[window[i]!] === 0) i++;
          if (i >= stop) {
            if (i < limit && !this.finished) return false;
            if (firstBreak >= 0) return this.unclosed(start, firstBreak, afterBreak, breaksBefore);
            if (i >= limit) return this.overflow(start, i, breaks);
            return this.unclosed(start, to, to, breaks);
          }
          const byte = window[i]!;
          if (byte === quote) {
            if (i + 1 >= to) {
              if (!this.finished) return false;
              until = i++;
              break;
            }
            const after = window[i + 1]!;
            if (after === delimiter || after === LF || after === CR) {
              until = i++;
              break;
            }
            // Also where a backslash escapes: some write both.
            if (after === quote) {
              flags |= ESCAPED;
              i += 2;
              continue;
            }
            stray = true;
            if (firstBreak >= 0) return this.contain(start, firstBreak, afterBreak, breaksBefore);
            i++;
          } else if (byte === 0) {
            nul = true;
            i++;
          } else if (byte === this.escape) {
            if (i + 1 >= to && !this.finished) return false;
            // Before anything but a quote or itself it is a character like any other.
            if (window[i + 1] === quote || window[i + 1] === byte) {
              flags |= ESCAPED;
              i += 2;
            } else i++;
          } else {
            if (byte === CR && i + 1 >= to && !this.finished) return false;
            const width = byte === CR && i + 1 < to && window[i + 1] === LF ? 2 : 1;
            if (firstBreak < 0) {
              firstBreak = i;
              afterBreak = i + width;
              breaksBefore = breaks;
              if (stray) return this.contain(start, firstBreak, afterBreak, breaksBefore);
            }
            breaks++;
            i += width;
          }
        }
      } else {
        for (;;) {
          while (i < stop4) {
            if (table[window[i]!] !== 0) break;
            if (table[window[++i]!] !== 0) break;
            if (table[window[++i]!] !== 0) break;
            if (table[window[++i]!] !== 0) break;
            i++;
          }
          while (i < stop && table[window[i]!] === 0) i++;
          if (i >= stop) break;
          const byte = window[i]!;
          if (byte === 0) nul = true;
          else if (byte !== quote) break;
          else flags ^= ODD;
          i++;
        }
        if (flags !== 0) {
          odd++;
          flags = 0;
        }
        until = i;
      }
      if (count < capacity) {
        const at = count * 3;
        bounds[at] = from;
        bounds[at + 1] = until;
        bounds[at + 2] = flags;
      }
      count++;
      if (i >= stop) {
        if (i >= limit) return this.overflow(start, i, breaks);
        if (!this.finished) return false;
        this.terminator = 0;
        this.pos = i;
        break;
      }
      const byte = window[i]!;
      if (byte === delimiter) {
        i++;
        continue;
      }
      if (byte === LF) {
        this.terminator = LF;
        this.pos = i + 1;
        break;
      }
      if (i + 1 >= to && !this.finished) return false;
      const pair = i + 1 < to && window[i + 1] === LF;
      this.terminator = pair ? CR + LF : CR;
      this.pos = pair ? i + 2 : i + 1;
      break;
    }

    this.found(start, i, count, breaks);
    this.judge(nul, odd);
    return true;
  }

  /**
   * The usual record, by the index: fields that are plain, or in quotes with no quote and no line break inside. Anything
   * else is left to the loop over every byte.
   */
  private plainRecord(start: number): boolean {
    if (start < this.indexedFrom || start >= this.indexedTo) {
      if (this.to - start < SMALL_BYTES && this.index === null) return false;
      this.indexedTo = start;
      if (!this.indexOn(true)) return false;
    }
    const { window, bounds, capacity, delimiter, quote, to } = this;
    const { positions } = this.index!;
    let known = this.known;
    let cursor = this.cursor;
    if (cursor > 0 && positions[cursor - 1]! >= start) cursor = 0;
    while (cursor < known && positions[cursor]! < start) cursor++;
    // Also where this record goes the longer way: the next one need not pass over all that stands before it again.
    this.cursor = cursor;
    let from = start;
    let count = 0;
    for (;;) {
      if (cursor >= known) {
        if (!this.indexOn(false)) return false;
        known = this.known;
        cursor = 0;
        continue;
      }
      const i = positions[cursor++]!;
      const byte = window[i]!;
      let until = i;
      let flags = 0;
      if (window[from] === quote && i > from) {
        // What stands inside quotes here is a line break or a NUL.
        until = i - 1;
        if (window[until] !== quote || until === from) return false;
        from++;
        flags = QUOTED;
      }
      if (count < capacity) {
        const at = count * 3;
        bounds[at] = from;
        bounds[at + 1] = until;
        bounds[at + 2] = flags;
      }
      count++;
      if (byte === delimiter) {
        from = i + 1;
        continue;
      }
      if (i - start > this.max) return false;
      if (byte === LF) {
        this.terminator = LF;
        this.pos = i + 1;
      } else if (byte === CR && i + 1 < to) {
        const pair = window[i + 1] === LF;
        this.terminator = pair ? CR + LF : CR;
        this.pos = pair ? i + 2 : i + 1;
      } else return false;
      this.cursor = cursor;
      this.found(start, i, count, 0);
      this.judge(false, 0);
      return true;
    }
  }

  /**
   * Passes over the plain records, as many columns wide as they must be, that begin before `until` and follow without a
   * gap; stops before anything else, which `next` then finds. Where every record is looked at in the same way this takes
   * a third of the time. `passed` says how many they were, and how many of them ended with CRLF; the others with LF.
   * `visit` gets the cells of the given columns, none of them with an escaped quote in it.
   * @param first a record whose first cell may be this is left to `next`.
   */
  passPlain(until: number, columns: number[], visit: Visitor[], first: Buffer): void {
    const { passed } = this;
    passed.records = passed.crlf = 0;
    const width = this.columns;
    const start = this.pos;
    if (!this.indexes || width < 2 || this.skipping || this.secondTable) return;
    if (start < this.indexedFrom || start >= this.indexedTo || this.base + start < this.dirtyUntil) return;
    const { window, quote, delimiter, max } = this;
    const { positions } = this.index!;
    const { known } = this;
    const end = until - this.base;
    const firstLength = first.length;
    const wanted = columns.length;
    let records = 0;
    let { cursor } = this;
    if (cursor > 0 && positions[cursor - 1]! >= start) return;
    while (cursor < known && positions[cursor]! < start) cursor++;
    let from = start;
    while (from < end) {
      const last = cursor + width - 1;
      if (last + 1 >= known) break;
      const at = positions[last]!;
      const byte = window[at]!;
      const pair = byte === CR && positions[last + 1] === at + 1 && window[at + 1] === LF;
      if ((byte !== LF && !pair) || at - from > max) break;
      let field = from;
      let i = cursor;
      for (; i < last; i++) {
        const to = positions[i]!;
        if (window[to] !== delimiter) break;
        // A quote that opens here and does not close before what divides: a line break inside.
        if (window[field] === quote && to > field && (window[to - 1] !== quote || to - 1 === field)) break;
        field = to + 1;
      }
      if (
        i < last ||
        (window[field] === quote && at > field && (window[at - 1] !== quote || at - 1 === field))
      )
        break;
      const length = positions[cursor]! - from;
      const quoted = length > 0 && window[from] === quote ? 1 : 0;
      if (length - 2 * quoted === firstLength && firstLength > 0 && window[from + quoted] === first[0]) break;
      for (let i = 0; i < wanted; i++) {
        const column = columns[i]!;
        let begin = column === 0 ? from : positions[cursor + column - 1]! + 1;
        let close = positions[cursor + column]!;
        if (window[begin] === quote && close > begin) {
          begin++;
          close--;
        }
        visit[i]!.addBytes(window, begin, close);
      }
      cursor = pair ? last + 2 : last + 1;
      from = pair ? at + 2 : at + 1;
      records++;
      if (pair) passed.crlf++;
    }
    this.cursor = cursor;
    this.pos = from;
    passed.records = records;
    this.nextLine += records;
  }

  /** Indexes the next bytes, from a record's beginning or further on; false where there are no more. */
  private indexOn(fresh: boolean): boolean {
    if (this.indexEnds && !fresh) return false;
    const from = this.indexedTo;
    const to = Math.min(from + ((this.to - from) & -INDEX_STEP), from + INDEX_BYTES);
    if (from >= to) return false;
    this.index ??= new StructuralIndex(this.delimiter, this.quote, this.escape < 0 ? QUOTES : NEVER_QUOTES);
    const { index } = this;
    const able = index.read(this.window, from, to, fresh);
    this.indexedFrom = from;
    this.indexedTo = from + index.bytes;
    this.indexEnds = this.indexedTo < to;
    this.known = index.known;
    this.cursor = 0;
    return able;
  }

  private forgetIndex(): void {
    this.indexedTo = this.known = 0;
    this.indexEnds = false;
  }

  protected found(start: number, end: number, fields: number, breaks: number): void {
    this.start = start;
    this.end = end;
    this.offset = this.base + start;
    this.length = end - start;
    this.fields = fields;
    this.line = this.nextLine;
    this.nextLine += this.rows ? 1 : breaks + 1;
  }

  private markedAs(): number {
    const status = this.window[this.start + 1]! - 64;
    return status > OK && status < REJECT_CODES.length ? status : INVALID_BYTES;
  }

  /** The status of the record that lies between `start` and `end`. */
  protected judge(nul: boolean, odd: number): void {
    if (this.offset < this.dirtyUntil && this.holdsInvalidBytes(this.start, this.end))
      this.status = this.rows && this.window[this.start] === MARK ? this.markedAs() : INVALID_BYTES;
    else if (nul) this.status = NUL_BYTE;
    else if (this.secondTable) this.status = SECOND_TABLE;
    else if (this.columns < 0 || this.fields === this.columns)
      this.status = odd > 1 && !this.loose && this.quotesBelongTogether() ? STRAY_QUOTE : OK;
    else this.status = this.fields < this.columns ? TOO_FEW : TOO_MANY;
  }

  /**
   * Does a quote in one plain field open what a quote in a later one closes? (`$48.00"Throw Pillow, Wooden Paddles",`:
   * a delimiter is missing, another one is text.) An inch sign (`5" pipe`) has a space behind it.
   */
  private quotesBelongTogether(): boolean {
    const { window, bounds, quote } = this;
    let open = false;
    for (let field = 0; field < Math.min(this.fields, this.capacity); field++) {
      const from = bounds[field * 3]!;
      const until = bounds[field * 3 + 1]!;
      if (bounds[field * 3 + 2]! & QUOTED) continue;
      let quotes = 0;
      let last = -1;
      for (let i = from; i < until; i++) {
        if (window[i] === quote) {
          quotes++;
          last = i;
        }
      }
      if (quotes % 2 === 0) continue;
      const blankBehind = last + 1 >= until || window[last + 1] === 32;
      if (open && blankBehind) return true;
      if (!blankBehind) open = true;
    }
    return false;
  }

  /** The quote that opened on the line that ends here was never closed: that line is the record. */
  protected unclosed(start: number, end: number, next: number, breaks: number): boolean {
    this.reject(UNCLOSED, start, end, next, breaks);
    this.openLine = this.line + (this.rows ? 0 : breaks);
    return true;
  }

  /**
   * A quoted field holds a line break and a quote that closes nothing. Either it was never closed, and the lines below
   * are records, or it goes on below, and a line read on its own would pass with shifted values. The first line below
   * that has a quote where a field begins or ends tells: a field that begins with one makes that line a record; one that
   * only ends with one, or is damaged itself, ends the field, and all up to there is one damaged record.
   */
  protected contain(start: number, firstBreak: number, afterBreak: number, breaks: number): boolean {
    const { window, quote } = this;
    const stop = Math.min(this.to, start + this.max + 1);
    const known = stop < this.to || this.finished;
    let line = breaks + 1;
    for (let i = afterBreak; i < stop && line <= breaks + DOUBTED_LINES;) {
      const field = i;
      const opens = window[i] === quote;
      let stray = false;
      if (opens) {
        for (i++; i < stop && !this.breaksAt(i); i++) {
          if (window[i] !== quote) continue;
          if (i + 1 >= stop && !known) return false;
          if (i + 1 >= stop || this.breaksAt(i + 1) || this.dividesAt(i + 1)) break;
          if (window[i + 1] === quote) i++;
          else stray = true;
        }
        if (i >= stop && !known) return false;
        if (!stray || i >= stop || this.breaksAt(i))
          return this.unclosed(start, firstBreak, afterBreak, breaks);
      } else {
        while (i < stop && !this.breaksAt(i) && !this.dividesAt(i)) i++;
        if (i >= stop && !known) return false;
      }
      if (opens || (i > field && window[i - 1] === quote)) {
        while (i < stop && !this.breaksAt(i)) i++;
        const width = i < stop ? this.breakWidth(i) : 0;
        if (width === 0 && !known) return false;
        this.unclosed(start, i, i + width, breaks);
        if (!this.rows) this.nextLine += line - breaks;
        return true;
      }
      if (i >= stop) break;
      if (this.breaksAt(i)) {
        const width = this.breakWidth(i);
        if (width === 0) return false;
        line++;
        i += width;
      } else i += this.delimiterWidth;
    }
    return known || line > breaks + DOUBTED_LINES
      ? this.unclosed(start, firstBreak, afterBreak, breaks)
      : false;
  }

  private breaksAt(at: number): boolean {
    return this.window[at] === LF || this.window[at] === CR;
  }

  /** How many bytes the line break here has; 0 where the next byte has to be seen first. */
  protected breakWidth(at: number): number {
    if (this.window[at] === LF) return 1;
    if (at + 1 >= this.to) return this.finished ? 1 : 0;
    return this.window[at + 1] === LF ? 2 : 1;
  }

  protected dividesAt(at: number): boolean {
    return this.window[at] === this.delimiter;
  }

  protected readonly delimiterWidth: number = 1;
  /** Plain records are found by the index. */
  protected readonly indexes: boolean = true;

  /** Is everything known to be valid UTF-8 up to here? Records in a doubtful stretch are checked one by one. */
  private check(from: number, to: number): void {
    if (to <= from) return;
    const bytes = this.window.subarray(from, to);
    if (!isAscii(bytes)) {
      const valid = isUtf8(bytes);
      if (valid) this.nonAscii++;
      if (!valid || bytes.includes(REPLACEMENT) || bytes.includes(BYTE_ORDER_MARK))
        this.dirtyUntil = this.base + to;
    }
    this.checked = this.base + to;
  }

  private holdsInvalidBytes(start: number, end: number): boolean {
    const bytes = this.window.subarray(start, end);
    if (isUtf8(bytes)) {
      if (!isAscii(bytes)) this.nonAscii++;
      // What another program could not read, and what stands where files were put one behind another.
      return (
        bytes.includes(REPLACEMENT) ||
        (!this.rows && bytes.subarray(0, BYTE_ORDER_MARK.length).equals(BYTE_ORDER_MARK))
      );
    }
    this.invalid++;
    return true;
  }

  protected reject(status: number, start: number, end: number, next: number, breaks: number): boolean {
    this.start = start;
    this.end = end;
    this.offset = this.base + start;
    this.length = end - start;
    this.status = status;
    this.fields = 0;
    this.terminator = LF;
    this.line = this.nextLine;
    this.nextLine += this.rows ? 1 : breaks + 1;
    this.pos = next;
    // It ended where the index does not know of an end.
    this.forgetIndex();
    return true;
  }

  protected overflow(start: number, at: number, breaks: number): boolean {
    this.offset = this.base + start;
    this.head = Buffer.from(this.window.subarray(start, Math.min(at, start + HEAD_BYTES)));
    this.skipping = true;
    this.skippedBreaks = breaks;
    this.pos = at;
    return this.skipRest();
  }

  protected skipRest(): boolean {
    let i = this.pos;
    while (i < this.to && this.window[i] !== LF && this.window[i] !== CR) i++;
    this.pos = i;
    if (i >= this.to ? !this.finished : this.window[i] === CR && i + 1 >= this.to && !this.finished)
      return false;
    const width =
      i >= this.to ? 0 : this.window[i] === CR && this.window[i + 1] === LF && i + 1 < this.to ? 2 : 1;
    const offset = this.offset;
    const length = this.base + i - offset;
    this.reject(TOO_LARGE, i, i, i + width, this.skippedBreaks);
    this.offset = offset;
    this.length = length;
    this.skipping = false;
    return true;
  }
}

/** The bytes of a file's end without the mark that DOS put there. */
export function withoutEndMark(bytes: Buffer): Buffer {
  let to = bytes.length;
  while (to > 0 && bytes[to - 1] === END_MARK) to--;
  return bytes.subarray(0, to);
}

/** The end of the last complete UTF-8 character: what a chunk's end cut in two is judged with the next chunk. */
function completeCharacters(bytes: Buffer, from: number, to: number): number {
  for (let back = 1; back <= 3 && to - back >= from; back++) {
    const byte = bytes[to - back]!;
    if (byte < 0x80) return to;
    if (byte >= 0xc0) {
      const width = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2;
      return width > back ? to - back : to;
    }
  }
  return to;
}

const decoder = new TextDecoder('utf-8', { ignoreBOM: true });

/** The text of a field of the scanner's record. */
export function fieldText(scanner: RecordScanner, field: number, dialect: Dialect): string {
  const at = field * 3;
  const { bounds, window } = scanner;
  const text = window.toString('utf8', bounds[at]!, bounds[at + 1]!);
  return bounds[at + 2]! & ESCAPED ? unescape(text, dialect) : text;
}

export function recordTexts(scanner: RecordScanner, dialect: Dialect): string[] {
  const cells: string[] = [];
  const known = Math.min(scanner.fields, scanner.bounds.length / 3);
  for (let field = 0; field < known; field++) cells.push(fieldText(scanner, field, dialect));
  return cells;
}

/** Bytes as text, whatever they are: what is not UTF-8, and NUL, is shown as `\xNN`. */
export function visibleText(bytes: Buffer): string {
  if (!bytes.includes(0) && isUtf8(bytes)) return decoder.decode(bytes);
  let text = '';
  for (let i = 0; i < bytes.length;) {
    const lead = bytes[i]!;
    const width = lead < 0x80 ? 1 : lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
    const character = bytes.subarray(i, i + width);
    if (lead !== 0 && isUtf8(character)) {
      text += decoder.decode(character);
      i += width;
    } else {
      text += `\\x${lead.toString(16).padStart(2, '0').toUpperCase()}`;
      i++;
    }
  }
  return text;
}

/**
 * Do two signs inside quotes stand for the second alone? Before anything but a quote or itself an escape is a sign like any
 * other; and where a backslash escapes, some double their quotes all the same.
 */
export function isOneSign<Sign>(sign: Sign, next: Sign, quote: Sign, escape: Sign): boolean {
  return next === quote ? sign === quote || sign === escape : next === escape && sign === escape;
}

function unescape(text: string, dialect: Dialect): string {
  const { quote, escape, delimiter } = dialect;
  if (escape === quote) return text.replaceAll(quote + quote, quote);
  const escaped = `${escape}${delimiter}\r\n`;
  let plain = '';
  for (let i = 0; i < text.length; i++) {
    if (i + 1 < text.length) {
      const [sign, next] = [text[i]!, text[i + 1]!];
      if (quote === '' ? sign === escape && escaped.includes(next) : isOneSign(sign, next, quote, escape))
        i++;
    }
    plain += text[i];
  }
  return plain;
}
