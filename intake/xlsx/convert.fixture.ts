import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type Excel from 'exceljs';
import { convertWorkbook, type Converted } from './convert.ts';
import { sheetXml, workbookParts, writeZip, type WorkbookParts, type ZipPart } from './zip.fixture.ts';

/** For tests: workbooks written to a folder of their own and converted in this process. */
export function createConverter() {
  const folder = mkdtempSync(join(tmpdir(), 'intake-xlsx-'));
  const path = join(folder, 'book.xlsx');
  const canonicalPath = join(folder, 'book.csv');
  const limits = { maxEntries: 10_000, maxRatio: 100, maxUnpackedBytes: 1e9 };

  async function convert(
    book: Excel.Workbook | ZipPart[],
    sheet: string | null = null,
  ): Promise<Converted & { csv: string }> {
    if (Array.isArray(book)) await writeZip(path, book);
    else await book.xlsx.writeFile(path, { useSharedStrings: true } as never);
    const result = await convertWorkbook({ path, canonicalPath, sheet, onlySheet: false, limits }, () => {});
    return { ...result, csv: readFileSync(canonicalPath, 'utf8') };
  }

  return {
    path,
    canonicalPath,
    convert,
    /** The lines that come of these rows. */
    async linesOf(rows: string, more: Partial<WorkbookParts> = {}): Promise<string[]> {
      const { csv } = await convert(workbookParts({ sheets: { S: sheetXml(rows) }, ...more }));
      return csv.split('\n').slice(0, -1);
    },
    remove: () => rmSync(folder, { recursive: true }),
  };
}
