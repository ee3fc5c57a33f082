import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestApp, type TestApp } from '../test/api.ts';
import { startTestWorker } from '../test/worker.ts';

/** Whole imports into tables that were there before Waybill, through API, worker, store and database. */
let app: TestApp;
let worker: Awaited<ReturnType<typeof startTestWorker>>;

beforeAll(async () => {
  app = await startTestApp();
  worker = await startTestWorker({ databaseUrl: app.workerUrl, namespace: app.namespace });
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
