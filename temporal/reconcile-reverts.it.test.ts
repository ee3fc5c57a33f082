import { pino } from 'pino';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { startTestApp, type TestApp } from '../test/api.ts';
import { reconcileReverts } from './reconcile-reverts.ts';
import { workflowState } from './workflow-state.ts';

let app: TestApp;
beforeAll(async () => {
  app = await startTestApp();
});
afterAll(() => app.close());

/** In the middle of being undone, for a minute now. */
async function reverting(revert: object = {}): Promise<string> {
  const id = await app.makeImport({ status: 'completed', finished_at: new Date() });
  await app.owner.begin(async (sql) => {
    await sql`set local session_replication_role = replica`;
    const values = {
      import_id: id,
      revert: 1,
      state: 'running',
      on_conflict: sql.json({}),
      status_before: 'completed',
      requested_by: 'Aiko',
      ...revert,
    };
    await sql`insert into waybill.reverts ${sql(values)}`;
    await sql`update waybill.imports set status = 'reverting', updated_at = now() - interval '1 minute' where import_id = ${id}`;
  });
  return id;
}
const reconcile = () =>
  reconcileReverts({ pool: app.deps.pool, client: app.client, log: pino({ level: 'silent' }) });
const stateOf = async (id: string) => {
  const [row] = await app.owner<{ status: string; state: string; error: { code: string } | null }[]>`
    select i.status, v.state, v.error from waybill.imports i join waybill.reverts v using (import_id) where import_id = ${id}`;
  return row!;
};

it('starts the workflow of a revert that nobody is behind, and lets a running one be', async () => {
  const id = await reverting();
  await reconcile();
  expect((await workflowState(app.client, `${id}-revert`)).state).toBe('RUNNING');
  await reconcile();
  expect(await stateOf(id)).toMatchObject({ status: 'reverting', state: 'running' });
});

it('ends as cancelled what was terminated in Temporal: the import stands as before', async () => {
  const id = await reverting();
  await reconcile();
  await app.client.workflow.getHandle(`${id}-revert`).terminate('by hand');
  await reconcile();
  expect(await stateOf(id)).toMatchObject({ status: 'completed', state: 'cancelled' });
});

it('gives up what was started again three times without progress, also where it is paused', async () => {
  for (const state of ['running', 'paused']) {
    const id = await reverting({ state, workflow_run_id: 'gone', restarts: 3, restarted_at_receipts: 0 });
    await reconcile();
    expect(await stateOf(id)).toMatchObject({
      status: 'completed',
      state: 'failed',
      error: { code: 'no_progress' },
    });
  }
});
