import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestApp, type TestApp } from '../test/api.ts';
import { reached, submit } from '../test/import.ts';
import { startTestWorker } from '../test/worker.ts';

let app: TestApp;
let worker: Awaited<ReturnType<typeof startTestWorker>>;
let first: string;
let second: string;
beforeAll(async () => {
  app = await startTestApp();
  worker = await startTestWorker({
    databaseUrl: app.workerUrl,
    namespace: app.namespace,
    env: { WAYBILL_KEEP_MS: '300' },
  });
  first = await submit(app, FILE);
  await reached(app, first, 'completed_with_issues');
  await app.owner`update catalog.products set name = 'by hand' where sku = 'b'`;
  second = await submit(app, 'sku,name,price\na,A,1\nb,BB,3\n');
  await reached(app, second, 'completed');
});
afterAll(async () => {
  await worker?.stop();
  await app?.close();
});

const FILE = 'sku,name,price\na,A,1\nb,"B, ""quoted""",2\na,AA,1\nc,=1+1,many\n,empty,5\n';
const get = (path: string, token?: string) =>
  app.call('GET', `/api${path}`, token === undefined ? {} : { token });

describe('the history of a record', () => {
  it('is everything that met it, and what others did in between', async () => {
    const { body } = await get('/datasets/products/records/B/history');
    expect(body).toMatchObject({
      dataset: 'products',
      record: { sku: 'b', name: 'BB', price: '3.0000' },
      items: [
        {
          importId: second,
          outcome: 'updated',
          before: { name: 'by hand', price: '2.0000' },
          after: { name: 'BB', price: '3.0000' },
          changedSince: null,
        },
        {
          importId: first,
          record: 2,
          line: 3,
          outcome: 'created',
          before: null,
          after: { sku: 'b', name: 'B, "quoted"' },
          changedSince: { name: { left: 'B, "quoted"', found: 'by hand' } },
          fileName: 'stock.csv',
        },
      ],
      nextCursor: null,
    });
    // The same once the maps are made.
    await expect
      .poll(async () => (await app.owner`select from waybill.key_maps`).length, { timeout: 20_000 })
      .toBe(2);
    expect((await get('/datasets/products/records/B/history')).body).toEqual(body);
    const a = (await get('/datasets/products/records/["a"]/history')).body.items;
    expect(a.map(({ outcome }: { outcome: string }) => outcome)).toEqual(['updated', 'created', 'duplicate']);
    const changes = (await get('/datasets/products/records/a/history?changes=true&limit=1')).body;
    expect(changes.items).toHaveLength(1);
    const rest = (
      await get(`/datasets/products/records/a/history?changes=true&limit=1&cursor=${changes.nextCursor}`)
    ).body;
    expect(rest.items).toMatchObject([{ importId: first, outcome: 'created', record: 3 }]);
  });

  it('of an unknown key is empty, and of a key that cannot be is refused', async () => {
    expect((await get('/datasets/products/records/zzz/history')).body).toMatchObject({
      record: null,
      items: [],
    });
    expect(await get('/datasets/price_list/records/x/history')).toMatchObject({
      status: 422,
      body: { code: 'invalid_key' },
    });
    expect((await get('/datasets/price_list/records/["x","EUR","2024-02-30"]/history')).status).toBe(400);
    expect((await get('/datasets/nothing/records/x/history')).status).toBe(404);
    expect((await get('/datasets/products/records/b/history', app.foreign.admin)).body).toMatchObject({
      record: null,
      items: [],
    });
  });
});

