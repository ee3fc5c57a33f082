import { randomUUID } from 'node:crypto';
import { Readable } from 'node:stream';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestApp, type TestApp } from '../test/api.ts';

let app: TestApp;
beforeAll(async () => {
  app = await startTestApp();
});
afterAll(() => app.close());

const get = (path: string, token?: string) => app.call('GET', path, token === undefined ? {} : { token });

async function allPages(path: string): Promise<{ items: { id: string }[]; pages: number }> {
  const items: { id: string }[] = [];
  let cursor: string | null = null;
  for (let pages = 1; ; pages++) {
    const reply = await get(
      `${path}${path.includes('?') ? '&' : '?'}limit=2${cursor ? `&cursor=${cursor}` : ''}`,
    );
    expect(reply.status).toBe(200);
    items.push(...reply.body.items);
    cursor = reply.body.nextCursor;
    if (!cursor) return { items, pages };
  }
}

describe('the list of imports', () => {
  const dataset = 'price_list';
  const ids: string[] = [];
  beforeAll(async () => {
    for (let n = 0; n < 5; n++) {
      ids.push(
        await app.makeImport({
          dataset,
          file_name: n === 1 ? '100%_sure.csv' : `file-${n}.csv`,
          status: n === 0 ? 'waiting' : 'completed',
          // Two of the same moment: the id decides between them.
          created_at: new Date(2026, 0, 1, 0, Math.floor(n / 2)),
        }),
      );
    }
  });

  it('pages through all, the newest first, each once', async () => {
    const { items, pages } = await allPages(`/api/imports?dataset=${dataset}`);
    expect(pages).toBe(3);
    expect(items.map((item) => item.id).toSorted()).toEqual(ids.toSorted());
    expect(items[0]!.id).toBe(ids[4]);
  });

  it('puts what waits for a person first, where asked', async () => {
    const { items } = await allPages(`/api/imports?dataset=${dataset}&waiting_first=true`);
    expect(items[0]!.id).toBe(ids[0]);
    expect(items).toHaveLength(5);
  });

  it('finds by status and by part of the name, taken literally', async () => {
    expect((await get(`/api/imports?dataset=${dataset}&status=waiting,paused`)).body.items).toHaveLength(1);
    const found = (await get(`/api/imports?dataset=${dataset}&q=${encodeURIComponent('%_')}`)).body.items;
    expect(found.map((item: { id: string }) => item.id)).toEqual([ids[1]]);
    expect((await get(`/api/imports?q=${ids[2]}`)).body.items).toHaveLength(1);
  });

  it('refuses a cursor that was changed or belongs to another list', async () => {
    const { nextCursor } = (await get(`/api/imports?dataset=${dataset}&limit=2`)).body;
    const [body, check] = nextCursor.split('.');
    const other = Buffer.from(JSON.stringify({ waiting: false, createdAt: '2020-01-01', id: 'x' })).toString(
      'base64url',
    );
    for (const cursor of [`${other}.${check}`, `${body}.x`, 'nonsense', body, nextCursor]) {
      const filter = cursor === nextCursor ? 'products' : dataset;
      const reply = await get(`/api/imports?dataset=${filter}&limit=2&cursor=${cursor}`);
      expect(reply).toMatchObject({ status: 400, body: { code: 'invalid_cursor' } });
    }
  });

  it('shows only what is of the tenant', async () => {
    expect((await get('/api/imports', app.foreign.admin)).body.items).toEqual([]);
  });

  it('refuses what is not a filter', async () => {
    expect(await get('/api/imports?status=sleeping')).toMatchObject({
      status: 400,
      body: { code: 'invalid_request' },
    });
    expect((await get('/api/imports?limit=0')).status).toBe(400);
    expect((await get('/api/imports?limit=1&limit=2')).status).toBe(400);
  });
});

