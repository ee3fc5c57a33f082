import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import japanese from 'encoding-japanese';
import { afterAll, describe, expect, it } from 'vitest';
import { rebuildCanonical } from './ensure-canonical.ts';
import { inspectFile } from './inspect.ts';
import type { InspectLimits } from './receive.ts';
import type { FileOptions, Manifest } from './types.ts';

const folder = mkdtempSync(join(tmpdir(), 'intake-inspect-'));
afterAll(() => rmSync(folder, { recursive: true }));
const spool = { rawPath: join(folder, 'raw'), canonicalPath: join(folder, 'canonical') };

async function* chunks(bytes: Buffer, size = 1000): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

function inspect(
  bytes: Buffer | string,
  options: FileOptions = {},
  fileName = 'file.csv',
  limits: InspectLimits = {},
): Promise<Manifest> {
  rmSync(spool.rawPath, { force: true });
  rmSync(spool.canonicalPath, { force: true });
  return inspectFile({ source: chunks(Buffer.from(bytes)), spool, fileName, options, limits });
}

const encode = (text: string, to: 'SJIS' | 'EUCJP' | 'JIS') =>
  Buffer.from(japanese.convert(japanese.stringToCode(text), { from: 'UNICODE', to }));
const utf16 = (text: string, bigEndian = false) => {
  const bytes = Buffer.from(text, 'utf16le');
  return bigEndian ? bytes.swap16() : bytes;
};
const codes = (manifest: Manifest) => manifest.warnings.map(({ code }) => code);
const names = (manifest: Manifest) => manifest.columns.map(({ name }) => name);
const types = (manifest: Manifest) => manifest.columns.map(({ type }) => type);
const canonicalOf = (manifest: Manifest) =>
  readFileSync(manifest.canonical === 'raw' ? spool.rawPath : spool.canonicalPath);

describe('containers', () => {
  it('hashes and spools the bytes as they pass', async () => {
    const bytes = Buffer.from('a,b\n1,2\n');
    const manifest = await inspect(bytes);
    const sha256 = createHash('sha256').update(bytes).digest('hex');
    expect(manifest).toMatchObject({
      type: 'csv',
      compression: null,
      canonical: 'raw',
      sha256,
      contentSha256: sha256,
      bytes: 8,
      contentBytes: 8,
      canonicalBytes: 8,
    });
    expect(readFileSync(spool.rawPath)).toEqual(bytes);
  });

  it('unpacks every member of a gzip file', async () => {
    const content = Buffer.from('a,b\n1,2\n3,4\n');
    const packed = Buffer.concat([gzipSync(content.subarray(0, 6)), gzipSync(content.subarray(6))]);
    const manifest = await inspect(packed, {}, 'file.csv.gz');
    expect(manifest).toMatchObject({
      compression: 'gzip',
      canonical: 'copy',
      rows: 2,
      bytes: packed.length,
      contentBytes: 12,
      warnings: [],
      sha256: createHash('sha256').update(packed).digest('hex'),
      contentSha256: createHash('sha256').update(content).digest('hex'),
    });
    expect(canonicalOf(manifest)).toEqual(content);
  });

  it('says at which row a truncated gzip file ends', async () => {
    const rows = Array.from(
      { length: 50_000 },
      (_, row) => `${row},${createHash('md5').update(String(row)).digest('hex')}\n`,
    ).join('');
    const packed = gzipSync(`n,h\n${rows}`);
    await expect(inspect(packed.subarray(0, packed.length - 200_000))).rejects.toMatchObject({
      code: 'truncated_gzip',
      message: expect.stringMatching(/after row [1-9]\d{3,}/u),
    });
  });

  it.each<[string, Buffer | string, string]>([
    ['nothing', '', 'empty_file'],
    ['a byte order mark alone', '\uFEFF', 'empty_file'],
    ['gzip of nothing', gzipSync(''), 'empty_file'],
    ['gzip in gzip', gzipSync(gzipSync('a,b\n')), 'nested_archive'],
    [
      'a damaged gzip file',
      Buffer.concat([gzipSync('a,b\n1,2\n').subarray(0, 10), Buffer.from('not deflate at all')]),
      'broken_gzip',
    ],
    ['old Excel', Buffer.from('d0cf11e0a1b11ae1', 'hex'), 'old_excel'],
    ['PDF', '%PDF-1.7 ...', 'pdf'],
    ['a login page', '\n<!DOCTYPE html><html>', 'not_a_data_file'],
    ['Parquet', 'PAR1\x15\x04..', 'parquet'],
    [
      'an archive that is no workbook',
      Buffer.from('504b0506000000000000000000000000000000000000', 'hex'),
      'zip_archive',
    ],
    ['a damaged archive', 'PK\x03\x04 and no more', 'broken_zip'],
    ['an encoding that is none', 'a,b', 'unknown_encoding'],
  ])('refuses %s', async (what, bytes, code) => {
    const options = what.startsWith('an encoding') ? { encoding: 'klingon' } : {};
    await expect(inspect(bytes, options)).rejects.toMatchObject({
      code,
      message: expect.stringMatching(/[.]$/u),
    });
  });

  it('stops a gzip bomb', async () => {
    const bomb = gzipSync(Buffer.alloc(3_000_000, 'a,b\n'));
    await expect(inspect(bomb, {}, 'bomb.gz', { maxUnpackedBytes: 1_000_000 })).rejects.toMatchObject({
      code: 'unpacks_too_large',
    });
  });

  it('goes by the content where the name says otherwise', async () => {
    expect(codes(await inspect('a,b\n1,2\n', {}, 'file.xlsx'))).toEqual(['name_disagrees']);
    expect(codes(await inspect(gzipSync('a,b\n1,2\n'), {}, 'file.csv'))).toEqual(['name_disagrees']);
  });

  it('can be stopped', async () => {
    const stop = new AbortController();
    const source = (async function* () {
      for (;;) {
        yield Buffer.from('a,b\n1,2\n'.repeat(1000));
        stop.abort(new Error('stop'));
      }
    })();
    await expect(
      inspectFile({ source, spool, fileName: 'x.csv', options: {}, signal: stop.signal }),
    ).rejects.toThrow('stop');
  });
});

