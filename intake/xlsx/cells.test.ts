import { afterAll, describe, expect, it } from 'vitest';
import { checkCell, compileRule } from '../check-cell.ts';
import { createConverter } from './convert.fixture.ts';
import { stylesXml } from './zip.fixture.ts';

const { linesOf, remove } = createConverter();
afterAll(remove);

describe('a cell', () => {
  const STYLES = stylesXml([0, 14, 22, 46, 'yyyy"年"m"月"d"日"', 'mm:ss.000']);
  it.each([
    ['a whole number of any length', '<c><v>12345678901234567890</v></c>', '12345678901234567890'],
    ['a number as it is shown', '<c><v>19.989999999999998</v></c>', '19.99'],
    ['an exponent', '<c><v>1.5E-3</v></c>', '0.0015'],
    ['a date', '<c s="1"><v>45351</v></c>', '2024-02-29'],
    ['a moment', '<c s="2"><v>45351.75</v></c>', '2024-02-29 18:00:00'],
    ['a duration', '<c s="3"><v>1.5</v></c>', '36:00:00'],
    ['a date of a format of its own', '<c s="4"><v>45351</v></c>', '2024-02-29'],
    ['parts of a second', '<c s="5"><v>0.00001157</v></c>', '00:00:01.000'],
    ['an ISO date', '<c t="d"><v>2024-02-29T00:00:00Z</v></c>', '2024-02-29'],
    ['yes', '<c t="b"><v>1</v></c>', 'TRUE'],
    ['an error', '<c t="e"><v>#DIV/0!</v></c>', '#DIV/0!'],
    ['inline text', '<c t="inlineStr"><is><t xml:space="preserve"> a </t></is></c>', ' a '],
    ['inline rich text', '<c t="inlineStr"><is><r><rPr><b/></rPr><t>a</t></r><r><t>b</t></r></is></c>', 'ab'],
    [
      'inline text with what is said',
      '<c t="inlineStr"><is><t>東</t><rPh sb="0" eb="1"><t>ヒガシ</t></rPh></is></c>',
      '東',
    ],
    [
      'escaped characters',
      '<c t="inlineStr"><is><t>a_x0041__x005F_x0042_&amp;&#x263A;</t></is></c>',
      'aA_x0042_&☺',
    ],
    ['half a character', '<c t="inlineStr"><is><t>_xD83D_</t></is></c>', '_xD83D_'],
    ['CDATA', '<c t="str"><v><![CDATA[a<b]]></v></c>', 'a<b'],
    ['a formula of text', '<c t="str"><f>A1&amp;B1</f><v>ab</v></c>', 'ab'],
    ['a formula of numbers', '<c><f>1+1</f><v>2</v></c>', '2'],
    ['a formula that gave nothing', '<c><v>1</v></c><c t="str"><f>""</f><v></v></c><c><v>2</v></c>', '1,,2'],
    ['a formula that was never calculated', '<c><f>1+1</f></c>', '#NO_VALUE!'],
    ['a formula as openpyxl leaves it', '<c><f>1+1</f><v></v></c>', '#NO_VALUE!'],
    ['a string that is not there', '<c t="s"><v>7</v></c>', '#NO_VALUE!'],
    ['text that looks like a formula', '<c t="inlineStr"><is><t>=1+1</t></is></c>', '=1+1'],
  ])('is %s', async (_, xml, expected) => {
    expect(await linesOf(`<row r="1">${xml}</row>`, { styles: STYLES })).toEqual([expected]);
  });

  it.each([
    ['1900', false, ['1900-01-00', '1900-02-28', '1900-02-29', '1900-03-01', '9999-12-31', '2958466', '-1']],
    ['1904', true, ['1904-01-01', '1904-02-29', '1904-03-01', '1904-03-02', '2958465', '2958466', '-1']],
  ])('counts days by the calendar of %s', async (_, date1904, expected) => {
    const days = [0, 59, 60, 61, 2_958_465, 2_958_466, -1];
    const rows = days.map((day, n) => `<row r="${n + 1}"><c s="1"><v>${day}</v></c></row>`).join('');
    expect(await linesOf(rows, { styles: STYLES, date1904 })).toEqual(expected);
  });

  it('has its own format, and not the one that a condition calls by the same number', async () => {
    const styles = STYLES.replace(
      '</styleSheet>',
      '<dxfs><dxf><numFmt numFmtId="14" formatCode="@"/></dxf></dxfs></styleSheet>',
    );
    expect(await linesOf('<row r="1"><c s="1"><v>45351</v></c></row>', { styles })).toEqual(['2024-02-29']);
  });

  it.each(['decimal', 'integer'] as const)(
    'that may be a number or thousands is neither, where a comma is the decimal mark: %s',
    (type) => {
      const rule = { name: 'price', column: 0, type, required: false, empty: 'keep' as const };
      const more = { aliases: [], key: false, format: { decimal: ',' as const } };
      const sheet = compileRule({ ...rule, ...more }, 'price', true);
      for (const cell of ['1.125', '12.375', '-1.000'])
        expect(checkCell(sheet, cell)).toMatchObject({
          code: `not_${type}`,
          message: expect.stringContaining('may be a number or thousands') as string,
        });
      expect(checkCell(sheet, '1.234,00')).toEqual({ value: type === 'integer' ? '1234' : '1234.00' });
      expect(checkCell(sheet, '5')).toEqual({ value: '5' });
      const text = compileRule({ ...rule, ...more }, 'price', false);
      expect(checkCell(text, '1.125')).toEqual({ value: '1125' });
    },
  );

  it('that is an error is an issue of its row, in a sheet only', () => {
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
});
