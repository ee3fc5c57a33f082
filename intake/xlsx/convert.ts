import { closeSync, openSync } from 'node:fs';
import { FileError, type FileWarning, type SheetInfo } from '../types.ts';
import { CanonicalSheet, FurtherLeft } from './canonical-sheet.ts';
import { readPackage } from './package.ts';
import { readSharedStrings } from './shared-strings.ts';
import { readSheet, type SheetNotes } from './sheet.ts';
import type { WorkbookTask } from './workbook.ts';
import { Parts } from './zip.ts';

export interface Converted {
  sheets: SheetInfo[];
  sheet: string;
  warnings: FileWarning[];
}

/**
 * Turns one sheet of a workbook into canonical CSV, here and now; `readWorkbook` does it in a process of its own.
 * @param report hears now and then how many rows of a sheet were read.
 */
export async function convertWorkbook(
  task: WorkbookTask,
  report: (rows: number) => void,
): Promise<Converted> {
  const parts = await Parts.open(task.path, task.limits);
  const book = await readPackage(parts);
  const wanted = task.sheet;
  if (wanted !== null && !book.sheets.some(({ name }) => name === wanted)) {
    throw new FileError(
      'no_sheet',
      `The workbook has no sheet "${wanted}". It has: ${book.sheets.map(({ name }) => name).join(', ')}.`,
    );
  }
  const strings =
    book.strings === null
      ? null
      : await readSharedStrings(parts.read(book.strings), `${task.canonicalPath}.strings`, {
          afterChunk: () => report(0),
        });
  const context = { strings, formats: book.formats, date1904: book.date1904 };

  const sheets: SheetInfo[] = [];
  let chosen: string | null = null;
  let notes: SheetNotes | null = null;
  try {
    for (const { name, state, part } of book.sheets) {
      const isChosen = chosen === null && (wanted === null ? state === 'visible' : name === wanted);
      if (!isChosen && task.onlySheet) continue;
      const read = async (mayBeginLater: boolean) => {
        const file = isChosen ? openSync(task.canonicalPath, 'w') : null;
        const sheet = new CanonicalSheet(file, name, mayBeginLater, () => parts.mostRows());
        try {
          const found = await readSheet(parts.read(part), context, sheet, {
            afterChunk: () => report(sheet.filled),
          });
          return { rows: sheet.filled, found };
        } finally {
          if (file !== null) closeSync(file);
        }
      };
      const { rows, found } = await read(true).catch((error: unknown) => {
        if (error instanceof FurtherLeft) return read(false);
        throw error;
      });
      if (isChosen && (rows > 0 || wanted !== null)) {
        chosen = name;
        notes = found;
      }
      sheets.push({ name, state, rows });
    }
  } finally {
    strings?.close();
    parts.close();
  }
  if (chosen === null || notes === null) throw nothingVisible(sheets);
  return {
    sheets,
    sheet: chosen,
    warnings: [...otherSheets(sheets, chosen, wanted), ...warningsOf(chosen, notes)],
  };
}

function nothingVisible(sheets: SheetInfo[]): FileError {
  const hidden = sheets.filter(({ rows }) => rows > 0).map(({ name }) => name);
  return hidden.length === 0
    ? new FileError('empty_file', 'The workbook has no sheet with anything in it.')
    : new FileError(
        'empty_file',
        `The workbook has no visible sheet with anything in it. Hidden ones hold rows: ${hidden.join(', ')}. Name the one that is meant, or show it and save the workbook.`,
      );
}

function otherSheets(sheets: SheetInfo[], chosen: string, wanted: string | null): FileWarning[] {
  const others = sheets.filter(({ name, rows }) => name !== chosen && rows > 0);
  if (wanted !== null || others.length === 0) return [];
  const names = others.map(({ name, state }) => (state === 'visible' ? name : `${name} (hidden)`)).join(', ');
  return [
    { code: 'other_sheets', message: `Only the sheet "${chosen}" was read. Others hold rows too: ${names}.` },
  ];
}

function warningsOf(sheet: string, { merged, mergedAreas, hiddenRows }: SheetNotes): FileWarning[] {
  const warnings: FileWarning[] = [];
  if (merged > 0) {
    const named = mergedAreas.join(', ') + (merged > mergedAreas.length ? ', ...' : '');
    warnings.push({
      code: 'merged_cells',
      message: `The sheet "${sheet}" has ${merged} merged ${merged === 1 ? 'area' : 'areas'} (${named}). What stands there counts for the first cell only; the others are empty.`,
    });
  }
  if (hiddenRows > 0) {
    warnings.push({
      code: 'hidden_rows',
      message: `${hiddenRows} ${hiddenRows === 1 ? 'row' : 'rows'} of the sheet "${sheet}" are hidden (by a filter, or by hand). They were read like the others.`,
    });
  }
  return warnings;
}
