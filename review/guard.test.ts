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
    ['prices wiped', figures({ updates: 10 }, { medians: [{ field: 'price', before: 2, after: 0 }] }), 1],
  ])('%s', (_name, given, reasons) => expect(guardReasons(given)).toHaveLength(reasons));
});
