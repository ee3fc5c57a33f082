import { closeSync, openSync, statSync } from 'node:fs';
import Excel from 'exceljs';
import { afterAll, describe, expect, it } from 'vitest';
import { CanonicalSheet, RowLine } from './canonical-sheet.ts';
import { createConverter } from './convert.fixture.ts';
import { sheetXml, stringsXml, workbookParts } from './zip.fixture.ts';

const { canonicalPath, convert, linesOf, remove } = createConverter();
afterAll(remove);

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

describe('a workbook', () => {
  it('becomes lines, each with the number of its row', async () => {
    expect((await convert(itemsBook())).csv).toBe(
      [
        'SKU,Name,Price,Active,Since,Zip',
        'A-1,"two\nlines, ""quoted""",12.3,TRUE,2024-02-29,00123',
        '',
        'A-2,rich,0.3,FALSE,,00007',
        'A-3,SKU,#REF!,,,#NO_VALUE!',
        '',
      ].join('\n'),
    );
  });

  it('has sheets: the first visible one that holds anything is read, and others are named', async () => {
    const { sheets, sheet, warnings } = await convert(itemsBook());
    expect(sheets).toEqual([
      { name: 'Secret', state: 'hidden', rows: 1 },
      { name: 'Blank', state: 'visible', rows: 0 },
      { name: 'Items', state: 'visible', rows: 4 },
      { name: 'Other', state: 'visible', rows: 1 },
    ]);
    expect(sheet).toBe('Items');
    expect(warnings).toEqual([
      { code: 'other_sheets', message: expect.stringContaining('Secret (hidden), Other') as string },
    ]);
    expect(await convert(itemsBook(), 'Other')).toMatchObject({ csv: 'y,1\n', warnings: [] });
    await expect(convert(itemsBook(), 'Nowhere')).rejects.toMatchObject({ code: 'no_sheet' });
  });

  it('reads as exceljs reads it', async () => {
    const book = new Excel.Workbook();
    const sheet = book.addWorksheet('Many');
    const expected: string[] = [];
    for (let row = 0; row < 3000; row++) {
      const cells = [row, `text ${row % 700} é日`, row / 8, row % 2 === 0];
      sheet.addRow(cells);
      expected.push(
        cells.map((cell) => (typeof cell === 'boolean' ? String(cell).toUpperCase() : cell)).join(),
      );
    }
    expect((await convert(book)).csv.split('\n').slice(0, -1)).toEqual(expected);
  });

  it('with nothing to be seen in it is empty, and says where rows are', async () => {
    const blank = workbookParts({ sheets: { A: sheetXml('<row r="1"><c r="A1" s="1"/></row>') } });
    await expect(convert(blank)).rejects.toMatchObject({ code: 'empty_file' });
    const sheets = { A: sheetXml(''), Kept: sheetXml('<row r="1"><c r="A1"><v>1</v></c></row>') };
    const hidden = workbookParts({ sheets, states: { Kept: 'veryHidden' } });
    await expect(convert(hidden)).rejects.toMatchObject({
      code: 'empty_file',
      message: expect.stringContaining('Kept') as string,
    });
  });

  it('is streamed as what is there, whatever it claims', async () => {
    const rows =
      '<row r="3" spans="1:16384"><c r="C3"><v>1</v></c><c r="E3"><v>2</v></c></row><row r="5"><c r="D5"><v>3</v></c></row>';
    const sheet = sheetXml(rows).replace('<sheetData>', '<dimension ref="A1:XFD1048576"/><sheetData>');
    // Blank columns to the left are left out, blank rows are not: lines are rows.
    expect((await convert(workbookParts({ sheets: { S: sheet } }))).csv).toBe('\n\n1,,2\n\n,3,\n');
  });

  it('whose table turns out to begin further left is read again from there', async () => {
    const row = (number: number, column: string) =>
      `<row r="${number}"><c r="${column}${number}"><v>${number}</v></c></row>`;
    const rows = Array.from({ length: 600 }, (_, n) => row(n + 1, n === 599 ? 'B' : 'C')).join('');
    const lines = await linesOf(rows);
    expect([lines[0], lines[599]]).toEqual([',,1', ',600,']);
  });

  it('with something far to the right of everything is refused before it fills the disk', () => {
    const file = openSync(canonicalPath, 'w');
    const sheet = new CanonicalSheet(file, 'S', true);
    const line = new RowLine();
    line.addText(16_383, 'far');
    sheet.row(1, line);
    const write = () => {
      for (let row = 2; row < 60_000; row++) {
        line.clear();
        line.addText(0, 'near');
        sheet.row(row, line);
      }
    };
    expect(write).toThrow(expect.objectContaining({ code: 'sheet_too_wide' }));
    closeSync(file);
    expect(statSync(canonicalPath).size).toBeLessThan(100e6);
  });

  it('says of merged cells and hidden rows what became of them', async () => {
    const rows = '<row r="1"><c r="A1"><v>1</v></c></row><row r="2" hidden="1"><c r="B2"><v>2</v></c></row>';
    const merged = '<mergeCells count="2"><mergeCell ref="A1:A2"/><mergeCell ref="B2:C2"/></mergeCells>';
    const { csv, warnings } = await convert(workbookParts({ sheets: { S: sheetXml(rows, merged) } }));
    expect(csv).toBe('1,\n,2\n');
    expect(warnings.map(({ code }) => code)).toEqual(['merged_cells', 'hidden_rows']);
    expect(warnings[0]!.message).toContain('A1:A2, B2:C2');
  });

  it('may have its strings behind its sheets, in any number', async () => {
    const count = 3000;
    const strings = stringsXml(Array.from({ length: count }, (_, n) => `<si><t>text ${n}</t></si>`).join(''));
    const rows = Array.from(
      { length: count },
      (_, n) => `<row r="${n + 1}"><c r="A${n + 1}" t="s"><v>${count - 1 - n}</v></c></row>`,
    );
    const lines = await linesOf(rows.join(''), { strings });
    expect(lines.slice(0, 2)).toEqual(['text 2999', 'text 2998']);
    expect(lines.at(-1)).toBe('text 0');
  });
});

