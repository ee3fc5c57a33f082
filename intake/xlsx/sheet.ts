import { columnIndex, numberText, unescapeText, type NumberKind } from './cell-text.ts';
import type { SharedStrings } from './shared-strings.ts';
import { parseXml } from './xml.ts';

/** What stands in a cell whose formula was never calculated; a row issue, like Excel's own errors. */
const NO_VALUE = '#NO_VALUE!';
const WIDTH_ROWS = 500;

export interface SheetContext {
  strings: SharedStrings | null;
  formats: NumberKind[];
  date1904: boolean;
  afterChunk(rows: number): Promise<void> | undefined;
}

/**
 * Streams a sheet's rows as canonical CSV; every line is the row of that number, a row without values is a blank line.
 * Answers how many rows hold values. Rows are filled up to the width of the first 500; where one is wider, it is the
 * reader's to reject.
 */
export async function readSheet(
  part: AsyncIterable<Buffer>,
  context: SheetContext,
  write: ((text: string) => void) | null,
): Promise<number> {
  const { strings, formats, date1904 } = context;
  let filled = 0;
  let written = 0;
  let row = 0;
  let width = 0;
  let waiting: { row: number; cells: string[] }[] | null = [];

  let cells: string[] = [];
  let column = -1;
  let type = '';
  let style = 0;
  let value = '';
  let formula = false;
  let hasValue = false;
  let capturing = false;
  let phonetic = false;

  const put = (at: number, values: string[]) => {
    if (!write || at <= written) return;
    let line = '\n'.repeat(at - written - 1);
    const most = Math.max(width, values.length);
    for (let index = 0; index < most; index++)
      line += `${index > 0 ? ',' : ''}${quoteIfNeeded(values[index] ?? '')}`;
    write(`${line}\n`);
    written = at;
  };
  const release = () => {
    const held = waiting ?? [];
    waiting = null;
    for (const { row: at, cells: values } of held) width = Math.max(width, at > 0 ? values.length : 0);
    for (const { row: at, cells: values } of held) put(at, values);
  };
  const cellText = (): string => {
    if (!hasValue) return formula ? NO_VALUE : '';
    if (type === 's') return strings?.get(Number(value)) ?? NO_VALUE;
    if (type === 'b') return value.trim() === '1' ? 'TRUE' : 'FALSE';
    if (type === 'str' || type === 'inlineStr') return unescapeText(value);
    if (type === 'e' || type === 'd') return value.trim();
    return value === '' ? '' : numberText(value, formats[style] ?? { kind: 'number' }, date1904);
  };

  await parseXml(
    part,
    {
      open: (name, attributes) => {
        if (name === 'c') {
          column = attributes.r ? columnIndex(attributes.r) : column + 1;
          type = attributes.t ?? 'n';
          style = Number(attributes.s ?? 0);
          value = '';
          formula = false;
          hasValue = false;
        } else if (name === 'row') {
          row = attributes.r ? Number(attributes.r) : row + 1;
          cells = [];
          column = -1;
        } else if (name === 'v' || name === 't') {
          capturing = !phonetic;
          hasValue = true;
        } else if (name === 'f') formula = true;
        else if (name === 'rPh') phonetic = true;
      },
      text: (piece) => {
        if (capturing) value += piece;
      },
      close: (name) => {
        if (name === 'v' || name === 't') capturing = false;
        else if (name === 'rPh') phonetic = false;
        else if (name === 'c') {
          const text = cellText();
          if (text !== '' && column >= 0 && column < 16_384) {
            while (cells.length < column) cells.push('');
            cells[column] = text;
          }
        } else if (name === 'row' && cells.length > 0) {
          filled++;
          if (waiting) {
            waiting.push({ row, cells });
            if (waiting.length >= WIDTH_ROWS) release();
          } else put(row, cells);
        }
      },
    },
    () => context.afterChunk(filled),
  );
  release();
  return filled;
}

function quoteIfNeeded(cell: string): string {
  return /[",\r\n]/u.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell;
}
