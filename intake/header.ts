import { TypeTally } from './cell-types.ts';
import type { HeadRecord } from './dialect.ts';
import type { ManifestColumn } from './types.ts';

const MAX_NAME = 120;
const BODY_RECORDS = 200;
const WORDS = new Set(
  (
    'id no nr sku name code description price cost amount total quantity qty count date time status type active email mail phone tel ' +
    'address city country company customer contact item product category unit currency serial number value title url note notes ' +
    'kode nama harga jumlah stok tanggal keterangan alamat perusahaan barang produk telepon satuan ' +
    'artikel artikelnummer menge preis bezeichnung beschreibung firma datum ' +
    '商品コード 商品名 品番 品名 価格 単価 数量 在庫 在庫数 日付 名称 会社 会社名 電話番号 住所 備考 メール メールアドレス 担当者 状態'
  ).split(' '),
);

export interface HeaderFound {
  /** Index into the head's records; -1 where there is no header. */
  header: number;
  /** Index of the first record of data. */
  data: number;
  /** Number of columns a record has. */
  width: number;
  /** Nothing but a guess: every column is text, and nothing tells row 1 from the rest. */
  doubtful: boolean;
}

/** Where the table begins among the head's records, and whether its first row names the columns. */
export function findHeader(records: HeadRecord[], headerRow: number | undefined): HeaderFound {
  if (headerRow !== undefined && headerRow > 0) {
    const header = records.findIndex((record) => record.line >= headerRow);
    const named = records[header]?.cells.length ?? 1;
    const body = records.slice(header + 1);
    const width = commonWidth(body);
    // More cells than names: harmless where they are all empty, else nobody knows which of them has no name.
    const trailing = width === named + 1 && endsEmpty(body, width);
    return { header, data: header + 1, width: trailing ? width : named, doubtful: false };
  }
  const width = commonWidth(records);
  if (headerRow === 0) return { header: -1, data: 0, width, doubtful: false };
  const first = Math.max(0, firstOfTable(records, width));
  const votes = headerVotes(records[first], records.slice(first + 1, first + 1 + BODY_RECORDS), width);
  // Without a header nothing is passed over: what looks like a note above the table may be a record.
  if (votes <= 0) return { header: -1, data: 0, width, doubtful: votes >= -1 };
  return { header: first, data: first + 1, width, doubtful: votes <= 1 };
}

/** Names that are unique within the file, the originals kept. */
export function nameColumns(header: string[] | null, width: number): { name: string; original: string }[] {
  const taken = new Set<string>();
  return Array.from({ length: width }, (_, index) => {
    const original = header?.[index] ?? '';
    const plain = original.replace(/\s+/gu, ' ').trim();
    const short = plain.length > MAX_NAME ? `${plain.slice(0, MAX_NAME - 1)}…` : plain;
    const base = short || `column_${index + 1}`;
    let name = base;
    for (let copy = 2; taken.has(name); copy++) name = `${base}_${copy}`;
    taken.add(name);
    return { name, original };
  });
}

export function typeColumns(
  names: { name: string; original: string }[],
  tallies: TypeTally[],
): ManifestColumn[] {
  return names.map((column, index) => {
    const { type, format } = tallies[index]!;
    return format ? { ...column, type, format } : { ...column, type };
  });
}

function commonWidth(records: HeadRecord[]): number {
  const counts = new Map<number, number>();
  for (const { cells, rejected } of records)
    if (!rejected) counts.set(cells.length, (counts.get(cells.length) ?? 0) + 1);
  let width = 1;
  let best = 0;
  // Ties go to what stands first: of a header and one record, the record is the one that is too short or too long.
  for (const [cells, count] of counts) {
    if (count > best || (count === best && width === 1)) {
      width = cells;
      best = count;
    }
  }
  return width;
}

/** The first record as wide as the table and filled like one: notes above it have fewer cells, or empty ones. */
function firstOfTable(records: HeadRecord[], width: number): number {
  // Where every record ends with a delimiter too many, its header need not.
  const least = endsEmpty(records, width) ? width - 1 : width;
  const at = records.findIndex(
    ({ cells, rejected }) =>
      !rejected &&
      cells.length >= least &&
      cells.length <= width &&
      (width < 3 || cells.filter((cell) => cell.trim() !== '').length > width / 2),
  );
  if (at >= 0) return at;
  return records.findIndex(({ rejected }) => !rejected);
}

function endsEmpty(records: HeadRecord[], width: number): boolean {
  return records.every(({ cells }) => cells.length !== width || cells[width - 1] === '');
}

function headerVotes(first: HeadRecord | undefined, body: HeadRecord[], width: number): number {
  if (!first || first.rejected) return -1;
  let votes = 0;
  const names = first.cells.map((cell) => cell.trim());
  for (let column = 0; column < width; column++) {
    const name = names[column] ?? '';
    if (name === '') {
      votes -= 0.5;
      continue;
    }
    const own = typeOf([name]);
    const words = name
      .normalize('NFKC')
      .toLowerCase()
      .split(/[\s_\-./()]+/u);
    if (words.some((word) => WORDS.has(word))) votes += 2;
    if (own === 'integer' || own === 'decimal' || own === 'date' || own === 'email' || own === 'url') {
      votes -= own === 'integer' && /^(?:19|20)\d\d$/u.test(name) ? 0.5 : 3;
      continue;
    }
    const cells = body.map((record) => record.cells[column] ?? '').filter((cell) => cell.trim() !== '');
    if (cells.length === 0) continue;
    const type = typeOf(cells);
    if (type !== 'text' && type !== own) votes += 2;
    else if (cells.some((cell) => cell.trim() === name)) votes -= 1;
    else votes += shapeVote(name, cells);
    if (name.length > 60) votes -= 1;
  }
  if (new Set(names).size === names.length && !names.some((name) => /\d/u.test(name))) votes += 0.75;
  return votes;
}

/** Cells that are all built alike (`SKU-00012`) tell whether the first one is one of them. */
function shapeVote(name: string, cells: string[]): number {
  const shapes = new Set(cells.map(shapeOf));
  if (shapes.size > 1 || !/\d/u.test(cells[0]!)) return 0;
  return shapes.has(shapeOf(name)) ? -2 : 1.5;
}

function shapeOf(text: string): string {
  return text
    .trim()
    .replace(/\p{L}+/gu, 'a')
    .replace(/\d+/gu, '9');
}

function typeOf(cells: string[]): string {
  const tally = new TypeTally();
  for (const cell of cells) tally.add(cell);
  return tally.type;
}
