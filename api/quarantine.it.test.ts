import { afterAll, beforeAll, expect, it } from 'vitest';
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

  // Whoever tries again is told the same, not that the file is missing.
  const again = await app.call('POST', `/api/imports/${id}/retry`, { body: {} });
  if (again.status < 300)
    expect(await reached(app, id, 'failed')).toMatchObject({ error: { code: 'quarantined' } });
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
