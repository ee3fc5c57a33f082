import { expect, it } from 'vitest';
import type { StoredImport } from '../db/imports.ts';
import { TargetRefused } from '../db/target.ts';
import { actionsOf } from './import-json.ts';
import { asApiError } from './problem.ts';

it('what an import removed can be undone, also where it wrote nothing else', () => {
  const ended = (accounting: Record<string, number>) =>
    actionsOf({ status: 'completed', finishedAt: new Date(), accounting } as unknown as StoredImport);
  expect(ended({ created: 0, updated: 0, deactivated: 0, deleted: 3 })).toEqual(['revert']);
  expect(ended({ created: 0, updated: 0, deactivated: 2, deleted: 0 })).toEqual(['revert']);
  expect(ended({ created: 0, updated: 0, unchanged: 9 })).toEqual([]);
});

it('a table that is not given any more is said, and is no fault of ours', () => {
  expect(asApiError(new TargetRefused('There is no table.'))).toMatchObject({
    status: 422,
    code: 'target_refused',
  });
});
