import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { RecordScanner } from './scan.ts';
import { INDEX_BYTES, indexStructure } from './structural-index.ts';
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

describe('records found by the index', () => {
  const piece = fc.oneof(
    {
      weight: 12,
      arbitrary: fc.constantFrom('a,b,c\n', '"x","y, z","w"\r\n', 'one;two\n', "'q;1';'r'\n", 'k\tl\tm\n'),
    },
    {
      weight: 6,
      arbitrary: fc.constantFrom(
        '日本,"東京",é\n',
        ',,\n',
        '"",""\n',
        'a\rb,c\r',
        '\n',
        '\r\n',
        '  "x" ,y\n',
      ),
    },
    {
      weight: 2,
      arbitrary: fc.constantFrom(
        '"a ""b"" c",d\n',
        '"two\nlines",z\n',
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

  it('bytes that divide are found wherever they stand', () => {
    const positions = new Int32Array(INDEX_BYTES);
    for (const length of [1, 15, 16, 17, 100, INDEX_BYTES]) {
      const bytes = Buffer.alloc(length + 3, ',');
      expect(indexStructure(bytes, 3, length + 3, 44, 34, positions)).toBe(length);
      expect([positions[0], positions[length - 1]]).toEqual([3, length + 2]);
      bytes.fill('x');
      bytes[length + 2] = 0;
      expect(indexStructure(bytes, 3, length + 3, 44, 34, positions)).toBe(1);
      expect(positions[0]).toBe(length + 2);
    }
  });
});
