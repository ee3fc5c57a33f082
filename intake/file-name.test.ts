import { expect, it } from 'vitest';
import { shownFileName } from './file-name.ts';

it.each([
  ['stock 2026 (最終).csv', 'stock 2026 (最終).csv'],
  ['../../etc/x.csv', '..\\u002f..\\u002fetc\\u002fx.csv'],
  ['C:\\temp\\x.csv', 'C:\\u005ctemp\\u005cx.csv'],
  ['invoice\u202evsc.exe', 'invoice\\u202evsc.exe'],
  ['a\u0000b\u2028c\ufeff.csv', 'a\\u0000b\\u2028c\\ufeff.csv'],
  ['tag\u{e0041}.csv', 'tag\\udb40\\udc41.csv'],
  ['half\ud800.csv', 'half\ufffd.csv'],
])('%j is shown as %j', (name, shown) => expect(shownFileName(name)).toBe(shown));
