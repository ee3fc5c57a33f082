import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { inspectFile } from '../intake/inspect.ts';
import { startTestApp, type Reply, type TestApp } from '../test/api.ts';

let app: TestApp;
beforeAll(async () => {
  app = await startTestApp();
});
afterAll(() => app.close());

/** An import whose file lies in the store and was inspected, as the run leaves it when it asks for a mapping. */
async function waiting(content: Buffer | string, row: Record<string, unknown> = {}): Promise<string> {
  const bytes = Buffer.from(content);
  const folder = mkdtempSync(join(tmpdir(), 'waybill-mapping-'));
  const manifest = await inspectFile({
    source: (async function* () {
      yield bytes;
    })(),
    spool: { rawPath: join(folder, 'raw'), canonicalPath: join(folder, 'canonical') },
    fileName: 'file.csv',
    options: {},
  });
  rmSync(folder, { recursive: true });
  const id = await app.makeImport({
    status: 'waiting',
    phase: 'map',
    waiting_for: app.owner.json({ what: 'mapping' }),
    file_size: bytes.length,
    ...row,
  });
  const { etag } = await app.deps.store.write(`default/${id}/source`, bytes);
  const key = `default/${id}/manifest.json`;
  await app.deps.store.write(key, Buffer.from(JSON.stringify(manifest)));
  await app.owner`update waybill.imports set manifest_key = ${key}, object_etag = ${etag} where import_id = ${id}`;
  return id;
}

const look = (id: string, body: object = {}): Promise<Reply> =>
  app.call('POST', `/api/imports/${id}/preview`, { body });

