import { DIGIT, KINDS, LETTER } from './cell-bytes.ts';
import { TypeTally } from './cell-types.ts';
import { endsEmpty, widthOf, type HeadRecord } from './dialect.ts';
import { normaliseNumber } from './numbers.ts';
import type { ManifestColumn } from './types.ts';

const MAX_NAME = 120;
const MAX_HEADER_LINES = 3;
const MAX_SHAPES = 4;
const SHAPE_CHARACTERS = 40;
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
  /** The column names, joined where they stand on several lines; null where there is no header. */
  names: string[] | null;
  /** Index of the first record of data. */
  data: number;
  /** Number of columns a record has. */
  width: number;
  /** The first column has no name: the others' names stand one column to the left of their cells, as R writes tables. */
  shifted?: true;
  /** The names stand on several lines. */
  joined?: boolean;
  /** Nothing but a guess: every column is text, and nothing tells row 1 from the rest. */
  doubtful: boolean;
}

/** Where the table begins among the head's records, and whether its first row names the columns. */
export function findHeader(
  records: HeadRecord[],
  headerRow: number | undefined,
  delimiter = '',
): HeaderFound {
  if (headerRow !== undefined && headerRow > 0) {
    const header = records.findIndex((record) => record.line >= headerRow);
    const named = records[header]?.cells.length ?? 1;
    const body = records.slice(header + 1);
    const width = widthOf(body);
    // More cells than names: harmless where they are all empty, else nobody knows which of them has no name.
    const trailing = width === named + 1 && endsEmpty(body, width);
    const names = records[header]?.cells ?? null;
    return { header, names, data: header + 1, width: trailing ? width : named, doubtful: false };
  }
  const width = widthOf(records);
  if (headerRow === 0) return { header: -1, names: null, data: 0, width, doubtful: false };
  let first = Math.max(0, firstOfTable(records, width));
  const above = records[first - 1];
  const body = records.slice(first, first + BODY_RECORDS);
  const torn = delimiter === ',' && tearsNumbers(body, width);
  if (above && !torn && namesAllButFirst(above, records[first]!, body, width)) {
    return {
      header: first - 1,
      names: ['', ...above.cells],
      data: first,
      width,
      shifted: true,
      doubtful: false,
    };
  }
  const ruled = records[first + 1] !== undefined && isRuler(records[first + 1]!.cells);
  const behind = first + (ruled ? 2 : 1);
  const votes = headerVotes(records[first], records.slice(behind, behind + BODY_RECORDS), width);
  // Without a header nothing is passed over: what looks like a note above the table may be a record.
  if (votes <= 0) return { header: -1, names: null, data: 0, width, doubtful: votes >= -1 };
  let lines = headerLines(records, first, width);
  if (lines < MAX_HEADER_LINES && standsOver(records[first - 1], records[first]!, width)) {
    first--;
    lines++;
  }
  const top = records[first]!.cells;
  // Names that stand there twice are no names of two parts.
  const named = records
    .slice(first, first + lines)
    .filter(
      ({ cells }, at) => !isRuler(cells) && (at === 0 || cells.some((cell, column) => cell !== top[column])),
    );
  const names = joinNames(named.map(({ cells }) => cells));
  return {
    header: first,
    names,
    data: first + lines,
    width,
    joined: named.length > 1,
    // A name alone above several columns may be that of the only one.
    doubtful:
      named.length > 1 ? !provenJoined(named) : votes <= 1 || (first === 1 && isLoneName(records[0]!)),
  };
}

const isLoneName = ({ cells, quoted }: HeadRecord): boolean =>
  cells.length === 1 && quoted === 0 && /^\p{L}[\p{L}\p{N}_-]*$/u.test(cells[0]!.trim());

/** A line drawn below the names, as Markdown and databases' own tools do: `|-----|:----:|`. */
const isRuler = (cells: string[]): boolean =>
  cells.some((cell) => /^\s*:?(?:-{2,}|={2,}|_{2,}):?\s*$/u.test(cell)) &&
  cells.every((cell) => /^\s*(?::?[-=_]+:?)?\s*$/u.test(cell));

/**
 * How many lines the names take. Below the first one a line is names only where that one leaves some out or repeats them,
 * as names of groups do, or where it is the columns' units: any other line of words may be a record.
 */
function headerLines(records: HeadRecord[], first: number, width: number): number {
  let lines = 1;
  for (; lines < MAX_HEADER_LINES; lines++) {
    const line = records[first + lines];
    const body = records.slice(first + lines + 1, first + lines + 1 + BODY_RECORDS);
    if (line && lines === 1 && isRuler(line.cells)) continue;
    if (!line || body.length < 2 || line.rejected || line.cells.length !== width) break;
    const above = records[first + lines - 1]!.cells;
    const again = line.cells.every((cell, column) => cell === records[first]!.cells[column]);
    if (isRuler(above)) break;
    if (!again && !((isUnits(line.cells) || isGroups(above)) && contradicts(line.cells, body, width))) break;
  }
  return lines;
}

