import { MockActivityEnvironment } from '@temporalio/testing';
import { expect, it } from 'vitest';
import { settleAllOr } from '../db/all-or.ts';
import { applyAll, stageImport } from '../db/staged.fixture.ts';
import { ownDatabase } from '../test/own-database.ts';
import type { ActivityDeps } from './deps.ts';
import { createNotifyActivities } from './notify.ts';

const own = ownDatabase();

it('an import that is all or undone does not complete where the last batch lost a row and nobody heard of it', async () => {
  const run = await stageImport(own.pool, [
    { sku: 'A', price: '1' },
    { sku: 'B', price: '99' },
  ]);
  await settleAllOr(own.pool, run, 'undone');
  await own.pool.query('alter table catalog.products add constraint cheap check (price < 50)');
  await applyAll(own.pool, run);
  await own.pool.query('alter table catalog.products drop constraint cheap');
  const { notify } = createNotifyActivities({ pool: own.pool } as ActivityDeps);
  await expect(
    new MockActivityEnvironment().run(notify, { importId: run.importId, epoch: run.epoch }),
  ).rejects.toMatchObject({ code: 'atomic_refused' });
});
