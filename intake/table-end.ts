import { typeOf } from './header.ts';
import type { HeadRecord } from './dialect.ts';

/** So many records at the end of a file are looked at for totals and notes. */
export const FOOTER_RECORDS = 20;
const TOTAL =
  /^\W*(?:(?:grand|sub|running)?[ -]?totals?|sum|summe|gesamt(?:summe)?|insgesamt|zwischensumme|jumlah(?: total)?|averages?|avg\.?|mean|subtotal|count|合計|小計|総計|総合計|計|平均)(?![\p{L}\p{N}])/iu;
const NOTE =
  /^\s*(?:[*†‡※(（]|notes?\b|sources?\b|remarks?\b|source:|printed|generated|exported|created|report|catatan|sumber|quelle|hinweis|stand:|注|備考|出典|資料|end of|eof\b|\d+ (?:rows?|records?|lines?|entries|件)\b)/iu;
/** Records behind a suspicious one that are looked at before it is believed to begin another table. */
export const DOUBTED_RECORDS = 8;

/**
 * Index of the first of the last records that are totals or notes below the table, and not part of it; the number of
 * records if there are none. `body` are records of the table itself.
 */
export function findFooter(records: HeadRecord[], width: number, body: HeadRecord[]): number {
  if (width < 2) return records.length;
  const filled = filledColumns(body, width);
  let footer = records.length;
  let blank = 0;
  for (let at = records.length - 1; at >= Math.max(0, records.length - FOOTER_RECORDS); at--) {
    const record = records[at]!;
    if (isBlank(record)) blank++;
    else if (isFooter(record, records[at - 1], width, filled)) {
      footer = at;
      blank = 0;
    } else break;
  }
  // Records without a single value belong to what stands below them, not to an end of their own.
  return footer === records.length ? footer : footer - blank;
}

function isBlank({ cells, rejected }: HeadRecord): boolean {
  return !rejected && cells.every((cell) => cell.trim() === '');
}

function isFooter(
  record: HeadRecord,
  before: HeadRecord | undefined,
  width: number,
  filled: boolean[],
): boolean {
  if (record.rejected) return false;
  const cells = record.cells.map((cell) => cell.trim());
  const values = cells.filter((cell) => cell !== '');
  const gap = before !== undefined && record.line > before.nextLine;
  const first = values[0]!;
  if (TOTAL.test(first) && first.length < 40) {
    return cells.length !== width || cells.some((cell, column) => cell === '' && filled[column]!);
  }
  if (values.length > 1 && !(cells.length !== width && NOTE.test(first))) return false;
  if (cells.length === width && filled.filter(Boolean).length < 3) return false;
  if (cells.length === width && cells[0] === '') return false;
  const words = first.split(/\s+/u).length;
  return (gap && words > 1) || NOTE.test(first) || (words >= 4 && typeOf([first]) === 'text');
}

/** Columns that most records of the table fill. */
function filledColumns(body: HeadRecord[], width: number): boolean[] {
  const whole = body.filter(({ cells }) => cells.length === width);
  return Array.from(
    { length: width },
    (_, column) =>
      whole.length > 0 &&
      whole.filter(({ cells }) => cells[column]!.trim() !== '').length >= whole.length * 0.6,
  );
}

/** Does the record name columns once more, the same ones or most of them? */
export function repeatsHeader(cells: string[], names: string[]): boolean {
  const known = new Set(names.map(normal).filter((name) => name !== ''));
  if (known.size < 2) return false;
  const given = cells.map(normal).filter((name) => name !== '');
  const matching = given.filter((name) => known.has(name)).length;
  return matching >= 2 && matching >= Math.min(known.size, given.length) * 0.6;
}

/** Words only, all different, most columns filled: what could be column names. */
export function couldBeHeader(cells: string[]): boolean {
  const values = cells.map((cell) => cell.trim()).filter((cell) => cell !== '');
  if (values.length < 2 || values.length < cells.length * 0.6 || new Set(values).size < values.length)
    return false;
  return values.every((value) => value.length <= 60 && /\p{L}/u.test(value) && typeOf([value]) === 'text');
}

/** Cells that are no value of their column, by the types of the columns that have one. */
export function misfits(cells: string[], types: string[]): boolean {
  let typed = 0;
  let wrong = 0;
  for (const [column, type] of types.entries()) {
    const cell = cells[column]?.trim() ?? '';
    if (type === 'text' || cell === '') continue;
    typed++;
    const own = typeOf([cell]);
    if (
      own !== type &&
      !(type === 'decimal' && own === 'integer') &&
      !(type === 'timestamp' && own === 'date')
    )
      wrong++;
  }
  return typed > 0 && wrong > typed / 2;
}

/** Index of the first record that belongs to another table, or -1. `records` are those below the header. */
export function findSecondTable(
  records: HeadRecord[],
  names: string[] | null,
  width: number,
  types: string[],
): number {
  for (let at = 1; at < records.length; at++) {
    const record = records[at]!;
    if (record.rejected) continue;
    const gap = record.line > records[at - 1]!.nextLine || isLone(records[at - 1]!, width);
    const ragged = record.cells.length !== width;
    const begins =
      (names !== null && repeatsHeader(record.cells, names)) ||
      (couldBeHeader(record.cells) &&
        (gap || ragged) &&
        record.cells.length > 1 &&
        differs(records.slice(at + 1, at + 1 + DOUBTED_RECORDS), record.cells.length, width, types) &&
        (ragged || misfits(record.cells, types)));
    if (begins) return withTitle(records, at, width);
  }
  return -1;
}

/** Records that have the other table's width, or values of other types than this one's columns. */
export function differs(records: HeadRecord[], other: number, width: number, types: string[]): boolean {
  if (records.length < 2) return false;
  const strange = records.filter(
    ({ cells }) =>
      (other !== width && cells.length === other) || (cells.length === width && misfits(cells, types)),
  );
  return strange.length >= records.length * 0.8;
}

/** A line with the table's title, above its header. */
function withTitle(records: HeadRecord[], at: number, width: number): number {
  return at > 1 && isLone(records[at - 1]!, width) ? at - 1 : at;
}

/** One value on a line of its own, in a table of several columns. */
export function isLone({ cells, rejected }: HeadRecord, width: number): boolean {
  return !rejected && width > 1 && cells.length === 1 && cells[0]!.trim() !== '';
}

function normal(name: string): string {
  return name.normalize('NFKC').trim().toLowerCase();
}
