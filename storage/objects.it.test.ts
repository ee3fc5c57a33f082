import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { ObjectChanged, ObjectMissing, StoreUnavailable, UploadMissing } from './errors.ts';
import { createObjectStore, openObjectStore, type ObjectStore } from './objects.ts';
import { objectKeys } from './keys.ts';

const MiB = 1024 * 1024;
let store: ObjectStore;
const tenant = `t-${randomUUID().slice(0, 8)}`;
const keyOf = (name: string): string => objectKeys(tenant, name).source;

beforeAll(() => {
  const { endpoint, bucket, accessKey, secretKey, region } = inject('services').s3;
  store = openObjectStore({
    S3_ENDPOINT: endpoint,
    S3_BUCKET: bucket,
    S3_ACCESS_KEY: accessKey,
    S3_SECRET_KEY: secretKey,
    S3_REGION: region,
  });
});

afterAll(async () => {
  for (const { key } of await store.list(`${tenant}/`)) await store.remove(key);
  await store.close();
});

const putTo = async (url: string, body: Buffer): Promise<string> => {
  const answer = await fetch(url, { method: 'PUT', body: new Uint8Array(body) });
  expect(answer.status).toBe(200);
  return answer.headers.get('etag')!.replaceAll('"', '');
};

describe('an upload in parts', () => {
  it('goes by signed addresses, is listed, and is put together once', async () => {
    const key = keyOf('parts');
    const content = randomBytes(9 * MiB);
    const id = await store.createUpload(key, 'text/csv');
    const second = await putTo(await store.presignPart(key, id, 2, 60), content.subarray(8 * MiB));
    const first = await putTo(await store.presignPart(key, id, 1, 60), content.subarray(0, 8 * MiB));
    expect(await store.listParts(key, id)).toEqual([
      { partNumber: 1, etag: first, size: 8 * MiB },
      { partNumber: 2, etag: second, size: MiB },
    ]);
    expect(await store.stat(key)).toBeNull();
    const parts = [
      { partNumber: 1, etag: first },
      { partNumber: 2, etag: second },
    ];
    const { etag } = await store.completeUpload(key, id, parts);
    expect(await store.stat(key)).toEqual({ key, size: content.length, etag });
    // The answer to the first was lost: the same again.
    expect(await store.completeUpload(key, id, parts)).toEqual({ etag });
    expect(Buffer.compare(await buffer(await store.read(key, { etag })), content)).toBe(0);
    const download = await fetch(await store.presignGet(key, 60, { fileName: '在庫 2026.csv' }));
    expect(download.headers.get('content-disposition')).toContain('filename*=UTF-8');
    expect((await download.arrayBuffer()).byteLength).toBe(content.length);
  });

  it('can be aborted, twice, and is gone then', async () => {
    const key = keyOf('aborted');
    const id = await store.createUpload(key, 'text/csv');
    await putTo(await store.presignPart(key, id, 1, 60), Buffer.from('a,b\n'));
    await store.abortUpload(key, id);
    await store.abortUpload(key, id);
    await expect(store.listParts(key, id)).rejects.toThrow(UploadMissing);
    await expect(store.completeUpload(key, id, [{ partNumber: 1, etag: 'x' }])).rejects.toThrow(
      UploadMissing,
    );
  });

  it('refuses a part whose address was tampered with', async () => {
    const key = keyOf('tampered');
    const id = await store.createUpload(key, 'text/csv');
    const url = new URL(await store.presignPart(key, id, 1, 60));
    url.searchParams.set('partNumber', '2');
    expect((await fetch(url, { method: 'PUT', body: 'x' })).status).toBe(403);
    await store.abortUpload(key, id);
  });
});

