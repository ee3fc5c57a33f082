import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { inspectFile } from './inspect.ts';
import { scanSegment } from './parse-segment.ts';
import type { InspectLimits } from './receive.ts';
import { OK, recordTexts, REJECT_CODES } from './scan.ts';
import type { FileOptions, Manifest } from './types.ts';

const folder = mkdtempSync(join(tmpdir(), 'intake-table-'));
afterAll(() => rmSync(folder, { recursive: true }));
const spool = { rawPath: join(folder, 'raw'), canonicalPath: join(folder, 'canonical') };

interface Read {
  manifest: Manifest;
  rows: string[][];
  rejects: [line: number, code: string][];
}

/** Inspected, and read back segment by segment as the parser threads do. */
async function read(
  text: string,
  options: FileOptions = {},
  limits: InspectLimits = {},
  size = 1000,
): Promise<Read> {
  const bytes = Buffer.from(text);
  const source = (async function* () {
    for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
  })();
  const manifest = await inspectFile({ source, spool, fileName: 'file.csv', options, limits });
  const rows: string[][] = [];
  const rejects: Read['rejects'] = [];
  for (const segment of manifest.segments) {
    const counts = { accepted: 0, rejected: 0 };
    for (const scanner of scanSegment({
      path: spool.rawPath,
      ...manifest,
      dialect: manifest.canonicalDialect,
      segment,
    })) {
      if (scanner.status === OK) {
        counts.accepted++;
        rows.push(recordTexts(scanner, manifest.canonicalDialect));
      } else {
        counts.rejected++;
        rejects.push([scanner.line, REJECT_CODES[scanner.status]!]);
      }
    }
    expect(counts).toEqual({ accepted: segment.accepted, rejected: segment.rejected });
  }
  expect([rows.length, rejects.length]).toEqual([manifest.rows, manifest.rejected]);
  return { manifest, rows, rejects };
}

const codes = ({ manifest }: Read) => manifest.warnings.map(({ code }) => code);
const names = ({ manifest }: Read) => manifest.columns.map(({ original }) => original);
const body = (from: number, to: number) =>
  Array.from(
    { length: to - from },
    (_, row) => `A${from + row},Bolt ${row % 7},${row % 90},${row % 9}.50\n`,
  ).join('');
const HEADER = 'sku,name,qty,price\n';
/** Long enough that the file is not judged as a whole. */
const MANY = body(0, 30_000);

describe('names on several lines', () => {
  it('are joined, and a group stands over the columns on its right', async () => {
    const found = await read(
      'Product,,Stock,\nCode,Name,Qty,Price\nA1,Bolt,5,1.50\nA2,Nut,7,2.50\nA3,Pin,8,0.10\n',
    );
    expect(names(found)).toEqual(['Product Code', 'Product Name', 'Stock Qty', 'Stock Price']);
    expect(found.manifest).toMatchObject({ headerRow: 1, headerRows: 2, preambleRows: 0, rows: 3 });
    expect(codes(found)).toContain('header_joined');
  });

  it('with units below them', async () => {
    const found = await read(
      'Report\n\nsku,weight,price\n,kg,EUR\nA1,5.5,1.50\nA2,7,2.50\nA3,8.25,3\n'.replace(
        '\n,kg',
        '\ncode,kg',
      ),
    );
    expect(names(found)).toEqual(['sku code', 'weight kg', 'price EUR']);
    expect(found.manifest).toMatchObject({ headerRow: 3, headerRows: 2, preambleRows: 2, rows: 3 });
  });

  it('are not made of a record', async () => {
    for (const text of [
      'sku,name\nA,Bolt\nB,Nut\n',
      'name,city\nAnn,Rome\nBob,Paris\nCat,Oslo\n',
      'sku,qty\nA,n/a\nB,5\nC,6\n',
    ]) {
      const { manifest } = await read(text);
      expect(manifest).toMatchObject({ headerRow: 1, headerRows: 1 });
    }
  });
});

