import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestApp, type TestApp } from '../test/api.ts';

let app: TestApp;
beforeAll(async () => {
  app = await startTestApp();
});
afterAll(() => app.close());

const get = (path: string) => app.call('GET', path);

describe('actions', () => {
  const act = (id: string, action: string, body: unknown = {}) =>
    app.call('POST', `/api/imports/${id}/${action}`, { body });

  it('pause and resume stand in the database whether or not anybody works', async () => {
    const id = await app.makeImport({ status: 'running', phase: 'apply', epoch: 1 });
    const paused = await act(id, 'pause', { reason: 'stocktaking' });
    expect(paused).toMatchObject({ status: 200, body: { status: 'paused', actions: ['resume', 'cancel'] } });
    expect((await act(id, 'pause')).status).toBe(200);
    expect(await act(id, 'resume')).toMatchObject({ status: 200, body: { status: 'running' } });
    expect(await act(id, 'resume')).toMatchObject({ status: 409, body: { code: 'not_possible' } });
    const { items } = (await get(`/api/imports/${id}/phases/activity`)).body;
    expect(items.map((event: { action: string }) => event.action)).toEqual(['resume', 'pause']);
    expect(items[1]).toMatchObject({ actor: 'test-admin', reason: 'stocktaking' });
  });

  it('cancel ends it once, and retry opens it again', async () => {
    const id = await app.makeImport({ status: 'running', phase: 'validate', epoch: 1 });
    expect(await act(id, 'cancel')).toMatchObject({
      status: 200,
      body: { status: 'cancelled', phase: null, actions: ['retry'] },
    });
    expect((await act(id, 'cancel')).status).toBe(200);
    expect(await act(id, 'pause')).toMatchObject({ status: 409, body: { code: 'not_possible' } });
    expect(await act(id, 'retry')).toMatchObject({ status: 200, body: { status: 'queued', error: null } });
    expect((await app.client.workflow.getHandle(id).describe()).status.name).toBe('RUNNING');
  });

  it('retry says why an ended run is not opened again, and does not start it', async () => {
    const ended = { status: 'cancelled', phase: null, finished_at: new Date(), epoch: 3 };
    const old = await app.makeImport({ ...ended, values_dropped_at: new Date() });
    expect(await act(old, 'retry')).toMatchObject({ status: 409, body: { code: 'too_old', importId: old } });

    const undone = await app.makeImport(ended);
    await app.owner`insert into waybill.reverts (import_id, revert, state, on_conflict, status_before, requested_by)
      values (${undone}, 1, 'cancelled', '{}', 'cancelled', 'test')`;
    await app.owner`insert into waybill.revert_batches (import_id, revert, batch, first_place, last_place, rows, digest)
      values (${undone}, 1, 1, 1, 5, 5, 0)`;
    await app.owner`insert into waybill.revert_receipts (import_id, revert, batch, epoch, removed, restored, gone, skipped, failed)
      values (${undone}, 1, 1, 2, 5, 0, 0, 0, 0)`;
    const answer = await act(undone, 'retry', { reason: 'once more' });
    expect(answer).toMatchObject({ status: 409, body: { code: 'undone', importId: undone } });
    expect(answer.body.detail).toMatch(/Import the file again/);

    for (const id of [old, undone]) {
      await expect(app.client.workflow.getHandle(id).describe()).rejects.toThrow();
      expect((await get(`/api/imports/${id}`)).body.status).toBe('cancelled');
    }
  });

  it.each(['completed', 'completed_with_issues', 'reverted'])(
    'none is possible for a run that is %s',
    async (status) => {
      const id = await app.makeImport({ status, finished_at: new Date() });
      for (const action of ['pause', 'resume', 'cancel', 'retry', 'discard']) {
        expect(await act(id, action), action).toMatchObject({
          status: 409,
          body: { code: 'not_possible', importId: id },
        });
      }
    },
  );

  it('approve wants the very plan that is there', async () => {
    const id = await app.makeImport({
      status: 'waiting',
      waiting_for: app.owner.json({ what: 'approval' }),
      plan_version: 2,
    });
    await app.owner`insert into waybill.plans (import_id, version, epoch, digest, counts, program) values (${id}, 2, 1, 'abc', '{}', '{}')`;
    expect(await act(id, 'approve', { plan: { version: 1, digest: 'abc' } })).toMatchObject({
      status: 409,
      body: { code: 'plan_moved' },
    });
    expect(await act(id, 'approve', { plan: { version: 2, digest: 'abd' } })).toMatchObject({
      status: 409,
      body: { code: 'plan_moved' },
    });
    // The plan is right, and nothing runs for this import.
    expect(await act(id, 'approve', { plan: { version: 2, digest: 'abc' } })).toMatchObject({
      status: 409,
      body: { code: 'not_running' },
    });
    expect((await act(id, 'approve', {})).status).toBe(400);
  });

  it('say 503 where no worker answers, within some seconds', async () => {
    const id = await app.makeImport({ status: 'waiting', waiting_for: app.owner.json({ what: 'approval' }) });
    await app.client.workflow.start('importFile', { workflowId: id, taskQueue: `nobody-${id}`, args: [] });
    const started = Date.now();
    expect(await act(id, 'discard')).toMatchObject({ status: 503, body: { code: 'no_worker' } });
    expect(Date.now() - started).toBeLessThan(8000);
  });

  it('confirm-mapping is checked before anybody is asked', async () => {
    const mapping = {
      fields: [{ field: 'sku', column: 0, confidence: 0.5, reason: 'similar' }],
      unmappedColumns: [1],
      questions: [],
    };
    const columns = ['Nr', 'Titel'].map((name) => ({ name, original: name, type: 'text' }));
    const key = `default/manifest-${randomUUID()}.json`;
    await app.deps.store.write(key, Buffer.from(JSON.stringify({ columns })), {
      contentType: 'application/json',
    });
    const id = await app.makeImport({
      status: 'waiting',
      waiting_for: app.owner.json({ what: 'mapping' }),
      manifest_key: key,
      mapping_proposal: app.owner.json(mapping),
    });
    const confirm = (fields: object[]) => act(id, 'confirm-mapping', { fields });
    expect(await confirm([{ field: 'unicorn', column: 0 }])).toMatchObject({
      status: 422,
      body: { code: 'mapping_refused' },
    });
    expect(await confirm([{ field: 'sku', column: 7 }])).toMatchObject({ status: 422 });
    expect(await confirm([{ field: 'name', column: 1 }])).toMatchObject({ status: 422 });
    expect(
      await confirm([
        { field: 'sku', column: 0 },
        { field: 'name', column: 0 },
      ]),
    ).toMatchObject({ status: 422 });
    expect(await confirm([{ field: 'sku', column: 0 }])).toMatchObject({
      status: 409,
      body: { code: 'not_running' },
    });
    expect(await act(id, 'approve', { plan: { version: 1, digest: 'x' } })).toMatchObject({
      status: 409,
      body: { code: 'not_possible' },
    });
    await app.deps.store.remove(key);
  });
});
