import { dateOrders, parseTimestamp } from '../dates.ts';
import { normaliseNumber } from '../numbers.ts';
import type { ColumnType, FieldSpec, FieldType, ManifestColumn } from '../types.ts';
import { isEmail, isPhone, parseBoolean } from '../words.ts';

/** What the cells of a column look like, as far as the sample shows. */
export interface ColumnContent {
  /** Cells of the sample that are not empty, trimmed. */
  cells: string[];
  /** Shares of them that look like codes (`A-1001`, `4711`), and like words that a person reads. */
  codes: number;
  prose: number;
}

const CODE = /^[\p{L}\p{N}][\p{L}\p{N}._\-/#]{1,39}$/u;
/** Fewer cells prove nothing. */
const FEW = 3;

export function contentOf(sample: string[][], column: number): ColumnContent {
  const cells = sample.map((row) => (row[column] ?? '').trim()).filter((cell) => cell !== '');
  const share = (test: (cell: string) => boolean) =>
    cells.length < FEW ? 0 : cells.filter(test).length / cells.length;
  // Row numbers are no codes.
  const counted =
    cells.length >= FEW && cells.every((cell, index) => Number(cell) === Number(cells[0]) + index);
  const isCode = (cell: string) => CODE.test(cell) && /\d/u.test(cell) && !/^\d+[.,]\d+$/u.test(cell);
  return {
    cells,
    codes: counted ? 0 : share(isCode),
    prose: share((cell) => !isCode(cell) && /\p{L}{2}/u.test(cell)),
  };
}

/** Types of column that can feed a type of field; text may hold anything. */
const FEEDS: Record<FieldType, ColumnType[]> = {
  text: ['text', 'integer', 'decimal', 'boolean', 'date', 'timestamp', 'email', 'url', 'phone'],
  integer: ['integer', 'decimal'],
  decimal: ['decimal', 'integer'],
  boolean: ['boolean', 'integer'],
  date: ['date', 'timestamp', 'integer'],
  timestamp: ['timestamp', 'date'],
  email: ['email'],
  phone: ['phone', 'integer'],
};

const READS: Record<FieldType, (cell: string) => boolean> = {
  text: () => true,
  integer: isNumber,
  decimal: isNumber,
  boolean: (cell) => parseBoolean(cell) !== null,
  date: isDate,
  timestamp: isDate,
  email: isEmail,
  phone: isPhone,
};

function isNumber(cell: string): boolean {
  return normaliseNumber(cell, '.') !== null || normaliseNumber(cell, ',') !== null;
}

function isDate(cell: string): boolean {
  const orders = ['YMD', 'DMY', 'MDY'] as const;
  return dateOrders(cell).length > 0 || orders.some((order) => parseTimestamp(cell, order) !== null);
}

/** Can the column's cells be values of the field? True where there are none to go by. */
export function feeds(field: FieldSpec, column: ManifestColumn, { cells }: ColumnContent): boolean {
  if (cells.length === 0 || FEEDS[field.type].includes(column.type)) return true;
  return column.type === 'text' && cells.filter(READS[field.type]).length >= cells.length / 2;
}

/** Of text fields: whether their values are codes or words, as far as their names tell. */
export type TextKind = 'code' | 'prose' | null;

/** What the cells say for (true) or against (false) a text field of this kind, null where they say nothing. */
export function agrees(kind: TextKind, { codes, prose }: ColumnContent): boolean | null {
  if (kind === null) return null;
  const [own, other] = kind === 'code' ? [codes, prose] : [prose, codes];
  return own >= 0.9 ? true : other >= 0.8 ? false : null;
}
