import { describe, expect, it } from 'vitest';
import type { Import } from '../client/index.ts';
import { holdExamples, missingCounts } from './guard.ts';

const accounting = (more: object) =>
  ({ input: 1, created: 1, updated: 0, ...more }) as unknown as NonNullable<Import['accounting']>;

describe('what a full catalogue does not have', () => {
  it.each([
    ['an import that did not look for it', accounting({}), []],
    ['nothing was missing', accounting({ missing: 0, deleted: 0 }), [{ name: 'missing', count: 0 }]],
    [
      'deleted but for one',
      accounting({ missing: 3, deactivated: 0, deleted: 2, kept: 1 }),
      [
        { name: 'missing', count: 3 },
        { name: 'deleted', count: 2 },
        { name: 'kept', count: 1 },
      ],
    ],
  ])('%s', (_, given, counts) => expect(missingCounts(given)).toEqual(counts));

  it('examples are there only where the guard has some', () => {
    expect(holdExamples({ guard: null })).toEqual([]);
    expect(holdExamples({ guard: { reasons: [] } })).toEqual([]);
    expect(holdExamples({ guard: { examples: [{ kind: 'removed', key: 'a' }] } })).toHaveLength(1);
  });
});
