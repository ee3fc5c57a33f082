import { ESCAPED, QUOTED, RecordScanner, type ScannerOptions } from './scan.ts';
import type { Dialect } from './types.ts';

const LF = 10;
const CR = 13;
const SPACE = 32;

/** The scanner for a dialect: the fast one where a column ends with one byte and nothing else is special. */
export function recordScanner(options: ScannerOptions): RecordScanner {
  return isCommon(options.dialect) ? new RecordScanner(options) : new UncommonScanner(options);
}

function isCommon({ delimiter, quote, escape, skipSpace, runs, comment }: Dialect): boolean {
  const escapesPlain = quote === '' && escape !== '';
  return Buffer.byteLength(delimiter) <= 1 && !skipSpace && !runs && !comment && !escapesPlain;
}

/**
 * Delimiters of several bytes, spaces around them, columns aligned with runs of spaces, lines of remarks, and escapes
 * without quotes. Judges quotes as the common scanner does, at about half its speed.
 */
class UncommonScanner extends RecordScanner {
  protected override readonly delimiterWidth: number;
  protected override readonly indexes = false;
  private readonly divider: Buffer;
  private readonly comment: Buffer;
  private readonly skipSpace: boolean;
  private readonly runs: boolean;
  private readonly escapesPlain: boolean;
  private readonly shape: number;
  private remark = false;

  constructor(options: ScannerOptions) {
    super(options);
    const { delimiter, quote, escape, skipSpace, runs, comment } = options.dialect;
    this.divider = Buffer.from(delimiter);
    this.delimiterWidth = this.divider.length;
    this.comment = Buffer.from(comment ?? '');
    this.skipSpace = skipSpace === true;
    this.runs = runs === true;
    this.shape = options.shape ?? options.columns ?? 0;
    this.escapesPlain = quote === '' && escape !== '';
    if (this.escapesPlain) this.escape = escape.charCodeAt(0);
  }

  override next(): boolean {
    if (this.skipping) return this.skipRest();
    if (!this.toRecord()) return false;
    const { window, bounds, capacity, to } = this;
    const start = this.pos;
    const limit = start + this.max + 1;
    const stop = Math.min(to, limit);
    let i = start;
    let count = 0;
    let breaks = 0;
    let odd = 0;
    let nul = false;
    for (;;) {
      if (this.skipSpace) while (i < stop && window[i] === SPACE) i++;
      let from = i;
      let until = i;
      let flags = 0;
      if (i < stop && window[i] === this.quote) {
        flags = QUOTED;
        from = ++i;
        let stray = false;
        let firstBreak = -1;
        let afterBreak = -1;
        let breaksBefore = breaks;
        for (;;) {
          if (i >= stop) {
            if (i < limit && !this.finished) return false;
            if (firstBreak >= 0) return this.unclosed(start, firstBreak, afterBreak, breaksBefore);
            if (i >= limit) return this.overflow(start, i, breaks);
            return this.unclosed(start, to, to, breaks);
          }
          const byte = window[i]!;
          if (byte === this.quote) {
            const behind = this.behindQuote(i + 1, stop);
            if (behind === MORE) {
              if (stop === to) return false;
              return this.overflow(start, stop, breaks);
            }
            if (behind !== NO) {
              until = i;
              i = behind;
              break;
            }
            if (window[i + 1] === this.quote) {
              flags |= ESCAPED;
              i += 2;
              continue;
            }
            stray = true;
            if (firstBreak >= 0) return this.contain(start, firstBreak, afterBreak, breaksBefore);
            i++;
          } else if (byte === this.escape) {
            if (i + 1 >= to && !this.finished) return false;
            if (window[i + 1] === this.quote || window[i + 1] === byte) {
              flags |= ESCAPED;
              i += 2;
            } else i++;
          } else if (byte === LF || byte === CR) {
            const width = this.breakWidth(i);
            if (width === 0) return false;
            if (firstBreak < 0) {
              firstBreak = i;
              afterBreak = i + width;
              breaksBefore = breaks;
              if (stray) return this.contain(start, firstBreak, afterBreak, breaksBefore);
            }
            breaks++;
            i += width;
          } else {
            if (byte === 0) nul = true;
            i++;
          }
        }
      } else {
        let quotes = 0;
        for (; i < stop; i++) {
          const byte = window[i]!;
          if (byte === LF || byte === CR) break;
          if (byte === this.divider[0]) {
            const divides = this.divides(i);
            if (divides === MORE) return false;
            if (divides !== NO) break;
          }
          if (byte === 0) nul = true;
          else if (byte === this.quote) quotes++;
          else if (this.escapesPlain && byte === this.escape) {
            if (i + 1 >= to && !this.finished) return false;
            if (i + 1 >= stop) continue;
            const after = window[i + 1]!;
            if (after === LF || after === CR) breaks++;
            if (after === byte || after === LF || after === CR || after === this.divider[0]) {
              flags |= ESCAPED;
              if (after === CR && window[i + 2] === LF) i++;
              i++;
            }
          }
        }
        until = i;
        odd += quotes & 1;
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
        this.pos = i;
        this.terminator = 0;
        break;
      }
      const byte = window[i]!;
      if (byte !== LF && byte !== CR) {
        i += this.delimiterWidth;
        if (!this.runs) continue;
        while (i < stop && this.divides(i) === YES) i += this.delimiterWidth;
        // A run may be longer than a multiple of the delimiter, and what ends a line divides nothing.
        while (i < stop && window[i] === SPACE) i++;
        if (i >= stop && i < limit && !this.finished) return false;
        if (i < stop && window[i] !== LF && window[i] !== CR) continue;
        if (i >= stop) {
          if (i >= limit) return this.overflow(start, i, breaks);
          this.pos = i;
          this.terminator = 0;
          break;
        }
      }
      const width = this.breakWidth(i);
      if (width === 0) return false;
      this.terminator = width === 2 ? CR + LF : window[i]!;
      this.pos = i + width;
      break;
    }
    this.found(start, i, count, breaks);
    this.judge(nul, odd);
    return true;
  }

