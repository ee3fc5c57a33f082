import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { OK, RecordScanner } from './scan.ts';
import { INDEX_BYTES, NEVER_QUOTES, NO_QUOTES, QUOTES, StructuralIndex } from './structural-index.ts';
import type { Dialect } from './types.ts';

const DIALECTS: Dialect[] = [
  { delimiter: ',', quote: '"', escape: '"' },
  { delimiter: ';', quote: "'", escape: '\\' },
  { delimiter: '\t', quote: '', escape: '' },
  { delimiter: '', quote: '', escape: '' },
  { delimiter: ',', quote: '"', escape: '"', rows: true },
];

/** Every record with all that is known of it, the bytes pushed so many at a time: few at a time never make an index. */
function scan(bytes: Buffer, dialect: Dialect, step: number, columns: number | null) {
  const scanner = new RecordScanner({ dialect, columns, maxRecordBytes: 3000 });
  const found: unknown[] = [];
  const drain = () => {
    while (scanner.next()) {
      const { offset, length, line, status, fields, terminator, start, bounds } = scanner;
      const known = Math.min(fields, bounds.length / 3) * 3;
      const places = [...bounds.subarray(0, known)].map((place, at) =>
        at % 3 === 2 ? place : place - start,
      );
      found.push({ offset, length, line, status, fields, terminator, places, next: scanner.nextOffset });
    }
  };
  for (let at = 0; at < bytes.length;) {
    at += scanner.push(bytes.subarray(at, at + step));
    drain();
  }
  scanner.finish();
  drain();
  return found;
}

const piece = fc.oneof(
  {
    weight: 12,
    arbitrary: fc.constantFrom('a,b,c\n', '"x","y, z","w"\r\n', 'one;two\n', "'q;1';'r'\n", 'k\tl\tm\n'),
  },
  {
    weight: 6,
    arbitrary: fc.constantFrom('日本,"東京",é\n', ',,\n', '"",""\n', 'a\rb,c\r', '\n', '\r\n', '  "x" ,y\n'),
  },
  {
    weight: 2,
    arbitrary: fc.constantFrom(
      '"a ""b"" c",d\n',
      '"two\nlines",z\n',
      'a,b,"three\nlines, of it"\n',
      '5" pipe,x\n',
      "it's\n",
      '"open\n',
      'x\0y\n',
      '"\0"\n',
      '"a"b,c\n',
      "'a\\'b';c\n",
    ),
  },
  {
    weight: 1,
    arbitrary: fc.constantFrom(
      'x'.repeat(2500) + ',y\n',
      `"${'q, '.repeat(900)}"\n`,
      `${','.repeat(200)}\n`,
      'z'.repeat(4000) + '\n',
    ),
  },
);

describe('records found by the index', () => {
  it('are those found byte by byte, with all that is known of them', () => {
    fc.assert(
      fc.property(
        fc.array(piece, { minLength: 20, maxLength: 400, size: 'max' }),
        fc.constantFrom(...DIALECTS),
        fc.constantFrom(null, 1, 3),
        (pieces, dialect, columns) => {
          const bytes = Buffer.from(pieces.join('').repeat(4));
          expect(scan(bytes, dialect, 65_536, columns)).toEqual(scan(bytes, dialect, 700, columns));
        },
      ),
      { numRuns: 40 },
    );
  }, 30_000);
});

