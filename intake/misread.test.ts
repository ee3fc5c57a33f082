import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { dateOrders, parseDate } from './dates.ts';
import { inspectFile } from './inspect.ts';
import { scanSegment } from './parse-segment.ts';
import { OK, recordTexts, REJECT_CODES } from './scan.ts';
import type { Manifest } from './types.ts';

/** Files that are easily read as something else without anything being said. */
const folder = mkdtempSync(join(tmpdir(), 'intake-misread-'));
afterAll(() => rmSync(folder, { recursive: true }));
const spool = { rawPath: join(folder, 'raw'), canonicalPath: join(folder, 'canonical') };

interface Read {
  manifest: Manifest;
  names: string[] | null;
  rows: string[][];
  rejects: [line: number, code: string][];
  codes: string[];
}

async function read(bytes: Buffer | string, fileName = 'file.csv'): Promise<Read> {
  for (const path of Object.values(spool)) rmSync(path, { force: true });
  const source = (async function* () {
    yield Buffer.from(bytes);
  })();
  const manifest = await inspectFile({ source, spool, fileName, options: {} });
  const rows: string[][] = [];
  const rejects: Read['rejects'] = [];
  const path = manifest.canonical === 'raw' ? spool.rawPath : spool.canonicalPath;
  const dialect = manifest.canonicalDialect;
  for (const segment of manifest.segments)
    for (const scanner of scanSegment({ path, ...manifest, dialect, segment })) {
      if (scanner.status === OK) rows.push(recordTexts(scanner, dialect));
      else rejects.push([scanner.line, REJECT_CODES[scanner.status]!]);
    }
  return {
    manifest,
    names: manifest.headerRow === null ? null : manifest.columns.map(({ original }) => original),
    rows,
    rejects,
    codes: manifest.warnings.map(({ code }) => code),
  };
}

const lines = (count: number, line: (n: number) => string) =>
  Array.from({ length: count }, (_, n) => `${line(n + 1)}\n`).join('');

describe('the first record is never a part of the names', () => {
  const priced = lines(3000, (n) => `Item ${n},${n}.50,note ${n % 7}`);
  it.each<[string, string, string[]]>([
    [
      'words for a price',
      'name,price\nApple pie,call us\nBanana,12.5\nCherry tart,3.20\nDate,4\n',
      ['Apple pie', 'call us'],
    ],
    ['in 3,000 rows', `name,price,note\nApple pie,call,ask us\n${priced}`, ['Apple pie', 'call', 'ask us']],
    [
      'words for a date',
      'kunde;datum;menge\nMeier;offen;viele\nKunz;2026-01-02;4\nHinz;2026-01-03;5\n',
      ['Meier', 'offen', 'viele'],
    ],
    ['Japanese', '商品名,単価\nりんご,時価\nみかん,120\nぶどう,300\n', ['りんご', '時価']],
  ])('%s', async (_, text, first) => {
    const found = await read(text);
    expect(found.manifest.headerRows).toBe(1);
    expect(found.rows[0]).toEqual(first);
  });

  it.each<[string, string, string[]]>([
    [
      'units',
      'name,weight,price\n,(kg),(EUR)\nBolt,1.5,2\nNut,2.5,3\nPin,1,1\n',
      ['name', 'weight (kg)', 'price (EUR)'],
    ],
    [
      'bare units',
      'name,weight,price\n,kg,€\nBolt,1.5,2\nNut,2.5,3\nPin,1,1\n',
      ['name', 'weight kg', 'price €'],
    ],
    [
      'groups',
      'Item,Item,Stock,Stock\nCode,Name,Qty,Price\nA1,Bolt,5,1.5\nA2,Nut,7,2.5\nA3,Pin,8,0.1\n',
      ['Item Code', 'Item Name', 'Stock Qty', 'Stock Price'],
    ],
  ])('%s below the names are', async (_, text, names) => {
    const found = await read(text);
    expect(found.names).toEqual(names);
    expect(found.codes).not.toContain('header_guessed');
  });

  it('a line below names with a blank is joined with doubt', async () => {
    const found = await read(
      'name,,price\nApple pie,see note,call us\nBanana,y-2,12.5\nCherry,z,3.20\nDate,w 3 4,4\n',
    );
    expect(found.codes).toContain('header_guessed');
  });
});

