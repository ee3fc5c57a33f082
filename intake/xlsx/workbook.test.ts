import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Excel from 'exceljs';
import { afterAll, describe, expect, it } from 'vitest';
import { checkCell, compileRule } from '../check-cell.ts';
import { inspectFile } from '../inspect.ts';
import { scanSegment } from '../parse-segment.ts';
import { recordTexts } from '../scan.ts';
import type { FileOptions, Manifest } from '../types.ts';
import { numberText, plainNumber, unescapeText } from './cell-text.ts';
import { builtinFormat, customFormat } from './number-format.ts';
import { readWorkbook } from './workbook.ts';

const folder = mkdtempSync(join(tmpdir(), 'intake-xlsx-'));
afterAll(() => rmSync(folder, { recursive: true }));
const spool = { rawPath: join(folder, 'book.xlsx'), canonicalPath: join(folder, 'book.canonical') };

async function inspect(book: Excel.Workbook | Buffer, options: FileOptions = {}): Promise<Manifest> {
  const bytes = Buffer.isBuffer(book)
    ? book
    : Buffer.from(await book.xlsx.writeBuffer({ useSharedStrings: true } as never));
  const source = (async function* () {
    yield bytes;
  })();
  return inspectFile({ source, spool, fileName: 'book.xlsx', options });
}

function recordsOf(manifest: Manifest): { line: number; cells: string[] }[] {
  const { segments, canonicalDialect: dialect, columns } = manifest;
  return segments.flatMap((segment) =>
    Array.from(scanSegment({ path: spool.canonicalPath, segment, dialect, columns }), (scanner) => ({
      line: scanner.line,
      cells: recordTexts(scanner, dialect),
    })),
  );
}

function itemsBook(): Excel.Workbook {
  const book = new Excel.Workbook();
  book.addWorksheet('Secret', { state: 'hidden' }).addRow(['x']);
  book.addWorksheet('Blank');
  const sheet = book.addWorksheet('Items');
  sheet.addRow(['SKU', 'Name', 'Price', 'Active', 'Since', 'Zip']);
  sheet.addRow(['A-1', 'two\nlines, "quoted"', 12.3, true, new Date(Date.UTC(2024, 1, 29)), 123]);
  sheet.getRow(4).values = ['A-2', { richText: [{ text: 'ri' }, { text: 'ch' }] }, 0.1 + 0.2, false, null, 7];
  sheet.addRow(['A-3', { formula: 'A1', result: 'SKU' }, { error: '#REF!' }, null, null, { formula: '1+1' }]);
  sheet.getColumn(5).numFmt = 'yyyy-mm-dd';
  sheet.getColumn(6).numFmt = '00000';
  book.addWorksheet('Other').addRow(['y', 1]);
  return book;
}

describe('workbooks', () => {
  it('become records, with the number of the row as their line', async () => {
    const manifest = await inspect(itemsBook());
    expect(manifest).toMatchObject({
      type: 'xlsx',
      dialect: null,
      lineEnding: null,
      canonical: 'copy',
      headerRow: 1,
      rows: 3,
      rejected: 0,
      sheet: 'Items',
    });
    expect(manifest.columns.map(({ type }) => type)).toEqual([
      'text',
      'text',
      'decimal',
      'boolean',
      'date',
      'text',
    ]);
    expect(recordsOf(manifest)).toEqual([
      { line: 2, cells: ['A-1', 'two\nlines, "quoted"', '12.3', 'TRUE', '2024-02-29', '00123'] },
      { line: 4, cells: ['A-2', 'rich', '0.3', 'FALSE', '', '00007'] },
      { line: 5, cells: ['A-3', 'SKU', '#REF!', '', '', '#NO_VALUE!'] },
    ]);
  });

  it('list their sheets, and say what was not read', async () => {
    const manifest = await inspect(itemsBook());
    expect(manifest.sheets).toEqual([
      { name: 'Secret', state: 'hidden', rows: 1 },
      { name: 'Blank', state: 'visible', rows: 0 },
      { name: 'Items', state: 'visible', rows: 4 },
      { name: 'Other', state: 'visible', rows: 1 },
    ]);
    expect(manifest.warnings.map(({ code }) => code)).toEqual(['other_sheets']);
    expect((await inspect(itemsBook(), { sheet: 'Other', headerRow: 0 })).sample).toEqual([['y', '1']]);
    await expect(inspect(itemsBook(), { sheet: 'Nowhere' })).rejects.toMatchObject({ code: 'no_sheet' });
  });

  it('agree with exceljs on many rows', async () => {
    const book = new Excel.Workbook();
    const sheet = book.addWorksheet('Many');
    const expected: string[][] = [];
    sheet.addRow(['id', 'text', 'amount']);
    for (let row = 0; row < 3000; row++) {
      const cells = [row, `text ${row % 700} é日`, row / 8] as const;
      sheet.addRow([...cells]);
      expected.push(cells.map(String));
    }
    expect(recordsOf(await inspect(book)).map(({ cells }) => cells)).toEqual(expected);
  });

  it('without anything in them are empty', async () => {
    const book = new Excel.Workbook();
    book.addWorksheet('Blank');
    await expect(inspect(book)).rejects.toMatchObject({ code: 'empty_file' });
  });

  it('that eat memory or never settle are ended', async () => {
    writeFileSync(spool.rawPath, Buffer.from(await itemsBook().xlsx.writeBuffer()));
    const input = {
      path: spool.rawPath,
      canonicalPath: spool.canonicalPath,
      sheet: null,
      maxUnpackedBytes: 1e9,
    };
    await expect(
      readWorkbook({ ...input, watch: { maxResidentBytes: 1, everyMs: 1 } }),
    ).rejects.toMatchObject({ code: 'workbook_too_complex' });
    await expect(readWorkbook({ ...input, watch: { stuckAfterMs: 0, everyMs: 5 } })).rejects.toMatchObject({
      code: 'workbook_stuck',
    });
    await expect(readWorkbook({ ...input, maxUnpackedBytes: 1000 })).rejects.toMatchObject({
      code: 'unpacks_too_large',
    });
    await expect(readWorkbook({ ...input, signal: AbortSignal.timeout(5) })).rejects.toMatchObject({
      name: 'TimeoutError',
    });
  });

  it('whose bytes are cut are refused', async () => {
    await inspect(itemsBook());
    const bytes = readFileSync(spool.rawPath);
    await expect(inspect(bytes.subarray(0, bytes.length - 300))).rejects.toMatchObject({
      code: 'broken_zip',
    });
  });
});