describe('an import', () => {
  it('has its phases, plan, counts and what can be done', async () => {
    const id = await app.makeImport({
      status: 'waiting',
      phase: 'review',
      waiting_for: app.owner.json({ what: 'approval', since: '2026-01-01T00:00:00Z' }),
      input_accepted: 98,
      input_rejected: 2,
      plan_version: 2,
      profile: 'header-1',
      profile_version: 3,
    });
    const counts = { creates: 50, updates: 30, unchanged: 10, duplicates: 5, blocked: 5 };
    await app.owner`insert into waybill.plans (import_id, version, epoch, digest, counts, program)
      values (${id}, 2, 1, 'abc', ${app.owner.json(counts)}, '{}')`;
    await app.owner`insert into waybill.phases (import_id, name) values (${id}, 'review')`;
    await app.owner`insert into waybill.issue_counts values (${id}, 'x', 'error', 5), (${id}, 'y', 'warning', 7)`;
    const { body } = await get(`/api/imports/${id}`);
    expect(body).toMatchObject({
      id,
      status: 'waiting',
      phase: 'review',
      waitingFor: { what: 'approval' },
      profile: { name: 'header-1', version: 3 },
      plan: { version: 2, digest: 'abc' },
      planCounts: counts,
      phases: [{ name: 'review', finishedAt: null }],
      issues: { errors: 5, warnings: 7 },
      accounting: { input: 100, created: 0, duplicates: 5, blocked: 5, notProcessed: 90 },
      actions: ['approve', 'discard', 'cancel'],
      workflowUrl: `http://temporal.test/namespaces/${app.namespace}/workflows/${id}`,
      error: null,
    });
    const { body: status } = await get(`/api/imports/${id}/status`);
    expect(status).toMatchObject({
      job_id: id,
      phase: 'validating',
      step: 'review',
      rows_total: 100,
      rows_valid: 95,
      eta_seconds: null,
    });
  });

  it('that has ended has no phase, its own accounting and links to its files', async () => {
    const accounting = {
      input: 10,
      created: 4,
      updated: 2,
      unchanged: 1,
      duplicates: 1,
      blocked: 1,
      stale: 0,
      skipped: 0,
      failed: 1,
      notProcessed: 0,
    };
    const id = await app.makeImport({
      status: 'completed_with_issues',
      accounting: app.owner.json(accounting),
      finished_at: new Date(),
      input_accepted: 10,
      input_rejected: 0,
      error_report_key: 'default/report',
      proof_key: 'default/proof',
    });
    const { body } = await get(`/api/imports/${id}`);
    expect(body).toMatchObject({
      phase: null,
      accounting,
      actions: ['revert'],
      errorReportUrl: `/api/imports/${id}/issues.csv`,
      proofUrl: `/api/imports/${id}/proof`,
    });
    expect((await get(`/api/imports/${id}/status`)).body).toMatchObject({
      phase: 'done',
      rows_written: 6,
      rows_failed: 2,
      duplicates_skipped: 1,
      fraction: 1,
      eta_seconds: null,
    });
  });

  it('refused as a duplicate names the other run', async () => {
    const error = { code: 'duplicate_file', message: 'Already imported.', importId: randomUUID() };
    const id = await app.makeImport({
      status: 'failed',
      error: app.owner.json(error),
      finished_at: new Date(),
    });
    expect((await get(`/api/imports/${id}`)).body).toMatchObject({ error, actions: ['retry'] });
  });
});

describe('issues', () => {
  it('come page by page with exact counts', async () => {
    const id = await app.makeImport({ status: 'completed_with_issues' });
    for (let n = 1; n <= 5; n++) {
      await app.owner`insert into waybill.issues values (${id}, ${n}, ${n}, ${n + 1}, 'Price', 'price',
        ${n % 2 === 0 ? 'not_a_number' : 'too_long'}, 'error', 'x', 'Not a number.', null)`;
    }
    await app.owner`insert into waybill.issue_counts values (${id}, 'not_a_number', 'error', 4000)`;
    const first = (await get(`/api/imports/${id}/issues?limit=3`)).body;
    expect(first.items.map((issue: { ordinal: number }) => issue.ordinal)).toEqual([1, 2, 3]);
    expect(first.items[0]).toMatchObject({ line: 2, column: 'Price', code: 'too_long', suggestion: null });
    expect(first.counts).toEqual([{ code: 'not_a_number', severity: 'error', count: 4000 }]);
    const second = (await get(`/api/imports/${id}/issues?limit=3&cursor=${first.nextCursor}`)).body;
    expect(second.items.map((issue: { ordinal: number }) => issue.ordinal)).toEqual([4, 5]);
    expect(second.nextCursor).toBeNull();
    expect((await get(`/api/imports/${id}/issues?code=not_a_number`)).body.items).toHaveLength(2);
  });

  it('can be downloaded as they were written, and not before', async () => {
    const open = await app.makeImport({ status: 'running' });
    expect(await get(`/api/imports/${open}/issues.csv`)).toMatchObject({
      status: 409,
      body: { code: 'not_ready' },
    });
    const clean = await app.makeImport({ status: 'completed', finished_at: new Date() });
    expect(await get(`/api/imports/${clean}/issues.csv`)).toMatchObject({
      status: 404,
      body: { code: 'no_report' },
    });

    const report = 'line,codes\r\n2,x\r\n'.repeat(200_000);
    const id = await app.makeImport({
      status: 'completed_with_issues',
      file_name: '在庫.csv.gz',
      finished_at: new Date(),
    });
    const key = `default/${id}/errors.csv`;
    await app.deps.store.write(key, Readable.from([Buffer.from(report)]));
    await app.owner`update waybill.imports set error_report_key = ${key} where import_id = ${id}`;
    const download = await get(`/api/imports/${id}/issues.csv`, app.tokens.viewer);
    expect(download.body).toBe(report);
    expect(download.headers.get('content-disposition')).toContain(encodeURIComponent('在庫-errors.csv'));
    await app.deps.store.remove(key);
    expect(await get(`/api/imports/${id}/issues.csv`)).toMatchObject({
      status: 409,
      body: { code: 'object_missing' },
    });
  });
});