describe('double quotes are the quotes', () => {
  it.each<[string, string, string[][]]>([
    [
      'beside apostrophes',
      "id,name\n1,\"a\"\n2,'b'\n3,'c'\n",
      [
        ['1', 'a'],
        ['2', "'b'"],
        ['3', "'c'"],
      ],
    ],
    [
      'over several lines',
      "id,name\n1,\"a\nb\"\n2,'b'\n3,'c'\n4,'d'\n",
      [
        ['1', 'a\nb'],
        ['2', "'b'"],
        ['3', "'c'"],
        ['4', "'d'"],
      ],
    ],
    [
      'behind semicolons',
      "id;name\n1;\"a;b\"\n2;'c'\n3;'d'\n",
      [
        ['1', 'a;b'],
        ['2', "'c'"],
        ['3', "'d'"],
      ],
    ],
  ])('%s', async (_, text, rows) => {
    expect(await read(text)).toMatchObject({ manifest: { dialect: { quote: '"' } }, rows });
  });

  it('unless nearly everything stands in apostrophes, and then it is said', async () => {
    const found = await read(`id,name\n${lines(40, (n) => `'${n}','a, ${n}'`)}'41','b'\n"42","c"\n`);
    expect(found.manifest.dialect).toMatchObject({ quote: "'" });
    expect(found.codes).toContain('quotes_mixed');
  });
});

describe('one column stays one', () => {
  it.each<[string, string, number, string]>([
    ['decimal commas', 'price\n1,5\n2,5\n', 2, '1,5'],
    ['decimal commas and dots', `Preis\n${lines(30, (n) => `${n}.234,50`)}`, 30, '1.234,50'],
    ['marks of thousands', 'amount\n1,234\n5,678\n12,000\n', 3, '1,234'],
    ['surnames first', 'name\nSmith, John\nDoe, Jane\nRoe, Rick\n', 3, 'Smith, John'],
    [
      'letters',
      `comment\n${lines(100, (n) => `Dear Sir; thanks, bye; ${n}`)}`,
      100,
      'Dear Sir; thanks, bye; 1',
    ],
    ['addresses', 'address\n1 High St, Leeds\n22 Elm Rd, York\n3 Oak Ave, Bath\n', 3, '1 High St, Leeds'],
    ['numbered lines', lines(4000, (n) => `line number ${n}`), 4000, 'line number 1'],
  ])('%s', async (_, text, rows, first) => {
    const found = await read(text);
    expect(found.rows.length + (found.rows[0]![0] === first ? 0 : 1)).toBe(rows);
    expect([found.rows.find(([cell]) => cell === first), found.rejects]).toEqual([[first], []]);
  });

  it.each<[string, string, string[]]>([
    ['a title above names', 'Report\nname, price\nApple, 3\nPear, 4\n', ['name', 'price']],
    [
      'a title above names without spaces',
      'Stock\nsku,name,qty\nA1,Bolt,4\nA2,Nut,5\n',
      ['sku', 'name', 'qty'],
    ],
  ])('but %s is no name of a column', async (_, text, names) => {
    expect((await read(text)).names).toEqual(names);
  });

  it('and where nothing proves it, that is said', async () => {
    const found = await read('name\nSmith,John\nDoe,Jane\nRoe,Rick\n');
    expect(found.codes.concat(found.rejects.map(([, code]) => code))).toContain('header_guessed');
  });
});

describe('two signs divide', () => {
  it.each(['||', '~~', '##'])('%s', async (sign) => {
    const found = await read(`a${sign}b\n${lines(300, (n) => `${n}${sign}name ${n}`)}`);
    expect([found.names, found.rows[0]]).toEqual([
      ['a', 'b'],
      ['1', 'name 1'],
    ]);
  });

  it.each([',', '\t'])('and columns left blank between others are columns: %j', async (sign) => {
    const row = (...cells: string[]) => cells.join(sign);
    const found = await read(
      `${row('a', '', 'b', '', 'c')}\n${lines(30, (n) => row(`${n}`, '', `name ${n}`, '', 'x'))}`,
    );
    expect(found.manifest.dialect).toMatchObject({ delimiter: sign });
    expect(found.rows[0]).toEqual(['1', '', 'name 1', '', 'x']);
  });
});

