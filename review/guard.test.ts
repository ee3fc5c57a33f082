import { describe, expect, it } from 'vitest';
import { guardReasons, type GuardFigures } from './guard.ts';

const figures = (
  change: Partial<GuardFigures['counts']>,
  more: Partial<GuardFigures> = {},
): GuardFigures => ({
  counts: { creates: 0, updates: 0, unchanged: 0, duplicates: 0, blocked: 0, ...change },
  scope: 1000,
  medians: [],
  ...more,
});

describe('guardReasons', () => {
  it.each([
    ['nothing changes', figures({ unchanged: 1000 }), 0],
    ['a tenth changes, which is the limit', figures({ updates: 100, unchanged: 900 }), 0],
    ['more than a tenth changes', figures({ updates: 101, unchanged: 899 }), 1],
    ['everything is new to an empty target', figures({ creates: 1000 }, { scope: 0 }), 0],
    ['2% blocked, which is the limit', figures({ creates: 98, blocked: 2 }), 0],
    ['3% blocked', figures({ creates: 97, blocked: 3 }), 1],
    [
      'prices times hundred',
      figures({ updates: 10 }, { medians: [{ field: 'price', before: 2, after: 200 }] }),
      1,
    ],
    [
      'prices tripled, which is the limit',
      figures({ updates: 10 }, { medians: [{ field: 'price', before: 2, after: 6 }] }),
      0,
    ],
    [
      'prices below zero',
      figures({ updates: 10 }, { medians: [{ field: 'price', before: 2, after: -2 }] }),
      1,
    ],
    ['a record is removed', figures({ unchanged: 9999, missing: 1 }), 1],
    ['prices wiped', figures({ updates: 10 }, { medians: [{ field: 'price', before: 2, after: 0 }] }), 1],
  ])('%s', (_name, given, reasons) => expect(guardReasons(given)).toHaveLength(reasons));

  it.each<[string, GuardFigures, Parameters<typeof guardReasons>[1], string[]]>([
    [
      'says what would be removed',
      figures({ updates: 2, unchanged: 4996, missing: 14 }, { removing: 'deactivate' }),
      {},
      ['14 of 5,012 known records (0.3%) are not in the file and would be deactivated; the limit is 0%.'],
    ],
    ['lets pass what it may', figures({ unchanged: 995, missing: 5 }), { removed: 0.01 }, []],
    [
      'has a limit of its own for each',
      figures({ updates: 200, unchanged: 700, blocked: 100 }),
      { changed: 0.3, blocked: 0.1 },
      [],
    ],
    [
      'keeps the others where one is given',
      figures({ updates: 200, unchanged: 800 }),
      { median: 100 },
      ['200 of 1,000 records (20%) would change; the limit is 10%.'],
    ],
    [
      'a median may move as far as it is said',
      figures({ updates: 10 }, { medians: [{ field: 'price', before: 2, after: 200 }] }),
      { median: 100 },
      [],
    ],
  ])('%s', (_, given, limits, messages) =>
    expect(guardReasons(given, limits).map(({ message }) => message)).toEqual(messages),
  );
});
