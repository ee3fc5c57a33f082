import { createReadStream, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, describe, expect, it } from 'vitest';
import { inspectFile } from '../../intake/inspect.ts';
import { scanSegment } from '../../intake/parse-segment.ts';
import type { InspectLimits } from '../../intake/receive.ts';
import { rejectionMessage } from '../../intake/rejections.ts';
import { OK, recordTexts, REJECT_CODES } from '../../intake/scan.ts';
import type { FileOptions, Manifest } from '../../intake/types.ts';
import { encodeAs } from '../encode.ts';

/** Bad files as the reader takes them, one test a kind; what ends in a table is in `imports.it.test.ts`. */
const folder = mkdtempSync(join(tmpdir(), 'bad-inputs-'));
afterAll(() => rmSync(folder, { recursive: true }));

interface Read {
  manifest: Manifest;
  records: string[][];
  rejects: string[];
  warnings: string[];
  messages: string[];
}

async function read(
  content: string | Buffer,
  {
    name = 'file.csv',
    options = {},
    limits,
  }: { name?: string; options?: FileOptions; limits?: InspectLimits } = {},
): Promise<Read> {
  const path = join(folder, 'source');
  const canonicalPath = join(folder, 'canonical');
  writeFileSync(path, content);
  const manifest = await inspectFile({
    source: createReadStream(path, { highWaterMark: 65_536 }) as AsyncIterable<Buffer>,
    spool: { rawPath: path, canonicalPath, rawIsSource: true },
    fileName: name,
    options,
    limits,
  });
  const records: string[][] = [];
  const rejects: string[] = [];
  const messages: string[] = [];
  const { columns, canonicalDialect: dialect, maxRecordBytes } = manifest;
  for (const segment of manifest.segments) {
    const from = manifest.canonical === 'raw' ? path : canonicalPath;
    for (const scanner of scanSegment({ path: from, segment, dialect, columns, maxRecordBytes })) {
      if (scanner.status === OK) records.push(recordTexts(scanner, dialect));
      else {
        rejects.push(`${scanner.line} ${REJECT_CODES[scanner.status]}`);
        messages.push(rejectionMessage(scanner, columns.length));
      }
    }
  }
  expect([manifest.rows, manifest.rejected]).toEqual([records.length, rejects.length]);
  expect(JSON.stringify(records)).not.toContain('\uFFFD');
  return { manifest, records, rejects, warnings: manifest.warnings.map(({ code }) => code), messages };
}

const refusal = (content: string | Buffer, name?: string, limits?: InspectLimits): Promise<string> =>
  read(content, { name, limits }).then(
    () => 'read',
    (error: { code: string; message: string }) => {
      expect(error.message).toMatch(/[.]$/u);
      return error.code;
    },
  );
const zip = (magic: string) => Buffer.from(magic.padEnd(44, '0'), 'hex');

