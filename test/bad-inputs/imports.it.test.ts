import { createHash } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestApp, type TestApp } from '../api.ts';
import { encodeAs } from '../encode.ts';
import { startTestWorker } from '../worker.ts';

/** Bad files and bad rows through API, store, worker and Temporal into a real table: what stands there in the end. */
const HEADER = 'sku,name,description,price,quantity';
const text = (...lines: (string | Buffer)[]): Buffer =>
  Buffer.concat([HEADER, ...lines].flatMap((line) => [Buffer.from(line), Buffer.from('\n')]));
const many = (count: number, line: (n: number) => string): string[] =>
  Array.from({ length: count }, (_, n) => line(n));

const NAUGHTY = [
  '=cmd|calc',
  '<script>alert(1)</script>',
  "'; drop table products; --",
  'Ω≈ç√∫',
  '‮txet',
  '🏳️‍🌈',
  '%s%n',
  '${x}',
  '\\N',
  '\\.',
  'NaN',
  '../../etc',
  'İ',
  'ß',
];

const FILES: Record<string, Buffer> = {
  'empty.csv': Buffer.alloc(0),
  'mark-only.csv': Buffer.from('\uFEFF'),
  'header-only.csv': text(),
  'utf16.csv': Buffer.from(`sku,name\nU16-1,日本\nU16-2,é\n`, 'utf16le'),
  'late-cp932.csv': Buffer.concat([
    text(...many(10_000, (n) => `LATE-${n},Bolt ${n},,,`)),
    encodeAs('LATE-x,日本語の名前,,,\nLATE-y,能力,,,\n', 'shift_jis'),
  ]),
  'mixed.csv': text(
    ...many(30, (n) => `MIX-${n},日本語${n},,,`),
    encodeAs('MIX-bad,能力,,,', 'shift_jis'),
    'MIX-last,終,,,',
  ),
  'damaged.csv': text(
    'DM-1,good,,1,1', // 2
    'DM-2,b\0d,,1,1', // 3
    'DM-3,short', // 4
    'DM-4,long,,1,1,9,9', // 5
    `DM-5,${'x'.repeat(1_500_000)},,1,1`, // 6
    'DM-6,5" pipe,,1,1', // 7
    ...many(50, (n) => `DM-b${n},Bolt ${n},,1,1`), // 8 to 57
    'DM-7,"never closed,,1,1', // 58
    ...many(2000, (n) => `DM-c${n},Nut ${n},,1,1`),
  ),
  'semicolon.csv': Buffer.from('\uFEFF"sku";name;price\rSC-1;a;1,50\rSC-2;b;1.234,25\rSC-3;c;0,5\r'),
  'page.csv': Buffer.from('<!DOCTYPE html><html><title>Sign in</title></html>'),
  'old.xls': Buffer.from('d0cf11e0a1b11ae1'.padEnd(1024, '0'), 'hex'),
  'old.csv': Buffer.from('d0cf11e0a1b11ae1'.padEnd(1024, '0'), 'hex'),
  'text.xlsx': text('NX-1,x,,,'),
  'members.csv.gz': Buffer.concat([gzipSync(text('GZ-1,x,,,')), gzipSync('GZ-2,y,,,\n')]),
  'truncated.csv.gz': gzipSync(
    text(...many(20_000, (n) => `TG-${n},${createHash('md5').update(`${n}`).digest('hex')},,,`)),
  ).subarray(0, 200_000),
  'bomb.csv.gz': gzipSync(Buffer.alloc(30_000_000, 'a,b\n')),
  'rows.csv': text(
    '00123,1e5,12345678901234567890,0.1000,12345678901234', // 2
    'ID-2,00007,+1,99999999999999.9999,3', // 3
    'NB-1,Bolt,,NaN,1', // 4
    'NB-2,Bolt,,Infinity,1', // 5
    'NB-3,Bolt,,-0,1', // 6
    'NB-4,Bolt,,1e5,1', // 7
    'DK-1,first,,1,1', // 8
    'DK-2,only,,1,1', // 9
    'dk-1,last,,2,1', // 10
    ...NAUGHTY.map((value, n) => `NS-${n},"${value.replaceAll('"', '""')}",,1,1`),
    ...many(150, (n) => `RW-${n},Nut ${n},,${n}.50,1`),
  ),
  'all-bad.csv': text(...many(3000, (n) => `,Bolt ${n},,1.50,`)),
  'records.json': Buffer.from(
    '[{"sku":"JS-1","name":"x","price":1.10},{"sku":"JS-2","name":"a\\u0000b"},{"sku":"JS-3","name":"\\ud800"},{"sku":"JS-4","name":"日本","price":12345678901234.5678}]',
  ),
  'records.ndjson': Buffer.from(
    '{"sku":"ND-1","name":"x"}\n{"sku":"ND-2","name":\n{"sku":"ND-3","name":"x","name":"y"}\n{"sku":"ND-4","name":"z","__proto__":{"a":1}}\n',
  ),
  '../../x‮csv.csv': text('PN-1,x,,,'),
};

