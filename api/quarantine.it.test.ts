import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestApp, type TestApp } from '../test/api.ts';
import { EICAR, startClamd, type Clamd } from '../test/clamd.ts';
import { reached, submit } from '../test/import.ts';
import { startTestWorker } from '../test/worker.ts';

/** Whole imports behind a real virus scanner, through API, worker, store and database. */
let clamd: Clamd | null = null;
let app: TestApp;
let worker: Awaited<ReturnType<typeof startTestWorker>>;

beforeAll(async () => {
  const started = await startClamd();
  if ('missing' in started) {
    console.log(`Skipped: ${started.missing}.`);
    return;
  }
  clamd = started;
  app = await startTestApp();
  worker = await startTestWorker({
    databaseUrl: app.workerUrl,
    namespace: app.namespace,
    env: { WAYBILL_SCAN: `clamd://127.0.0.1:${clamd.port}`, WAYBILL_SCAN_DOWN: 'wait' },
  });
});
afterAll(async () => {
  if (!clamd) return;
  await worker.stop();
  for (const { key } of await app.deps.store.list('quarantine/default/')) await app.deps.store.remove(key);
  await app.close();
  await clamd.remove();
});

it('a file with a virus ends in quarantine, and nothing of it is read', async (context) => {
  if (!clamd) return context.skip();
  const id = await submit(app, `sku,name\nA-1,${EICAR}\n`, { policy: 'auto' });
  const ended = await reached(app, id, 'failed');
  expect(ended).toMatchObject({
    error: { code: 'quarantined', message: expect.stringContaining('Waybill.Test.UNOFFICIAL') as string },
    accounting: null,
  });

  const key = `quarantine/default/${id}/source`;
  const { store } = app.deps;
  expect(await store.list(`default/${id}/`)).toEqual([]);
  const chunks: Buffer[] = [];
  for await (const chunk of await store.read(key)) chunks.push(chunk as Buffer);
  expect(Buffer.concat(chunks).toString()).toContain(EICAR);

  const seen = await app.call('GET', '/api/quarantine');
  expect(seen.body).toMatchObject({
    items: [
      {
        importId: id,
        fileName: 'stock.csv',
        dataset: 'products',
        signature: 'Waybill.Test.UNOFFICIAL',
        objectKey: key,
      },
    ],
    nextCursor: null,
  });
  expect((await app.call('GET', '/api/quarantine', { token: app.foreign.admin })).body.items).toEqual([]);
  expect((await app.call('GET', '/api/quarantine', { token: app.tokens.approver })).status).toBe(403);

  // A file that was found bad is not tried again, whatever the scanner would say today.
  expect(ended.actions).not.toContain('retry');
  expect(await app.call('POST', `/api/imports/${id}/retry`, { body: {} })).toMatchObject({
    status: 409,
    body: { code: 'quarantined', detail: expect.stringMatching(/not read again. Ask its sender/) as string },
  });

  for (const [token, status] of [
    [app.tokens.approver, 403],
    [app.foreign.admin, 404],
  ] as const)
    expect((await app.call('DELETE', `/api/quarantine/${id}`, { token })).status).toBe(status);
  expect(await store.list('quarantine/default/')).toMatchObject([{ key }]);
  expect((await app.call('DELETE', `/api/quarantine/${id}`)).status).toBe(204);
  expect(await store.list('quarantine/default/')).toEqual([]);
  expect((await app.call('GET', '/api/quarantine')).body.items).toEqual([]);
  expect((await app.call('DELETE', `/api/quarantine/${id}`)).status).toBe(404);
  expect((await app.call('POST', `/api/imports/${id}/retry`, { body: {} })).body.code).toBe('quarantined');
  expect(
    await app.owner`select action, detail->>'signature' as found from waybill.audit where import_id = ${id} and action = 'remove_quarantined'`,
  ).toEqual([{ action: 'remove_quarantined', found: 'Waybill.Test.UNOFFICIAL' }]);
});

it('a scanner that is down is waited for, and then the file goes through it', async (context) => {
  if (!clamd) return context.skip();
  await clamd.stop();
  const id = await submit(app, 'sku,name\nB-1,Pipe\n', { policy: 'auto' });
  const deadline = Date.now() + 20_000;
  for (;;) {
    const { body } = await app.call('GET', `/api/imports/${id}`);
    if (body.waitingFor?.what === 'virus scanner') {
      expect(body.status).toBe('running');
      break;
    }
    expect(Date.now(), JSON.stringify(body)).toBeLessThan(deadline);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  await clamd.start();
  expect(await reached(app, id, 'completed')).toMatchObject({ accounting: { input: 1, created: 1 } });
});

describe('where a scanner that is down is a reason to refuse', () => {
  it('the import fails with a clear code, nothing of the file is read, and a retry goes through the scanner', async (context) => {
    if (!clamd) return context.skip();
    await worker.stop();
    worker = await startTestWorker({
      databaseUrl: app.workerUrl,
      namespace: app.namespace,
      env: { WAYBILL_SCAN: `clamd://127.0.0.1:${clamd.port}`, WAYBILL_SCAN_DOWN: 'refuse' },
    });
    await clamd.stop();
    const id = await submit(app, 'sku,name\nC-1,Valve\n', { policy: 'auto' });
    const ended = await reached(app, id, 'failed');
    expect(ended).toMatchObject({
      error: {
        code: 'scanner_down',
        message: expect.stringMatching(
          /does not answer.*The file was not read.*when the scanner is back/,
        ) as string,
      },
      accounting: null,
    });
    expect(ended.actions).toContain('retry');
    expect(
      await app.owner`select manifest_key, input_accepted from waybill.imports where import_id = ${id}`,
    ).toEqual([{ manifest_key: null, input_accepted: null }]);
    expect((await app.call('GET', '/api/quarantine')).body.items).toEqual([]);

    await clamd.start();
    expect((await app.call('POST', `/api/imports/${id}/retry`, { body: {} })).status).toBeLessThan(300);
    expect(await reached(app, id, 'completed')).toMatchObject({ accounting: { input: 1, created: 1 } });
  });
});