  /** Passes over blank lines, remarks and the space before an aligned record. */
  private toRecord(): boolean {
    const { window, to } = this;
    for (;;) {
      let i = this.pos;
      if (!this.remark) {
        if (this.runs) while (i < to && window[i] === SPACE) i++;
        if (i >= to && !this.finished) return false;
        if (i >= to) {
          this.pos = i;
          return false;
        }
        if (window[i] === LF || window[i] === CR) {
          if (this.blankIsRecord) break;
          const width = this.breakWidth(i);
          if (width === 0) return false;
          this.pos = i + width;
          this.nextLine++;
          continue;
        }
        this.remark = this.comment.length > 0 && this.startsWith(i, this.comment);
        if (!this.remark) {
          if (this.comment.length > to - i && !this.finished) return false;
          this.pos = i;
          break;
        }
        const shaped = this.hasShape(i);
        if (shaped !== NO) {
          this.remark = false;
          this.pos = i;
          if (shaped === MORE) return false;
          break;
        }
        if (this.remarkLines.length < 3) this.remarkLines.push(this.nextLine);
      }
      while (i < to && window[i] !== LF && window[i] !== CR) i++;
      this.pos = i;
      if (i >= to && !this.finished) return false;
      const width = i < to ? this.breakWidth(i) : 0;
      if (i < to && width === 0) return false;
      this.pos = i + width;
      this.remark = false;
      this.remarks++;
      this.nextLine++;
    }
    return this.pos < to;
  }

  /** Does the line divide into the table's cells, and not as prose does, which has spaces behind what divides it? */
  private hasShape(at: number): typeof YES | typeof NO | typeof MORE {
    if (this.shape < 2 || this.runs) return NO;
    const { window, to } = this;
    const most = Math.min(to, at + this.max);
    let cells = 1;
    for (let i = at; i < most;) {
      const byte = window[i]!;
      if (byte === LF || byte === CR) return cells === this.shape ? YES : NO;
      const divides = byte === this.divider[0] ? this.divides(i) : NO;
      if (divides === MORE) return MORE;
      if (divides === NO) i++;
      else {
        i += this.delimiterWidth;
        cells++;
        if (window[i] === SPACE && i < to && !this.skipSpace) return NO;
      }
    }
    if (most < to) return NO;
    return !this.finished ? MORE : cells === this.shape ? YES : NO;
  }

  /** Where the field ends whose closing quote stands before `at`. */
  private behindQuote(at: number, stop: number): number {
    const { window } = this;
    let i = at;
    if (this.skipSpace) while (i < stop && window[i] === SPACE) i++;
    if (i >= stop) return stop === this.to && this.finished ? i : MORE;
    if (window[i] === LF || window[i] === CR) return i;
    const divides = this.divides(i);
    return divides === YES ? i : divides;
  }

  protected override dividesAt(at: number): boolean {
    return this.divides(at) === YES;
  }

  private divides(at: number): typeof YES | typeof NO | typeof MORE {
    const { divider, window } = this;
    for (let byte = 0; byte < divider.length; byte++) {
      if (at + byte >= this.to) return this.finished ? NO : MORE;
      if (window[at + byte] !== divider[byte]) return NO;
    }
    return divider.length > 0 ? YES : NO;
  }

  private startsWith(at: number, bytes: Buffer): boolean {
    return this.window.subarray(at, Math.min(this.to, at + bytes.length)).equals(bytes);
  }
}

const YES = -1;
const NO = -2;
const MORE = -3;