describe('preview', () => {
  const mapping = {
    fields: [{ field: 'sku', column: 0, confidence: 1, reason: 'alias' }],
    unmappedColumns: [1],
    questions: [],
  };

  it('shows sample and proposed mapping, then the settled one', async () => {
    const id = await app.makeImport({ status: 'waiting', mapping_proposal: app.owner.json(mapping) });
    expect(await get(`/api/imports/${id}/preview`)).toMatchObject({
      status: 409,
      body: { code: 'not_inspected' },
    });
    const manifest = {
      type: 'csv',
      compression: null,
      encoding: 'utf-8',
      dialect: { delimiter: ';', quote: '"', escape: '"' },
      headerRow: 1,
      sheet: null,
      sheets: null,
      rows: 1,
      rejected: 0,
      columns: [
        { name: 'code', original: 'Code', type: 'text' },
        { name: 'x', original: 'X', type: 'integer' },
      ],
      sample: [['1', '2']],
      warnings: [],
    };
    const key = `default/${id}/manifest.json`;
    await app.deps.store.write(key, Buffer.from(JSON.stringify(manifest)));
    await app.owner`update waybill.imports set manifest_key = ${key} where import_id = ${id}`;
    expect((await get(`/api/imports/${id}/preview`)).body).toMatchObject({
      delimiter: ';',
      sample: [['1', '2']],
      mapping: { fields: [{ field: 'sku', reason: 'alias' }] },
      confirmed: false,
    });
    await app.owner`insert into waybill.profiles (tenant_id, dataset, name, version, mapping, mapping_digest, made_by, by_person)
      values ('default', 'products', 'p', 1, ${app.owner.json({ ...mapping, fields: [] })}, 'd', 'test', true)`;
    await app.owner`update waybill.imports set profile = 'p', profile_version = 1 where import_id = ${id}`;
    expect((await get(`/api/imports/${id}/preview`)).body).toMatchObject({
      mapping: { fields: [] },
      confirmed: true,
    });
  });
});

describe('datasets and their records', () => {
  beforeAll(async () => {
    await app.owner`insert into catalog.products (tenant_id, sku, name, price) values
      ('default', 'B-2', 'two', 1.5), ('default', 'a-1', 'one', null), ('default', 'a-10%', 'ten', 10),
      ('default', 'C', 'three', 0.1), ('stranger', 'A-0', 'foreign', 1)`;
  });

  it('are listed with their fields', async () => {
    const { items } = (await get('/api/datasets')).body;
    expect(items.map((dataset: { name: string }) => dataset.name).toSorted()).toEqual([
      'clients',
      'opening_stock',
      'price_list',
      'products',
    ]);
    expect((await get('/api/datasets/products')).body).toMatchObject({
      key: ['sku'],
      target: { table: 'products' },
    });
    expect(await get('/api/datasets/unicorns')).toMatchObject({
      status: 404,
      body: { code: 'unknown_dataset' },
    });
  });

  it('come in the order of their key, exact, and of this tenant alone', async () => {
    const { items } = (await allPages('/api/datasets/products/records')) as unknown as {
      items: Record<string, string | null>[];
    };
    expect(items.map((record) => record['sku'])).toEqual(['a-1', 'a-10%', 'B-2', 'C']);
    expect(items[2]).toMatchObject({ name: 'two', price: '1.5000' });
    expect(items[0]!['price']).toBeNull();
  });

  it('are found by the beginning of their key, taken literally', async () => {
    const found = (q: string) => get(`/api/datasets/products/records?q=${encodeURIComponent(q)}`);
    expect((await found('A-1')).body.items).toHaveLength(2);
    expect((await found('a-10%')).body.items).toHaveLength(1);
    expect((await found('%')).body.items).toHaveLength(0);
  });

  it.each(['clients', 'opening_stock', 'price_list'])('%s can be read', async (name) => {
    expect(await get(`/api/datasets/${name}/records`)).toMatchObject({
      status: 200,
      body: { items: [], nextCursor: null },
    });
  });

  it('with a key of several parts come page by page too', async () => {
    for (const [item, currency, from] of [
      ['x', 'EUR', '2026-01-01'],
      ['x', 'EUR', '2026-02-01'],
      ['x', 'JPY', '2026-01-01'],
      ['y', 'EUR', '2025-01-01'],
      ['z', 'EUR', '2025-01-01'],
    ]) {
      await app.owner`insert into catalog.price_list (tenant_id, item_code, currency, valid_from, price)
        values ('default', ${item!}, ${currency!}, ${from!}, 1)`;
    }
    const { items } = await allPages('/api/datasets/price_list/records');
    expect(items).toHaveLength(5);
  });
});