describe('a row of an import', () => {
  it('is shown as it stands in the file, with what came of it', async () => {
    expect((await get(`/imports/${first}/rows/2`)).body).toMatchObject({
      dataset: 'products',
      outcome: 'created',
      key: ['b'],
      original: {
        columns: ['sku', 'name', 'price'],
        cells: ['b', 'B, "quoted"', '2'],
        text: 'b,"B, ""quoted""",2',
        offset: FILE.indexOf('b,"B'),
        of: 'object',
      },
      originalMissing: null,
    });
    expect((await get(`/imports/${first}/rows/1`)).body).toMatchObject({ outcome: 'duplicate', winner: 3 });
    expect((await get(`/imports/${first}/rows/4`)).body).toMatchObject({
      outcome: 'blocked',
      issues: [{ code: expect.any(String), field: 'price' }],
      original: { cells: ['c', '=1+1', 'many'] },
    });
    expect((await get(`/imports/${first}/rows/6`)).status).toBe(404);
    expect((await get(`/imports/${first}/rows/0`)).status).toBe(400);
  });

  it('of a packed file is shown from a copy', async () => {
    const id = await submit(app, gzipSync('sku,name\nz,Zürich\n'), {}, { name: 'stock.csv.gz' });
    await reached(app, id, 'completed');
    expect((await get(`/imports/${id}/rows/1`)).body.original).toMatchObject({
      cells: ['z', 'Zürich'],
      text: 'z,Zürich',
      of: 'copy',
    });
    expect((await get(`/imports/${id}/results/written`)).body).toBe('sku,name\r\nz,Zürich\r\n');
  });
});

describe('result files', () => {
  it.each([
    ['written', 'b,"B, ""quoted""",2\r\na,AA,1\r\n'],
    ['failed', "c,'=1+1,many\r\n,empty,5\r\n"],
    ['not-processed', ''],
    ['duplicate', 'a,A,1\r\n'],
    ['unchanged', ''],
  ])('%s, in the columns of the file', async (kind, rows) => {
    const reply = await get(`/imports/${first}/results/${kind}`);
    expect(reply.status).toBe(200);
    expect(reply.headers.get('content-disposition')).toContain(`stock-${kind}.csv`);
    expect(reply.body).toBe(`sku,name,price\r\n${rows}`);
  });

  it('are refused where no row was decided', async () => {
    const id = await app.makeImport({ status: 'failed', finished_at: new Date() });
    expect(await get(`/imports/${id}/results/written`)).toMatchObject({
      status: 409,
      body: { code: 'no_ledger' },
    });
    expect((await get(`/imports/${first}/results/everything`)).status).toBe(400);
  });
});

describe('the proof', () => {
  it('has the statements, and they come to what it says', async () => {
    const file = (await get(`/imports/${first}/proof`)).body;
    expect(file).toMatchObject({
      import: first,
      profile: { digest: expect.any(String) },
      file: { sha256: expect.any(String) },
      plan: [{ digest: expect.any(String) }],
      ok: true,
    });
    for (const { sql, expected } of file.sql as { sql: string; expected: number }[]) {
      const [row] = await app.owner.unsafe<Record<string, string>[]>(sql);
      expect(Number(Object.values(row!)[0]), sql).toBe(expected);
    }
    const checked = (await get(`/imports/${first}/proof/checks`)).body;
    expect(checked.ok).toBe(true);
    expect(checked.checks.length).toBeGreaterThan(20);
  });

  it('fails where a row is not as it was approved, or missing', async () => {
    const [{ lock_key }] =
      (await app.owner`select lock_key from waybill.imports where import_id = ${second}`) as unknown as [
        { lock_key: string },
      ];
    await app.owner.unsafe(`update stage.plan_${lock_key} set v_name = 'other' where _record = 2`);
    const wrong = async () =>
      (await get(`/imports/${second}/proof/checks`)).body.checks
        .filter(({ ok }: { ok: boolean }) => !ok)
        .map(({ name }: { name: string }) => name);
    expect(await wrong()).toEqual(['every batch is as it was approved, by its digest']);
    await app.owner.unsafe(`delete from stage.plan_${lock_key} where _record = 2`);
    expect(await wrong()).toEqual(
      expect.arrayContaining([
        'the ledger holds every record of the file',
        'row by row, the ledger has updated',
      ]),
    );
    const open = await app.makeImport({ status: 'running' });
    expect(await get(`/imports/${open}/proof/checks`)).toMatchObject({ status: 409 });
  });
});