describe('encodings', () => {
  const text = '商品コード,商品名,価格\nA1,能力表示,100\nA2,ソフトウェア,200\n';
  it.each<[string, Buffer, string, boolean]>([
    ['UTF-8', Buffer.from(text), 'utf-8', false],
    ['UTF-8 with BOM', Buffer.from(`\uFEFF"商品コード"${text.slice(5)}`), 'utf-8', true],
    ['CP932', encode(text, 'SJIS'), 'shift_jis', false],
    ['EUC-JP', encode(text, 'EUCJP'), 'euc-jp', false],
    ['ISO-2022-JP', encode(text, 'JIS'), 'iso-2022-jp', false],
    ['UTF-16LE with BOM', utf16(`\uFEFF${text}`), 'utf-16le', true],
    ['UTF-16BE with BOM', utf16(`\uFEFF${text}`, true), 'utf-16be', true],
    ['UTF-16LE without BOM', utf16('code,name,price\nA1,é,100\nA2,日,200\n'), 'utf-16le', false],
  ])('%s', async (_, bytes, encoding, bom) => {
    const manifest = await inspect(bytes);
    expect(manifest).toMatchObject({
      encoding,
      bom,
      rows: 2,
      rejected: 0,
      canonical: encoding === 'utf-8' ? 'raw' : 'copy',
    });
    expect(types(manifest)).toEqual(['text', 'text', 'integer']);
    const same = await rebuildCanonical({
      source: chunks(bytes),
      manifest,
      spool: { rawPath: `${spool.rawPath}2`, canonicalPath: `${spool.canonicalPath}2` },
    });
    expect(readFileSync(same)).toEqual(canonicalOf(manifest));
  });

  it('windows-1252, though it may be called ISO-8859-1', async () => {
    const bytes = Buffer.concat([
      Buffer.from('Artikel;Preis\nM'),
      Buffer.from([0xfc]),
      Buffer.from('ller '),
      Buffer.from([0x80]),
      Buffer.from(';1,50\n'),
    ]);
    for (const options of [{}, { encoding: 'ISO-8859-1' }]) {
      const manifest = await inspect(bytes, options);
      expect(manifest.encoding).toBe('windows-1252');
      expect(manifest.sample).toEqual([['Müller €', '1,50']]);
    }
  });

  it('is decided again where a file proves late that it is not UTF-8', async () => {
    const ascii = Array.from({ length: 40_000 }, (_, row) => `${row},name ${row}\n`).join('');
    const manifest = await inspect(
      Buffer.concat([
        Buffer.from(`id,name\n${ascii}`),
        encode('x,日本語の名前\ny,能力\nz,株式会社\n', 'SJIS'),
      ]),
    );
    expect(manifest).toMatchObject({ encoding: 'shift_jis', rows: 40_003, rejected: 0 });
    expect(canonicalOf(manifest).toString()).toContain('日本語の名前');
  });

  it('stays UTF-8 where that is proven, and rejects the records that are not', async () => {
    const rows = Array.from({ length: 20 }, (_, row) => `${row},名前${row}\n`).join('');
    const manifest = await inspect(
      Buffer.concat([Buffer.from(`id,name\n${rows}`), encode('x,能力\n', 'SJIS'), Buffer.from('y,終\n')]),
    );
    expect(manifest).toMatchObject({ encoding: 'utf-8', rows: 21, rejected: 1 });
    expect(canonicalOf(manifest).includes('\uFFFD')).toBe(false);
  });

  it('seven-bit Japanese is found however late it begins', async () => {
    const ascii = Array.from({ length: 20_000 }, (_, row) => `${row},name ${row}\n`).join('');
    const bytes = Buffer.concat([Buffer.from(`id,name\n${ascii}`), encode('x,日本語\n', 'JIS')]);
    const manifest = await inspect(bytes);
    expect(manifest).toMatchObject({ encoding: 'iso-2022-jp', rows: 20_001, rejected: 0 });
    expect(manifest.encodingConfidence).toBeGreaterThan(0.9);
    expect(canonicalOf(manifest).toString()).toContain('x,日本語');
  });

  it('lines of UTF-8 in a file of CP932 are rejected, not read as something else', async () => {
    const bytes = Buffer.concat([
      encode('コード,名前\nA,能力\nB,株式会社\n', 'SJIS'),
      Buffer.from('C,日本語\n'),
      encode('D,漢字\n', 'SJIS'),
    ]);
    const manifest = await inspect(bytes);
    expect(manifest).toMatchObject({ encoding: 'shift_jis', mixedEncoding: true, rows: 3, rejected: 1 });
    const same = await rebuildCanonical({
      source: chunks(bytes),
      manifest,
      spool: { rawPath: `${spool.rawPath}2`, canonicalPath: `${spool.canonicalPath}2` },
    });
    expect(readFileSync(same)).toEqual(canonicalOf(manifest));
  });

  it('a lone surrogate is a row error, not U+FFFD', async () => {
    const text = utf16('\uFEFFid,name\n1,x?\n2,y\n3,z\n');
    text.writeUInt16LE(0xd800, text.indexOf(Buffer.from('?', 'utf16le')));
    const manifest = await inspect(text);
    expect(manifest).toMatchObject({ encoding: 'utf-16le', rows: 2, rejected: 1 });
    expect(canonicalOf(manifest).includes('\uFFFD')).toBe(false);
  });

  it('is UTF-8 where the mark says so, however much of it is damaged', async () => {
    const bad = Buffer.concat(
      Array.from({ length: 60 }, (_, row) =>
        Buffer.concat([Buffer.from(`${row},`), Buffer.from([0xe9, 10])]),
      ),
    );
    const filler = Buffer.from('a,b\n'.repeat(100_000));
    for (const options of [{}, { encoding: 'utf-8' }]) {
      const mark = 'encoding' in options ? '' : '\uFEFF';
      const manifest = await inspect(
        Buffer.concat([Buffer.from(`${mark}id,name\n`), filler, bad, filler]),
        options,
      );
      expect(manifest).toMatchObject({ encoding: 'utf-8', rows: 200_000, rejected: 60 });
    }
  });

  it('rejects what cannot be decoded, and lets U+FFFD go nowhere', async () => {
    const manifest = await inspect(
      Buffer.concat([
        encode('コード,名前\nA,日本語\nB,', 'SJIS'),
        Buffer.from([0x85, 0xfd]),
        encode('\nC,漢字\nD,株式会社\n', 'SJIS'),
      ]),
    );
    expect(manifest).toMatchObject({ encoding: 'shift_jis', rows: 3, rejected: 1 });
    expect(canonicalOf(manifest).includes('\uFFFD')).toBe(false);
  });

  it('decodes alike wherever the chunks divide', async () => {
    const bytes = encode('コード,名前\nA,日本語\nB,能力\n', 'SJIS');
    const whole = await inspect(bytes);
    for (const size of [1, 2, 3, 7]) {
      const divided = await inspectFile({
        source: chunks(bytes, size),
        spool,
        fileName: 'file.csv',
        options: {},
      });
      expect(divided).toEqual(whole);
    }
  });
});