/** Some of them stand over more than one column: blanks on their right, or the same again. */
function isGroups(cells: string[]): boolean {
  const plain = cells.map((cell) => cell.trim());
  return plain.includes('', 1) || new Set(plain).size < plain.length;
}

/** Units, and beside them perhaps words that are names. */
const isUnits = (cells: string[]): boolean =>
  cells.some((cell) => cell.trim() !== '' && UNIT.test(cell.trim())) &&
  cells.every((cell) => UNIT.test(cell.trim()) || hasKnownWord(cell));

const UNIT =
  /^(?:|[([].{1,12}[)\]]|%|‰|°[CF]?|[mcµk]?(?:g|m|l|s)|mm|km|ml|pcs|pc|st(?:k|ck)?|ea|kw|kwh|m[²³23]|m\/s|km\/h|usd|eur|jpy|idr|gbp|rp|€|\$|¥|£|円|個|本|枚)\.?$/iu;

/** As R writes tables: the first column holds the names of the rows, and has none itself. */
function namesAllButFirst(above: HeadRecord, first: HeadRecord, body: HeadRecord[], width: number): boolean {
  if (above.rejected || above.cells.length !== width - 1 || width < 3 || above.nextLine !== first.line)
    return false;
  if (endsEmpty(body, width) || above.cells.some((cell) => !/\p{L}/u.test(cell))) return false;
  return headerVotes({ ...above, cells: ['', ...above.cells] }, body, width) > 2;
}

/**
 * `1,200` or `12,50` without quotes in every row: there are more cells than names because numbers were torn apart, and
 * not because the first column has no name.
 */
function tearsNumbers(body: HeadRecord[], width: number): boolean {
  const rows = body.filter(({ cells, rejected }) => !rejected && cells.length === width);
  for (let column = 1; column + 1 < width; column++) {
    const tails = new Set(rows.map(({ cells }) => /^\d{2,3}$/u.exec(cells[column + 1]!)?.[0].length ?? 0));
    const [digits] = tails;
    if (tails.size === 1 && digits && rows.every(({ cells }) => beginsNumber(cells[column]!, digits)))
      return true;
  }
  return false;
}

/** May a comma and so many digits follow? Two are decimals; three are thousands behind one to three digits. */
function beginsNumber(cell: string, behind: number): boolean {
  const digits = cell.replace(/\D/gu, '');
  if (!/\d$/u.test(cell) || /^0\d/u.test(digits) || (behind === 3 && digits.length > 3)) return false;
  return normaliseNumber(cell, '.') !== null;
}

/** A line of names for groups of columns, right above the names. */
function standsOver(line: HeadRecord | undefined, names: HeadRecord, width: number): boolean {
  if (!line || line.rejected || line.cells.length !== width || line.nextLine !== names.line) return false;
  const groups = line.cells.map((cell) => cell.trim()).filter((cell) => cell !== '');
  return groups.length > 1 && groups.every((group) => /\p{L}/u.test(group) && typeOf([group]) === 'text');
}

/** Words in every column that holds numbers or dates below, and there are such columns. */
function contradicts(cells: string[], body: HeadRecord[], width: number): boolean {
  let typed = 0;
  let alike = false;
  for (let column = 0; column < width; column++) {
    const below = body.map((record) => record.cells[column] ?? '').filter((cell) => cell.trim() !== '');
    const cell = cells[column]!.trim();
    if (below.some((other) => other.trim() === cell && cell !== '')) return false;
    const type = below.length === 0 ? 'text' : typeOf(below);
    if (type === 'text') {
      const shapes = new Set(below.map(shapeOf));
      if (shapes.size === 1 && shapes.has(shapeOf(cell))) alike = true;
      continue;
    }
    if (cell === '' || NOTHING.test(cell) || /\d/u.test(cell) || typeOf([cell]) === type) return false;
    typed++;
  }
  return typed > 1 || (typed === 1 && !alike);
}

/** Words for an empty cell, which say nothing of the row. */
const NOTHING = /^(?:n\/?a|null|nil|none|nan|-+|\?|tbd|unknown|missing)$/iu;

/** The lines below the first one are names or units without doubt, and no record. */
const provenJoined = (named: HeadRecord[]): boolean =>
  named
    .slice(1)
    .every(
      ({ cells }) => isUnits(cells) || cells.filter((cell) => hasKnownWord(cell)).length > cells.length / 3,
    );

