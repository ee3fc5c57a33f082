import { expect, it } from 'vitest';
import { csvLine } from './csv-line.ts';

it.each([
  [['a', 'b'], 'a,b\r\n'],
  [['a,b', 'say "x"', 'two\nlines'], '"a,b","say ""x""","two\nlines"\r\n'],
  [["=cmd|'/c calc'!A0"], "'=cmd|'/c calc'!A0\r\n"],
  [['@SUM(1)', '+SUM(1)', '-1+1|x'], "'@SUM(1),'+SUM(1),'-1+1|x\r\n"],
  [['-12.5', '+3', '-1,000'], '-12.5,+3,"-1,000"\r\n'],
])('%j', (cells, line) => expect(csvLine(cells)).toBe(line));
