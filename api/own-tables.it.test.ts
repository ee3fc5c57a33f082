import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestApp, type TestApp } from '../test/api.ts';
import { startTestWorker } from '../test/worker.ts';

/** Whole imports into tables that were there before Waybill, through API, worker, store and database. */
let app: TestApp;
let worker: Awaited<ReturnType<typeof startTestWorker>>;

beforeAll(async () => {
  app = await startTestApp();
  worker = await startTestWorker({
    databaseUrl: app.workerUrl,
    namespace: app.namespace,
    env: { WAYBILL_STOP_AFTER_BAD_ROWS: '20' },
  });
  await app.owner.unsafe(`
    create schema shop;
    create type shop.size as enum ('S', 'M', 'L');
    create domain shop.odd_code as text check (value <> reverse(value));
    create table shop.supplier (code text primary key, name text);
    insert into shop.supplier values ('ACME', 'Acme'), ('BOLT', 'Bolt');
    create table shop.items (
      "Item No" varchar(20) primary key,
      size shop.size,
      price numeric(10,2) not null check (price >= 0),
      qty smallint check (qty between 1 and 1000),
      supplier text references shop.supplier,
      ean text unique,
      code shop.odd_code,
      valid_from date not null,
      valid_to date,
      tags text[],
      extra jsonb,
      note text,
      check (valid_from <= valid_to),
      check (length(coalesce(note, '')) + coalesce(qty, 0) < 2000)
    );
    select waybill.grant_target('default', 'shop.items')`);
});
afterAll(async () => {
  await worker.stop();
  await app.close();
});

/** Uploads a file, lets it run to its end, and returns the import. */
async function load(dataset: string, text: string, options: object = {}) {
  const bytes = Buffer.from(text);
  const begun = await app.call('POST', '/api/imports/initiate', {
    body: { file_name: 'items.csv', expected_schema: dataset, file_size: bytes.length },
  });
  expect(begun.status, JSON.stringify(begun.body)).toBe(201);
  const put = await fetch(begun.body.part_urls[0].url, { method: 'PUT', body: bytes });
  const complete = await app.call('POST', '/api/imports/complete', {
    body: {
      upload_id: begun.body.upload_id,
      file_key: begun.body.file_key,
      file_size: bytes.length,
      file_sha256: createHash('sha256').update(bytes).digest('hex'),
      parts: [{ part_number: 1, etag: put.headers.get('etag') }],
      options,
    },
  });
  expect(complete.status, JSON.stringify(complete.body)).toBeLessThan(300);
  const id = begun.body.upload_id as string;
  await app.client.workflow.getHandle(id).result();
  return (await app.call('GET', `/api/imports/${id}`)).body;
}
const issuesOf = async (id: string) => {
  const { items, counts } = (await app.call('GET', `/api/imports/${id}/issues`)).body;
  return {
    items: items as {
      line: number;
      code: string;
      field: string;
      column: string;
      message: string;
      severity: string;
    }[],
    counts,
  };
};
async function introspect(body: object) {
  const reply = await app.call('POST', '/api/datasets/introspect', { body });
  expect(reply.status, JSON.stringify(reply.body)).toBe(200);
  return reply.body.dataset;
}
async function add(dataset: object) {
  const reply = await app.call('POST', '/api/datasets', { body: dataset });
  expect(reply.status, JSON.stringify(reply.body)).toBe(201);
}