describe('damaged UTF-8 is UTF-8', () => {
  const utf8 = (text: string) => Buffer.from(text);
  const damaged = (text: string, byte: number) =>
    Buffer.concat(text.split('§').flatMap((part, at) => [...(at ? [Buffer.from([byte])] : []), utf8(part)]));
  const cut = (text: string) => Buffer.concat([utf8(text).subarray(0, 10), utf8('\n')]);
  it.each<[string, Buffer]>([
    [
      'a lead byte behind every line',
      damaged(`id,street\n${lines(200, (n) => `${n},Müller Straße §`)}`, 0xc3),
    ],
    [
      'Japanese cut at 10 bytes',
      Buffer.concat([utf8('名前,値\n'), ...Array.from({ length: 60 }, () => cut('日本語の文字です'))]),
    ],
    ['Cyrillic cut in a character', damaged(`имя\n${lines(60, (n) => `Москва ${n}, улица §`)}`, 0xd0)],
    [
      'CESU-8',
      Buffer.concat([
        utf8('id,mood\n'),
        ...Array.from({ length: 40 }, (_, n) =>
          Buffer.concat([utf8(`${n},`), Buffer.from('eda0bdedb8800a', 'hex')]),
        ),
      ]),
    ],
  ])('%s', async (_, bytes) => {
    const found = await read(bytes);
    expect(found.manifest.encoding).toBe('utf-8');
    expect(found.codes).toContain('encoding_guessed');
    expect(found.rejects.length).toBeGreaterThan(30);
    expect(found.rejects[0]![1]).toBe('invalid_bytes');
  });
});

describe('signs are signs', () => {
  const latin1 = (text: string) => Buffer.from(text, 'latin1');
  it.each<[string, string]>([
    ['id,size\n1,50 m²\n2,60 m²\n', '50 m²'],
    ['id,size\n1,½ inch\n2,¼ inch\n', '½ inch'],
    ['id,name\n1,«Alpha»\n2,«Beta»\n', '«Alpha»'],
    ['id,name\n1,Acme®\n', 'Acme®'],
    ['id,volume\n1,12 cm³\n2,3 cm³\n3,4 cm³\n', '12 cm³'],
    ['id,owner\n1,©Acme\n2,x\n', '©Acme'],
  ])('%j', async (text, cell) => {
    const found = await read(latin1(text));
    expect(found.rows[0]![1]).toBe(cell);
    expect(found.manifest.encodingConfidence).toBeLessThan(0.95);
  });
});

