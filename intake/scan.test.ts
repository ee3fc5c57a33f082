import { parse } from 'csv-parse/sync';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readHead } from './dialect.ts';
import { recordTexts, RecordScanner, REJECT_CODES, visibleText } from './scan.ts';
import type { Dialect } from './types.ts';

const RFC: Dialect = { delimiter: ',', quote: '"', escape: '"' };

interface Found {
  cells: string[];
  offset: number;
  length: number;
  line: number;
  code: string;
}

function scan(
  bytes: Buffer,
  columns: number | null,
  chunks: number[] = [bytes.length],
  dialect = RFC,
  maxRecordBytes?: number,
): Found[] {
  const scanner = new RecordScanner({ dialect, columns, maxRecordBytes, most: bytes.length });
  const found: Found[] = [];
  const drain = () => {
    while (scanner.next()) {
      const { offset, length, line, status } = scanner;
      found.push({
        cells: status === 3 || status === 4 ? [] : recordTexts(scanner, dialect),
        offset,
        length,
        line,
        code: REJECT_CODES[status]!,
      });
    }
  };
  for (let at = 0, turn = 0; at < bytes.length; turn++) {
    const size = Math.max(1, chunks[turn % Math.max(1, chunks.length)] ?? 1);
    const chunk = bytes.subarray(at, at + size);
    for (let taken = 0; taken < chunk.length;) {
      taken += scanner.push(chunk, taken);
      drain();
    }
    at += chunk.length;
  }
  scanner.finish();
  drain();
  return found;
}

const rows = (text: string, columns: number | null, dialect = RFC) =>
  scan(Buffer.from(text), columns, undefined, dialect).map(({ line, code, cells }) => [line, code, cells]);

describe('records', () => {
  it.each<[string, string, number | null, unknown[]]>([
    [
      'LF, CRLF and CR',
      'a,b\nc,d\r\ne,f\rg,h',
      2,
      [
        [1, '', ['a', 'b']],
        [2, '', ['c', 'd']],
        [3, '', ['e', 'f']],
        [4, '', ['g', 'h']],
      ],
    ],
    [
      'blank lines',
      '\n\na,b\n\n\nc,d\n\n',
      2,
      [
        [3, '', ['a', 'b']],
        [6, '', ['c', 'd']],
      ],
    ],
    [
      'blank lines where there is one column',
      'a\n\nb\n',
      1,
      [
        [1, '', ['a']],
        [2, '', ['']],
        [3, '', ['b']],
      ],
    ],
    [
      'a line break in quotes',
      'a,"x\r\ny"\nc,d',
      2,
      [
        [1, '', ['a', 'x\r\ny']],
        [3, '', ['c', 'd']],
      ],
    ],
    ['doubled quotes', '"a ""b""",""""\n', 2, [[1, '', ['a "b"', '"']]]],
    ['a quote in an unquoted field', '5" pipe,b "c"\n', 2, [[1, '', ['5" pipe', 'b "c"']]]],
    [
      'a stray quote in a quoted field',
      '1,"Hey, I missed " it",3\n',
      3,
      [[1, '', ['1', 'Hey, I missed " it', '3']]],
    ],
    [
      'too few and too many columns',
      'a\na,b\na,b,c\n',
      2,
      [
        [1, 'too_few_columns', ['a']],
        [2, '', ['a', 'b']],
        [3, 'too_many_columns', ['a', 'b']],
      ],
    ],
    [
      'a quote that never closes',
      'a,b\nc,"d\ne,f\ng,h\n',
      2,
      [
        [1, '', ['a', 'b']],
        [2, 'unclosed_quote', []],
        [3, '', ['e', 'f']],
        [4, '', ['g', 'h']],
      ],
    ],
    [
      'a quote that a later quote seems to close',
      'a,"b\nc,"d"\ne,f\n',
      2,
      [
        [1, 'unclosed_quote', []],
        [2, '', ['c', 'd']],
        [3, '', ['e', 'f']],
      ],
    ],
    [
      'a stray quote before a line break in quotes',
      'a,"b "x\nc",d,e\nf,g\n',
      2,
      [
        [1, 'unclosed_quote', []],
        [3, '', ['f', 'g']],
      ],
    ],
    [
      'NUL',
      'a,b\nc,\0\ne,"\0"\ng,h',
      2,
      [
        [1, '', ['a', 'b']],
        [2, 'nul_byte', ['c', '\0']],
        [3, 'nul_byte', ['e', '\0']],
        [4, '', ['g', 'h']],
      ],
    ],
    [
      'empty quoted fields',
      '"",""\n,\n',
      2,
      [
        [1, '', ['', '']],
        [2, '', ['', '']],
      ],
    ],
    ['nothing', '', 2, []],
  ])('%s', (_, text, columns, expected) => {
    expect(rows(text, columns)).toEqual(expected);
  });

  it('reads quotes escaped by a backslash', () => {
    const dialect = { delimiter: ';', quote: "'", escape: '\\' };
    expect(rows("'a\\'b';'c\\\\'\nd;e", 2, dialect)).toEqual([
      [1, '', ["a'b", 'c\\']],
      [2, '', ['d', 'e']],
    ]);
  });

  it('counts rows, not line breaks, in the copy of a sheet', () => {
    expect(rows('a,"x\ny"\n\nb,c', 2, { ...RFC, rows: true })).toEqual([
      [1, '', ['a', 'x\ny']],
      [3, '', ['b', 'c']],
    ]);
  });

  it('rejects the records that hold invalid bytes, and no others', () => {
    const bytes = Buffer.concat([
      Buffer.from('é,1\n'),
      Buffer.from([0x83, 0x2c, 0x32, 10]),
      Buffer.from('日本,3\nx,'),
      Buffer.from([0xe6, 0x97]),
    ]);
    expect(scan(bytes, 2).map(({ code }) => code)).toEqual(['', 'invalid_bytes', '', 'invalid_bytes']);
  });

  it('bounds a record, and goes on behind it', () => {
    const text = `a,b\n${'x'.repeat(500)},y\nc,"${'z\n'.repeat(300)}d,e\n`;
    const found = scan(Buffer.from(text), 2, [7], RFC, 100);
    expect(found.slice(0, 3).map(({ line, code, length }) => [line, code, length])).toEqual([
      [1, '', 3],
      [2, 'record_too_large', 502],
      [3, 'unclosed_quote', 4],
    ]);
    expect(found.at(-1)).toMatchObject({ line: 303, code: '', cells: ['d', 'e'] });
  });

  it('reads records longer than its first window', () => {
    const long = 'x'.repeat(700_000);
    expect(
      scan(Buffer.from(`"${long}",b\nc,d`), 2, [65_536]).map(({ length, code }) => [length, code]),
    ).toEqual([
      [700_004, ''],
      [3, ''],
    ]);
  });
});

