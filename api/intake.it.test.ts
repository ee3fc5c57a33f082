import { randomBytes, randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestApp, type TestApp } from '../test/api.ts';

const MiB = 1024 * 1024;
let app: TestApp;
beforeAll(async () => {
  app = await startTestApp();
});
afterAll(() => app.close());

interface Upload {
  upload_id: string;
  presigned_url: string | null;
  part_urls: { part_number: number; url: string; size: number | null }[];
  file_key: string;
  max_part_size: number;
  idempotency_key: string;
}

const initiate = (body: object = {}, headers?: Record<string, string>) =>
  app.call('POST', '/api/imports/initiate', {
    body: { file_name: 'stock.csv', content_type: 'text/csv', expected_schema: 'products', ...body },
    token: app.tokens.operator,
    headers,
  });
const begin = async (body: object = {}): Promise<Upload> => {
  const reply = await initiate(body);
  expect(reply.status).toBe(201);
  return reply.body as Upload;
};
const put = async (url: string, bytes: Buffer): Promise<string> => {
  const answer = await fetch(url, { method: 'PUT', body: new Uint8Array(bytes) });
  expect(answer.status).toBe(200);
  return answer.headers.get('etag')!;
};
const complete = (upload: Upload, body: object = {}) =>
  app.call('POST', '/api/imports/complete', {
    body: { upload_id: upload.upload_id, file_key: upload.file_key, ...body },
    token: app.tokens.operator,
  });
const show = async (id: string) => (await app.call('GET', `/api/imports/${id}`)).body;

describe('initiate', () => {
  it('gives one address for a file of one part', async () => {
    const upload = await begin({ file_size: 1000 });
    expect(upload).toMatchObject({ content_md5: null, expires_in_seconds: 900, max_part_size: 8 * MiB });
    expect(upload.part_urls).toHaveLength(1);
    expect(upload.presigned_url).toBe(upload.part_urls[0]!.url);
    expect(upload.file_key).toBe(`default/${upload.upload_id}/source`);
    expect(await show(upload.upload_id)).toMatchObject({
      status: 'uploading',
      fileName: 'stock.csv',
      bytes: 1000,
      actions: ['cancel'],
    });
  });

  it('gives an address for each part of a larger one', async () => {
    const upload = await begin({ file_size: 17 * MiB });
    expect(upload.presigned_url).toBeNull();
    expect(upload.part_urls.map((part) => part.size)).toEqual([8 * MiB, 8 * MiB, MiB]);
  });

  it.each([
    [{ file_name: 'stock.xls' }, 415, 'unknown_type'],
    [{ file_name: 'stock' }, 415, 'unknown_type'],
    [{ file_name: '.csv' }, 415, 'unknown_type'],
    [{ file_name: 'a\u0000.csv' }, 422, 'invalid_file_name'],
    [{ content_type: 'image/png' }, 415, 'unknown_type'],
    [{ expected_schema: 'unicorns' }, 422, 'unknown_dataset'],
    [{ file_size: 0 }, 422, 'empty_file'],
    [{ file_size: 21 * MiB }, 413, 'file_too_large'],
    [{ file_size: -1 }, 400, 'invalid_request'],
    [{ file_size: '1000' }, 400, 'invalid_request'],
    [{ tenant_id: 'other' }, 400, 'invalid_request'],
    [{ role: 'admin' }, 400, 'invalid_request'],
  ])('refuses %j with %i %s', async (body, status, code) => {
    const reply = await initiate(body);
    expect(reply).toMatchObject({ status, body: { code, status } });
    expect(reply.body.detail).toMatch(/\.$/);
    expect(reply.headers.get('content-type')).toMatch(/^application\/problem\+json/);
  });

  it('never lets a name into a key, and shows what it hides', async () => {
    const name = '../../etc/\u202epasswd.csv';
    const upload = await begin({ file_name: name });
    expect(upload.file_key).toBe(`default/${upload.upload_id}/source`);
    const shown = '..\\u002f..\\u002fetc\\u002f\\u202epasswd.csv';
    expect((await show(upload.upload_id)).fileName).toBe(shown);
    const { items } = (await app.call('GET', '/api/imports?limit=1')).body;
    expect(items[0].fileName).toBe(shown);
    // It is kept as it came.
    const [row] =
      await app.owner`select file_name from waybill.imports where import_id = ${upload.upload_id}`;
    expect(row).toEqual({ file_name: name });
  });

  it('answers the same key with the same answer, and another body with 422', async () => {
    const key = randomUUID();
    const first = await initiate({ file_size: 10 }, { 'idempotency-key': key });
    const again = await initiate({ file_size: 10 }, { 'idempotency-key': key });
    expect(again.body).toEqual(first.body);
    expect(again.headers.get('idempotent-replayed')).toBe('true');
    expect(await initiate({ file_size: 11 }, { 'idempotency-key': key })).toMatchObject({
      status: 422,
      body: { code: 'key_reused' },
    });
    // Another tenant's keys are its own.
    const foreign = await app.call('POST', '/api/imports/initiate', {
      body: { file_name: 'stock.csv', expected_schema: 'products', file_size: 11 },
      token: app.foreign.operator,
      headers: { 'idempotency-key': key },
    });
    expect(foreign.status).toBe(201);
  });

  it('answers one of two at once, the other with 409, and then both alike', async () => {
    const key = randomUUID();
    const replies = await Promise.all(
      Array.from({ length: 6 }, () => initiate({ file_size: 10 }, { 'idempotency-key': key })),
    );
    const made = replies.filter((reply) => reply.status === 201);
    expect(new Set(made.map((reply) => reply.body.upload_id)).size).toBe(1);
    for (const reply of replies) if (reply.status !== 201) expect(reply.body.code).toBe('in_progress');
    expect((await initiate({ file_size: 10 }, { 'idempotency-key': key })).body).toEqual(made[0]!.body);
  });

  it('keeps no answer of a request that failed', async () => {
    const key = randomUUID();
    expect((await initiate({ file_size: 0 }, { 'idempotency-key': key })).status).toBe(422);
    expect((await initiate({ file_size: 10 }, { 'idempotency-key': key })).status).toBe(201);
  });
});

