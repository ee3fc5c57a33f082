import { describe, expect, it } from 'vitest';
import { incompleteReasons, missingFaults, type MissingRows } from './missing.ts';

const fields = [
  { name: 'sku', key: true },
  { name: 'supplier', key: false },
  { name: 'active', key: false },
];
const scope: MissingRows['scope'] = [{ field: 'supplier', operator: 'is', value: 'ACME' }];
const inactive = { field: 'active', value: false };

describe('a declaration of what becomes of missing records', () => {
  it.each<[string, MissingRows, string[]]>([
    ['ignores', { action: 'ignore' }, []],
    ['deletes within conditions', { action: 'delete', scope }, []],
    ['deletes what the profile wrote', { action: 'delete', scope: 'written_by_profile' }, []],
    ['deactivates', { action: 'deactivate', scope, inactive }, []],
    ['has an empty value', { action: 'delete', scope: [{ field: 'supplier', operator: 'empty' }] }, []],
    [
      'has no scope',
      { action: 'delete' },
      ['To delete missing records, say which ones the file answers for: conditions, or written_by_profile.'],
    ],
    [
      'has a scope without a condition',
      { action: 'delete', scope: [] },
      ['The scope has no condition. For every record of the table, say that its key is not_empty.'],
    ],
    [
      'scopes by nothing that is there',
      { action: 'delete', scope: [{ field: 'colour', operator: 'is', value: 'red' }] },
      ['There is no field "colour" to scope by.'],
    ],
    [
      'compares with nothing',
      { action: 'delete', scope: [{ field: 'supplier', operator: 'is' }] },
      ['supplier is needs one value.'],
    ],
    [
      'compares with a list',
      { action: 'delete', scope: [{ field: 'supplier', operator: 'is', value: ['A'] }] },
      ['supplier is needs one value.'],
    ],
    [
      'is one of none',
      { action: 'delete', scope: [{ field: 'supplier', operator: 'one_of', value: [] }] },
      ['supplier one_of needs a list of values.'],
    ],
    [
      'is empty with a value',
      { action: 'delete', scope: [{ field: 'supplier', operator: 'empty', value: 'x' }] },
      ['supplier empty takes no value.'],
    ],
    [
      'deactivates by nothing',
      { action: 'deactivate', scope },
      ['To deactivate records, say which field gets which value, such as active: false.'],
    ],
    [
      'deactivates by an unknown field',
      { action: 'deactivate', scope, inactive: { field: 'alive', value: false } },
      ['There is no field "alive" to deactivate by.'],
    ],
    [
      'deactivates by the key',
      { action: 'deactivate', scope, inactive: { field: 'sku', value: 'gone' } },
      ['sku is part of the key; a record cannot be deactivated by it.'],
    ],
  ])('%s', (_, said, faults) => expect(missingFaults(said, fields)).toEqual(faults));
});

describe('a file that may not be the whole catalogue', () => {
  const manifest = { rows: 10, rejected: 0, footerRows: 0, footerRow: null, secondTableRow: null };
  const sheet = (name: string, rows: number) => ({ name, rows, state: 'visible' as const });
  const workbook = { sheet: 'a', sheets: [sheet('a', 10), sheet('b', 3), sheet('empty', 0)] };
  it.each<[string, Parameters<typeof incompleteReasons>[0], number]>([
    ['whole', { manifest, unreadable: 0, missing: 5 }, 0],
    [
      'with rows in another sheet',
      { manifest: { ...manifest, ...workbook }, sheetNamed: false, unreadable: 0, missing: 5 },
      1,
    ],
    [
      'of the sheet that somebody named',
      { manifest: { ...manifest, ...workbook }, sheetNamed: true, unreadable: 0, missing: 5 },
      0,
    ],
    [
      'beside a hidden sheet',
      {
        manifest: {
          ...manifest,
          sheet: 'a',
          sheets: [sheet('a', 10), { ...sheet('b', 3), state: 'hidden' }],
        },
        sheetNamed: false,
        unreadable: 0,
        missing: 5,
      },
      0,
    ],
    ['without rows', { manifest: { ...manifest, rows: 0 }, unreadable: 0, missing: 5 }, 1],
    ['with a key that cannot be read', { manifest, unreadable: 1, missing: 5 }, 1],
    [
      'with another table below',
      { manifest: { ...manifest, secondTableRow: 9 }, unreadable: 0, missing: 5 },
      1,
    ],
    [
      'with a footer',
      { manifest: { ...manifest, footerRows: 2, footerRow: 12 }, unreadable: 0, missing: 5 },
      1,
    ],
    [
      'with all of it',
      {
        manifest: { ...manifest, rows: 0, footerRows: 1, footerRow: 2, secondTableRow: 4 },
        unreadable: 3,
        missing: 1,
      },
      4,
    ],
    ['but nothing is missing', { manifest: { ...manifest, rows: 0 }, unreadable: 2, missing: 0 }, 0],
  ])('%s', (_, catalogue, reasons) => expect(incompleteReasons(catalogue)).toHaveLength(reasons));
});