describe('what is read', () => {
  it('a header alone: no rows, and it is said', async () => {
    expect(await read('sku,name,price\n')).toMatchObject({ records: [], warnings: ['no_rows'] });
  });
  it('no header: row 1 is a record', async () => {
    expect((await read('1,2.5\n2,3.5\n3,1\n')).records).toHaveLength(3);
  });
  it('notes above the table: passed over, and it is said', async () => {
    const rows = Array.from({ length: 20 }, (_, n) => `A${n},${n},${n}.50\n`).join('');
    const found = await read(`Stock report\n\nsku,qty,price\n${rows}`);
    expect(found.records).toHaveLength(20);
    expect(found.manifest).toMatchObject({ headerRow: 3, preambleRows: 2 });
    expect(found.warnings).toContain('preamble_skipped');
  });
  it('names that are twice, blank or 4,000 characters long: made unique, originals kept', async () => {
    const long = 'x'.repeat(4000);
    const { manifest } = await read(`id,,id,${long}\n1,2,3,4\n5,6,7,8\n`, { options: { headerRow: 1 } });
    expect(new Set(manifest.columns.map(({ name }) => name)).size).toBe(4);
    expect(manifest.columns.map(({ original }) => original)).toEqual(['id', '', 'id', long]);
  });
  it('a byte order mark before a quoted name: no part of it', async () => {
    const { manifest, records } = await read('\uFEFF"sku","name"\n"1","x"\n"2","y"\n');
    expect([manifest.columns[0]!.name, records[0]]).toEqual(['sku', ['1', 'x']]);
  });
  it('CP932 with the signs that Windows added', async () => {
    const text = 'コード,名称\nA1,①②㈱髙橋\nA2,能力表示\nA3,～−‖\n'.replace('−', '－').replace('‖', '∥');
    expect((await read(encodeAs(text, 'shift_jis'))).records[0]).toEqual(['A1', '①②㈱髙橋']);
  });
  it('a byte 0x5C inside a character escapes nothing', async () => {
    const bytes = encodeAs('名,値\n"表","a"\n"ソ","b"\n"能,","c"\n', 'shift_jis');
    expect((await read(bytes)).records).toEqual([
      ['表', 'a'],
      ['ソ', 'b'],
      ['能,', 'c'],
    ]);
  });
  it('windows-1252 that says it is ISO-8859-1', async () => {
    const bytes = encodeAs('Ort;Preis\nKöln;5 €\nBüren;“7”\n', 'windows-1252');
    for (const options of [{}, { encoding: 'iso-8859-1' }])
      expect((await read(bytes, { options })).records).toEqual([
        ['Köln', '5 €'],
        ['Büren', '“7”'],
      ]);
  });
  it('characters and quoted line breaks that the chunks divide', async () => {
    const row = `"日本\n語","${'é'.repeat(11)}"\n`;
    const { records, rejects } = await read(`a,b\n${row.repeat(8000)}"last",x,y\n`, {
      options: { headerRow: 1 },
    });
    expect([records.length, records.every(([cell]) => cell === '日本\n語'), rejects]).toEqual([
      8000,
      true,
      ['16002 too_many_columns'],
    ]);
  });
  it('CR alone, and line ends of several kinds', async () => {
    expect((await read('a,b\r1,x\r2,y\r')).records).toEqual([
      ['1', 'x'],
      ['2', 'y'],
    ]);
    const mixed = await read('a,b\r\n1,x\n2,y\r3,z\n');
    expect([mixed.records.length, mixed.manifest.lineEnding]).toEqual([3, 'mixed']);
  });
  it.each<[string, string, string]>([
    ['semicolon', 'a;b;c\n1,5;x;2,5\n3,25;y;4,0\n', '1,5'],
    ['tab', 'a\tb\tc\n1,5\tx\t2\n3\ty\t4\n', '1,5'],
    ['pipe', 'a|b|c\n1,5|x|2\n3|y|4\n', '1,5'],
    ['sep=', 'sep=|\na|b|c\n1,5|x|2\n', '1,5'],
  ])('%s', async (_, text, first) => {
    expect((await read(text)).records[0]![0]).toBe(first);
  });
  it('a stray quote is a character', async () => {
    expect((await read('a,b\n5" pipe,1\n6" pipe,2\n')).records).toEqual([
      ['5" pipe', '1'],
      ['6" pipe', '2'],
    ]);
  });
});

