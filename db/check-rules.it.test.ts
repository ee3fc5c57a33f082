import pg from 'pg';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { rulesOfCheck } from '../datasets/check-rules.ts';
import { checkCell, compileRule } from '../intake/check-cell.ts';
import { disagreement } from '../intake/rules/comparisons.ts';
import type { FieldRule } from '../intake/types.ts';
import { createTestDatabase, type TestDatabase } from '../test/database.ts';
import { readTable } from './introspect.ts';

let database: TestDatabase;
let owner: pg.Client;
let pool: pg.Pool;
beforeAll(async () => {
  database = await createTestDatabase();
  owner = new pg.Client({ connectionString: database.ownerUrl });
  await owner.connect();
  pool = new pg.Pool({ connectionString: database.ownerUrl, max: 2 });
});
afterAll(async () => {
  await Promise.all([owner.end(), pool.end()]);
  await database.drop();
});

const TEXTS = [
  'a',
  'A',
  'ab',
  'abc',
  'a.c',
  'a b',
  ' ',
  '  x',
  '123',
  '12',
  '1234567',
  'AB-12',
  'ab-12',
  'x\ny',
  '日本',
  '😀',
  'a%',
  'a_c',
  '[a]',
  'aa',
  "it's",
  'É',
  'aaaa',
];
const NUMBERS = ['0', '-1', '1', '5', '5.5', '10', '10.5', '11', '100', '-0.5', '99999'];
const DATES = ['1999-12-31', '2000-01-01', '2000-01-02', '2026-06-15'];

/** Checks of one column, and whether they can be said as rules. */
const CHECKS: [type: 'text' | 'numeric' | 'int' | 'date', check: string, simple: boolean][] = [
  ['numeric', 'v >= 0', true],
  ['numeric', '0 < v', true],
  ['numeric', 'v between -1 and 10.5', true],
  ['numeric', 'v > 0 and (v <= 100 and v < 100)', true],
  ['numeric', 'v <> 5', false],
  ['numeric', 'v % 5 = 0', false],
  ['numeric', 'v::int > 5', false],
  ['numeric', 'v is null or v >= 5', true],
  ['int', 'v in (1, 5, 10)', true],
  ['int', 'v = 5', true],
  ['int', 'v = any (array[1, 100])', true],
  ['int', 'v not in (1, 5)', false],
  ['int', 'v = 1 or v = 5 or v = 10', true],
  ['int', 'v = 1 or v > 10', false],
  ['date', `v >= '2000-01-01'`, true],
  ['date', `v > '2000-01-01' and v < date '2020-01-01'`, true],
  ['date', 'v <= current_date', false],
  ['text', 'length(v) <= 3', true],
  ['text', 'char_length(v) between 2 and 3', true],
  ['text', 'length(v) = 2', true],
  ['text', `v in ('a', 'abc', 'it''s')`, true],
  ['text', `v = 'a' or v = 'ab'`, true],
  ['text', `v <> ''`, true],
  ['text', `length(btrim(v)) > 0`, true],
  ['text', `btrim(v) <> ''`, true],
  ['text', `v ~ '^[A-Z]{2}-\\d+$'`, true],
  ['text', `v ~ 'b'`, true],
  ['text', `v ~ '^a'`, true],
  ['text', `v ~ 'c$'`, true],
  ['text', `v ~ '^a.c$'`, true],
  ['text', `v ~ '^(a|abc)$'`, true],
  ['text', `v ~ '^a|2$'`, true],
  ['text', `v ~ '^\\w+$'`, true],
  ['text', `v ~ '^\\S+$'`, true],
  ['text', `v ~ '^[^[:space:]]+$'`, false],
  ['text', `v ~ '^\\d{1,3}$'`, true],
  ['text', `v ~ '(a)\\1'`, false],
  ['text', `v ~ '^x.y$'`, true],
  ['text', `v ~* '^ab-[0-9]+$'`, true],
  ['text', `v !~ '[0-9]'`, true],
  ['text', `v like 'a%'`, true],
  ['text', `v like 'a_c'`, true],
  ['text', `v like 'a\\_c'`, true],
  ['text', `v like '%\\%%'`, true],
  ['text', `v ilike 'AB%'`, true],
  ['text', `v not like '%a%'`, true],
  ['text', 'v = upper(v)', false],
  ['text', `v > 'b'`, false],
  ['text', `starts_with(v, 'a')`, false],
  ['text', `v ~ '^\\[a\\]$'`, true],
];

it.each(CHECKS)('a check of %s, %s, means the same as its rules', async (type, check, simple) => {
  await owner.query(`drop table if exists public.checked; create table public.checked (id int primary key, v ${type}, check (${check}));
    select waybill.grant_target('default', 'public.checked')`);
  const table = await readTable(pool, 'default', 'public', 'checked');
  const found = rulesOfCheck(table.checks[0]!, table.columns);
  expect(found !== null, table.checks[0]!.expression).toBe(simple);
  if (!found) return;
  const limits = Object.assign({}, ...found.limits.map((one) => one.limits)) as Partial<FieldRule>;
  const fieldType = ({ text: 'text', numeric: 'decimal', int: 'integer', date: 'date' } as const)[type];
  const rule = compileRule(
    {
      name: 'v',
      type: fieldType,
      column: 0,
      required: false,
      empty: 'keep',
      aliases: [],
      key: false,
      ...limits,
    },
    'v',
  );
  const values = { text: TEXTS, numeric: NUMBERS, int: NUMBERS.filter((n) => !n.includes('.')), date: DATES }[
    type
  ];
  const taken = new Set<string>();
  for (const value of values) {
    try {
      await owner.query(
        'insert into public.checked values (1, $1) on conflict (id) do update set v = excluded.v',
        [value],
      );
      taken.add(value);
    } catch (error) {
      expect((error as { code: string }).code).toBe('23514');
    }
  }
  // A value that is blank for the reader never comes so far.
  const judged = values.filter((value) => {
    const checked = checkCell(rule, value);
    return 'value' in checked && checked.value !== null;
  });
  expect(judged).toEqual(values.filter((value) => taken.has(value) && value.trim() !== ''));
});

it('a check between two columns means the same as its rule', async () => {
  await owner.query(`create table public.pairs (a date, b date, n int, m numeric, check (a <= b and n < m), check (a < b or n > 0));
    select waybill.grant_target('default', 'public.pairs')`);
  const { checks, columns } = await readTable(pool, 'default', 'public', 'pairs');
  const rules = checks.map((check) => rulesOfCheck(check, columns));
  expect(rules[0]).toEqual({
    limits: [],
    rules: [
      { kind: 'compare', left: 'a', operator: '<=', right: 'b' },
      { kind: 'compare', left: 'n', operator: '<', right: 'm' },
    ],
  });
  expect(rules[1]).toBeNull();
  const [first] = rules[0]!.rules;
  if (first?.kind !== 'compare') throw new Error('no comparison');
  expect(disagreement(first, 'date', '2026-01-02', '2026-01-01')).toMatchObject({ code: 'fields_disagree' });
  expect(disagreement(first, 'date', '2026-01-01', '2026-01-01')).toBeNull();
});