describe('what begins like a remark and divides like the table is a record', () => {
  it.each<[string, string]>([
    ['at the end', `# note\na,b\n${lines(500, (n) => `${n},x`)}#4,w\n#5,v\n`],
    ['in a large file', `# note\na,b\n${lines(60_000, (n) => `${n},x`)}#4,w\n#5,v\n`],
    ['without a last line end', `-- made by hand\na;b;c\n${lines(300, (n) => `${n};x;y`)}--4;w;v\n--5;v;u`],
  ])('%s', async (_, text) => {
    const found = await read(text);
    expect(found.rows.slice(-2).map((cells) => cells.slice(0, 2))).toEqual([
      [expect.stringMatching(/^(?:#|--)4$/u), 'w'],
      [expect.stringMatching(/^(?:#|--)5$/u), 'v'],
    ]);
    expect(found.rows.length).toBe(found.manifest.rows);
  });

  it('and which lines were skipped is said', async () => {
    const found = await read(
      `id,name\n1,x\n# checked, twice, well\n# by Bob\n${lines(100, (n) => `${n},x`)}`,
    );
    expect(found.rows.length).toBe(101);
    expect(found.manifest.warnings.find(({ code }) => code === 'remarks_skipped')?.message).toContain(
      'line 3, 4',
    );
  });
});

it.each<[string, (n: number) => string]>([
  ['thousands', (n) => `A-${n},Widget,${n},200`],
  ['decimals', (n) => `A-${n},Widget,${n},50`],
  ['amounts', (n) => `A-${n},Widget,Rp ${n},500`],
])('numbers that were torn apart in every row shift no names: %s', async (_, line) => {
  const found = await read(`sku,name,price\n${lines(5, line)}`);
  expect(found.codes).not.toContain('names_shifted');
  expect(found.manifest.columns.map(({ original }) => original)).not.toContain('price');
  expect(found.rejects).toEqual([[1, 'too_few_columns']]);
});

it.each<[string, (n: number) => string]>([
  ['more digits than stand before thousands', (n) => `name ${n},1234${n},20${n}`],
  ['a leading zero', (n) => `name ${n},0${n},2${n}`],
  ['letters', (n) => `name ${n},A-${n},20${n}`],
])('numbers side by side are not torn apart where the first cannot go on: %s', async (_, line) => {
  const found = await read(`age,score\n${lines(5, line)}`);
  expect(found.names).toEqual(['', 'age', 'score']);
  expect(found.codes).toContain('names_shifted');
});

it('names that stand on two lines alike are not joined with themselves', async () => {
  const found = await read('id,name,qty\nid,name,qty\n1,a,5\n2,b,6\n3,c,7\n');
  expect(found.names).toEqual(['id', 'name', 'qty']);
  expect(found.manifest).toMatchObject({ headerRow: 1, headerRows: 2, rows: 3 });
  expect(found.codes).not.toContain('header_joined');
});

it('JSON that is UTF-8 in no record is read as what it is', async () => {
  const bytes = Buffer.from('[{"a":"\x93\xfa\x96\x7b\x8c\xea\x82\xcc\x8f\xa4\x95\x69"}]', 'latin1');
  expect(await read(bytes, 'file.json')).toMatchObject({
    manifest: { encoding: 'shift_jis' },
    rows: [['日本語の商品']],
  });
});

it.each<[string, (n: number) => string]>([
  ['backslashes', (n) => `${n},a\\, b ${n},x`],
  ['apostrophes', (n) => `${n},'a, b ${n}',x`],
])('delimiters behind %s tear no cell and shift no names', async (_, line) => {
  const found = await read(`id,text,n\n${lines(20, line)}`);
  expect(found.names).toEqual(['id', 'text', 'n']);
  expect(found.rows[4]).toEqual(['5', 'a, b 5', 'x']);
});

it.each([2, 5, 20])('paths that end with a backslash keep their delimiters: %d rows', async (count) => {
  const found = await read(`id,path,note\n${lines(count, (n) => `${n},C:\\dir\\,x,`)}`);
  expect(found.names?.slice(0, 3)).toEqual(['id', 'path', 'note']);
  expect(found.rows).toEqual(Array.from({ length: count }, (_, n) => [`${n + 1}`, 'C:\\dir\\', 'x', '']));
});

it('barcodes with a separator in them are one column', async () => {
  const code = (n: number) => `010950600013435${n}\x1D10ABC`;
  const found = await read(`code\n${lines(5, code)}`);
  expect(found.names).toEqual(['code']);
  expect(found.rows).toEqual(Array.from({ length: 5 }, (_, n) => [code(n + 1)]));
  // Names below a title divide as the rows do.
  const table = await read(`Report\nid\x1Dqty\n${lines(5, (n) => `A${n}\x1D${n}`)}`);
  expect([table.names, table.rows[0]]).toEqual([
    ['id', 'qty'],
    ['A1', '1'],
  ]);
});

it('months may be names of columns', async () => {
  const found = await read('sku,2024-01-01,2024-02-01\nA1,5,6\nA2,7,8\nA3,9,10\n');
  expect(found.names).toEqual(['sku', '2024-01-01', '2024-02-01']);
});

it('what is no text in any encoding is refused, and a few NULs in a text are not', async () => {
  const bytes = Buffer.from(Array.from({ length: 4000 }, (_, n) => (n * n * 31 + n * 7) % 256));
  await expect(read(bytes)).rejects.toMatchObject({ code: 'not_a_data_file' });
  const noLines = Buffer.from(bytes.filter((byte) => byte !== 10));
  await expect(read(noLines)).rejects.toMatchObject({ code: 'not_a_data_file' });
  const text = `id,name\n${lines(50, (n) => `${n},Caf\xe9`)}51,a\0b\n`;
  expect((await read(Buffer.from(text, 'latin1'))).rejects).toEqual([[52, 'nul_byte']]);
});

it('NULs divide nothing: no row comes of UTF-32 without a mark', async () => {
  const text = `id,name\n${lines(20, (n) => `${n},abc`)}`;
  const bytes = Buffer.from([...text].flatMap((letter) => [letter.charCodeAt(0), 0, 0, 0]));
  expect((await read(bytes)).rows).toEqual([]);
});

describe('names in angle brackets', () => {
  it.each([',', '\t', ';'])('are no tags: %j', async (sign) => {
    const names = ['<TICKER>', '<DATE>', '<CLOSE>'];
    const found = await read(
      `${names.join(sign)}\n${lines(5, (n) => ['A', `2024010${n}`, `${n}.5`].join(sign))}`,
    );
    expect(found.names).toEqual(names);
    expect(found.rows.length).toBe(5);
  });

  it.each(['<html>\t<head><title>Login</title>', '<?xml version="1.0"?>\t<r><a>1</a></r>'])(
    'are tags where they are known as such: %j',
    async (text) => {
      await expect(read(`${text}\n1\t2\n`)).rejects.toMatchObject({ code: 'not_a_data_file' });
    },
  );
});

describe('quotes doubled and behind backslashes in one file', () => {
  const escaped = (n: number) => `${n},"say \\"hi\\" ${n}",x`;
  const doubled = (n: number) => `${n},"say ""hi"" ${n}",x`;
  it.each<[string, (n: number) => string, (n: number) => string]>([
    ['backslashes', escaped, doubled],
    ['doubled', doubled, escaped],
  ])('mostly %s', async (_, most, one) => {
    const found = await read(`id,text,note\n${lines(30, (n) => (n === 29 ? one(n) : most(n)))}`);
    expect(found.rows.map(([, text]) => text)).toEqual(
      Array.from({ length: 30 }, (_, n) => `say "hi" ${n + 1}`),
    );
  });
});

it('rows that end with a record separator and no line break are refused with what to do', async () => {
  await expect(read('a\x1Fb\x1E1\x1F2\x1E3\x1F4\x1E')).rejects.toMatchObject({ code: 'no_line_breaks' });
});

describe('U+FFFD and marks inside', () => {
  it.each<[string, string]>([
    ['csv', 'id,name\n1,a\n2,b\uFFFDc\n3,d\n'],
    ['quoted csv', 'id,name\n1,a\n2,"b\uFFFD"\n3,"é"\n'],
    ['json', '[{"id":1,"name":"a"},{"id":2,"name":"b\\ufffd"},{"id":3,"name":"d"}]'],
    ['a mark of bytes where a file was put behind another', 'id,name\n1,a\n\uFEFF2,b\n3,d\n'],
  ])('%s', async (_, text) => {
    const found = await read(text);
    expect(found.rows.map(([id]) => id)).toEqual(['1', '3']);
    expect(found.rejects.map(([, code]) => code)).toEqual(['invalid_bytes']);
    expect(found.manifest.encoding).toBe('utf-8');
  });

  it('two marks at the beginning are none of the first name', async () => {
    expect((await read('\uFEFF\uFEFFid,name\n1,a\n')).names).toEqual(['id', 'name']);
  });
});

it.each(['5 Marraskuu 2024', 'Maybe 5, 2024', '12-Junction-2019', 'H99.1.1', '昭和65年1月1日'])(
  '%s is no date',
  (text) => expect(dateOrders(text)).toEqual([]),
);
it.each([
  ['5 Maret 2024', '2024-03-05'],
  ['12-Dez-2019', '2019-12-12'],
  ['September 5, 2024', '2024-09-05'],
  ['H31.4.30', '2019-04-30'],
  ['1. März 2024', '2024-03-01'],
  ['31-JAN-24', '2024-01-31'],
])('%s is', (text, date) => expect(parseDate(text)).toBe(date));
