import { cut } from './check-cell.ts';
import { csvText } from './csv-line.ts';
import { proposeRepair } from './repair.ts';
import {
  fieldText,
  MARK,
  OK,
  REJECT_CODES,
  TOO_LARGE,
  UNCLOSED,
  visibleText,
  type RecordScanner,
} from './scan.ts';
import type { Dialect, Issue, ManifestColumn } from './types.ts';

/** So much of a blocked record is kept. */
export const RAW_BYTES = 64 * 1024;

/** Why the reader rejected the record, in a sentence. */
export function rejectionMessage(scanner: RecordScanner, columns: number): string {
  const marked = markOf(scanner);
  if (marked) return marked.message;
  const { line, fields } = scanner;
  switch (REJECT_CODES[scanner.status]) {
    case 'too_few_columns':
      return `This row has ${fields} ${fields === 1 ? 'column' : 'columns'}, the file has ${columns}.`;
    case 'too_many_columns':
      return `This row has ${fields} columns, the file has ${columns}. A delimiter inside a value needs quotes around it.`;
    case 'unclosed_quote':
      return `A value that opens with a quote on line ${scanner.openLine} does not end with one: no quote closes it, or only one that belongs to a later row. Close it, or double the quote where it is meant as a character.`;
    case 'record_too_large':
      return `The row that begins on line ${line} is larger than a row may be (${scanner.length} bytes).`;
    case 'stray_quote':
      return 'Quotes in this row can be read in two ways: as characters, or around a value that holds a delimiter. Quote the value, and double the quotes in it.';
    case 'second_table':
      return 'This row belongs to another table further down in the file. Import that table as a file of its own.';
    case 'nul_byte':
      return 'This row holds a NUL byte, which no text may hold. The file may be damaged.';
    default:
      return 'This row holds bytes that are no text in the encoding of the file.';
  }
}

/** Of a record that was rejected when its canonical copy was made: why, and what it was. */
export function markOf(scanner: RecordScanner): { message: string; raw: Buffer } | null {
  const { window, start, end, status } = scanner;
  if (status === OK || end <= start || window[start] !== MARK) return null;
  const found = /^,"((?:[^"]|"")*)","([^]*)"$/u.exec(window.toString('latin1', start + 2, end));
  if (!found) return null;
  const [message, raw] = [found[1]!, found[2]!].map((text) =>
    Buffer.from(text.replaceAll('""', '"'), 'latin1'),
  ) as [Buffer, Buffer];
  return { message: message.toString(), raw };
}

/** What a rejected record should have been, where that is certain (`proposeRepair`). */
export function suggestedCells(
  scanner: RecordScanner,
  columns: ManifestColumn[],
  dialect: Dialect,
): string[] | null {
  const code = REJECT_CODES[scanner.status]!;
  const oneLine = scanner.nextLine - scanner.line === 1;
  if (dialect.rows || !oneLine || !REPAIRABLE.has(code)) return null;
  const bytes = scanner.window.subarray(scanner.start, scanner.end);
  return bytes.includes(0) ? null : proposeRepair(bytes.toString('utf8'), scanner.fields, dialect, columns);
}

const REPAIRABLE = new Set(['too_few_columns', 'too_many_columns', 'stray_quote', 'unclosed_quote']);

/** The issue of a record that the reader rejected; `propose`: with the repair that is certain, if there is one. */
export function rejection(
  scanner: RecordScanner,
  columns: ManifestColumn[],
  dialect: Dialect,
  propose: boolean,
): Issue {
  const cells = propose ? suggestedCells(scanner, columns, dialect) : null;
  return {
    line: scanner.line,
    column: null,
    field: null,
    code: REJECT_CODES[scanner.status]!,
    severity: 'error',
    value: null,
    message: rejectionMessage(scanner, columns.length),
    ...(cells ? { suggestion: csvText(cells) } : {}),
  };
}

/** A record's cells as far as they can be told apart, with what is no text made visible. */
export function rawCells(scanner: RecordScanner, dialect: Dialect): string[] {
  const marked = markOf(scanner);
  if (marked) return [visibleText(marked.raw)];
  if (scanner.status === TOO_LARGE) return [visibleText(scanner.head ?? Buffer.alloc(0))];
  if (scanner.status === UNCLOSED) return [visibleText(scanner.window.subarray(scanner.start, scanner.end))];
  const known = Math.min(scanner.fields, scanner.bounds.length / 3);
  const cells: string[] = [];
  for (let field = 0; field < known; field++) {
    const at = field * 3;
    if (scanner.status === OK) cells.push(fieldText(scanner, field, dialect));
    else cells.push(visibleText(scanner.window.subarray(scanner.bounds[at]!, scanner.bounds[at + 1]!)));
  }
  // The cells beyond the last column were not told apart: they stand together at the end.
  if (scanner.fields > known && known > 0) {
    cells.push(visibleText(scanner.window.subarray(scanner.bounds[(known - 1) * 3 + 1]! + 1, scanner.end)));
  }
  return cells;
}

/** Cells as a JSON array of at most 64 KiB. */
export function cappedJson(cells: string[]): string {
  for (let most = RAW_BYTES; ; most = most >> 1) {
    const json = JSON.stringify(
      cells.slice(0, most).map((cell) => cut(cell, Math.max(most, 16)).toWellFormed()),
    );
    if (json.length <= RAW_BYTES && Buffer.byteLength(json) <= RAW_BYTES) return json;
  }
}