describe('number cells', () => {
  it.each([
    ['12.300000000000001', '12.3'],
    ['1E-3', '0.001'],
    ['1.5E+21', '1500000000000000000000'],
    ['-0.5', '-0.5'],
    ['12345678901234567', '12345678901234567'],
    ['100', '100'],
    ['0', '0'],
    ['0.30000000000000004', '0.3'],
    ['1234.5', '1234.5'],
    ['99999.999999999999', '100000'],
    ['x', 'x'],
  ])('%s is %s', (value, expected) => {
    expect(plainNumber(value)).toBe(expected);
  });

  it.each<[string, number | string, string, string]>([
    ['45351', 14, '2024-02-29', '2028-03-01'],
    ['45351.75', 22, '2024-02-29 18:00:00', '2028-03-01 18:00:00'],
    ['0.5', 20, '12:00:00', '12:00:00'],
    ['59', 14, '1900-02-28', '1904-02-29'],
    ['60', 14, '1900-02-29', '1904-03-01'],
    ['61', 14, '1900-03-01', '1904-03-02'],
    ['45351', 'dd/mm/yyyy', '2024-02-29', '2028-03-01'],
    ['45351', '[$-409]d-mmm-yy;@', '2024-02-29', '2028-03-01'],
    ['45351', 'yyyy"年"m"月"d"日"', '2024-02-29', '2028-03-01'],
    ['45351.5', 'yyyy-mm-dd hh:mm', '2024-02-29 12:00:00', '2028-03-01 12:00:00'],
    ['1.5', '[h]:mm', '36:00:00', '36:00:00'],
    ['1234.5', '#,##0.00 "days"', '1234.5', '1234.5'],
    ['12', '0000', '0012', '0012'],
    ['5', 'General', '5', '5'],
    ['5', '0.00_);[Red](0.00)', '5', '5'],
  ])('%s with format %s', (value, format, from1900, from1904) => {
    const kind = typeof format === 'number' ? builtinFormat(format) : customFormat(format);
    expect(numberText(value, kind, false)).toBe(from1900);
    expect(numberText(value, kind, true)).toBe(from1904);
  });

  it('reads characters that XML cannot hold', () => {
    expect(unescapeText('a_x000D_b_x005F_c')).toBe('a\rb_c');
  });
});

it('errors are issues of their row, in a sheet only', () => {
  const rule = {
    name: 'note',
    column: 0,
    type: 'text' as const,
    required: false,
    empty: 'keep' as const,
    aliases: [],
    key: false,
  };
  expect(checkCell(compileRule(rule, 'note', true), '#REF!')).toMatchObject({ code: 'cell_error' });
  expect(checkCell(compileRule(rule, 'note', false), '#REF!')).toEqual({ value: '#REF!' });
});
