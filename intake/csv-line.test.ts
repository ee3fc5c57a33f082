import { expect, it } from 'vitest';
import fc from 'fast-check';
import { csvLine, importedText } from './csv-line.ts';

it.each([
  [['a', 'b'], 'a,b\r\n'],
  [['a,b', 'say "x"', 'two\nlines'], '"a,b","say ""x""","two\nlines"\r\n'],
  [["=cmd|'/c calc'!A0"], "'=cmd|'/c calc'!A0\r\n"],
  [['@SUM(1)', '+SUM(1)', '-1+1|x'], "'@SUM(1),'+SUM(1),'-1+1|x\r\n"],
  [['-12.5', '+3', '-1,000'], '-12.5,+3,"-1,000"\r\n'],
  [['＝1+1', '＋1', "'=1", "it's"], "'＝1+1,'＋1,''=1,it's\r\n"],
])('%j', (cells, line) => expect(csvLine(cells)).toBe(line));

it('gives back what was exported, whatever it began with', () => {
  fc.assert(
    fc.property(
      fc.string({ unit: fc.constantFrom("'", '=', '+', '-', '@', '1', 'a', '＝', '.') }),
      (text) => {
        expect(importedText(csvLine([text]).slice(0, -2))).toBe(text);
      },
    ),
  );
});