describe('what stands below the table', { timeout: 30_000 }, () => {
  it.each<[string, string, number, number]>([
    ['a total', 'Total,,120,\n', 1, 0],
    ['a total in Japanese', '合計,,120,3.50\n', 1, 0],
    ['a total after a blank line, with a note', '\nTotal,,120,\nGenerated on 2026-01-31 by ERP\n', 2, 0],
    ['a note with all its delimiters', '* prices without tax,,,\n', 1, 0],
    ['a count of rows', '(40 rows)\n', 1, 0],
    ['rows without a value above a total', ',,,\n,,,\nSumme,,120,\n', 3, 0],
    ['nothing but rows without a value: they are records', ',,,\n,,,\n', 0, 0],
    ['a record that was cut off', 'A99,Bol', 0, 1],
    ['a key that was cut off', 'A99', 0, 1],
  ])('%s', async (_, end, footers, rejected) => {
    for (const records of [body(0, 40), MANY]) {
      const found = await read(HEADER + records + end);
      const count = records === MANY ? 30_000 : 40;
      const { manifest } = found;
      expect([manifest.footerRow !== null, manifest.rejected]).toEqual([footers > 0, rejected]);
      if (footers > 0) {
        expect(manifest.rows).toBe(count);
        expect(codes(found)).toContain('footer_skipped');
        expect(manifest.footerRow! + manifest.footerRows - 1).toBe(
          (HEADER + records + end).trimEnd().split('\n').length,
        );
      }
    }
  });

  it('does not take the types away from a short table', async () => {
    const { manifest } = await read(`${HEADER}A1,Bolt,5,1.5\nA2,Nut,6,2.5\nTotal,,11,n/a\n`);
    expect(manifest.columns.map(({ type }) => type)).toEqual(['text', 'text', 'integer', 'decimal']);
  });

  it('is never a record of a short or plain table', async () => {
    for (const text of [
      'a,b\n1,2\n3,4\n',
      'foo,bar,baz\n1,2',
      'name\nTotal\nSum\n',
      'item,qty\nTotal Recall,5\nSum 41,7\n',
    ]) {
      expect((await read(text)).manifest.footerRow).toBeNull();
    }
  });
});

describe('another table further down', { timeout: 30_000 }, () => {
  const second = `${HEADER}${body(500, 520)}`;
  const wider = `sku,name,qty,price,note\n${body(500, 520).replaceAll('\n', ',x\n')}`;
  const other =
    '\nStock by warehouse\nwarehouse,city,country,manager\nW1,Rome,Italy,Ann\nW2,Oslo,Norway,Bob\nW3,Bern,Swiss,Cat\nW4,Bonn,Germany,Dan\n';
  it.each<[string, string, number, number]>([
    ['with the same names', second, 21, 1],
    ['with more columns', wider, 21, 1],
    ['with other names, after a title', other, 6, 3],
  ])('%s', async (_, text, rejected, gap) => {
    for (const [records, limits] of [
      [body(0, 40), {}],
      [MANY, {}],
      [MANY, { segmentBytes: 900 }],
    ] as const) {
      const found = await read(HEADER + records + text, {}, limits);
      const count = records === MANY ? 30_000 : 40;
      expect(found.manifest.rows).toBe(count);
      expect(codes(found)).toContain('second_table');
      expect(new Set(found.rejects.map(([, code]) => code))).toEqual(new Set(['second_table']));
      // In a large file the title above it may stay behind as a record that is too short.
      expect(found.manifest.rejected).toBeGreaterThanOrEqual(rejected - 1);
      expect(found.manifest.secondTableRow).toBeGreaterThanOrEqual(count + 1 + gap - 1);
      expect(found.rows.at(-1)).toEqual(records.trimEnd().split('\n').at(-1)!.split(','));
    }
  });

  it('is not seen in ragged records, blank lines or values like names', async () => {
    const text = `${HEADER}A1,x,1,2\n\nB,y\n\nname,sku and more,3,4\nA2,x,1,2\nC,z,1\nD,w,1,2,3\nA3,x,1,2\n`;
    const found = await read(text);
    expect([found.manifest.secondTableRow, found.manifest.rows]).toEqual([null, 4]);
    expect(found.rejects).toEqual([
      [4, 'too_few_columns'],
      [8, 'too_few_columns'],
      [9, 'too_many_columns'],
    ]);
  });
});

