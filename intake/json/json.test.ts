import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { rebuildCanonical } from '../ensure-canonical.ts';
import { inspectFile } from '../inspect.ts';
import { scanSegment } from '../parse-segment.ts';
import { rejection } from '../rejections.ts';
import { OK, recordTexts } from '../scan.ts';
import type { FileOptions, Manifest } from '../types.ts';
import type { InspectLimits } from '../receive.ts';
import { RecordPositions } from './positions.ts';

const folder = mkdtempSync(join(tmpdir(), 'intake-json-'));
afterAll(() => rmSync(folder, { recursive: true }));
const spool = { rawPath: join(folder, 'raw'), canonicalPath: join(folder, 'canonical') };

async function* chunks(bytes: Buffer, size: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

interface Read {
  manifest: Manifest;
  names: string[];
  rows: string[][];
  rejects: { line: number; code: string; message: string }[];
}

async function read(
  content: string | Buffer,
  {
    options = {},
    limits = {},
    name = 'file.json',
    size = 1000,
  }: { options?: FileOptions; limits?: InspectLimits; name?: string; size?: number } = {},
): Promise<Read> {
  const bytes = Buffer.from(content);
  const source = chunks(bytes, size);
  const manifest = await inspectFile({ source, spool, fileName: name, options, limits });
  const rows: string[][] = [];
  const rejects: Read['rejects'] = [];
  for (const segment of manifest.segments) {
    const { canonicalDialect: dialect, columns, maxRecordBytes } = manifest;
    for (const scanner of scanSegment({
      path: manifest.canonical === 'raw' ? spool.rawPath : spool.canonicalPath,
      segment,
      dialect,
      columns,
      maxRecordBytes,
    })) {
      if (scanner.status === OK) rows.push(recordTexts(scanner, dialect));
      else {
        const { line, code, message } = rejection(scanner, columns, dialect, false);
        rejects.push({ line, code, message });
      }
    }
  }
  expect([rows.length, rejects.length]).toEqual([manifest.rows, manifest.rejected]);
  return { manifest, names: manifest.columns.map(({ name: column }) => column), rows, rejects };
}

const codes = ({ rejects }: Read) => rejects.map(({ line, code }) => [line, code]);
const warnings = ({ manifest }: Read) => manifest.warnings.map(({ code }) => code);

describe('records of JSON', () => {
  it('are the elements of an array', async () => {
    const found = await read('[\n  {"sku": "A1", "price": 2.50},\n  {"sku": "A2", "price": 3}\n]\n');
    expect(found).toMatchObject({
      names: ['sku', 'price'],
      rows: [
        ['A1', '2.50'],
        ['A2', '3'],
      ],
      rejects: [],
    });
    expect(found.manifest).toMatchObject({
      type: 'json',
      dialect: null,
      headerRow: null,
      canonical: 'copy',
      sheets: null,
      warnings: [],
    });
    expect(found.manifest.columns.map(({ type }) => type)).toEqual(['text', 'decimal']);
  });

  it('or a line each, with their lines', async () => {
    const found = await read('{"a":1}\n\n{"a":2}\r\n{"a":3', { name: 'file.ndjson' });
    expect(found).toMatchObject({ names: ['a'], rows: [['1'], ['2']] });
    expect(codes(found)).toEqual([[4, 'broken_json']]);
    expect(found.manifest.type).toBe('ndjson');
  });

  it.each([
    ['all on one line', '{"a":1}{"a":2} {"a":3}'],
    ['two on each', '{"a":1}{"a":2}\n{"a":3}\n'],
    ['as a text sequence', '\x1E{"a":1}{"a":2}\n\x1E{"a":3}\n\n'],
    ['with CR between them', '{"a":1}\r{"a":2}\r{"a":3}\r'],
  ])('or objects with nothing between them: %s', async (_, text) => {
    const found = await read(text);
    expect(found).toMatchObject({ rows: [['1'], ['2'], ['3']], rejects: [] });
    expect(found.manifest.type).toBe('json');
  });

  it.each<[string, string, string[][], [number, string][]]>([
    ['two of which the last is cut', '{"a":1}\n{"a":2', [['1']], [[2, 'broken_json']]],
    ['with an array in each', '{"a":[{"b":1}]}\n{"a":2', [['[{"b":1}]']], [[2, 'broken_json']]],
  ])('lines are lines, however few: %s', async (_, text, rows, rejects) => {
    const found = await read(text);
    expect([found.manifest.type, found.rows, codes(found)]).toEqual(['ndjson', rows, rejects]);
  });

  it('and however long: a broken one costs itself alone', async () => {
    const line = (n: number, end = '"') => `{"n":${n},"list":[{"x":1}],"a":"${'x'.repeat(300_000)}${end}}\n`;
    const found = await read(`${line(1)}${line(2, '')}${line(3)}${line(4)}`, { size: 65_536 });
    expect(found.rows.map(([n]) => n)).toEqual(['1', '3', '4']);
    expect([found.manifest.type, codes(found)]).toEqual(['ndjson', [[2, 'broken_json']]]);
  });

  it.each([
    ['at its first level', '{"a":1,\n"b":1}\n{"a":2,\n"b":2}\n'],
    ['deeper', '{"a":{"x":\n1},"b":1}\n{"a":{"x":\n2},"b":2}\n'],
    ['in an array of objects', '{"a":[{"x":1},{"x":\n1}],"b":1}\n{"a":[],"b":2}\n'],
  ])('an object that goes on over a line end is no line: %s', async (_, text) => {
    const found = await read(text);
    expect(found).toMatchObject({ manifest: { type: 'json', rows: 2 }, rejects: [] });
  });

  it('what is larger than a record is followed by none', async () => {
    const text = `{"rows":[${Array(2000).fill('{"a":1}').join(',')}]}{"b":1}`;
    await expect(read(text, { limits: { maxRecordBytes: 1000 } })).rejects.toMatchObject({
      code: 'broken_json',
      message: expect.stringContaining('follows the end') as string,
    });
  });

  it('and what stands between such objects is none of them, and the end is reached', async () => {
    const found = await read('{\n"a":1\n}\n{\n"a":2\n},\n{\n"a":3\n}\n}\n');
    expect(found.rows).toEqual([['1'], ['2'], ['3']]);
    expect(codes(found)).toEqual([
      [3, 'broken_json'],
      [5, 'broken_json'],
    ]);
  });

  it('nor does it take the next one with it', async () => {
    const found = await read('{"a":1}{"a":2},{"a":3}');
    expect(found.rows).toEqual([['1'], ['2'], ['3']]);
    expect(codes(found)).toEqual([[3, 'broken_json']]);
  });

  it('a text without end between them ends where a chunk begins', async () => {
    const text = '{\n"a":1}\n{"a":2}\n'.padEnd(4 * 32 * 1024, 'x');
    const found = await read(`${text}\n{"a":3}\n`, { limits: { maxRecordBytes: 1000 } });
    expect([found.rows, codes(found)]).toEqual([[['1'], ['2'], ['3']], [[3, 'record_too_large']]]);
  });

  it.each<[string, string, string, string[][]]>([
    ['one object alone', '{"a":1,"b":"x"}', 'json', [['1', 'x']]],
    ['one object over several lines', '{\n "a":1,\n "b":"x"\n}\n', 'json', [['1', 'x']]],
    [
      'objects one after another',
      '{\n"a":1,"b":2}\n{\n"a":3,"b":4}',
      'json',
      [
        ['1', '2'],
        ['3', '4'],
      ],
    ],
    ['a byte order mark', '\uFEFF[{"a":1,"b":2}]', 'json', [['1', '2']]],
    [
      'no spaces at all',
      '[{"a":1,"b":2},{"a":3,"b":4}]',
      'json',
      [
        ['1', '2'],
        ['3', '4'],
      ],
    ],
  ])('%s', async (_, text, type, rows) => {
    const found = await read(text);
    expect([found.manifest.type, found.rows]).toEqual([type, rows]);
  });

  it('may begin with an object that holds nothing', async () => {
    const found = await read('{}\n{"a":1}\n{"a":2}\n');
    expect([found.manifest.type, found.names, found.rows]).toEqual(['ndjson', ['a'], [[''], ['1'], ['2']]]);
  });

  it('have a column each for a name with a point and for a nested one, and it is said', async () => {
    const found = await read('{"a":{"b":1},"a.b":2}\n{"a.b":4,"a":{"b":3}}\n');
    expect([found.names, found.rows, warnings(found)]).toEqual([
      ['a.b', 'a.b_2'],
      [
        ['1', '2'],
        ['3', '4'],
      ],
      ['columns_renamed'],
    ]);
  });

  it('in an object are proposed, and named like a sheet', async () => {
    const text =
      '{"meta":{"tags":["x"],"page":1},"data":{"items":[{"a":1},{"a":2}],"others":[{"b":3}],"none":[]}}';
    const found = await read(text);
    expect(found).toMatchObject({ names: ['a'], rows: [['1'], ['2']] });
    expect(found.manifest).toMatchObject({
      sheet: 'data.items',
      sheets: [
        { name: 'data.items', rows: 2 },
        { name: 'data.others', rows: 1 },
      ],
    });
    expect(warnings(found)).toEqual(['json_array_inside']);
    const other = await read(text, { options: { sheet: 'data.others' } });
    expect([other.rows, warnings(other)]).toEqual([[['3']], []]);
    await expect(read(text, { options: { sheet: 'nowhere' } })).rejects.toMatchObject({ code: 'no_sheet' });
  });

  it('may be packed, and in UTF-16', async () => {
    const text = '[{"名":"日本"},{"名":"東京"}]';
    expect((await read(gzipSync(text), { name: 'x.json.gz' })).rows).toEqual([['日本'], ['東京']]);
    const wide = await read(Buffer.from(`\uFEFF${text}`, 'utf16le'));
    expect([wide.rows, wide.manifest.encoding]).toEqual([[['日本'], ['東京']], 'utf-16le']);
  });
});

describe('cells', () => {
  it('nested objects are dotted columns, arrays stay JSON, null is empty', async () => {
    const found = await read(
      '[{"id":1,"a":{"b":{"c":"x"},"d":null}},{"id":2,"tags":[1, "a b" ,{"k" : [ ]}],"a":{"d":""}},{"id":3,"a":{"b":{"c":"y","e":true}}}]',
    );
    expect(found.names).toEqual(['id', 'a.b.c', 'a.d', 'tags', 'a.b.e']);
    expect(found.rows).toEqual([
      ['1', 'x', '', '', ''],
      ['2', '', '', '[1,"a b",{"k":[]}]', ''],
      ['3', 'y', '', '', 'true'],
    ]);
  });

  it('numbers are exact, whatever their size', async () => {
    const numbers = [
      '12345678901234567890123',
      '0.1234567890123456789',
      '-0',
      '1e5',
      '1.5E+3',
      '-2.5e-4',
      '1e400',
      '1e9999',
    ];
    expect((await read(`[${numbers.map((number) => `{"n":${number}}`).join(',')}]`)).rows.flat()).toEqual([
      '12345678901234567890123',
      '0.1234567890123456789',
      '-0',
      '100000',
      '1500',
      '-0.00025',
      `1${'0'.repeat(400)}`,
      '1e9999',
    ]);
  });

  it('texts are what they were', async () => {
    const texts = [
      '00123',
      'a,b',
      'say "x"',
      'two\nlines',
      '',
      ' x ',
      '😀',
      '\\',
      '=cmd|x',
      '__proto__',
      '\t',
      '\u2028',
    ];
    const found = await read(JSON.stringify(texts.map((text) => ({ text }))));
    expect(found.rows.flat()).toEqual(texts);
  });

  it('names that would be dangerous elsewhere are names', async () => {
    const found = await read('[{"__proto__":1,"constructor":{"prototype":2},"hasOwnProperty":3,"":4}]');
    expect(found.names).toEqual(['__proto__', 'constructor.prototype', 'hasOwnProperty', 'column_4']);
    expect(found.rows).toEqual([['1', '2', '3', '4']]);
    expect(({} as Record<string, unknown>)['prototype']).toBeUndefined();
  });

  it('a record whose cells are all empty is one', async () => {
    expect((await read('[{"a":null},{"a":1},{}]')).rows).toEqual([[''], ['1'], ['']]);
  });

  it('columns are found over the whole file', async () => {
    const many = Array.from({ length: 30_000 }, (_, n) => `{"n":${n}}`).join('\n');
    const found = await read(`${many}\n{"n":1,"late":"x"}\n`, { size: 65_536 });
    expect(found.names).toEqual(['n', 'late']);
    expect(found.rows.at(-1)).toEqual(['1', 'x']);
    expect(found.rows[0]).toEqual(['0', '']);
  });
});

describe('rejected with a reason', () => {
  it.each<[string, string, string]>([
    ['NUL', '{"a":"x\\u0000y"}', 'nul_byte'],
    ['half a character', '{"a":"x\\ud800y"}', 'lone_surrogate'],
    ['half a character in an array', '{"a":["\\udc00"]}', 'lone_surrogate'],
    ['a name twice', '{"a":1,"a":2}', 'duplicate_name'],
    ['a name twice, written otherwise', '{"a":1,"\\u0061":2}', 'duplicate_name'],
    ['no object', '[1,2]', 'not_an_object'],
    ['a number alone', '17', 'not_an_object'],
    ['a missing value', '{"a":}', 'broken_json'],
    ['a comma too many', '{"a":1,}', 'broken_json'],
    ['a word', '{"a":nul}', 'broken_json'],
    ['NaN', '{"a":NaN}', 'broken_json'],
    ['a leading zero', '{"a":01}', 'broken_json'],
    ['a bad escape', '{"a":"\\x"}', 'broken_json'],
    ['apostrophes', "{'a':1}", 'broken_json'],
    ['more behind it', '{"a":1} x', 'broken_json'],
    ['a raw tab in a text', '{"a":"\t"}', 'broken_json'],
    ['depth', `${'{"a":'.repeat(100)}1${'}'.repeat(100)}`, 'too_deep'],
    ['depth of arrays', `{"a":${'['.repeat(100_000)}${']'.repeat(100_000)}}`, 'too_deep'],
    ['size', `{"a":"${'x'.repeat(400_000)}"}`, 'record_too_large'],
  ])('%s', async (_, line, code) => {
    const found = await read(`{"a":"before"}\n${line}\n{"a":"after"}\n`, {
      limits: { maxRecordBytes: 300_000 },
    });
    expect(found.rows).toEqual([['before'], ['after']]);
    expect(codes(found)).toEqual([[2, code]]);
    expect(found.rejects[0]!.message).toMatch(/[.]$/u);
  });

  it('bytes that are no UTF-8', async () => {
    const found = await read(
      Buffer.concat([
        Buffer.from('{"a":"日本"}\n{"a":"東京"}\n{"a":"x'),
        Buffer.from([0xff]),
        Buffer.from('"}\n'),
      ]),
    );
    expect(codes(found)).toEqual([[3, 'invalid_bytes']]);
  });

  it('bytes that are no text in any record, with what to do', async () => {
    const bytes = Buffer.from('[{"a":"x"}]'.replace('x', '\xff'), 'latin1');
    await expect(read(bytes, { options: { encoding: 'utf-8' } })).rejects.toMatchObject({
      code: 'broken_json',
      message: expect.stringContaining('Name its encoding') as string,
    });
  });

  it('nested too deep, with what to do', async () => {
    const deep = `{"a":${'['.repeat(100)}${']'.repeat(100)}}`;
    const [rejected] = (await read(`{"a":1}\n${deep}\n`)).rejects;
    expect(rejected).toMatchObject({
      line: 2,
      message: expect.stringMatching(/64 levels\. Export it with fewer/u),
    });
  });

  it('an element of an array behind a record separator, where it stands', async () => {
    const text = '\x1E[{"a":1},{"a":1,"a":2}]';
    const { manifest, rejects } = await read(text);
    expect(rejects).toMatchObject([{ line: 2, code: 'duplicate_name' }]);
    const positions = new RecordPositions(chunks(Buffer.from(text), 7), manifest, 100);
    expect(await positions.at(2)).toMatchObject({ offset: 10, bytes: Buffer.from('{"a":1,"a":2}') });
  });

  it('an element of an array, by its number', async () => {
    expect(codes(await read('[{"a":1},{"a":"\\u0000"},7,{"a":2}]'))).toEqual([
      [2, 'nul_byte'],
      [3, 'not_an_object'],
    ]);
  });
});

describe('files that are no table', () => {
  it.each<[string, string, string]>([
    ['cut off', '[{"a":1},{"a":2}', 'truncated_json'],
    ['cut off in a record', '[{"a":1},{"a":"', 'truncated_json'],
    ['not separated', '[{"a":1}{"a":2}]', 'broken_json'],
    ['the same array twice', '{"rows":[{"a":1}],"rows":[{"a":2}]}', 'json_array_twice'],
    ['arrays of arrays', '[[1,2],[3,4]]', 'json_not_objects'],
    ['nothing in it', '[]', 'empty_file'],
    [
      'as wide as long',
      `[${Array.from({ length: 5000 }, (_, n) => `{"k${n}":1}`).join(',')}]`,
      'json_too_wide',
    ],
  ])('%s', async (_, text, code) => {
    await expect(read(text)).rejects.toMatchObject({ code });
  });

  it('what only begins alike is text', async () => {
    const found = await read('[note],{x}\n1,2\n', { name: 'x.csv', options: { headerRow: 1 } });
    expect([found.manifest.type, found.manifest.rows]).toEqual(['csv', 1]);
  });
});

describe('whatever the file', () => {
  const value = fc.letrec((tie) => ({
    leaf: fc.oneof(
      fc.string({ unit: 'grapheme' }),
      fc.integer(),
      fc.boolean(),
      fc.constant(null),
      fc.double({ noNaN: true, noDefaultInfinity: true }),
    ),
    node: fc.oneof(
      { depthSize: 'small' },
      tie('leaf'),
      fc.array(tie('node'), { maxLength: 3 }),
      fc.dictionary(fc.string({ maxLength: 5 }), tie('node'), { maxKeys: 3 }),
    ),
  })).node;
  const record = fc.dictionary(fc.constantFrom('a', 'b', 'c"', 'd,e', '日'), value, {
    minKeys: 1,
    maxKeys: 4,
  });

  it('any objects in any layout and any chunks come out as they are', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(record, { minLength: 1, maxLength: 6 }),
        fc.constantFrom(undefined, 1, 2),
        fc.integer({ min: 3, max: 100 }),
        async (records, indent, size) => {
          fc.pre(
            records.every((found) => !JSON.stringify(found).includes('\\u0000') && cellsOf(found).size > 0),
          );
          const { names, rows, rejects, manifest } = await read(JSON.stringify(records, null, indent), {
            size,
          });
          expect(rejects).toEqual([]);
          const paths = manifest.columns.map(({ original }) => original);
          expect(new Set(names).size).toBe(names.length);
          rows.forEach((cells, at) => {
            const expected = cellsOf(records[at]!);
            fc.pre(new Set(paths).size === paths.length);
            expect(
              new Map(
                paths
                  .map((path, column) => [path, cells[column]])
                  .filter(([path]) => expected.has(path!)) as [string, string][],
              ),
            ).toEqual(expected);
          });
        },
      ),
      { numRuns: 25 },
    );
  }, 30_000);

  it('a host without the copy makes the same one', async () => {
    const text = '{"x":[{"a":1},{"a":"\\ud800"},{"b":2}]}';
    const { manifest } = await read(text);
    const copy = readFileSync(spool.canonicalPath);
    const elsewhere = { rawPath: join(folder, 'raw2'), canonicalPath: join(folder, 'canonical2') };
    const path = await rebuildCanonical({ source: chunks(Buffer.from(text), 7), manifest, spool: elsewhere });
    expect(readFileSync(path)).toEqual(copy);
  });
});

/** What JSON.parse's values should be as cells. */
function cellsOf(object: object, prefix = ''): Map<string, string> {
  const cells = new Map<string, string>();
  for (const [name, value] of Object.entries(object)) {
    const path = prefix === '' ? name : `${prefix}.${name}`;
    if (value === null) cells.set(path, '');
    else if (Array.isArray(value)) cells.set(path, JSON.stringify(value));
    else if (typeof value === 'object')
      for (const [inner, cell] of cellsOf(value as object, path)) cells.set(inner, cell);
    else if (typeof value === 'number') cells.set(path, plain(value));
    else cells.set(path, String(value));
  }
  return cells;
}

function plain(value: number): string {
  const text = JSON.stringify(value);
  const [, sign, whole, fraction = '', power] = /^(-?)(\d+)(?:\.(\d+))?e([+-]\d+)$/u.exec(text) ?? [];
  if (power === undefined) return text;
  const exponent = Number(power);
  const digits = whole + fraction;
  if (exponent < 0) return `${sign}0.${'0'.repeat(-exponent - whole!.length)}${digits}`;
  return sign + digits + '0'.repeat(exponent - fraction.length);
}