describe('what is rejected alone', () => {
  it('a quote that is never closed, by its line, with reading going on behind it', async () => {
    const rows = (from: number) => Array.from({ length: 3000 }, (_, n) => `${from + n},x\n`).join('');
    const found = await read(`id,name\n1,x\n2,"open\n${rows(3)}`);
    expect([found.rejects, found.records.length]).toEqual([['3 unclosed_quote'], 3001]);
  });
  it('a line of 30 MB, in little memory', async () => {
    const before = process.memoryUsage().arrayBuffers;
    const found = await read(
      Buffer.concat([Buffer.from('a,b\n1,x\n'), Buffer.alloc(30_000_000, 'y'), Buffer.from('\n2,z\n')]),
      { options: { headerRow: 1, delimiter: ',' } },
    );
    expect([found.records, found.rejects]).toEqual([
      [
        ['1', 'x'],
        ['2', 'z'],
      ],
      ['3 record_too_large'],
    ]);
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(64 * 1024 * 1024);
  });
  it('a first line without an end, with what to do', async () => {
    await expect(read(`id,${'x'.repeat(1_200_000)}\n1,2\n`)).rejects.toMatchObject({
      code: 'first_line_too_long',
      message: expect.stringMatching(/put line breaks there/u),
    });
    const whole = await read(`id,${'x'.repeat(700_000)}\n1,2\n`, { options: { headerRow: 0 } });
    expect([whole.records.length, whole.rejects]).toEqual([2, []]);
  });
  it('more columns than can be read, with what to do', async () => {
    const line = (width: number) => `${Array.from({ length: width }, (_, n) => n).join(';')}\n`;
    const options = { headerRow: 1, delimiter: ';' };
    await expect(read(line(16_385).repeat(3), { options })).rejects.toMatchObject({
      code: 'too_many_columns',
    });
    expect(
      (await read(line(16_384) + line(16_384).replaceAll(/\d+/gu, 'x').repeat(2), { options })).records,
    ).toHaveLength(2);
  });
  it('an end mark of DOS is no part of the last row', async () => {
    const rows = Array.from({ length: 40_000 }, (_, n) => `${n},name ${n}\n`).join('');
    for (const text of ['id,name\n1,a\n2,b\n\x1A', 'id,name\n1,a\n2,b\x1A', `id,name\n${rows}\x1A\x1A`]) {
      const found = await read(text);
      expect([found.rejects, found.warnings]).toEqual([[], ['end_mark_skipped']]);
      expect(JSON.stringify(found.records.at(-1))).not.toContain('001a');
    }
    expect((await read('name\nx\ny\n\x1A')).records).toEqual([['x'], ['y']]);
    expect((await read('id,name\n1,a\x1A\n2,b\n')).records[0]).toEqual(['1', 'a\x1A']);
  });
  it('a quote that only a later row closes: the sentence holds of that too', async () => {
    const found = await read('id,a,b\n1,"x,y\n2,"p",q\n3,r,s\n');
    expect(found.rejects).toEqual(['2 unclosed_quote']);
    expect(found.messages[0]).toMatch(
      /^A value that opens with a quote on line 2 does not end with one: .* a later row/u,
    );
  });
  it('ragged rows, short and long', async () => {
    const found = await read('a,b,c\n1,x,y\n2,x\n3,x,y,z\n4,x,y\n');
    expect([found.records.length, found.rejects]).toEqual([2, ['3 too_few_columns', '4 too_many_columns']]);
  });
  it('NUL bytes', async () => {
    expect((await read('a,b\n1,x\n2,y\0\n3,z\n')).rejects).toEqual(['3 nul_byte']);
  });
});