it('decides the dialect again where the head of the file does not show it', async () => {
  const head = Array.from({ length: 9000 }, (_, row) => `A${row},"Bolt, long",${row}\n`).join('');
  const rest = Array.from(
    { length: 30_000 },
    (_, row) => `A${row},"Bolt \\"M${row % 9}\\", long",${row}\n`,
  ).join('');
  const found = await read(`sku,name,qty\n${head}${rest}`, {}, {}, 65_536);
  expect(found.manifest).toMatchObject({ dialect: { escape: '\\' }, rows: 39_000, rejected: 0 });
  expect(found.rows.at(-1)).toEqual(['A29999', 'Bolt "M2", long', '29999']);
}, 30_000);

it('preamble, header, segments and what is below them tile the file', async () => {
  const line = fc.oneof(
    { weight: 8, arbitrary: fc.nat(99).map((row) => `A${row},Bolt,${row},1.50`) },
    fc.constantFrom(
      '',
      '',
      'Total,,5,',
      'Note: nothing',
      'sku,name,qty,price',
      ',,,',
      'A,b',
      '"x\ny",b,1,2',
      '"open,b,1,2',
      'x,5" y,z"q" w",3',
      '# c',
      'Title of it all',
    ),
  );
  await fc.assert(
    fc.asyncProperty(
      fc.array(line, { minLength: 1, maxLength: 40 }),
      fc.constantFrom('\n', '\r\n'),
      fc.constantFrom(1, 60, 4000),
      fc.integer({ min: 1, max: 200 }),
      async (lines, ending, segmentBytes, size) => {
        const text = `Report\n${HEADER}A1,Bolt,1,1.50\nA2,Nut,2,2.50\n${lines.join(ending)}`;
        const { manifest } = await read(text, {}, { segmentBytes }, size);
        let end = manifest.segments[0]?.start ?? 0;
        let record = 1;
        for (const segment of manifest.segments) {
          expect([segment.start, segment.firstRecord]).toEqual([end, record]);
          const before = text.slice(0, segment.start).match(/\r\n|\n|\r/gu)?.length ?? 0;
          expect(segment.firstLine).toBeGreaterThanOrEqual(before + 1);
          end = segment.end;
          record += segment.accepted + segment.rejected;
        }
        expect(record - 1).toBe(manifest.rows + manifest.rejected);
        const rest = Buffer.from(text).subarray(end).toString();
        if (manifest.footerRow === null) expect(rest.trim()).toBe('');
        else expect(rest.split(/\r\n|\n|\r/u).filter((part) => part !== '').length).toBeGreaterThan(0);
      },
    ),
    { numRuns: 150 },
  );
}, 60_000);

describe('last lines that are kept', () => {
  it.each([
    ['of a file judged as a whole', HEADER + body(0, 40)],
    ['of one that is larger', HEADER + MANY],
  ])(
    '%s',
    async (_, table) => {
      const text = `${table}Total,,120,99.50\nGrand total,,240,199.00\n`;
      const proposed = await read(text, {}, {}, 60_000);
      expect([proposed.manifest.footerRows, codes(proposed)]).toEqual([2, ['footer_skipped']]);
      const kept = await read(text, { keepFooter: true }, {}, 60_000);
      expect([kept.manifest.footerRow, kept.manifest.footerRows, codes(kept)]).toEqual([null, 0, []]);
      expect(kept.rows.slice(-2)).toEqual([
        ['Total', '', '120', '99.50'],
        ['Grand total', '', '240', '199.00'],
      ]);
      expect(kept.manifest.rows).toBe(proposed.manifest.rows + 2);
      expect(kept.manifest.segments.at(-1)!.end).toBe(Buffer.byteLength(text));
    },
    20_000,
  );

  it('are rejected where they are no records of the table', async () => {
    const kept = await read(`${HEADER}${body(0, 40)}Printed on Monday\n`, { keepFooter: true });
    expect(kept.rejects).toEqual([[42, 'too_few_columns']]);
  });
});