describe('a table with rules of its own', () => {
  const header = 'Item No,size,price,qty,supplier,ean,code,valid_from,valid_to,tags,extra,note';
  it('takes what keeps to them, and nothing else ever reaches it', async () => {
    await add(await introspect({ schema: 'shop', table: 'items' }));
    const rows = [
      'A-1,S,12.50,1,ACME,111,ab,2026-01-01,2026-12-31,"{red,blue}","{""a"": 1}",fine', // 2
      'A-2,XL,1,1,ACME,112,ab,2026-01-01,,,,enum', // 3
      'A-3,M,-1,1,ACME,113,ab,2026-01-01,,,,negative', // 4
      'A-4,M,1.005,1,ACME,114,ab,2026-01-01,,,,three decimals', // 5
      'A-5,M,123456789.00,1,ACME,115,ab,2026-01-01,,,,too many digits', // 6
      'A-6,M,1,40000,ACME,116,ab,2026-01-01,,,,no smallint', // 7
      'A-7,M,1,1,NOBODY,117,ab,2026-01-01,,,,no such supplier', // 8
      `${'X'.repeat(21)},M,1,1,ACME,118,ab,2026-01-01,,,,long key`, // 9
      'A-8,M,1,1,BOLT,111,ab,2026-01-01,,,,second unique key', // 10
      'A-9,M,1,1,BOLT,119,aba,2026-01-01,,,,domain', // 11
      'A-10,M,1,1,BOLT,120,ab,2026-02-01,2026-01-01,,,ends before it begins', // 12
      'A-11,M,1,1,BOLT,121,ab,2026-01-01,,{x,{,array', // 13
      'A-12,M,1,1,BOLT,122,ab,2026-01-01,,,"{""a"":",json', // 14
      'A-13,M,,1,BOLT,123,ab,2026-01-01,,,,no price', // 15
      'A-14,L,0,1000,,,,2026-01-01,,{},null,"minimum, ""quoted"""', // 16
    ];
    const run = await load('items', `${header}\n${rows.join('\n')}\n`);
    expect(run).toMatchObject({
      status: 'completed_with_issues',
      accounting: { input: 15, created: 2, blocked: 13, failed: 0 },
    });
    const { items } = await issuesOf(run.id);
    expect(items.map(({ line, code, field }) => [line, code, field])).toEqual([
      [3, 'not_in_list', 'size'],
      [4, 'below_minimum', 'price'],
      [5, 'too_precise', 'price'],
      [6, 'out_of_range', 'price'],
      [7, 'above_maximum', 'qty'],
      [8, 'missing_reference', 'supplier'],
      [9, 'too_long', 'item_no'],
      [10, 'not_unique', 'ean'],
      [11, 'not_of_type', 'code'],
      [12, 'fields_disagree', 'valid_from'],
      [13, 'not_of_type', 'tags'],
      [13, 'not_of_type', 'extra'],
      [14, 'not_of_type', 'extra'],
      [15, 'required', 'price'],
    ]);
    expect(items[5]).toMatchObject({
      column: 'supplier',
      message: expect.stringContaining('"NOBODY" is not in shop.supplier'),
    });
    expect(items[7]!.message).toContain('stands in line 2 already');
    expect(await app.owner`select * from shop.items order by 1`).toEqual([
      expect.objectContaining({
        'Item No': 'A-1',
        size: 'S',
        price: '12.50',
        tags: ['red', 'blue'],
        extra: { a: 1 },
      }),
      expect.objectContaining({
        'Item No': 'A-14',
        price: '0.00',
        supplier: null,
        tags: [],
        note: 'minimum, "quoted"',
      }),
    ]);
    // No statement was ever refused: there is not one outcome beside the decisions.
    expect(await app.owner`select * from waybill.outcomes where import_id = ${run.id}`).toEqual([]);
  });

  it('changes and keeps by its own key, and finds a parent that has come since', async () => {
    await app.owner`insert into shop.supplier values ('NOBODY', 'Now somebody')`;
    const run = await load(
      'items',
      `Item No,price,supplier,valid_from,tags\nA-1,13,ACME,2026-01-01,"{red,blue}"\nA-7,2,NOBODY,2026-01-01,{green}\nA-14,0.00,,2026-01-01,\n`,
    );
    expect(run).toMatchObject({
      status: 'completed',
      accounting: { input: 3, created: 1, updated: 1, unchanged: 1 },
    });
    expect(await app.owner`select "Item No" as no, price::text, tags from shop.items order by 1`).toEqual([
      { no: 'A-1', price: '13.00', tags: ['red', 'blue'] },
      { no: 'A-14', price: '0.00', tags: [] },
      { no: 'A-7', price: '2.00', tags: ['green'] },
    ]);
  });

  it('leaves to the database what cannot be said before: that row alone fails', async () => {
    const long = 'x'.repeat(1500);
    const run = await load(
      'items',
      `Item No,price,qty,valid_from,note\nB-1,1,900,2026-01-01,${long}\nB-2,1,900,2026-01-01,short\n`,
    );
    expect(run).toMatchObject({
      status: 'completed_with_issues',
      accounting: { created: 1, failed: 1, blocked: 0 },
    });
    expect((await issuesOf(run.id)).items).toMatchObject([{ line: 2, code: 'check_failed' }]);
  });
});