describe('the preview of a mapping', () => {
  it('shows rows as they stand in the file and as they would be written, with the issues by cell', async () => {
    const id = await waiting('sku,name,price\nA-1,Lamp," 1,200.50 "\nA-2,Desk,soon\nA-3\nA-4,Mug,3\n');
    const { status, body } = await look(id);
    expect(status).toBe(200);
    expect(body.fields).toEqual(['sku', 'name', 'price']);
    expect(body.rows.map((row: { line: number; values: unknown }) => [row.line, row.values])).toEqual([
      [2, ['A-1', 'Lamp', '1200.50']],
      [3, null],
      [4, null],
      [5, ['A-4', 'Mug', '3']],
    ]);
    expect(body.rows[1]).toMatchObject({
      cells: ['A-2', 'Desk', 'soon'],
      issues: [{ field: 'price', column: 2, code: 'not_decimal', severity: 'error' }],
    });
    expect(body.rows[2].issues).toMatchObject([{ column: null, code: 'too_few_columns' }]);
    expect(body.looked).toEqual({ rows: 4, blocked: 2 });
  });

  it('follows other file options at once and leaves the run alone', async () => {
    const id = await waiting(Buffer.from('note;x\nsku;price\n\x8f\xa4\x95i;1,5\nB;2,5\n', 'latin1'));
    const before = await app.call('GET', `/api/imports/${id}/preview`);
    const reading = { encoding: 'shift_jis', delimiter: ';', header_row: 2 };
    const { body } = await look(id, { options: reading });
    expect(body.file).toMatchObject({ encoding: 'shift_jis', headerRow: 2, preambleRows: 1 });
    expect(body.above).toEqual(['note;x']);
    expect(body.columns.map((column: { name: string }) => column.name)).toEqual(['sku', 'price']);
    expect(body.rows[0].cells).toEqual(['商品', '1,5']);
    expect(body.options).toEqual(reading);
    expect((await app.call('GET', `/api/imports/${id}/preview`)).body).toEqual(before.body);
    const headless = (await look(id, { options: { ...reading, header_row: 0 } })).body;
    expect(headless.columns[0].name).toBe('column_1');
  });

  it('judges cells as the run will: by the limits of fields and columns, and fields against each other', async () => {
    await app.owner.unsafe(`
      create schema shop;
      create table shop.offers (no varchar(4) primary key, cost numeric(6,2), price numeric(6,2) check (price <= 900),
        check (cost <= price));
      select waybill.grant_target('default', 'shop.offers')`);
    const found = await app.call('POST', '/api/datasets/introspect', {
      body: { schema: 'shop', table: 'offers' },
    });
    const added = await app.call('POST', '/api/datasets', { body: found.body.dataset });
    expect(added.status).toBeLessThan(300);
    // The table changes behind the dataset's back: the column as it is today counts.
    await app.owner.unsafe('alter table shop.offers alter column no type varchar(3)');
    const id = await waiting('no,cost,price\nabc,1,2\nabcd,1,2\nx,1,901\ny,3,2\nz,12345.6,\n', {
      dataset: 'offers',
    });
    const { body } = await look(id);
    expect(
      body.rows.map((row: { issues: { code: string }[] }) => row.issues.map(({ code }) => code)),
    ).toEqual([[], ['too_long'], ['above_maximum'], ['fields_disagree'], ['out_of_range']]);
    expect(body.looked).toEqual({ rows: 5, blocked: 4 });
  });

  it('takes last lines for records where somebody says so', async () => {
    const rows = Array.from({ length: 30 }, (_, n) => `A-${n},Bolt,${n}.50\n`).join('');
    const id = await waiting(`sku,name,price\n${rows}Total,,435.00\n`);
    expect((await look(id)).body).toMatchObject({ file: { footerRows: 1 }, looked: { rows: 30 } });
    const kept = (await look(id, { options: { keep_footer: true } })).body;
    expect(kept).toMatchObject({ file: { footerRows: 0 }, looked: { rows: 31 } });
    expect(kept.rows.at(-1).cells).toEqual(['Total', '', '435.00']);
  });

  it('reads the beginning of what is compressed', async () => {
    const lines = Array.from({ length: 30_000 }, (_, i) => `A-${i},${(i * 7919) % 100_003},x${i ** 3}`);
    const id = await waiting(gzipSync(`sku,price,name\n${lines.join('\n')}\n`));
    const { body } = await look(id, { options: { delimiter: ',' } });
    expect(body.file.compression).toBe('gzip');
    expect(body.rows).toHaveLength(200);
    expect(body.looked.rows).toBeGreaterThan(1000);
    expect(body.looked.blocked).toBe(0);
    expect((await look(id)).body.rows).toEqual(body.rows);
  });

  it('applies what was chosen: columns, constants, words, formats', async () => {
    const id = await waiting('Ware,Kosten,da\nA,"1.234,5",ja wohl\nB,"2,5",nix\nC,"3,5",ja wohl\n');
    const fields = [
      { field: 'sku', column: 0 },
      { field: 'price', column: 1, format: { decimal: ',' } },
      { field: 'active', column: 2 },
      { field: 'name', column: null, constant: 'unknown' },
    ];
    const { body } = await look(id, { fields });
    expect(body.unknown).toEqual([
      {
        field: 'active',
        values: [
          { value: 'ja wohl', count: 2 },
          { value: 'nix', count: 1 },
        ],
      },
    ]);
    const values = { 'ja wohl': 'true', nix: 'false' };
    const mapped = (
      await look(id, { fields: fields.map((f) => (f.field === 'active' ? { ...f, values } : f)) })
    ).body;
    expect(mapped.unknown).toEqual([]);
    expect(mapped.rows.map((row: { values: unknown }) => row.values)).toEqual([
      ['A', '1234.5', 't', 'unknown'],
      ['B', '2.5', 'f', 'unknown'],
      ['C', '3.5', 't', 'unknown'],
    ]);
  });

  it('shows what both readings of an ambiguous date would be', async () => {
    const id = await waiting(
      'item_code,currency,valid_from,price\nA,EUR,03/04/2026,1\nB,EUR,05/06/2026,2\n',
      {
        dataset: 'price_list',
      },
    );
    const { body } = await look(id);
    expect(body.readings).toContainEqual({
      field: 'valid_from',
      text: '03/04/2026',
      readings: [
        { format: { date: 'DMY' }, value: '2026-04-03' },
        { format: { date: 'MDY' }, value: '2026-03-04' },
      ],
    });
  });

  it('says what is wrong with options that cannot be', async () => {
    const id = await waiting('sku,name\nA,B\n');
    expect(await look(id, { options: { encoding: 'klingon' } })).toMatchObject({
      status: 422,
      body: { code: 'unknown_encoding' },
    });
    expect(await look(id, { options: { header_row: 900 } })).toMatchObject({
      status: 422,
      body: { code: 'no_header_row' },
    });
    expect(await look(await app.makeImport())).toMatchObject({
      status: 409,
      body: { code: 'not_inspected' },
    });
    const foreign = await app.call('POST', `/api/imports/${id}/preview`, {
      body: {},
      token: app.foreign.admin,
    });
    expect(foreign.status).toBe(404);
  });
});

describe('confirm-mapping', () => {
  it('is refused when it is too late to read the file in another way', async () => {
    const id = await waiting('sku,name\nA,B\n', { status: 'running', waiting_for: null });
    const body = { fields: [{ field: 'sku', column: 0 }], options: { delimiter: ';' } };
    expect(await app.call('POST', `/api/imports/${id}/confirm-mapping`, { body })).toMatchObject({
      status: 409,
      body: { code: 'not_possible' },
    });
  });
});