describe('complete', () => {
  it('queues the import with its options, pins the ETag and starts the run, once', async () => {
    const content = Buffer.from('sku,name\n1,a\n');
    const upload = await begin({ file_size: content.length });
    const etag = await put(upload.presigned_url!, content);
    const body = {
      file_size: content.length,
      file_sha256: 'A'.repeat(64),
      parts: [{ part_number: 1, etag }],
      idempotency_key: upload.idempotency_key,
      options: { policy: 'review', mode: 'update', allow_duplicate: true, delimiter: ',', header_row: 1 },
    };
    const reply = await complete(upload, body);
    expect(reply).toMatchObject({ status: 200, body: { job_id: upload.upload_id, status: 'queued' } });
    expect(await complete(upload, body)).toMatchObject({ status: 200, body: reply.body });
    // Also under another key, and without one.
    expect(await complete(upload, { ...body, idempotency_key: 'other' })).toMatchObject({
      status: 200,
      body: reply.body,
    });
    expect(await complete(upload)).toMatchObject({ status: 200, body: reply.body });
    expect((await complete(upload, { ...body, options: {} })).body.code).toBe('key_reused');

    const [row] = await app.owner`select * from waybill.imports where import_id = ${upload.upload_id}`;
    expect(row).toMatchObject({
      status: 'queued',
      policy: 'review',
      mode: 'update',
      file_size: content.length,
      file_sha256: 'a'.repeat(64),
      options: { allow_duplicate: true, delimiter: ',', header_row: 1 },
    });
    expect(await app.deps.store.stat(upload.file_key)).toMatchObject({
      etag: row!['object_etag'],
      size: content.length,
    });
    const described = await app.client.workflow.getHandle(upload.upload_id).describe();
    expect(described.status.name).toBe('RUNNING');
    expect(described.type).toBe('importFile');
  });

  it('takes a file of one part without a list of parts', async () => {
    const upload = await begin();
    await put(upload.presigned_url!, Buffer.from('sku\n1\n'));
    expect(await complete(upload)).toMatchObject({ status: 200, body: { status: 'queued' } });
  });

  it('puts parts together that came in any order', async () => {
    const content = randomBytes(9 * MiB);
    const upload = await begin({ file_size: content.length });
    const [one, two] = upload.part_urls;
    const second = await put(two!.url, content.subarray(8 * MiB));
    const first = await put(one!.url, content.subarray(0, 8 * MiB));
    const parts = [
      { part_number: 1, etag: first },
      { part_number: 2, etag: second },
    ];
    expect(await complete(upload, { parts: parts.toReversed() })).toMatchObject({
      status: 409,
      body: { code: 'parts_differ' },
    });
    expect(await complete(upload, { parts: [parts[0]] })).toMatchObject({
      status: 409,
      body: { code: 'parts_differ' },
    });
    expect(await complete(upload, { parts: [parts[0], { part_number: 2, etag: 'foreign' }] })).toMatchObject({
      status: 409,
    });
    expect(await complete(upload, { parts })).toMatchObject({ status: 200 });
  });

  it('says what is missing, signs it anew, and goes on', async () => {
    const content = randomBytes(9 * MiB);
    const upload = await begin({ file_size: content.length });
    const first = await put(upload.part_urls[0]!.url, content.subarray(0, 8 * MiB));
    expect(await complete(upload, { parts: [{ part_number: 1, etag: first }] })).toMatchObject({
      status: 409,
    });
    const parts = () => app.call('POST', `/api/imports/${upload.upload_id}/parts`, { body: {} });
    const { arrived, missing } = (await parts()).body;
    expect(arrived).toMatchObject([{ part_number: 1, size: 8 * MiB }]);
    expect(missing).toMatchObject([{ part_number: 2, size: MiB }]);
    const second = await put(missing[0].url, content.subarray(8 * MiB));
    expect((await parts()).body.missing).toEqual([]);
    const list = [
      { part_number: 1, etag: first },
      { part_number: 2, etag: second },
    ];
    expect(await complete(upload, { parts: list })).toMatchObject({ status: 200 });
    expect(await parts()).toMatchObject({ status: 409, body: { code: 'upload_complete' } });
  });

  it('refuses and deletes what is larger than announced', async () => {
    const upload = await begin({ file_size: 10 });
    await put(upload.presigned_url!, randomBytes(11));
    expect(await complete(upload)).toMatchObject({ status: 413, body: { code: 'larger_than_declared' } });
    expect(await app.deps.store.stat(upload.file_key)).toBeNull();
    expect(await show(upload.upload_id)).toMatchObject({
      status: 'failed',
      error: { code: 'larger_than_declared' },
      actions: [],
    });
    expect(await complete(upload)).toMatchObject({ status: 410 });
  });

  it('refuses and deletes what is larger than the limit, announced or not', async () => {
    const upload = await begin();
    await put(upload.presigned_url!, randomBytes(21 * MiB));
    expect(await complete(upload)).toMatchObject({ status: 413, body: { code: 'file_too_large' } });
    expect(await app.deps.store.stat(upload.file_key)).toBeNull();
  });

  it('takes no more files of a tenant than may be open at once, and says when to come again', async () => {
    const { config } = app.deps;
    const { maxQueued } = config;
    const [open] = await app.owner<[{ n: number }]>`select count(*)::int as n from waybill.imports
      where tenant_id = 'default' and status in ('uploading', 'queued', 'running')`;
    config.maxQueued = open.n + 1;
    try {
      await begin();
      const reply = await app.call('POST', '/api/imports/initiate', {
        body: { file_name: 'a.csv', expected_schema: 'products' },
      });
      expect(reply).toMatchObject({ status: 429, body: { code: 'queue_full' } });
      expect(Number(reply.headers.get('retry-after'))).toBeGreaterThan(0);
      const other = await app.call('POST', '/api/imports/initiate', {
        token: app.foreign.operator,
        body: { file_name: 'a.csv', expected_schema: 'products' },
      });
      expect(other.status).toBe(201);
    } finally {
      config.maxQueued = maxQueued;
    }
  });

  it('refuses a file of no bytes that did not say so', async () => {
    const upload = await begin();
    await put(upload.presigned_url!, Buffer.alloc(0));
    const reply = await complete(upload);
    expect(reply).toMatchObject({ status: 422, body: { code: 'empty_file' } });
  });

  it('refuses an upload that expired, in words', async () => {
    const upload = await begin({ file_size: 3 });
    await put(upload.presigned_url!, Buffer.from('a\n1'));
    await app.owner`update waybill.uploads set expires_at = now() - interval '1 second' where import_id = ${upload.upload_id}`;
    expect(await complete(upload)).toMatchObject({ status: 410, body: { code: 'upload_expired' } });
    expect(await app.call('POST', `/api/imports/${upload.upload_id}/parts`, { body: {} })).toMatchObject({
      status: 410,
    });
  });

  it('goes on where an earlier try died after putting the parts together', async () => {
    const content = Buffer.from('sku,name\n1,a\n');
    const upload = await begin({ file_size: content.length });
    const etag = await put(upload.presigned_url!, content);
    const [row] =
      await app.owner`select store_upload_id from waybill.uploads where import_id = ${upload.upload_id}`;
    await app.deps.store.completeUpload(upload.file_key, row!['store_upload_id'], [{ partNumber: 1, etag }]);
    expect(await complete(upload, { parts: [{ part_number: 1, etag }] })).toMatchObject({
      status: 200,
      body: { status: 'queued' },
    });
  });

  it('goes on where an earlier try died before the run was started', async () => {
    const content = Buffer.from('sku,name\n1,a\n');
    const upload = await begin({ file_size: content.length });
    await put(upload.presigned_url!, content);
    // As if the process had ended right after the change to `queued`.
    const { start } = app.deps.runs;
    app.deps.runs.start = () => Promise.reject(new Error('ended'));
    expect(await complete(upload)).toMatchObject({ status: 200, body: { status: 'queued' } });
    app.deps.runs.start = start;
    await expect(app.client.workflow.getHandle(upload.upload_id).describe()).rejects.toThrow();
    expect(await complete(upload)).toMatchObject({ status: 200 });
    expect((await app.client.workflow.getHandle(upload.upload_id).describe()).status.name).toBe('RUNNING');
  });

  it('starts one run for two that complete at once', async () => {
    const upload = await begin({ file_size: 6 });
    await put(upload.presigned_url!, Buffer.from('sku\n1\n'));
    const replies = await Promise.all([complete(upload), complete(upload)]);
    for (const reply of replies) expect(reply).toMatchObject({ status: 200, body: { status: 'queued' } });
    const uploads =
      await app.owner`select from waybill.audit where import_id = ${upload.upload_id} and action = 'upload'`;
    expect(uploads).toHaveLength(1);
  });

  it('knows neither foreign uploads nor foreign keys', async () => {
    const upload = await begin({ file_size: 6 });
    const foreign = await app.call('POST', '/api/imports/complete', {
      body: { upload_id: upload.upload_id, file_key: upload.file_key },
      token: app.foreign.admin,
    });
    expect(foreign).toMatchObject({ status: 404, body: { code: 'unknown_import' } });
    expect(await complete({ ...upload, file_key: 'other/key/source' })).toMatchObject({
      status: 422,
      body: { code: 'foreign_file_key' },
    });
  });
});

describe('a cancelled upload', () => {
  it('leaves nothing in the store', async () => {
    const upload = await begin({ file_size: 3 });
    await put(upload.presigned_url!, Buffer.from('a\n1'));
    const cancelled = await app.call('POST', `/api/imports/${upload.upload_id}/cancel`, {
      body: { reason: 'wrong file' },
    });
    expect(cancelled).toMatchObject({ status: 200, body: { status: 'cancelled', actions: [] } });
    const [row] =
      await app.owner`select store_upload_id, aborted_at from waybill.uploads where import_id = ${upload.upload_id}`;
    expect(row!['aborted_at']).not.toBeNull();
    await expect(app.deps.store.listParts(upload.file_key, row!['store_upload_id'])).rejects.toThrow(
      'no open upload',
    );
    expect(await complete(upload)).toMatchObject({ status: 410 });
  });
});
