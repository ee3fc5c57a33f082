import { describe, expect, it } from 'vitest';
import { proposeRepair } from './repair.ts';
import type { Dialect, ManifestColumn } from './types.ts';

const RFC: Dialect = { delimiter: ',', quote: '"', escape: '"' };
const column = (type: ManifestColumn['type'], ...shapes: string[]): ManifestColumn => ({
  name: 'x',
  original: 'x',
  type,
  shapes,
});
/** 30/06/2018,10:15,2,GN-1306,$78.95,Patch,"A long text, with commas",(empty) */
const ORDERS = [
  column('date', '9/9/9'),
  column('text', '9:9'),
  column('integer', '9'),
  column('text', 'a-9'),
  column('decimal', '$9.9', '$9'),
  column('text', '*'),
  column('text', '*'),
  column('text', ''),
];
const fieldsOf = (raw: string) => raw.split(',').length;
const repair = (raw: string, columns = ORDERS, fields = fieldsOf(raw)) =>
  proposeRepair(raw, fields, RFC, columns);
const RIGHT = ['30/06/2018', '10:15', '2', 'GN-1306', '$78.95', 'Patch', 'Red, blue', ''];

describe('one certain repair', () => {
  it.each<[string, string, string[]]>([
    ['a delimiter is missing', '30/06/2018,10:15,2GN-1306,$78.95,Patch,"Red, blue",', RIGHT],
    ['at the end', '30/06/2018,10:15,2,GN-1306,$78.95,Patch,"Red, blue"', RIGHT],
    [
      'before a quote',
      '30/06/2018,10:15,2,GN-1306,$78.95"Patch, red","Red, blue",',
      RIGHT.with(5, 'Patch, red'),
    ],
    ['between two quotes', '30/06/2018,10:15,2,GN-1306,$78.95,"Patch""Red, blue",', RIGHT],
    ['a delimiter too many', '30/06/2018,10:15,,2,GN-1306,$78.95,Patch,"Red, blue",', RIGHT],
    ['at the beginning', ',30/06/2018,10:15,2,GN-1306,$78.95,Patch,"Red, blue",', RIGHT],
    ['blanks behind a closing quote', '30/06/2018,10:15,2,GN-1306,$78.95,"Patch"  ,"Red, blue",', RIGHT],
    ['blanks behind the last one', '30/06/2018,10:15,2,GN-1306,$78.95,Patch,"Red, blue" ,', RIGHT],
    ['a quote that opens and never closes', '30/06/2018,10:15,"2,GN-1306,$78.95,Patch,"Red, blue",', RIGHT],
    ['another delimiter in this row', '30/06/2018 10:15 2 GN-1306 $78.95 Patch "Red, blue" ', RIGHT],
  ])('%s', (_, raw, cells) => {
    expect(repair(raw)).toEqual(cells);
  });

  it('with quotes doubled as well as behind backslashes, as the reader has them', () => {
    const dialect = { ...RFC, escape: '\\' };
    const numbered = [column('integer', '9'), column('text', '*'), column('text', '*')];
    expect(proposeRepair('5"say ""hi""",x', 2, dialect, numbered)).toEqual(['5', 'say "hi"', 'x']);
  });
});

describe('no repair', () => {
  const texts = [column('text', '*'), column('text', '*'), column('text', '*')];
  it.each<[string, string, ManifestColumn[]]>([
    ['where any place would do', 'one,two three', texts],
    ['where any two values may be one', 'a,b,c,d', texts],
    ['between two numbers that meet', '30/06/201810:15,2,GN-1306,$78.95,Patch,"Red, blue",', ORDERS],
    ['where quotes may be characters as well', '30/06/2018,10:15,2,GN-1306,$78.95,Patch"Red, blue",', ORDERS],
    ['where a value is lost', '30/06/2018,10:15,GN-1306,$78.95,Patch,"Red, blue",', ORDERS],
    ['where nothing fits', 'x,y', ORDERS],
    ['for a single column', 'a,b', [column('text', '*')]],
    ['for a row of another kind', 'Total,,,5', ORDERS],
  ])('%s', (_, raw, columns) => {
    expect(repair(raw, columns)).toBeNull();
  });

  it('that takes long to find', () => {
    const wide = Array.from({ length: 40 }, () => column('text', '*'));
    const began = process.cpuUsage();
    for (const raw of [
      Array.from({ length: 41 }, (_, cell) => `${'word '.repeat(30)}${cell}`).join(','),
      Array.from({ length: 39 }, (_, cell) => `"${cell}`).join(','),
      Array.from({ length: 70 }, (_, cell) => `"a"b${cell}"`).join(','),
    ])
      repair(raw, wide);
    expect(process.cpuUsage(began).user / 1000).toBeLessThan(3000);
  });
});