/** Bytes made of what matters to the scanner. */
const hostile = fc
  .array(
    fc.constantFrom('a', 'é', '日', ',', ',', '"', '"', '""', '\n', '\n', '\r', '\r\n', '\0', '\\', '\xFF'),
    { maxLength: 120 },
  )
  .map((parts) =>
    Buffer.concat(parts.map((part) => (part === '\xFF' ? Buffer.from([0xff]) : Buffer.from(part)))),
  );

describe('properties', { timeout: 30_000 }, () => {
  it('finds the same in any chunks', () => {
    fc.assert(
      fc.property(
        hostile,
        fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1 }),
        fc.constantFrom(1, 2, 3),
        fc.constantFrom('"', '\\'),
        fc.constantFrom(1000, 12),
        (bytes, chunks, columns, escape, max) => {
          const dialect = { ...RFC, escape };
          expect(scan(bytes, columns, chunks, dialect, max)).toEqual(
            scan(bytes, columns, undefined, dialect, max),
          );
        },
      ),
      { numRuns: 2000 },
    );
  });

  it('leaves only line ends between records', () => {
    fc.assert(
      fc.property(hostile, (bytes) => {
        let at = 0;
        for (const { offset, length } of scan(bytes, 2)) {
          expect(bytes.toString('latin1', at, offset)).toMatch(/^[\r\n]*$/u);
          at = offset + length;
        }
        expect(bytes.toString('latin1', at)).toMatch(/^[\r\n]*$/u);
      }),
      { numRuns: 2000 },
    );
  });

  it('numbers lines as a person counts them', () => {
    fc.assert(
      fc.property(hostile, (bytes) => {
        for (const { offset, line } of scan(bytes, 2)) {
          expect(line).toBe((bytes.toString('latin1', 0, offset).match(/\r\n|\r|\n/gu)?.length ?? 0) + 1);
        }
      }),
      { numRuns: 1000 },
    );
  });

  const table = fc.integer({ min: 1, max: 4 }).chain((width) =>
    fc.array(
      fc.array(
        fc.string({ unit: 'grapheme', maxLength: 8 }).map((cell) => cell.replaceAll('\0', '')),
        { minLength: width, maxLength: width },
      ),
      { minLength: 1, maxLength: 8 },
    ),
  );
  const quoted = (cells: string[]) => cells.map((cell) => `"${cell.replaceAll('"', '""')}"`).join(',');

  it('agrees with csv-parse where that is strict', () => {
    fc.assert(
      fc.property(table, fc.constantFrom('\n', '\r\n', '\r'), (cells, ending) => {
        const text = cells.map(quoted).join(ending);
        const expected = parse(text, { relax_column_count: true, record_delimiter: ending }) as string[][];
        expect(scan(Buffer.from(text), cells[0]!.length, [3]).map((found) => found.cells)).toEqual(expected);
      }),
      { numRuns: 500 },
    );
  });
});

it('shows bytes that are no text', () => {
  expect(visibleText(Buffer.from([0x61, 0, 0x83, 0xc3, 0xa9, 0xe6]))).toBe('a\\x00\\x83é\\xE6');
});

it('leaves a record out that the end of the head cuts', () => {
  expect(readHead(Buffer.from('a,b\nc,'), false, RFC, 10).map(({ cells }) => cells)).toEqual([['a', 'b']]);
  expect(readHead(Buffer.from('a,b\nc,'), true, RFC, 10).map(({ cells }) => cells)).toEqual([
    ['a', 'b'],
    ['c', ''],
  ]);
});