describe('what is refused', () => {
  it.each<[string, string | Buffer, string]>([
    ['no bytes', '', 'empty_file'],
    ['a byte order mark alone', '\uFEFF', 'empty_file'],
    ['HTML called .csv', '<html><body>Sign in</body></html>', 'not_a_data_file'],
    ['HTML behind a comment', '<!-- x -->\n<!DOCTYPE html><html>', 'not_a_data_file'],
    ['a table in HTML', '<table border=1><tr><td>1</td></tr></table>', 'not_a_data_file'],
    ['XML', '<?xml version="1.0"?><rows/>', 'not_a_data_file'],
    ['XML in UTF-16', Buffer.from('\uFEFF<?xml version="1.0"?><rows/>', 'utf16le'), 'not_a_data_file'],
    [
      'a spreadsheet of Excel 2003',
      '<?xml version="1.0"?>\n<?mso-application progid="Excel.Sheet"?>',
      'not_a_data_file',
    ],
    ['a web archive', 'MIME-Version: 1.0\nContent-Type: multipart/related', 'not_a_data_file'],
    ['RTF', '{\\rtf1\\ansi hello}', 'not_a_data_file'],
    ['XLS, or a workbook with a password', zip('d0cf11e0a1b11ae1'), 'old_excel'],
    ['PDF', '%PDF-1.7\n1 0 obj', 'pdf'],
    ['Parquet', 'PAR1\x15\x04\x15', 'parquet'],
    ['PNG', zip('89504e470d0a1a0a'), 'image'],
    ['JPEG', zip('ffd8ffe0'), 'image'],
    ['GIF', 'GIF89a\x01\0\x01\0', 'image'],
    ['SQLite', 'SQLite format 3\0', 'database'],
    ['Avro', 'Obj\x01\x04\x16', 'avro'],
    ['zstd', zip('28b52ffd'), 'zstd'],
    ['bzip2', Buffer.concat([Buffer.from('BZh9'), Buffer.from('314159265359', 'hex')]), 'bzip2'],
    ['xz', zip('fd377a585a00'), 'xz'],
    ['7-Zip', zip('377abcaf271c'), 'seven_zip'],
    ['TAR', Buffer.concat([Buffer.alloc(257, 'x'), Buffer.from('ustar\0')]), 'tar'],
    ['UTF-32', Buffer.from('fffe000061000000', 'hex'), 'utf_32'],
    ['an archive of nothing', zip('504b0506'), 'zip_archive'],
    ['gzip in gzip', gzipSync(gzipSync('a,b\n1,2\n')), 'nested_archive'],
    ['TAR in gzip', gzipSync(Buffer.concat([Buffer.alloc(257, 'x'), Buffer.from('ustar\0')])), 'tar'],
    ['a zip in gzip', gzipSync(zip('504b0304')), 'nested_archive'],
    ['a gzip bomb', gzipSync(Buffer.alloc(20_000_000, 'a,b\n')), 'unpacks_too_large'],
    ['a truncated gzip file', gzipSync('a,b\n1,2\n'.repeat(50)).subarray(0, 25), 'truncated_gzip'],
    ['JSON that is cut off', '[{"a":1},{"a":', 'truncated_json'],
  ])('%s', async (_, bytes, code) => {
    expect(await refusal(bytes)).toBe(code);
  });

  it('more than may come out, whatever the ratio', async () => {
    const noise = Buffer.from(Array.from({ length: 200_000 }, (_, n) => `${n * 7919},${n}\n`).join(''));
    expect(await refusal(gzipSync(noise), 'x.csv.gz', { maxUnpackedBytes: 1_000_000 })).toBe(
      'unpacks_too_large',
    );
  });

  it('what only begins like another kind is text', async () => {
    for (const text of [
      'ORC,b\n1,2\n',
      'BZh,b\n1,2\n',
      'PAR1,b\n1,2\n',
      'BM,b\n1,2\n',
      '[a],b\n1,2\n',
      '{a},b\n1,2\n',
      '<5,b\n1,2\n',
    ])
      expect((await read(text, { options: { headerRow: 1 } })).records).toEqual([['1', '2']]);
  });
});

describe('what is said', () => {
  it.each<[string, string, string | Buffer]>([
    ['text called .xlsx', 'x.xlsx', 'a,b\n1,2\n'],
    ['text called .json', 'x.json', 'a,b\n1,2\n'],
    ['JSON called .csv', 'x.csv', '[{"a":1}]'],
    ['gzip not called so', 'x.csv', gzipSync('a,b\n1,2\n')],
    ['text called .gz', 'x.csv.gz', 'a,b\n1,2\n'],
  ])('%s', async (_, name, bytes) => {
    expect((await read(bytes, { name })).warnings).toContain('name_disagrees');
  });

  it.each(['x.csv', 'X.CSV', 'stock 2024.11', 'x', 'export.dat', 'x.txt'])(
    'nothing about the name %s',
    async (name) => {
      expect((await read('sku,price\nA1,2\nA2,3\n', { name })).warnings).not.toContain('name_disagrees');
    },
  );
});
