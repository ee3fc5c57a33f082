import { MOST_COLUMNS, MOST_ROWS, RowLine, type CanonicalSheet } from './canonical-sheet.ts';
import { columnIndex, isoText, numberText, unescapeText } from './cell-text.ts';
import { readHybrid } from './hybrid.ts';
import { NUMBER } from './number-format.ts';
import { NO_VALUE, plainRows, type RowTaker, type SheetContext } from './sheet-rows.ts';
import { brokenPart, XmlStream } from './xml.ts';

/** What a person should hear about a sheet that was read. */
export interface SheetNotes {
  merged: number;
  /** The first few of the merged areas, such as `A2:A9`. */
  mergedAreas: string[];
  hiddenRows: number;
}

const AREAS_NAMED = 3;

/**
 * Streams a sheet's rows into its canonical copy. Rows of the usual shape are read as bytes, everything else by the
 * parser.
 * @param plain false: the parser reads all of it.
 */
export async function readSheet(
  part: AsyncIterable<Buffer>,
  context: SheetContext,
  sheet: CanonicalSheet,
  options: { plain?: boolean; afterChunk?(): void } = {},
): Promise<SheetNotes> {
  const notes: SheetNotes = { merged: 0, mergedAreas: [], hiddenRows: 0 };
  const taker: RowTaker = {
    line: new RowLine(),
    row: 0,
    take(row, hidden) {
      if (row > MOST_ROWS) throw brokenPart(`it has a row ${row}, and no sheet has more than ${MOST_ROWS}`);
      taker.row = row;
      if (hidden && taker.line.first >= 0) notes.hiddenRows++;
      sheet.row(row, taker.line);
    },
  };
  const xml = sheetXml(context, taker, notes);
  const element = options.plain === false ? null : plainRows(context, taker);
  await readHybrid(part, xml, element, options.afterChunk);
  sheet.end();
  return notes;
}

function sheetXml(context: SheetContext, taker: RowTaker, notes: SheetNotes): XmlStream {
  const { strings, formats, date1904 } = context;
  let row = 0;
  let hidden = false;
  let cells: { column: number; text: string | null; shared: number }[] = [];
  let inOrder = true;

  let column = -1;
  let type = '';
  let style = 0;
  let value = '';
  let formula = false;
  let hasValue = false;
  let capturing = false;

  const startRow = (reference: string | undefined, isHidden: string | undefined) => {
    row = reference === undefined ? taker.row + 1 : Number(reference);
    if (!/^\d+$/u.test(reference ?? '1') || row < 1) throw brokenPart(`it has a row "${reference}"`);
    hidden = isHidden === '1' || isHidden === 'true';
    cells = [];
    inOrder = true;
    column = -1;
  };
  const startCell = (attributes: Record<string, string>) => {
    const before = column;
    column = attributes.r === undefined ? column + 1 : columnIndex(attributes.r);
    if (column < 0 || column >= MOST_COLUMNS || (attributes.r && rowOf(attributes.r) !== row))
      throw brokenPart(`it has a cell "${attributes.r ?? column}" in row ${row}`);
    if (column <= before) inOrder = false;
    type = attributes.t ?? 'n';
    style = Number(attributes.s ?? 0);
    value = '';
    formula = hasValue = false;
  };
  const cellText = (): string => {
    if (!hasValue || (formula && value === '' && type !== 'str')) return formula ? NO_VALUE : '';
    if (type === 'b') return truth(value.trim());
    if (type === 'str' || type === 'inlineStr') return unescapeText(value);
    if (type === 'e') return value.trim();
    const format = formats[style] ?? NUMBER;
    if (type === 'd') return isoText(value.trim(), format);
    return value === '' ? '' : numberText(value, format, date1904);
  };
  const endCell = () => {
    if (type === 's' && hasValue && value !== '') {
      const index = /^\s*\d+\s*$/u.test(value) ? Number(value) : -1;
      if (strings?.find(index)) {
        if (strings.to > strings.from) cells.push({ column, text: null, shared: index });
      } else cells.push({ column, text: NO_VALUE, shared: -1 });
      return;
    }
    const text = cellText();
    if (text !== '') cells.push({ column, text, shared: -1 });
  };
  const endRow = () => {
    if (!inOrder) cells.sort((a, b) => a.column - b.column);
    const { line } = taker;
    line.clear();
    for (const cell of cells) {
      if (cell.column === line.last) throw brokenPart(`it has two cells in one place of row ${row}`);
      if (cell.text !== null) line.addText(cell.column, cell.text);
      else {
        strings!.find(cell.shared);
        line.addBytes(cell.column, strings!.data, strings!.from, strings!.to);
      }
    }
    taker.take(row, hidden);
  };

  const xml: XmlStream = new XmlStream({
    open(name, attributes) {
      const { path } = xml;
      if (path.length === 3 && name === 'mergeCell' && path[1] === 'mergeCells') {
        notes.merged++;
        if (notes.mergedAreas.length < AREAS_NAMED) notes.mergedAreas.push(attributes.ref ?? '');
      }
      if (path[1] !== 'sheetData') return;
      if (path.length === 3 && name === 'row') startRow(attributes.r, attributes.hidden);
      else if (path.length === 4 && isCell(path)) startCell(attributes);
      else if (path.length === 5 && isCell(path)) {
        if (name === 'v') hasValue = capturing = true;
        else if (name === 'f') formula = true;
      } else if (name === 't' && isCell(path) && path[4] === 'is') {
        // A run of a rich text; what is said above the characters (`rPh`) is not part of it.
        capturing = path.length === 6 || (path.length === 7 && path[5] === 'r');
        hasValue ||= capturing;
      }
    },
    text(piece) {
      if (capturing) value += piece;
    },
    close(name) {
      capturing = false;
      const { path } = xml;
      if (path[1] !== 'sheetData') return;
      if (path.length === 3 && name === 'c' && path[2] === 'row') endCell();
      else if (path.length === 2 && name === 'row') endRow();
    },
  });
  return xml;
}

function isCell(path: readonly string[]): boolean {
  return path[1] === 'sheetData' && path[2] === 'row' && path[3] === 'c';
}

function rowOf(reference: string): number {
  return Number(/\d+$/u.exec(reference)?.[0]);
}

function truth(value: string): string {
  if (value === '1' || value === 'true') return 'TRUE';
  return value === '0' || value === 'false' ? 'FALSE' : value;
}
