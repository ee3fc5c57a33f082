import { expect, test } from 'vitest';
import { parseImport, parseRun } from './arguments.ts';
import { Refusal } from './refusal.ts';

test.each<[string, string[], object]>([
  ['the least', ['f.csv', '--dataset', 'products'], {}],
  ['options before the file', ['--dataset=products', '--mode', 'insert', 'f.csv'], { mode: 'insert' }],
  ['-d', ['f.csv', '-d', 'products', '--policy', 'guard'], { policy: 'guard' }],
  ['duplicates', ['f.csv', '-d', 'products', '--allow-duplicate'], { allow_duplicate: true }],
  [
    'missing records to delete',
    [
      'f.csv',
      '-d',
      'products',
      '--missing',
      'delete',
      '--scope',
      'sku^=A-',
      '--scope',
      'price>=2',
      '--scope',
      'name=',
    ],
    {
      missing: {
        action: 'delete',
        scope: [
          { field: 'sku', operator: 'starts_with', value: 'A-' },
          { field: 'price', operator: 'at_least', value: '2' },
          { field: 'name', operator: 'empty' },
        ],
      },
    },
  ],
  [
    'missing records to deactivate, and limits',
    [
      'f.csv',
      '-d',
      'products',
      '--missing',
      'deactivate',
      '--scope',
      'written-by-profile',
      '--inactive',
      'active=false',
      '--limit',
      'removed=0.05',
    ],
    {
      missing: {
        action: 'deactivate',
        scope: 'written_by_profile',
        inactive: { field: 'active', value: 'false' },
      },
      guard: { removed: 0.05 },
    },
  ],
  ['all or nothing', ['f.csv', '-d', 'products', '--atomic'], { atomic: true }],
  ['a tab by name', ['f.csv', '-d', 'products', '--delimiter', 'tab'], { delimiter: '\t' }],
  ['a tab as the shell passes it', ['f.csv', '-d', 'products', '--delimiter', '\\t'], { delimiter: '\t' }],
  ['no quoting', ['f.csv', '-d', 'products', '--quote', ''], { quote: '' }],
  ['no header', ['f.csv', '-d', 'products', '--header-row', '0'], { header_row: 0 }],
  [
    'everything',
    // prettier-ignore
    ['f.csv', '-d', 'products', '--profile', 'acme', '--policy', 'auto', '--mode', 'add', '--sheet', 'Sheet 1',
      '--encoding', 'shift_jis', '--delimiter', ';', '--quote', "'", '--header-row', '3'],
    // prettier-ignore
    { profile: 'acme', policy: 'auto', mode: 'add', sheet: 'Sheet 1', encoding: 'shift_jis', delimiter: ';',
      quote: "'", header_row: 3 },
  ],
])('import takes %s', (_, argv, options) => {
  expect(parseImport('import', argv)).toEqual({ file: 'f.csv', dataset: 'products', options, json: false });
});

test('plan is an import under review, and takes no other policy', () => {
  expect(parseImport('plan', ['f.csv', '-d', 'products', '--json'])).toEqual({
    file: 'f.csv',
    dataset: 'products',
    options: { policy: 'review' },
    json: true,
  });
  expect(() => parseImport('plan', ['f.csv', '-d', 'products', '--policy', 'auto'])).toThrow(/--policy/);
});

test.each<[string, string[], RegExp]>([
  ['no file', ['-d', 'products'], /FILE is missing/],
  ['no dataset', ['f.csv'], /--dataset NAME is missing/],
  ['two files', ['f.csv', 'g.csv', '-d', 'products'], /"g.csv" is one argument too many/],
  ['an unknown option', ['f.csv', '-d', 'products', '--polcy', 'auto'], /--polcy/],
  ['an unknown policy', ['f.csv', '-d', 'products', '--policy', 'yes'], /auto, review, guard/],
  ['an unknown mode', ['f.csv', '-d', 'products', '--mode', 'merge'], /upsert, insert, update, add/],
  ['a header row that is no number', ['f.csv', '-d', 'products', '--header-row', 'two'], /line number/],
  ['a negative header row', ['f.csv', '-d', 'products', '--header-row=-1'], /line number/],
  ['an option without its value', ['f.csv', '--dataset'], /dataset/],
])('import refuses %s', (_, argv, message) => {
  let thrown: unknown;
  try {
    parseImport('import', argv);
  } catch (error) {
    thrown = error;
  }
  expect(thrown).toBeInstanceOf(Refusal);
  expect((thrown as Refusal).message).toMatch(message);
  expect((thrown as Refusal).message).toContain('waybill help import');
  expect((thrown as Refusal).exit).toBe(2);
});

test('commands on one run want exactly one id', () => {
  expect(parseRun('pause', ['abc', '--json'])).toMatchObject({ id: 'abc', json: true });
  expect(() => parseRun('pause', [])).toThrow(/ID is missing/);
  expect(() => parseRun('pause', ['a', 'b'])).toThrow(/too many/);
});