describe('write and read', () => {
  it.each([0, 1, 8 * MiB, 8 * MiB + 1, 20 * MiB])('keeps a stream of %i bytes exactly', async (size) => {
    const key = keyOf(`stream-${size}`);
    const content = randomBytes(size);
    const chunks = Array.from({ length: Math.ceil(size / 100_000) }, (_, i) =>
      content.subarray(i * 100_000, (i + 1) * 100_000),
    );
    const written = await store.write(key, Readable.from(chunks), { contentType: 'text/csv' });
    expect(written.size).toBe(size);
    expect(await store.stat(key)).toEqual({ key, size, etag: written.etag });
    const hash = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');
    expect(hash(await buffer(await store.read(key, { etag: written.etag })))).toBe(hash(content));
  });

  it('reads ranges and counts the bytes', async () => {
    const key = keyOf('ranges');
    const content = randomBytes(1000);
    const { etag } = await store.write(key, content);
    const before = store.bytesRead;
    expect(await buffer(await store.read(key, { etag, start: 10, end: 20 }))).toEqual(
      content.subarray(10, 20),
    );
    expect(await buffer(await store.read(key, { etag, start: 990 }))).toEqual(content.subarray(990));
    expect(await buffer(await store.read(key, { etag, start: 5, end: 5 }))).toHaveLength(0);
    expect(store.bytesRead - before).toBe(20);
  });

  it('leaves nothing of a stream that fails', async () => {
    const key = keyOf('failing');
    async function* failing() {
      yield randomBytes(9 * MiB);
      throw new Error('the source went away');
    }
    await expect(store.write(key, Readable.from(failing()))).rejects.toThrow('the source went away');
    expect(await store.stat(key)).toBeNull();
  });

  it('tells missing and changed objects apart', async () => {
    const key = keyOf('changed');
    await expect(store.read(key)).rejects.toThrow(ObjectMissing);
    const { etag } = await store.write(key, Buffer.from('one'));
    await store.write(key, Buffer.from('two'));
    await expect(store.read(key, { etag })).rejects.toThrow(ObjectChanged);
    await store.remove(key);
    await store.remove(key);
    await expect(store.read(key, { etag })).rejects.toThrow(ObjectMissing);
  });

  it('stops when the caller no longer wants it', async () => {
    const key = keyOf('abandoned');
    await store.write(key, randomBytes(4 * MiB));
    const controller = new AbortController();
    const stream = await store.read(key, { signal: controller.signal });
    const reading = buffer(stream);
    controller.abort(new Error('paused'));
    await expect(reading).rejects.toThrow('paused');
  });
});

describe('a store that fails', () => {
  let server: Server;
  let answer: (key: string) => {
    status: number;
    headers?: Record<string, string>;
    body?: string;
    cut?: true;
  };
  let broken: ObjectStore;

  beforeAll(async () => {
    server = createServer((req, res) => {
      const { status, headers, body, cut } = answer(req.url!);
      res.writeHead(status, headers);
      if (cut) res.write(body, () => res.destroy());
      else res.end(body);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    broken = createObjectStore({ endpoint, bucket: 'bucket', accessKey: 'key', secretKey: 'secret' });
  });
  afterAll(async () => {
    await broken.close();
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });

  it('is unavailable on 503, whatever was asked', async () => {
    answer = () => ({ status: 503, body: '<Error><Code>SlowDown</Code></Error>' });
    await expect(broken.read('a')).rejects.toThrow(StoreUnavailable);
    await expect(broken.stat('a')).rejects.toThrow(StoreUnavailable);
    await expect(broken.write('a', Buffer.from('x'))).rejects.toThrow(StoreUnavailable);
    await expect(broken.listParts('a', 'id')).rejects.toThrow(StoreUnavailable);
  });

  it('is unavailable where a stream ends before its length', async () => {
    answer = () => ({
      status: 200,
      headers: { 'content-length': '1000', etag: '"e"' },
      body: 'short',
      cut: true,
    });
    const stream = await broken.read('a', { etag: 'e' });
    await expect(buffer(stream)).rejects.toThrow(StoreUnavailable);
  });

  it('has changed the object where it ignores If-Match and sends another ETag', async () => {
    answer = () => ({ status: 200, headers: { etag: '"other"' }, body: 'x' });
    await expect(broken.read('a', { etag: 'e' })).rejects.toThrow(ObjectChanged);
  });

  it('is unavailable when nobody listens', async () => {
    const nobody = createObjectStore({
      endpoint: 'http://127.0.0.1:9',
      bucket: 'bucket',
      accessKey: 'key',
      secretKey: 'secret',
    });
    await expect(nobody.check()).rejects.toThrow(StoreUnavailable);
    await expect(nobody.read('a')).rejects.toThrow(StoreUnavailable);
    await nobody.close();
  });
});