/** All that is counted, and the cells of two columns, with plain records passed over or each of them found. */
function count(bytes: Buffer, dialect: Dialect, step: number, passing: boolean) {
  const scanner = new RecordScanner({ dialect, columns: 3, maxRecordBytes: 3000 });
  const cells: string[] = [];
  const counts = { records: 0, lf: 0, crlf: 0, others: 0, passed: 0 };
  const visitor = {
    addBytes: (text: Buffer, from: number, to: number) => cells.push(text.toString('utf8', from, to)),
  };
  const drain = () => {
    for (;;) {
      if (passing) {
        scanner.passPlain(scanner.nextOffset + step, [0, 2], [visitor, visitor], Buffer.from('one'));
        const { records, crlf } = scanner.passed;
        counts.records += records;
        counts.passed += records;
        counts.crlf += crlf;
        counts.lf += records - crlf;
      }
      if (!scanner.next()) return;
      const { status, terminator, bounds, window } = scanner;
      counts.records++;
      counts[terminator === 10 ? 'lf' : terminator === 23 ? 'crlf' : 'others']++;
      if (status !== OK) continue;
      for (const at of [0, 6]) cells.push(window.toString('utf8', bounds[at]!, bounds[at + 1]!));
    }
  };
  for (let at = 0; at < bytes.length;) {
    at += scanner.push(bytes.subarray(at, at + 40_000));
    drain();
  }
  scanner.finish();
  drain();
  return { cells, counts, line: scanner.nextLine, offset: scanner.nextOffset };
}

describe('plain records that are passed over', () => {
  it('count as if each had been found, and show the same cells', () => {
    let passed = 0;
    fc.assert(
      fc.property(
        fc.array(piece, { minLength: 50, maxLength: 400, size: 'max' }),
        fc.constantFrom(...DIALECTS),
        fc.constantFrom(60, 900, 1_000_000),
        (pieces, dialect, step) => {
          const bytes = Buffer.from(pieces.join('').repeat(8));
          const found = count(bytes, dialect, step, true);
          passed += found.counts.passed;
          found.counts.passed = 0;
          expect(found).toEqual(count(bytes, dialect, step, false));
        },
      ),
      { numRuns: 40 },
    );
    expect(passed).toBeGreaterThan(1000);
  }, 60_000);
});

describe('the index', () => {
  const find = (text: string, quotes: number) => {
    const bytes = Buffer.from(text.padEnd(64 * Math.ceil(text.length / 64), 'x'));
    const index = new StructuralIndex(44, 34, quotes);
    expect(index.read(bytes, 0, bytes.length, true)).toBe(true);
    return { found: [...index.positions.subarray(0, index.known)], bytes: index.bytes };
  };

  it('finds what divides wherever it stands', () => {
    for (const length of [64, 128, 192, INDEX_BYTES]) {
      const bytes = Buffer.alloc(length + 3, ',');
      const index = new StructuralIndex(44, 34, QUOTES);
      index.read(bytes, 3, length + 3, true);
      expect([index.known, index.positions[0], index.positions[length - 1]]).toEqual([length, 3, length + 2]);
      bytes.fill('x');
      bytes[length + 2] = 0;
      index.read(bytes, 3, length + 3, true);
      expect([index.known, index.positions[0]]).toEqual([1, length + 2]);
    }
  });

  it('passes over delimiters in quotes, not over line ends in them', () => {
    expect(find('a,"b,c",d\n"x\ny",""\r\n', QUOTES)).toEqual({ found: [1, 7, 9, 12, 15, 18, 19], bytes: 64 });
    expect(find('a,"b,c"', NO_QUOTES).found).toEqual([1, 4]);
  });

  it.each([
    ['doubled', 'a,"b""c",d\n', 5],
    ['stray in a plain field', 'a,5",d\n', 3],
    ['stray in a quoted field', 'a,"b"c",d\n', 5],
    ['doubled across a step', `${'x,'.repeat(30)}"12"",d\n`, 64],
  ])('ends at a quote that is %s', (_, text, bytes) => {
    expect(find(text, QUOTES).bytes).toBe(bytes);
    expect(find(text, QUOTES).found.every((place) => place < bytes)).toBe(true);
  });

  it('ends at any quote where quotes are escaped', () => {
    expect(find('a,"b",c', NEVER_QUOTES)).toEqual({ found: [1], bytes: 2 });
  });

  it('goes on inside quotes, and behind them', () => {
    const index = new StructuralIndex(44, 34, QUOTES);
    const bytes = Buffer.from(`${'a,'.repeat(31)}"b,c",d\n`.padEnd(128, 'x'));
    index.read(bytes, 0, 64, true);
    index.read(bytes, 64, 128, false);
    expect([...index.positions.subarray(0, index.known)]).toEqual([67, 69]);
  });
});