describe('dialects', () => {
  it.each<[string, string, string, string]>([
    ['comma', 'a,b,c\n1,2,3\n4,5,6\n', ',', '"'],
    ['semicolon with decimal commas', 'a;b;c\n1,5;2,5;x\n4,1;5,2;y\n', ';', '"'],
    ['tab', 'a\tb\tc\n1, 2\t2\t3\n', '\t', '"'],
    ['pipe', 'a|b\nx, y|2\nz|3\n', '|', '"'],
    ['apostrophes', "a,b\n'x, y','2'\n'z','3'\n", ',', "'"],
    ['prose with apostrophes', "a,b\nit's,x\nthat's,y\n", ',', '"'],
    ['one column', 'name\nJohn Smith\nMary, Queen of Scots\nBob\n', '', '"'],
  ])('%s', async (_, text, delimiter, quote) => {
    expect((await inspect(text)).dialect).toMatchObject({ delimiter, quote });
  });

  it('obeys a sep= line', async () => {
    const manifest = await inspect('sep=|\na|b\n1,5|2\n');
    expect(manifest).toMatchObject({ dialect: { delimiter: '|' }, headerRow: 2, preambleRows: 1, rows: 1 });
  });

  it.each<[string, string, Manifest['lineEnding']]>([
    ['LF', 'a,b\n1,2\n', 'lf'],
    ['CRLF', 'a,b\r\n1,2\r\n', 'crlf'],
    ['CR', 'a,b\r1,2\r', 'cr'],
    ['mixed', 'a,b\r\n1,2\n3,4\n', 'mixed'],
  ])('names line ends: %s', async (_, text, lineEnding) => {
    expect((await inspect(text)).lineEnding).toBe(lineEnding);
  });
});