describe('rules that a person adds', () => {
  it('warn, refer to another dataset, and write contacts in one way', async () => {
    await app.owner.unsafe(`
      create table shop.offers (no text primary key, sku text, cost numeric(10,2), price numeric(10,2), phone text, mail text);
      insert into catalog.products (tenant_id, sku) values ('default', 'AbC');
      insert into catalog.products (tenant_id, sku) values ('elsewhere', 'other');
      select waybill.grant_target('default', 'shop.offers')`);
    const dataset = await introspect({ schema: 'shop', table: 'offers' });
    const more: Record<string, object> = {
      phone: { type: 'phone', normalise: true, country: 'JP' },
      mail: { type: 'email', normalise: true },
      price: { max: '1000', warn: ['above_maximum'] },
    };
    await add({
      ...dataset,
      fields: dataset.fields.map((field: { name: string }) => ({ ...field, ...more[field.name] })),
      rules: [
        { kind: 'reference', fields: ['sku'], to: { dataset: 'products' } },
        { kind: 'compare', left: 'cost', operator: '<=', right: 'price', severity: 'warning' },
      ],
    });
    const run = await load(
      'offers',
      'no,sku,cost,price,phone,mail\n1,ABC,5,4,03-1234-5678,Bob@EXAMPLE.com\n2,other,1,2,,\n3,abc,1,5000,,\n',
    );
    expect(run).toMatchObject({
      status: 'completed_with_issues',
      accounting: { created: 2, blocked: 1 },
      issues: { errors: 1, warnings: 2 },
    });
    expect((await issuesOf(run.id)).items.map(({ line, code, severity }) => [line, code, severity])).toEqual([
      [2, 'fields_disagree', 'warning'],
      [3, 'missing_reference', 'error'],
      [4, 'above_maximum', 'warning'],
    ]);
    expect(await app.owner`select phone, mail from shop.offers where no = '1'`).toEqual([
      { phone: '+81312345678', mail: 'Bob@example.com' },
    ]);
    // Warnings alone are kept too, and make no issue of the run.
    const again = await load('offers', 'no,sku,cost,price\n3,abc,7,5\n');
    expect(again).toMatchObject({ status: 'completed', issues: { errors: 0, warnings: 1 } });
  });
});

describe('columns for which different texts are equal', () => {
  it('take their rows by a key of another collation, and what the database finds equal is unchanged', async () => {
    await app.owner.unsafe(`
      create collation shop.any_case (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
      create table shop.brands (code text collate shop.any_case primary key, label text collate shop.any_case);
      create unique index brands_code on shop.brands (lower(code) collate "C");
      insert into shop.brands values ('Acme', 'Tools'), ('Bolt', 'Nuts');
      select waybill.grant_target('default', 'shop.brands')`);
    await add(await introspect({ schema: 'shop', table: 'brands' }));
    const run = await load('brands', 'code,label\nACME,TOOLS\nbolt,Screws\nCog,wheels\ncog,Wheels\n');
    expect(run).toMatchObject({
      status: 'completed',
      accounting: { created: 1, updated: 1, unchanged: 1, duplicates: 1 },
    });
    expect(await app.owner`select code, label from shop.brands order by lower(code) collate "C"`).toEqual([
      { code: 'Acme', label: 'Tools' },
      { code: 'Bolt', label: 'Screws' },
      { code: 'cog', label: 'Wheels' },
    ]);
  });
});

describe('a file of which no row is good', () => {
  it('ends early, with the one reason that explains most', async () => {
    const before = await app.owner`select count(*)::int as count from catalog.products`;
    const bad = Array.from({ length: 25 }, (_, n) => `S-${n},${n}.12345,${n === 3 ? 'x' : 'yes'}\n`).join('');
    const run = await load('products', `sku,price,active\n${bad}`);
    expect(run).toMatchObject({
      status: 'failed',
      error: { code: 'every_row_bad' },
      accounting: { input: 25, created: 0, notProcessed: 25 },
      issues: { errors: 26, warnings: 0 },
    });
    expect(run.error.message).toMatch(
      /None of the first 25 rows.*price may have 4 digits after the point.*column "price"/,
    );
    expect(await app.owner`select count(*)::int as count from catalog.products`).toEqual(before);
    expect(await app.owner`select 1 from waybill.plans where import_id = ${run.id}`).toEqual([]);
    expect((await issuesOf(run.id)).items).toHaveLength(26);
    // What was read can be corrected; the report says what it does not speak of, and is read as a file all the same.
    const report = (await app.call('GET', `/api/imports/${run.id}/issues.csv`)).body as string;
    const [note, header, first, ...more] = report.split('\r\n');
    expect(note).toMatch(/stopped after 25 rows without a good one. These are all rows of the file/);
    expect([header, more.length]).toEqual(['line,codes,messages,sku,price,active', 25]);
    expect(first).toMatch(/^2,too_precise,.*,S-0,0.12345,yes$/);
    const mended = await load('products', report.replaceAll('.12345', '.5').replace(',x\r', ',no\r'));
    expect(mended).toMatchObject({ status: 'completed', accounting: { created: 25 } });
    // One good row is reason enough to go on.
    const most = await load('products', `sku,price,active\n${bad}S-99,1,yes\n`);
    expect(most).toMatchObject({ status: 'completed_with_issues', accounting: { created: 1, blocked: 25 } });
  });
});