interface Ended {
  status: string;
  error: { code: string; message: string } | null;
  accounting: Record<string, number>;
  issues: { line: number; code: string; message: string; value: string | null }[];
}

let app: TestApp;
let worker: Awaited<ReturnType<typeof startTestWorker>>;
const ended = new Map<string, Ended | { refused: number; code: string }>();

beforeAll(async () => {
  app = await startTestApp();
  worker = await startTestWorker({
    databaseUrl: app.workerUrl,
    namespace: app.namespace,
    env: { WAYBILL_STOP_AFTER_BAD_ROWS: '1000' },
  });
  // Eight at a time: more only wait for each other.
  const waiting = Object.entries(FILES);
  await Promise.all(
    many(8, String).map(async () => {
      for (let next = waiting.shift(); next; next = waiting.shift()) ended.set(next[0], await load(...next));
    }),
  );
}, 240_000);
afterAll(async () => {
  await worker?.stop();
  await app?.close();
});

async function load(fileName: string, bytes: Buffer): Promise<Ended | { refused: number; code: string }> {
  const begun = await app.call('POST', '/api/imports/initiate', {
    body: { file_name: fileName, expected_schema: 'products', file_size: bytes.length },
  });
  if (begun.status !== 201) return { refused: begun.status, code: begun.body.code as string };
  const put = await fetch(begun.body.part_urls[0].url, { method: 'PUT', body: new Uint8Array(bytes) });
  const id = begun.body.upload_id as string;
  const done = await app.call('POST', '/api/imports/complete', {
    body: {
      upload_id: id,
      file_key: begun.body.file_key,
      parts: [{ part_number: 1, etag: put.headers.get('etag') }],
      options: { policy: 'auto' },
    },
  });
  if (done.status >= 300) return { refused: done.status, code: done.body.code as string };
  for (;;) {
    const { body } = await app.call('GET', `/api/imports/${id}`);
    if (!['queued', 'running', 'uploading'].includes(body.status as string)) {
      const issues = (await app.call('GET', `/api/imports/${id}/issues`)).body.items as Ended['issues'];
      return { ...(body as Ended), issues: issues ?? [] };
    }
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}

const of = (name: string): Ended => {
  const found = ended.get(name)!;
  if ('refused' in found) throw new Error(`${name} was refused: ${found.refused} ${found.code}`);
  return found;
};
const issuesOf = (name: string) => of(name).issues.map(({ line, code }) => `${line} ${code}`);
const failure = (name: string) => [of(name).status, of(name).error?.code];
const rows = (prefix: string) =>
  app.owner<
    { sku: string; name: string; price: string | null; quantity: string | null; description: string | null }[]
  >`
    select sku, name, price::text, quantity::text, description from catalog.products
    where sku like ${`${prefix}%`} order by sku collate "C"`;
const names = async (prefix: string) =>
  Object.fromEntries((await rows(prefix)).map(({ sku, name }) => [sku, name]));

describe('files', () => {
  it('of no bytes, or a byte order mark alone: empty, no rows', () => {
    const nothing = ended.get('empty.csv')!;
    expect('refused' in nothing ? nothing.refused : nothing.error?.code).toSatisfy(
      (code) => code === 'empty_file' || Number(code) >= 400,
    );
    expect(failure('mark-only.csv')).toEqual(['failed', 'empty_file']);
  });
  it('of a header alone: done, with no rows', () => {
    expect(of('header-only.csv')).toMatchObject({
      status: 'completed',
      accounting: { input: 0, created: 0 },
    });
  });
  it('in UTF-16 without a mark: read', async () => {
    expect(await names('U16-')).toEqual({ 'U16-1': '日本', 'U16-2': 'é' });
  });
  it('in ASCII for 10,000 rows and CP932 after: decided again', async () => {
    expect(of('late-cp932.csv')).toMatchObject({
      status: 'completed',
      accounting: { input: 10_002, created: 10_002 },
    });
    expect(await names('LATE-x')).toEqual({ 'LATE-x': '日本語の名前' });
  });
  it('in two encodings: the rows of the other one are rejected', async () => {
    expect(issuesOf('mixed.csv')).toEqual(['32 invalid_bytes']);
    expect(await names('MIX-last')).toEqual({ 'MIX-last': '終' });
    expect(await rows('MIX-bad')).toEqual([]);
  });
  it('with NUL bytes, ragged rows, a line over the limit: those rows are rejected, never shifted', async () => {
    expect(issuesOf('damaged.csv').slice(0, 4)).toEqual([
      '3 nul_byte',
      '4 too_few_columns',
      '5 too_many_columns',
      '6 record_too_large',
    ]);
    expect(await rows('DM-1')).toMatchObject([{ name: 'good', price: '1.0000', quantity: '1.0000' }]);
  });
  it('with a quote that is never closed: its line is named, and reading goes on', async () => {
    expect(issuesOf('damaged.csv').slice(4)).toEqual(['58 unclosed_quote']);
    expect(of('damaged.csv').accounting).toMatchObject({ input: 2057, created: 2052, blocked: 5 });
    expect(await names('DM-c1999')).toEqual({ 'DM-c1999': 'Nut 1999' });
  });
  it('with a stray quote: it is a character', async () => {
    expect(await names('DM-6')).toEqual({ 'DM-6': '5" pipe' });
  });
  it('with semicolons, decimal commas, CR alone and a byte order mark: read as such', async () => {
    expect((await rows('SC-')).map(({ price }) => Number(price))).toEqual([1.5, 1234.25, 0.5]);
  });
  it('of another kind than their name: recognised by their bytes', async () => {
    expect(failure('page.csv')).toEqual(['failed', 'not_a_data_file']);
    expect(failure('old.csv')).toEqual(['failed', 'old_excel']);
    expect(ended.get('old.xls')).toEqual({ refused: 415, code: 'unknown_type' });
    expect(await names('NX-')).toEqual({ 'NX-1': 'x' });
  });
  it('packed in several members: all of them', async () => {
    expect(await names('GZ-')).toEqual({ 'GZ-1': 'x', 'GZ-2': 'y' });
  });
  it('packed and cut off: failed, with the row, and nothing written', async () => {
    expect(failure('truncated.csv.gz')).toEqual(['failed', 'truncated_gzip']);
    expect(of('truncated.csv.gz').error!.message).toMatch(/after row \d{3,}/u);
    expect(await rows('TG-')).toEqual([]);
  });
  it('that unpack to far more than they should: stopped', () => {
    expect(failure('bomb.csv.gz')).toEqual(['failed', 'unpacks_too_large']);
  });
  it('with names that lead elsewhere or turn text around: read as any other', async () => {
    expect(await names('PN-')).toEqual({ 'PN-1': 'x' });
  });
});

describe('rows', () => {
  it('identifiers and long numbers are exact', async () => {
    expect(await rows('00123')).toMatchObject([
      {
        sku: '00123',
        name: '1e5',
        description: '12345678901234567890',
        quantity: expect.stringMatching(/^12345678901234(\.0+)?$/u),
      },
    ]);
    expect(await rows('ID-2')).toMatchObject([
      { name: '00007', description: '+1', price: '99999999999999.9999' },
    ]);
  });
  it('NaN, Infinity and shortened numbers are no prices; minus nought is nought', async () => {
    expect(issuesOf('rows.csv').filter((issue) => issue.endsWith('not_decimal'))).toEqual([
      '4 not_decimal',
      '5 not_decimal',
      '7 not_decimal',
    ]);
    expect((await rows('NB-')).map(({ sku, price }) => [sku, Number(price)])).toEqual([['NB-3', 0]]);
  });
  it('naughty strings are stored byte for byte', async () => {
    expect(await names('NS-')).toEqual(Object.fromEntries(NAUGHTY.map((value, n) => [`NS-${n}`, value])));
  });
  it('of one key: the last one wins', async () => {
    const found = await app.owner`select name from catalog.products where lower(sku) = 'dk-1'`;
    expect(found).toEqual([expect.objectContaining({ name: 'last' })]);
    expect(of('rows.csv').accounting).toMatchObject({ duplicates: 1, blocked: 3 });
  });
  it('that are all bad: the run stops with the reason', async () => {
    expect(of('all-bad.csv').status).toBe('failed');
    expect(of('all-bad.csv').error!.message).toMatch(/sku/iu);
  });
  it('of JSON: half characters, NULs, broken lines and names twice are rejected, the rest is exact', async () => {
    expect(issuesOf('records.json')).toEqual(['2 nul_byte', '3 lone_surrogate']);
    expect((await rows('JS-')).map(({ sku, price }) => [sku, price])).toEqual([
      ['JS-1', '1.1000'],
      ['JS-4', '12345678901234.5678'],
    ]);
    expect(issuesOf('records.ndjson')).toEqual(['2 broken_json', '3 duplicate_name']);
    expect(await names('ND-')).toEqual({ 'ND-1': 'x', 'ND-4': 'z' });
  });
  it('U+FFFD is nowhere in the target', async () => {
    const found =
      await app.owner`select sku from catalog.products where name like ${'%\uFFFD%'} or sku like ${'%\uFFFD%'}`;
    expect(found).toEqual([]);
  });
});
