import { TypeTally } from './cell-types.ts';
import { isOneSign, OK, QUOTED, recordTexts, REJECT_CODES, type RecordScanner } from './scan.ts';
import { recordScanner } from './scan-uncommon.ts';

import type { Dialect, FileOptions } from './types.ts';

/** Delimiters that are looked for, and how far each is believed where another fits the file as well. */
const DELIMITERS: [string, number][] = [
  [',', 1],
  [';', 1],
  ['\t', 1],
  ['|', 0.99],
  ['^', 0.95],
  ['~', 0.9],
  ['§', 0.9],
  ['¦', 0.9],
  [':', 0.65],
  ['#', 0.7],
  [' ', 0.65],
];
/** Signs that no text holds: where there are any, they divide. Not NUL, what breaks lines and pages, ends files, or escapes. */
const SEPARATORS = /[\x01-\x08\x0E-\x19\x1C-\x1F]/gu;
const MOST_SEPARATORS = 4;
const SEVERAL_BYTES = 0.97;
const ALIGNED = 0.8;
const COMMENTS = ['#', '//', '--', '%', '!', ';'];
const SAMPLE_RECORDS = 250;
const SAMPLE_CELLS = 6000;
/** What a table of one column is worth beside one that divides into several. */
const ONE_COLUMN = 0.1;
const LONE_VALUE = 0.34;
/** Where the first record has one field fewer than the rest, another reading may be without a tear in every one of them. */
const ONE_NAME_SHORT = 0.7;
/** A width that fewer records have must be that of a block of them. */
const MAJORITY = 0.6;
/** So many records of one width in a row are a table. */
const BLOCK = 6;
/** Where nothing is said to quote, every one of these speaks against it. */
const DOUBLE_QUOTE = 34;
const APOSTROPHE = 39;

/** Bytes of a file that begin where a record does; `whole` if they end where the file ends. */
export interface Sample {
  bytes: Buffer;
  whole: boolean;
}

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
  /** Fields in quotes, and quotes that neither open nor close a field nor are escaped. */
  quoted: number;
  strays: number;
  /** Two quotes of it may belong together (`stray_quote`). */
  doubted: boolean;
}

/**
 * The dialect of samples from all over a file: for every one that is possible, how alike the records' shapes are, how
 * many cells look like something, how alike the cells of a column are, and whether quotes stand where fields begin and
 * end. What the operator gave is not questioned.
 */
export function detectDialect(samples: Sample[], options: FileOptions): Dialect {
  const text = samples.map(({ bytes }) => bytes.subarray(0, 65_536).toString('utf8')).join('\n');
  const known = new Map<string, boolean>();
  let best: { dialect: Dialect; records: HeadRecord[] } | null = null;
  let bestScore = -1;
  const values = options.delimiter === undefined && isListOfValues(text);
  for (const { dialect, prior } of candidates(text, options)) {
    if (values && !isOfTables(dialect)) continue;
    const records = samples.flatMap(({ bytes, whole }) => readHead(bytes, whole, dialect, SAMPLE_RECORDS));
    const score = scoreOf(records, dialect, known) * prior;
    if (score > bestScore) {
      best = { dialect, records };
      bestScore = score;
    }
  }
  const { dialect, records } = best ?? {
    dialect: dialectOf(options.delimiter ?? ',', options.quote ?? '"'),
    records: [],
  };
  const doubted = records.filter((record) => record.doubted).length;
  const loose = doubted >= 3 || !records.some(({ quoted }) => quoted > 0);
  const comment = commentOf(text, records);
  // Where a line is one value, what looks like a delimiter in it is text.
  const oneColumn =
    options.delimiter === undefined &&
    records.length > 0 &&
    (widthOf(records) === 1 || isNamedColumn(records, dialect));
  return {
    ...(oneColumn ? dialectOf('', dialect.quote) : dialect),
    ...(dialect.quote && loose ? { looseQuotes: true } : {}),
    ...(comment === null ? {} : { comment }),
  };
}