describe('an error report', () => {
  it('is corrected and imported as it is, and maps itself as its file did', async () => {
    await app.owner.unsafe(`
      create table shop.notes (no text primary key, remark text, amount numeric(10,2), day date);
      select waybill.grant_target('default', 'shop.notes')`);
    await add(await introspect({ schema: 'shop', table: 'notes' }));
    // Days that can be read in one way only because of the whole file: the report alone could not say.
    const good = Array.from({ length: 60 }, (_, n) => `9${n};good;1,5;31/01/2026\n`).join('');
    const text = `no;remark;amount;day\n1;=1+1;1,5;31/01/2026\n2;'=quoted;x;01/02/2026\n3;@cmd;y;02/03/2026\n4;+81 3;1,5;z\n${good}`;
    const run = await load('notes', text);
    expect(run.accounting).toMatchObject({ created: 61, blocked: 3 });
    const reportOf = async (id: string) =>
      (await app.call('GET', `/api/imports/${id}/issues.csv`)).body as string;
    const report = await reportOf(run.id);
    expect(report.split('\r\n')[0]).toBe('line,codes,messages,no,remark,amount,day');
    expect(report).toContain(",2,''=quoted,x,01/02/2026");
    expect(report).toContain(",3,'@cmd,y,02/03/2026");
    const corrected = report.replace(',x,', ',"2,5",').replace(',y,', ',still wrong,');
    const second = await load('notes', corrected);
    expect(second).toMatchObject({ accounting: { input: 3, created: 1, blocked: 2 } });
    const again = await reportOf(second.id);
    expect(again.split('\r\n')[0]).toBe('line,codes,messages,no,remark,amount,day');
    const third = await load(
      'notes',
      again.replace(',still wrong,', ',"3,5",').replace(/,z\r/, ',04/03/2026\r'),
    );
    expect(third).toMatchObject({ status: 'completed', accounting: { created: 2 } });
    expect(
      await app.owner`select no, remark, amount::text, day::text from shop.notes where remark <> 'good' order by no`,
    ).toEqual([
      { no: '1', remark: '=1+1', amount: '1.50', day: '2026-01-31' },
      { no: '2', remark: "'=quoted", amount: '2.50', day: '2026-02-01' },
      { no: '3', remark: '@cmd', amount: '3.50', day: '2026-03-02' },
      { no: '4', remark: '+81 3', amount: '1.50', day: '2026-03-04' },
    ]);
  });
});

describe('records that depend on each other', () => {
  it('a table that refers to itself: parents of the same batch in any order, of a later batch not yet', async () => {
    await app.owner.unsafe(`
      create table shop.places (code text primary key, parent text references shop.places);
      select waybill.grant_target('default', 'shop.places')`);
    await add(await introspect({ schema: 'shop', table: 'places' }));
    expect(await load('places', 'code,parent\nb-child,c-root\nc-root,')).toMatchObject({
      status: 'completed',
      accounting: { created: 2 },
    });
    // A batch has 10,000 rows in the order of their keys; z-root comes behind them.
    const rows = Array.from({ length: 10_000 }, (_, n) => `m-${String(n).padStart(5, '0')},`);
    const run = await load('places', ['code,parent', 'a-child,z-root', 'z-root,', ...rows].join('\n'));
    expect(run).toMatchObject({
      status: 'completed_with_issues',
      accounting: { input: 10_002, created: 10_001, failed: 1, blocked: 0 },
    });
    expect((await issuesOf(run.id)).items).toMatchObject([
      {
        line: 2,
        code: 'reference_missing',
        message: expect.stringMatching(/places_parent_fkey.*same file.*once more/) as string,
      },
    ]);
    // As the issue says: what is in the error report goes in once its parent is there.
    expect(await load('places', 'code,parent\na-child,z-root')).toMatchObject({
      status: 'completed',
      accounting: { created: 1 },
    });
  });

  it('two imports that add to the same records at the same time: each of them counts once', async () => {
    const movements = (quantity: number, from: number) =>
      [
        'sku,name,quantity',
        ...Array.from({ length: 300 }, (_, n) => `add-${from + n},Thing,${quantity}`),
      ].join('\n');
    await load('products', movements(100, 0));
    const runs = await Promise.all([
      load('products', movements(1, 0), { mode: 'add' }),
      load('products', movements(10, 100), { mode: 'add' }),
      load('products', movements(1000, 200), { mode: 'add' }),
    ]);
    for (const { status, accounting } of runs) {
      expect(status).toBe('completed');
      expect(accounting.created + accounting.updated).toBe(300);
    }
    const found = await app.owner<{ n: number; quantity: number }[]>`
      select substr(sku, 5)::int as n, quantity::float8 as quantity from catalog.products where sku like 'add-%' order by 1`;
    expect(found).toEqual(
      Array.from({ length: 500 }, (_, n) => ({
        n,
        quantity: (n < 300 ? 100 + 1 : 0) + (n >= 100 && n < 400 ? 10 : 0) + (n >= 200 ? 1000 : 0),
      })),
    );
  });
});
