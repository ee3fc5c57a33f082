import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
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
beforeEach(async () => {
  await app.owner`truncate catalog.products cascade`;
});

const csv = (...lines: string[]): string => ['sku,name,price', ...lines, ''].join('\n');
const names = async () =>
  (await app.owner`select sku || '=' || name as one from catalog.products order by sku`).map(
    ({ one }) => one as string,
  );
const post = (id: string, path: string, body: object = {}, token = app.tokens.approver) =>
  app.call('POST', `/api/imports/${id}/${path}`, { body, token });
const waitingFor = async (id: string) => (await app.call('GET', `/api/imports/${id}`)).body.waitingFor?.what;
const state = async (id: string) => (await app.call('GET', `/api/imports/${id}/revert`)).body;

describe('undoing an import', () => {
  it('is previewed, asked for, listed and done again by force', async () => {
    const first = await submit(app, csv('a,A,1', 'b,B,2'));
    await reached(app, first, 'completed');
    const id = await submit(app, csv('a,AA,1', 'b,BB,2', 'c,C,3', 'd,D,4'));
    expect((await reached(app, id, 'completed')).actions).toEqual(['revert']);
    await app.owner`update catalog.products set name = 'by hand' where sku = 'b'`;

    const looked = await post(id, 'revert', { preview: true }, app.tokens.operator);
    expect(looked).toMatchObject({
      status: 200,
      body: {
        possible: true,
        why: null,
        runs: [],
        preview: {
          counts: { records: 4, remove: 2, restore: 1, skip: 1, conflicts: { changed: 1, seenLater: 0 } },
          conflicts: [{ key: 'b', kinds: ['changed'], now: { name: 'by hand' }, left: { name: 'BB' } }],
        },
      },
    });
    expect(await names()).toEqual(['a=AA', 'b=by hand', 'c=C', 'd=D']);

    const asked = await post(id, 'revert', { reason: 'the wrong file' }, app.tokens.operator);
    expect(asked).toMatchObject({ status: 200, body: { preview: null, possible: false } });
    await reached(app, id, 'reverted');
    expect(await names()).toEqual(['a=A', 'b=by hand']);
    expect(await state(id)).toMatchObject({
      runs: [
        {
          revert: 1,
          state: 'done',
          requestedBy: 'test-operator',
          reason: 'the wrong file',
          result: { removed: 2, restored: 1, skipped: 1 },
          workflowUrl: `http://temporal.test/namespaces/${app.namespace}/workflows/${id}-revert`,
        },
      ],
    });
    const { body } = await app.call('GET', `/api/imports/${id}/revert/conflicts`);
    expect(body).toMatchObject({ items: [{ key: 'b', decision: 'skip' }], nextCursor: null });
    const activity = (await app.call('GET', `/api/imports/${id}/phases/activity`)).body.items;
    expect(activity.map(({ action }: { action: string }) => action)).toEqual(
      expect.arrayContaining(['revert', 'reverted']),
    );

    const force = { onConflict: { changed: 'force' } };
    expect(await post(id, 'revert', force, app.tokens.operator)).toMatchObject({ status: 403 });
    expect((await post(id, 'revert', force)).status).toBe(200);
    await reached(app, id, 'reverted');
    expect(await names()).toEqual(['a=A', 'b=B']);
    // Nothing changed by it is left; what was there before can be undone now.
    expect((await post(first, 'revert')).status).toBe(200);
    await reached(app, first, 'reverted');
    expect(await names()).toEqual([]);
  });

  it('pauses, goes on, and is cancelled like a run', async () => {
    const id = await submit(app, csv('a,A,1'));
    await reached(app, id, 'completed');
    // A row of another import stands in its turn.
    const other = await app.makeImport({ status: 'running', workflow_run_id: 'other' });
    await app.owner`update waybill.turns set holder = ${other}`;
    await post(id, 'revert');
    await expect.poll(() => waitingFor(id), { timeout: 20_000 }).toBe('turn');
    const paused = await post(id, 'pause');
    expect(paused.body).toMatchObject({
      status: 'reverting',
      waitingFor: { what: 'resume' },
      actions: ['resume', 'cancel'],
    });
    expect((await state(id)).runs[0].state).toBe('paused');
    expect((await post(id, 'resume')).body).toMatchObject({ status: 'reverting' });
    await expect.poll(() => waitingFor(id), { timeout: 20_000 }).toBe('turn');
    expect((await post(id, 'cancel')).body).toMatchObject({ status: 'completed', actions: ['revert'] });
    expect((await state(id)).runs[0].state).toBe('cancelled');
    await app.owner`update waybill.imports set status = 'cancelled' where import_id = ${other}`;
    await post(id, 'revert');
    await reached(app, id, 'reverted');
    expect(await names()).toEqual([]);
  });

  it('is refused where there is nothing to undo, and while the import runs', async () => {
    const open = await app.makeImport({
      status: 'waiting',
      waiting_for: app.owner.json({ what: 'approval' }),
    });
    expect(await post(open, 'revert')).toMatchObject({
      status: 409,
      body: { code: 'not_ended', importId: open },
    });
    const none = await app.makeImport({ status: 'completed', finished_at: new Date() });
    expect(await post(none, 'revert', { preview: true })).toMatchObject({
      status: 409,
      body: { code: 'nothing_to_undo' },
    });
    expect(await state(none)).toMatchObject({ possible: false, why: { code: 'nothing_to_undo' }, runs: [] });
    expect(await app.call('GET', `/api/imports/${none}/revert/conflicts`)).toMatchObject({ status: 404 });
  });
});
