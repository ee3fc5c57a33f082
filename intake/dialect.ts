import { OK, RecordScanner, recordTexts } from './scan.ts';
import { TypeTally } from './cell-types.ts';
import type { Dialect, FileOptions } from './types.ts';

const DELIMITERS = [',', ';', '\t', '|'];
const SAMPLE_RECORDS = 300;
/** What a table of one column is worth beside one that divides into several. */
const ONE_COLUMN = 0.001;

/** A record at the head of the file, before it is known which of them is the header. */
export interface HeadRecord {
  line: number;
  /** Absolute offset of its first byte, and of the first byte behind it. */
  offset: number;
  next: number;
  nextLine: number;
  cells: string[];
  rejected: boolean;
  terminator: number;
}

/**
 * Delimiter and quote from the head of a file, scored as CleverCSV does: how alike the records' shapes are, times how
 * many cells look like something. What the operator gave is not questioned.
 */
export function detectDialect(head: Buffer, whole: boolean, options: FileOptions): Dialect {
  const delimiters = options.delimiter === undefined ? DELIMITERS : [options.delimiter];
  const quotes = options.quote === undefined ? ['"', "'"] : [options.quote];
  let best: Dialect = dialectOf(delimiters[0]!, quotes[0]!);
  let bestScore = -1;
  for (const quote of quotes) {
    // Apostrophes are common in prose: they quote only where fields begin and end with them.
    if (quote === "'" && options.quote === undefined && !quotesFields(head, quote)) continue;
    for (const delimiter of delimiters) {
      const dialect = dialectOf(delimiter, quote);
      const escaped = backslashEscapes(head, quote) ? { ...dialect, escape: '\\' } : dialect;
      const score = scoreOf(readHead(head, whole, escaped, SAMPLE_RECORDS));
      if (score > bestScore) {
        best = escaped;
        bestScore = score;
      }
    }
  }
  return best;
}

/** Records of the head; one that the head's end cuts is left out unless the head is the whole file. */
export function readHead(
  head: Buffer,
  whole: boolean,
  dialect: Dialect,
  most: number,
  offset = 0,
  line = 1,
): HeadRecord[] {
  const scanner = new RecordScanner({ dialect, columns: null, offset, line });
  const records: HeadRecord[] = [];
  let at = 0;
  let finished = false;
  while (records.length < most) {
    if (scanner.next()) {
      records.push({
        line: scanner.line,
        offset: scanner.offset,
        next: scanner.nextOffset,
        nextLine: scanner.nextLine,
        cells: recordTexts(scanner, dialect),
        rejected: scanner.status !== OK,
        terminator: scanner.terminator,
      });
    } else if (at < head.length) at += scanner.push(head, at);
    else if (whole && !finished) {
      finished = true;
      scanner.finish();
    } else break;
  }
  return records;
}

export function dialectOf(delimiter: string, quote: string): Dialect {
  return { delimiter, quote, escape: quote };
}

function scoreOf(records: HeadRecord[]): number {
  const shapes = new Map<number, number>();
  let cells = 0;
  let known = 0;
  for (const record of records) {
    const width = record.rejected ? 0 : record.cells.length;
    shapes.set(width, (shapes.get(width) ?? 0) + 1);
    for (const cell of record.cells) {
      cells++;
      if (looksLikeSomething(cell)) known++;
    }
  }
  if (cells === 0) return 0;
  let pattern = 0;
  for (const [width, count] of shapes)
    if (width > 0) pattern += count * Math.max(ONE_COLUMN, (width - 1) / width);
  return (pattern / shapes.size / records.length) * (known / cells + 1e-6);
}

function looksLikeSomething(cell: string): boolean {
  if (cell.trim() === '' || /^[\p{L}\p{N} _.\-/&'()%+#:]+$/u.test(cell)) return true;
  const tally = new TypeTally();
  tally.add(cell);
  return tally.type !== 'text';
}

function quotesFields(head: Buffer, quote: string): boolean {
  const text = head.subarray(0, 16_384).toString('utf8');
  const opening = text.match(new RegExp(`(?:^|[\\n\\r,;\\t|])${quote}`, 'gu'))?.length ?? 0;
  const closing = text.match(new RegExp(`${quote}(?=[\\n\\r,;\\t|]|$)`, 'gu'))?.length ?? 0;
  return opening > 1 && closing > 1 && Math.abs(opening - closing) <= 1 + opening / 10;
}

/** `\"` inside fields and never `""`: quotes are escaped by a backslash. */
function backslashEscapes(head: Buffer, quote: string): boolean {
  if (!quote || !head.includes(`\\${quote}`)) return false;
  const text = head.subarray(0, 65_536).toString('utf8');
  return !new RegExp(`[^,;\\t|\\r\\n\\\\${quote}]${quote}${quote}`, 'u').test(text);
}