describe('headers', () => {
  it.each<[string, string, number | null, string[], number]>([
    ['names above values', 'sku,price\nA1,2.5\nA2,3\n', 1, ['sku', 'price'], 2],
    ['no header', '1,2.5\n2,3.5\n3,1\n', null, ['column_1', 'column_2'], 3],
    ['no header, codes', 'SKU-001,bolt\nSKU-002,nut\nSKU-003,screw\n', null, ['column_1', 'column_2'], 3],
    ['a header alone', 'sku,name,price\n', 1, ['sku', 'name', 'price'], 0],
    ['one record alone', '1,2,3\n', null, ['column_1', 'column_2', 'column_3'], 1],
    [
      'notes above',
      'Stock report\nprinted 2026-01-31\n\nsku,qty,price\nA1,2,1.5\nA2,3,2.5\nA3,4,2\n',
      4,
      ['sku', 'qty', 'price'],
      3,
    ],
    ['blank and repeated names', 'a,,a,b\n1,2,3,4\n', 1, ['a', 'column_2', 'a_2', 'b'], 1],
    ['a delimiter at every end', 'a,b\n1,2,\n3,4,\n5,6,\n', 1, ['a', 'b', 'column_3'], 3],
    ['Japanese', '商品コード,商品名,単価\nA1,ボルト,100\n', 1, ['商品コード', '商品名', '単価'], 1],
  ])('%s', async (_, text, headerRow, columns, rows) => {
    const manifest = await inspect(text);
    expect([manifest.headerRow, names(manifest), manifest.rows + manifest.rejected]).toEqual([
      headerRow,
      columns,
      rows,
    ]);
  });

  it.each([
    ['Markdown', '| sku | name | price |\n|-----|:----:|------:|\n| A1 | Bolt | 1.5 |\n| A2 | Nut | 2.5 |\n'],
    ['psql', ' sku | name | price \n-----+------+-------\n A1  | Bolt |   1.5\n A2  | Nut  |   2.5\n'],
    ['sqlcmd', 'sku,name,price\n---,----,-----\nA1,Bolt,1.5\nA2,Nut,2.5\n'],
    ['a ruler of equals signs', 'sku;name;price\n===;====;=====\nA1;Bolt;1.5\nA2;Nut;2.5\n'],
  ])('a line drawn below the names is none of them: %s', async (_, text) => {
    const manifest = await inspect(text);
    const named = manifest.columns.filter(({ original }) => original.trim() !== '');
    expect(named.map(({ name, type }) => [name, type])).toEqual([
      ['sku', 'text'],
      ['name', 'text'],
      ['price', 'decimal'],
    ]);
    expect([manifest.headerRow, manifest.rows, manifest.rejected]).toEqual([1, 2, 0]);
    expect(manifest.warnings.map(({ code }) => code)).not.toContain('header_joined');
  });

  it('dashes for empty cells below the names are a record', async () => {
    expect(await inspect('sku,price,note\n-,-,-\nA1,2.5,x\nA2,3,y\n')).toMatchObject({
      headerRows: 1,
      rows: 3,
    });
  });

  it('says when names were taken to stand one column to the left', async () => {
    const rows = Array.from({ length: 12 }, (_, n) => `A${n}  Bolt ${n}  ${n}.50`).join('\n');
    const manifest = await inspect(`SKU  NAME  PRICE\n${rows.replaceAll('Bolt ', 'Bolt  ')}\n`);
    expect(names(manifest)).toEqual(['column_1', 'SKU', 'NAME', 'PRICE']);
    expect(manifest.warnings.map(({ code }) => code)).toContain('names_shifted');
  });

  it('never eats row 1 of a file that is said to have no header', async () => {
    const manifest = await inspect('foo,bar,baz\n1,2,3,4\n', { headerRow: 0 });
    expect(manifest).toMatchObject({
      headerRow: null,
      rows: 1,
      rejected: 1,
      sample: [['foo', 'bar', 'baz']],
    });
  });

  it('takes the header where it is said to be', async () => {
    const manifest = await inspect('x,y\n1,2\nsku,qty\nA,3\n', { headerRow: 3 });
    expect(manifest).toMatchObject({ headerRow: 3, preambleRows: 2, rows: 1, sample: [['A', '3']] });
    await expect(inspect('a,b\n', { headerRow: 9 })).rejects.toMatchObject({ code: 'no_header_row' });
  });

  it('shortens a name of 4,000 characters and keeps the original', async () => {
    const long = 'x'.repeat(4000);
    const manifest = await inspect(`a,${long}\n1,2\n`, { headerRow: 1 });
    expect(names(manifest)[1]!.length).toBeLessThanOrEqual(120);
    expect(manifest.columns[1]!.original).toBe(long);
  });
});