describe('what programs write', () => {
  const STRICT = 'http://purl.oclc.org/ooxml/spreadsheetml/main';
  const strictRelations = 'http://purl.oclc.org/ooxml/officeDocument/relationships';

  it('in the strict vocabulary', async () => {
    const parts = workbookParts({
      sheets: { S: sheetXml('<row r="1"><c r="A1" t="s"><v>0</v></c></row>') },
      strings: stringsXml('<si><t>strict</t></si>'),
    }).map((part) => ({
      ...part,
      content: (part.content as string)
        .replaceAll('http://schemas.openxmlformats.org/spreadsheetml/2006/main', STRICT)
        .replaceAll('http://schemas.openxmlformats.org/officeDocument/2006/relationships', strictRelations),
    }));
    expect((await convert(parts)).csv).toBe('strict\n');
  });

  it('with a prefix on every name', async () => {
    const prefixed = (xml: string) => xml.replace(/<(\/?)(?=\w)/gu, '<$1x:').replace('xmlns=', 'xmlns:x=');
    const parts = workbookParts({
      sheets: {
        S: prefixed(sheetXml('<row r="1"><c r="A1" t="s"><v>0</v></c><c r="B1"><v>2</v></c></row>')),
      },
      strings: prefixed(stringsXml('<si><t>prefixed</t></si>')),
    });
    expect((await convert(parts)).csv).toBe('prefixed,2\n');
  });

  it('in UTF-16', async () => {
    const xml = sheetXml('<row r="1"><c t="str"><v>日本</v></c></row>').replace('UTF-8', 'UTF-16');
    const parts = workbookParts({ sheets: { S: [Buffer.from(`\uFEFF${xml}`, 'utf16le')] } });
    expect((await convert(parts)).csv).toBe('日本\n');
  });

  it('with absolute targets and names in other case', async () => {
    const parts = workbookParts({ sheets: { S: sheetXml('<row><c><v>1</v></c></row>') } }).map((part) => ({
      ...part,
      name: part.name.replace('sheet1.xml', 'Sheet1.XML'),
      content: (part.content as string).replaceAll('Target="worksheets/', 'Target="/xl/worksheets/'),
    }));
    expect((await convert(parts)).csv).toBe('1\n');
  });

  it('without references', async () => {
    expect(
      await linesOf('<row><c><v>1</v></c><c/><c><v>2</v></c></row><row/><row><c><v>3</v></c></row>'),
    ).toEqual(['1,,2', '', '3,,']);
  });
});