/** Records of the head; one that the head's end cuts is left out unless the head is the whole file. */
export function readHead(
  head: Buffer,
  whole: boolean,
  dialect: Dialect,
  most: number,
  offset = 0,
  line = 1,
  shape?: number,
): HeadRecord[] {
  const scanner = recordScanner({ dialect, columns: null, shape, offset, line, most: head.length });
  const records: HeadRecord[] = [];
  let at = 0;
  let finished = false;
  while (records.length < most) {
    if (scanner.next()) records.push(headRecord(scanner, dialect));
    else if (at < head.length) at += scanner.push(head, at);
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

function headRecord(scanner: RecordScanner, dialect: Dialect): HeadRecord {
  const code = REJECT_CODES[scanner.status];
  const doubted = code === 'stray_quote';
  const { quoted, strays } = quotesOf(scanner, dialect);
  return {
    line: scanner.line,
    offset: scanner.offset,
    next: scanner.nextOffset,
    nextLine: scanner.nextLine,
    cells: recordTexts(scanner, dialect),
    rejected: scanner.status !== OK && !doubted,
    terminator: scanner.terminator,
    quoted,
    strays,
    doubted,
  };
}

function quotesOf(scanner: RecordScanner, dialect: Dialect): { quoted: number; strays: number } {
  const quote = dialect.quote.charCodeAt(0);
  const escape = dialect.escape.charCodeAt(0);
  let quoted = 0;
  let strays = 0;
  const { bounds, window } = scanner;
  if (!dialect.quote) {
    for (let i = scanner.start; i < scanner.end; i++) if (window[i] === DOUBLE_QUOTE) strays++;
    return { quoted, strays };
  }
  for (let field = 0; field < Math.min(scanner.fields, bounds.length / 3); field++) {
    const until = bounds[field * 3 + 1]!;
    const inside = (bounds[field * 3 + 2]! & QUOTED) !== 0;
    if (inside) quoted++;
    else strays += otherQuotes(window, bounds[field * 3]!, until, quote);
    for (let i = bounds[field * 3]!; i < until; i++) {
      if (inside && i + 1 < until && isOneSign(window[i]!, window[i + 1]!, quote, escape)) i++;
      else if (window[i] === quote) strays++;
      else if (
        inside &&
        quote === APOSTROPHE &&
        window[i] === DOUBLE_QUOTE &&
        window[i + 1] === DOUBLE_QUOTE
      ) {
        strays++;
        i++;
      }
    }
  }
  return { quoted, strays };
}

/** How much a plain field that stands in the other quotes speaks against these. */
function otherQuotes(window: Buffer, from: number, until: number, quote: number): number {
  const other = quote === APOSTROPHE ? DOUBLE_QUOTE : APOSTROPHE;
  const opens = window[from] === other;
  const closes = until - from > 1 && window[until - 1] === other;
  // Apostrophes open words; what begins with a double quote is hardly ever anything but a field in quotes.
  if (quote === APOSTROPHE) return opens ? 3 : closes ? 1 : 0;
  return opens && closes ? 1 : 0;
}

function candidates(text: string, options: FileOptions): { dialect: Dialect; prior: number }[] {
  const found: { dialect: Dialect; prior: number }[] = [];
  const add = (delimiter: string, prior: number, more: Partial<Dialect> = {}) => {
    for (const quote of quotesIn(text, delimiter, options)) {
      for (const escape of escapesIn(text, quote))
        found.push({
          dialect: { delimiter, quote, escape, ...more },
          prior: quote === '' ? prior * 0.98 : quote === "'" ? prior * 0.95 : prior,
        });
    }
  };
  if (options.delimiter !== undefined) {
    add(options.delimiter, 1, spaceBehind(text, options.delimiter) ? { skipSpace: true } : {});
    return found;
  }
  const separators = [...new Set(text.match(SEPARATORS))].slice(0, MOST_SEPARATORS);
  for (const [delimiter, prior] of [...DELIMITERS, ...separators.map((one) => [one, 1] as const)]) {
    if (delimiter !== ',' && !text.includes(delimiter)) continue;
    add(delimiter, prior, delimiter !== ' ' && spaceBehind(text, delimiter) ? { skipSpace: true } : {});
  }
  for (const delimiter of longDelimiters(text)) add(delimiter, SEVERAL_BYTES);
  const lines = text.split(/\r\n|\n|\r/u).filter((line) => line.trim() !== '');
  if (lines.filter((line) => /\S {2,}\S/u.test(line)).length > lines.length * 0.6) {
    add('  ', ALIGNED, { runs: true });
    add(' ', ALIGNED * 0.95, { runs: true });
  } else if (lines.filter((line) => line.startsWith(' ')).length > lines.length * 0.3)
    add(' ', ALIGNED, { runs: true });
  return found;
}

function quotesIn(text: string, delimiter: string, options: FileOptions): string[] {
  if (options.quote !== undefined) return [options.quote];
  const quotes = ['"'];
  // Apostrophes are common in prose: they quote only where fields begin and end with them.
  if (text.includes("'") && quotesFields(text, "'", delimiter)) quotes.push("'");
  // A few quotes that do not close are mistakes; only many of them are a custom.
  if ((text.match(/"[^\r\n]*/gu) ?? []).length >= 3 || text.includes(`\\${delimiter}`)) quotes.push('');
  return quotes;
}

function quotesFields(text: string, quote: string, delimiter: string): boolean {
  const divider = `[\\n\\r${delimiter.replace(/[\\^\]-]/gu, '\\$&')}]`;
  const opening = text.match(new RegExp(`(?:^|${divider}) ?${quote}`, 'gu'))?.length ?? 0;
  const closing = text.match(new RegExp(`${quote}(?=${divider}|$)`, 'gu'))?.length ?? 0;
  return opening > 1 && closing > 1 && Math.abs(opening - closing) <= 2 + opening / 5;
}

/** Doubled, by a backslash, or (`"'` in apostrophes) by the other quote; without quotes only by a backslash. */
function escapesIn(text: string, quote: string): string[] {
  if (quote === '') return /\\[,;\t|\\\r\n]/u.test(text) ? ['', '\\'] : [''];
  const escapes = [quote];
  if (text.includes(`\\${quote}`)) escapes.push('\\');
  // Where apostrophes quote, `""` may be one quote: never a single one stands in the text.
  if (quote === "'" && text.includes('""') && !/(?<!")"(?:"")*(?!["'])/u.test(text)) escapes.push('"');
  return escapes;
}

/** Is the delimiter always followed by a space, or by the end of the line? */
function spaceBehind(text: string, delimiter: string): boolean {
  let all = 0;
  let spaced = 0;
  for (let at = text.indexOf(delimiter); at >= 0; at = text.indexOf(delimiter, at + delimiter.length)) {
    const behind = text[at + delimiter.length];
    if (behind === undefined || behind === '\n' || behind === '\r') continue;
    all++;
    if (behind === ' ') spaced++;
  }
  return spaced > 1 && spaced >= all * 0.98;
}

const MOST_LONG_SIGNS = 200;

/** Delimiters of two to four characters: runs of signs that stand equally often on most lines. */
function longDelimiters(text: string): string[] {
  const lines = text
    .split(/\r\n|\n|\r/u)
    .filter((line) => line !== '')
    .slice(0, 100);
  const counts = new Map<string, number[]>();
  for (const [index, line] of lines.entries()) {
    for (const [run] of line.matchAll(/ [|;:,/~^-] |\t[|;]\t|[^\0\p{L}\p{N}\s"'.\\()[\]{}]{2,}/gu)) {
      const sign = rootOf(run);
      // Each sign once a line, and not endlessly many of them: what counts them looks at the whole line.
      if (sign.length < 2 || sign.length > 4 || sign === ',,' || counts.get(sign)?.[index]) continue;
      if (!counts.has(sign) && counts.size >= MOST_LONG_SIGNS) continue;
      const perLine = counts.get(sign) ?? Array.from<number>({ length: lines.length }).fill(0);
      perLine[index] = line.split(sign).length - 1;
      counts.set(sign, perLine);
    }
  }
  const steady = Array.from(counts, ([sign, perLine]) => {
    const most = modeOf(perLine.filter((count) => count > 0));
    return { sign, share: perLine.filter((count) => count === most).length / lines.length, most };
  }).filter(({ share, most }) => share > 0.6 && most > 0);
  return steady
    .sort((left, right) => right.share - left.share || right.most - left.most)
    .slice(0, 3)
    .map(({ sign }) => sign);
}

/** `||||` is `||` with nothing between. */
function rootOf(run: string): string {
  for (let width = 2; width <= run.length / 2; width++) {
    const root = run.slice(0, width);
    if (run.length % width === 0 && root.repeat(run.length / width) === run) return root;
  }
  return run;
}

function scoreOf(records: HeadRecord[], dialect: Dialect, known: Map<string, boolean>): number {
  if (records.length === 0) return 0;
  const width = widthOf(records);
  if (width === 0) return 0;
  let alike = 0;
  let cells = 0;
  let sensible = 0;
  let quoted = 0;
  let strays = 0;
  let rejected = 0;
  const kinds = Array.from({ length: Math.min(width, 200) }, () => new Map<string, number>());
  const oneShort = records[0]!.cells.length === width - 1;
  // Where every record ends with a delimiter too many, its header need not: that is no tear.
  const trailing = oneShort && endsEmpty(records, width);
  for (const record of records) {
    quoted += record.quoted;
    strays += record.strays;
    if (record.rejected) rejected++;
    const fits = !record.rejected && record.cells.length === width;
    if (fits || (trailing && record === records[0])) alike++;
    if (cells > SAMPLE_CELLS) continue;
    for (const [column, cell] of record.cells.entries()) {
      cells++;
      if (record.quoted > 0 || looksLikeSomething(cell, known)) sensible++;
      if (fits && column < kinds.length) {
        const kind = kindOf(cell);
        kinds[column]!.set(kind, (kinds[column]!.get(kind) ?? 0) + 1);
      }
    }
  }
  const filled = kinds.filter((column) => column.size > 1 || !column.has('')).length;
  const steady = kinds.reduce((sum, column) => sum + steadiness(column), 0) / kinds.length;
  const consistency = alike / records.length;
  // The delimiter that divides times, dates or prose leaves two columns of the same kind, and lines without it.
  if (width > 1 && isTimid(dialect) && !earns(kinds, consistency, quoted)) return 0;
  if (width > 1 && dialect.delimiter === ' ' && quoted === 0 && isNumbered(records, width)) return 0;
  if (isHalfOfTwo(records, width, dialect)) return 0;
  if (width > 1 && consistency < MAJORITY && quoted < 3 && !isBlock(records, width, alike)) return 0;
  const columns = width === 1 ? ONE_COLUMN : ((width - 1) / width) * Math.sqrt(filled / kinds.length);
  const quotes = quoted + strays === 0 ? 1 : 0.05 + 0.95 * ((quoted + 1) / (quoted + strays + 1));
  const readable = 1 - rejected / records.length;
  const short = width > 2 && isOfTables(dialect) && oneShort && !trailing ? ONE_NAME_SHORT : 1;
  return (
    short *
    consistency ** 1.5 *
    readable *
    columns *
    quotes *
    (sensible / Math.max(1, cells) + 1e-6) *
    (0.5 + steady / 2)
  );
}

/** The same words in every line and a number: a sentence, and no columns. */
function isNumbered(records: HeadRecord[], width: number): boolean {
  const rows = records.filter(({ cells }) => cells.length === width);
  let changing = 0;
  for (let column = 0; column < width; column++)
    if (rows.some(({ cells }) => cells[column] !== rows[0]!.cells[column])) changing++;
  return rows.length > 2 && changing < 2;
}

/** Every second column is nameless and empty: two of the sign divide. Commas and tabs leave such columns in exports. */
function isHalfOfTwo(records: HeadRecord[], width: number, { delimiter }: Dialect): boolean {
  if (width < 3 || width % 2 === 0 || delimiter.length !== 1 || SPACERS.has(delimiter)) return false;
  const rows = records.filter(({ cells }) => cells.length === width);
  return rows.every(({ cells }) => cells.every((cell, column) => column % 2 === 0 || cell === ''));
}

const SPACERS = new Set([',', ';', '\t', ' ']);

/** Do the records of that width stand together, as a table among notes does? */
function isBlock(records: HeadRecord[], width: number, all: number): boolean {
  let longest = 0;
  let run = 0;
  for (const { cells } of records) {
    run = cells.length === width ? run + 1 : 0;
    longest = Math.max(longest, run);
  }
  return longest >= 2 && longest >= all * 0.8;
}

/** Lines that are moments, links or addresses as they stand: what divides those divides nothing. */
function isListOfValues(text: string): boolean {
  const lines = text
    .split(/\r\n|\n|\r/u)
    .filter((line) => line.trim() !== '')
    .slice(0, 100);
  const values = lines.filter(
    (line) => !/[,;\t|]/u.test(line) && line.length < 200 && VALUES.has(typeOfText(line)),
  );
  return values.length > 1 && values.length >= (lines.length - 1) * 0.9;
}

/**
 * One name, and below it lines that are one value each although they divide: numbers with a decimal comma or marks of
 * thousands, or prose, which has a space behind whatever divides it. A title above a table has the names below it.
 */
function isNamedColumn([name, ...rest]: HeadRecord[], { delimiter, skipSpace }: Dialect): boolean {
  if (!name || name.cells.length !== 1 || rest.length < 2 || rest[0]!.line !== name.nextLine) return false;
  if (!/^\s*\p{L}[^.!?:]{0,60}$/u.test(name.cells[0]!) || delimiter.length > 2) return false;
  if ([name, ...rest].some(({ quoted, rejected }) => quoted > 0 || rejected)) return false;
  const divided = rest.filter(({ cells }) => cells.length > 1);
  const numbers = divided.filter(({ cells }) => NUMBERS.has(typeOfText(cells.join(delimiter))));
  if (delimiter === ',' && numbers.length >= divided.length * 0.9) return true;
  // A barcode divides its own parts by such a sign.
  const inside = delimiter !== '\t' && /^[\x01-\x1F]$/u.test(delimiter);
  const spaced = skipSpace === true || delimiter.startsWith(' ') || divided.every(hasSpaces);
  return (inside || spaced) && !isNames(rest[0]!, rest.slice(1));
}

const hasSpaces = ({ cells }: HeadRecord): boolean => cells.slice(1).every((cell) => /^\s/u.test(cell));

/** Words above columns of which one at least holds something else. */
function isNames({ cells }: HeadRecord, below: HeadRecord[]): boolean {
  if (cells.some((cell) => /\d/u.test(cell) || !/\p{L}/u.test(cell))) return false;
  const alike = below.filter((record) => record.cells.length === cells.length);
  if (alike.length < below.length * 0.8) return false;
  return cells.some((_, column) => {
    const typed = alike.filter((record) => !/^(?:word|text|)$/u.test(kindOf(record.cells[column]!)));
    return typed.length > alike.length / 2;
  });
}

const NUMBERS = new Set(['integer', 'decimal']);
const VALUES = new Set(['date', 'timestamp', 'time', 'url', 'email', 'phone']);

function typeOfText(text: string): string {
  if (/^\d{1,2}:\d{2}(?::\d{2}(?:\.\d+)?)?$/u.test(text)) return 'time';
  const tally = new TypeTally();
  tally.add(text);
  return tally.type;
}

function isOfTables({ delimiter }: Dialect): boolean {
  return [',', ';', '\t', '|'].includes(delimiter);
}

function isTimid({ delimiter, runs }: Dialect): boolean {
  return (
    delimiter === ' ' ||
    delimiter === ':' ||
    delimiter === '~' ||
    delimiter === '^' ||
    delimiter === '#' ||
    runs === true
  );
}

/** Columns of different kinds, or quotes where fields begin and end, that a mere sign of prose would not give. */
function earns(kinds: Map<string, number>[], consistency: number, quoted: number): boolean {
  if (quoted > 2) return true;
  const main = new Set(kinds.map((column) => mainKind(column)));
  return consistency >= 0.85 && (main.size > 1 || kinds.length > 3) && !(main.size === 1 && main.has('word'));
}

function mainKind(column: Map<string, number>): string {
  let main = '';
  for (const [kind, count] of column) if (kind !== '' && count >= (column.get(main) ?? 0)) main = kind;
  return main;
}

function steadiness(column: Map<string, number>): number {
  let all = 0;
  for (const count of column.values()) all += count;
  const main = (column.get(mainKind(column)) ?? 0) + (column.get('') ?? 0);
  return all === 0 ? 0 : Math.min(1, main / all);
}

function kindOf(cell: string): string {
  const plain = cell.trim();
  if (plain === '') return '';
  if (/^[+-]?(?:\d+|\d{1,3}(?:[.,]\d{3})*)(?:[.,]\d+)?%?$/u.test(plain)) return 'number';
  if (/^\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}/u.test(plain)) return 'date';
  if (/^\d{1,2}:\d{2}(?::\d{2})?/u.test(plain)) return 'time';
  return /^[\p{L}\p{M}]+$/u.test(plain) ? 'word' : 'text';
}

function looksLikeSomething(cell: string, known: Map<string, boolean>): boolean {
  const seen = known.get(cell);
  if (seen !== undefined) return seen;
  let is = cell.trim() === '' || /^[\p{L}\p{M}\p{N} _.\-/&'()%+#:@*?!$€£¥°]+$/u.test(cell);
  if (!is && cell.length < 200) {
    is = typeOfText(cell) !== 'text';
  }
  known.set(cell, is);
  return is;
}

/** A prefix of lines that have another shape than the table, and stand between lines that have its shape. */
function commentOf(text: string, records: HeadRecord[]): string | null {
  const width = widthOf(records);
  if (width < 2) return null;
  for (const prefix of COMMENTS) {
    if (!text.includes(`\n${prefix}`) && !text.startsWith(prefix)) continue;
    const remarks = records.filter(({ cells }) => cells[0]?.startsWith(prefix));
    if (remarks.length === 0 || remarks.length > records.length / 2) continue;
    const shaped = remarks.filter(({ cells }) => cells.length === width).length;
    if (shaped <= remarks.length / 10) return prefix;
  }
  return null;
}

/** The last column of that many holds nothing. */
export function endsEmpty(records: HeadRecord[], width: number): boolean {
  return records.every(({ cells }) => cells.length !== width || cells[width - 1] === '');
}

/** The width that most records of a table have. Lines above and below it are often one value each, and count for less. */
export function widthOf(records: HeadRecord[]): number {
  const counts = new Map<number, number>();
  for (const { cells, rejected } of records)
    if (!rejected) counts.set(cells.length, (counts.get(cells.length) ?? 0) + 1);
  let width = 1;
  let best = 0;
  // Ties go to what stands first: of a header and one record, the record is the one that is too short or too long.
  for (const [cells, count] of counts) {
    const weight = cells === 1 ? count * LONE_VALUE : count;
    if (weight > best) [width, best] = [cells, weight];
  }
  return firstBlock(records, width) ?? width;
}

/** The width of a table that stands above the largest one: many records alike before its first are no notes. */
function firstBlock(records: HeadRecord[], largest: number): number | null {
  let run = 0;
  let before = 0;
  for (const { cells, rejected } of records) {
    if (rejected) continue;
    if (cells.length === largest) return null;
    run = cells.length === before ? run + 1 : 1;
    before = cells.length;
    if (run >= BLOCK && before > 1) return before;
  }
  return null;
}

function modeOf(values: number[]): number {
  const counts = new Map<number, number>();
  let mode = 0;
  for (const value of values) {
    const count = (counts.get(value) ?? 0) + 1;
    counts.set(value, count);
    if (count > (counts.get(mode) ?? 0) || (count === counts.get(mode) && value > mode && mode <= 1))
      mode = value;
  }
  return mode;
}