describe('types', () => {
  it.each<[string, string[], string, object | undefined]>([
    ['integers', ['1', '-20', '300'], 'integer', { decimal: '.' }],
    ['leading zeros', ['00123', '00124'], 'text', undefined],
    ['seventeen digits', ['12345678901234567', '12345678901234568'], 'text', undefined],
    ['exponents', ['1e5', '2e6'], 'text', undefined],
    ['decimals', ['1.5', '2', '1,234.50'], 'decimal', { decimal: '.' }],
    ['decimal commas', ['1,5', '1.234,50'], 'decimal', { decimal: ',' }],
    ['thousands or decimals', ['1,234', '5,678'], 'integer', undefined],
    ['booleans', ['yes', 'No', 'はい'], 'boolean', undefined],
    ['ISO dates', ['2024-01-31', '2024-02-29'], 'date', { date: 'YMD' }],
    ['day first', ['31/01/2024', '01/02/2024'], 'date', { date: 'DMY' }],
    ['month first', ['01/31/2024', '01/02/2024'], 'date', { date: 'MDY' }],
    ['either first', ['01/02/2024', '03/04/2024'], 'date', undefined],
    ['moments', ['2024-01-31 10:00', '2024-01-31T10:00:00Z'], 'timestamp', { date: 'YMD' }],
    ['e-mail', ['a@b.com', 'c@d.org'], 'email', undefined],
    ['phones', ['+81 3-1234-5678', '03-1234-5678'], 'phone', undefined],
    ['words', ['bolt', 'nut'], 'text', undefined],
  ])('%s', async (_, cells, type, format) => {
    const manifest = await inspect(`key;value\n${cells.map((cell, row) => `k${row};${cell}\n`).join('')}`, {
      headerRow: 1,
      delimiter: ';',
    });
    expect(manifest.columns[1]).toMatchObject({ type });
    expect(manifest.columns[1]!.format).toEqual(format);
  });

  it('looks at every segment, not at the head alone', async () => {
    const rows = Array.from({ length: 60_000 }, (_, row) => `${row},${row < 2000 ? row : '00123'}\n`).join(
      '',
    );
    expect(types(await inspect(`id,code\n${rows}`, {}, 'file.csv', { segmentBytes: 100_000 }))).toEqual([
      'integer',
      'text',
    ]);
  });
});

describe('rebuildCanonical', () => {
  it('refuses another object, and leaves nothing behind', async () => {
    const manifest = await inspect('a,b\n1,2\n');
    const elsewhere = { rawPath: join(folder, 'else'), canonicalPath: join(folder, 'else.canonical') };
    await expect(
      rebuildCanonical({ source: chunks(Buffer.from('a,b\n1,3\n')), manifest, spool: elsewhere }),
    ).rejects.toMatchObject({ code: 'source_changed' });
    expect(existsSync(elsewhere.rawPath)).toBe(false);
  });
});
