/** Movements that are sent twice are added once, whoever comes first. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { startTestApp, type TestApp } from '../test/api.ts';
import { reached, submit } from '../test/import.ts';
import { startTestWorker } from '../test/worker.ts';

let app: TestApp;
let worker: Awaited<ReturnType<typeof startTestWorker>>;
beforeAll(async () => {
  app = await startTestApp();
  worker = await startTestWorker({ databaseUrl: app.workerUrl, namespace: app.namespace });
});
afterAll(async () => {
  await worker?.stop();
  await app?.close();
});

const approve = async (id: string) => {
  const { plan } = (await app.call('GET', `/api/imports/${id}`)).body;
  const answer = await app.call('POST', `/api/imports/${id}/approve`, { body: { plan } });
  expect(answer.status).toBe(200);
};

it('two of the same file that both waited for approval: the second is refused in its turn', async () => {
  const options = { mode: 'add', policy: 'review' };
  const moves = 'sku,name,quantity\nW1,Thing,5\n';
  const first = await submit(app, moves, options);
  const second = await submit(app, moves, options);
  await reached(app, first, 'waiting');
  await reached(app, second, 'waiting');
  await approve(first);
  await reached(app, first, 'completed');
  await approve(second);
  await reached(app, second, 'failed', 'completed');
  expect((await app.call('GET', `/api/imports/${second}`)).body).toMatchObject({
    status: 'failed',
    error: { code: 'duplicate_file' },
    accounting: { created: 0, updated: 0 },
  });
  expect(await app.owner`select quantity::float8 as n from catalog.products where sku = 'W1'`).toEqual([
    { n: 5 },
  ]);
});
