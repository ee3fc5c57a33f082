import { expect, it } from 'vitest';
import type { Mapping } from '../intake/types.ts';
import { ownDatabase } from '../test/own-database.ts';
import { findDuplicate } from './duplicates.ts';
import { findProfile, listProfiles, saveProfile } from './profiles.ts';
import { applyAll, stageImport } from './staged.fixture.ts';

const own = ownDatabase();

it('a version that is said again counts again', async () => {
  const of = { tenantId: 'default', dataset: 'products', name: 'feed' };
  const mapping = (constant: string): Mapping => ({
    fields: [{ field: 'name', column: null, constant, confidence: 1, reason: 'constant' }],
    unmappedColumns: [],
    questions: [],
  });
  const keep = (constant: string) =>
    saveProfile(own.pool, { ...of, mapping: mapping(constant), madeBy: 'anna' });
  expect(await keep('A')).toEqual({ version: 1, created: true });
  expect(await keep('B')).toEqual({ version: 2, created: true });
  expect(await keep('A')).toEqual({ version: 1, created: false });
  expect(await findProfile(own.pool, 'default', 'products', 'feed')).toMatchObject({ version: 1 });
  expect(await findProfile(own.pool, 'default', 'products', 'feed', 2)).toMatchObject({ version: 2 });
  expect(await listProfiles(own.pool, 'default', 'products')).toMatchObject([{ version: 1, versions: 2 }]);
});

it.each([
  ['add', 'completed_with_issues', true],
  ['add', 'cancelled', true],
  ['upsert', 'completed_with_issues', false],
  ['upsert', 'completed', true],
] as const)('the same file in mode %s after a run that is %s: refused %s', async (mode, status, refused) => {
  const options = { mode, columns: ['quantity'], profile: 'feed' };
  const first = await stageImport(own.pool, [{ sku: 'a', quantity: '1' }], options);
  await applyAll(own.pool, first);
  const contentSha256 = `${mode} ${status}`;
  await own.pool.query(
    `update waybill.imports set status = $2, finished_at = now(), content_sha256 = $3 where import_id = $1`,
    [first.importId, status, contentSha256],
  );
  const again = { importId: 'again', tenantId: 'default', dataset: 'products', contentSha256, mode };
  const found = await findDuplicate(own.pool, { ...again, profile: 'feed', version: 1 });
  expect(found?.importId).toBe(refused ? first.importId : undefined);
});

it.each([
  ['undone, all of it', '{"skipped": 0, "failed": 0}', false],
  ['undone but for what a later import has seen', '{"skipped": 1, "failed": 0}', true],
])('what was added and %s', async (_, result, refused) => {
  const first = await stageImport(own.pool, [{ sku: 'a', quantity: '1' }], {
    mode: 'add',
    columns: ['quantity'],
    profile: 'feed',
  });
  await applyAll(own.pool, first);
  await own.pool.query(
    `update waybill.imports set status = 'reverted', finished_at = now(), content_sha256 = $2 where import_id = $1`,
    [first.importId, result],
  );
  await own.pool.query(
    `insert into waybill.reverts (import_id, revert, state, on_conflict, status_before, requested_by, result)
     values ($1, 1, 'done', '{}', 'completed', 'test', $2)`,
    [first.importId, result],
  );
  const again = { importId: 'again', tenantId: 'default', dataset: 'products', contentSha256: result };
  // Read with another profile it would be added as well.
  const found = await findDuplicate(own.pool, { ...again, mode: 'add', profile: 'mended', version: 2 });
  expect(found?.importId).toBe(refused ? first.importId : undefined);
});