/** Names below one another, joined; a name with blanks on its right stands over all of them. */
function joinNames(lines: string[][]): string[] {
  if (lines.length === 1) return lines[0]!;
  const spread = lines.map((cells, index) => {
    if (index === lines.length - 1) return cells;
    let group = '';
    return cells.map((cell) => (group = cell.trim() === '' ? group : cell));
  });
  return lines[0]!.map((_, column) =>
    spread
      .map((cells) => (cells[column] ?? '').trim())
      .filter((cell) => cell !== '')
      .join(' '),
  );
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
  shapes: ShapeTally[],
): ManifestColumn[] {
  return names.map((column, index) => {
    const { type, mostly, format } = tallies[index]!;
    return {
      ...column,
      type,
      ...(mostly ? { mostly } : {}),
      ...(format ? { format } : {}),
      shapes: shapes[index]!.shapes,
    };
  });
}

/** Gathers how the cells of a column are built. */
export class ShapeTally {
  private readonly seen = new Set<string>();
  private cells = 0;
  private any = false;

  add(text: string): void {
    if (text !== '') this.cells++;
    if (text !== '' && this.any) return;
    this.seen.add(text.length > SHAPE_CHARACTERS ? ANY_SHAPE : shapeOf(text));
    // Empty is no shape among the few.
    if (this.seen.size > MAX_SHAPES + 1 || this.seen.has(ANY_SHAPE)) this.any = true;
  }

  /** `*` where the cells are built in more ways than a few, or too few were seen. */
  get shapes(): string[] {
    const empty = this.seen.has('') ? [''] : [];
    if (this.any || (this.cells > 0 && this.cells < this.seen.size * 3)) return [ANY_SHAPE, ...empty];
    return [...this.seen];
  }
}

export const ANY_SHAPE = '*';

/** The first record as wide as the table and filled like one: notes above it have fewer cells, or empty ones. */
function firstOfTable(records: HeadRecord[], width: number): number {
  // Where every record ends with a delimiter too many, its header need not.
  const least = endsEmpty(records, width) ? width - 1 : width;
  const at = records.findIndex(
    ({ cells, rejected }, at) =>
      !rejected &&
      cells.length >= least &&
      cells.length <= width &&
      (width < 3
        ? !isNote(cells, records[at + 1])
        : cells.filter((cell) => cell.trim() !== '').length > width / 2),
  );
  if (at >= 0) return at;
  return records.findIndex(({ rejected }) => !rejected);
}

/** In a table of two columns: no value, or one with nothing in the record below it. */
function isNote(cells: string[], below: HeadRecord | undefined): boolean {
  const values = cells.filter((cell) => cell.trim() !== '').length;
  const blankBelow = below !== undefined && below.cells.every((cell) => cell.trim() === '');
  return values === 0 || (values < cells.length && blankBelow);
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
    const cells = body.map((record) => record.cells[column] ?? '').filter((cell) => cell.trim() !== '');
    const type = cells.length === 0 ? null : typeOf(cells);
    if (hasKnownWord(name)) votes += 2;
    // Amounts of a month below its name: a date is none of them.
    if (own === 'date' && (type === 'integer' || type === 'decimal')) {
      votes += 1;
      continue;
    }
    if (own === 'integer' || own === 'decimal' || own === 'date' || own === 'email' || own === 'url') {
      votes -= own === 'integer' && /^(?:19|20)\d\d$/u.test(name) ? 0.5 : 3;
      continue;
    }
    if (type === null) continue;
    if (type !== 'text' && type !== own) votes += 2;
    else if (cells.some((cell) => cell.trim() === name)) votes -= 1;
    else votes += shapeVote(name, cells);
    if (name.length > 60) votes -= 1;
  }
  if (new Set(names).size === names.length && !names.some((name) => /\d/u.test(name))) votes += 0.75;
  return votes;
}

function hasKnownWord(name: string): boolean {
  const words = name
    .normalize('NFKC')
    .toLowerCase()
    .split(/[\s_\-./()]+/u);
  return words.some((word) => WORDS.has(word));
}

/** Cells that are all built alike (`SKU-00012`) tell whether the first one is one of them. */
function shapeVote(name: string, cells: string[]): number {
  const shapes = new Set(cells.map(shapeOf));
  if (shapes.size > 1 || !/\d/u.test(cells[0]!)) return 0;
  return shapes.has(shapeOf(name)) ? -2 : 1.5;
}

/** `BH-9827` is built like `a-9`. */
export function shapeOf(text: string): string {
  return asciiShape(text) ?? otherShape(text);
}

/** The same in one go; null where a character is not ASCII. */
function asciiShape(text: string): string | null {
  let shape = '';
  let last = -1;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code >= 128) return null;
    const kind = KINDS[code]!;
    if (kind !== last || (kind !== LETTER && kind !== DIGIT))
      shape += kind === LETTER ? 'a' : kind === DIGIT ? '9' : text[i]!;
    last = kind;
  }
  return shape.trim();
}

function otherShape(text: string): string {
  return text
    .trim()
    .replace(/\p{L}+/gu, 'a')
    .replace(/\d+/gu, '9');
}

export function typeOf(cells: string[]): string {
  const tally = new TypeTally();
  for (const cell of cells) tally.add(cell);
  return tally.type;
}
