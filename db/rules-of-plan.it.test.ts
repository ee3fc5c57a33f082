import pg from 'pg';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { proposeDataset } from '../datasets/introspect.ts';
import type { Dataset } from '../datasets/types.ts';
import { createTestDatabase, type TestDatabase } from '../test/database.ts';
import type { WrittenField } from './apply-program.ts';
import { connectPool } from './connect.ts';
import { claimImport, takeTurn } from './control.ts';
import { readTable } from './introspect.ts';
import { makePlan, type PlanRequest } from './plan.ts';
import { planRules } from './rules-of-plan.ts';
import { createStaging } from './staging.ts';
import { describeTarget, turnOf } from './target.ts';

let database: TestDatabase;
let owner: pg.Client;
let pool: pg.Pool;
beforeAll(async () => {
  database = await createTestDatabase();
  owner = new pg.Client({ connectionString: database.ownerUrl });
  await owner.connect();
  pool = connectPool(database.workerUrl, { max: 4 });
});
afterAll(async () => {
  await Promise.all([owner.end(), pool.end()]);
  await database.drop();
});

let imports = 0;

/** Stages what `fill` selects as (record, values of the columns in their order), and plans it. */
async function plan(
  table: string,
  count: number,
  columns: string[],
  fill: string,
  change: Partial<Dataset> = {},
) {
  const { dataset: proposal } = proposeDataset(await readTable(pool, 'default', 'public', table));
  const dataset: Dataset = { ...proposal, version: 1, ...change };
  const target = await describeTarget(pool, 'public', table, dataset.key.index, 'default');
  const importId = `rules-${process.pid}-${++imports}`;
  const turn = turnOf(target, 'default');
  const { rows } = await pool.query<{ lock_key: number }>(
    `insert into waybill.imports (import_id, tenant_id, dataset, dataset_version, source, file_name, status, created_by, turn,
       input_accepted, input_rejected, incarnation, object_key)
     values ($1, 'default', $2, 1, '{"kind":"upload"}', 'x.csv', 'queued', 'test', $3, $4, 0, 1, 'x') returning lock_key`,
    [importId, dataset.name, turn, count],
  );
  const lockKey = rows[0]!.lock_key;
  const { epoch } = (await claimImport(pool, importId, 'run'))!;
  await takeTurn(pool, importId, epoch, turn, 'turn');
  const keys = new Set(
    dataset.fields.filter(({ name }) => dataset.key.fields.includes(name)).map(({ column }) => column),
  );
  const fields = columns.map((column): WrittenField => {
    const { type, shape } = target.columns.find(({ name }) => name === column)!;
    return {
      column,
      type,
      ...(shape.known ? {} : { staged: 'text' }),
      empty: 'keep',
      key: keys.has(column),
      add: false,
    };
  });
  await createStaging(pool, lockKey, 1, fields);
  await pool.query(
    `insert into stage.rows_${lockKey}_1 select f.n, f.n + 1, 0, 0, false, null, null, ${columns.map((_, n) => `c${n + 1}`).join(', ')}
     from (${fill}) f (n, ${columns.map((_, n) => `c${n + 1}`).join(', ')})`,
  );
  await pool.query(`insert into stage.marks_${lockKey}_1 values (0, $1, 0, 0, '{}')`, [count]);
  const request: PlanRequest = {
    importId,
    lockKey,
    tenantId: 'default',
    epoch,
    incarnation: 1,
    dataset,
    fields,
    target,
    manifest: {
      rows: count,
      rejected: 0,
      segments: [{ index: 0, accepted: count, rejected: 0 }],
    } as PlanRequest['manifest'],
    mode: 'upsert',
    policy: 'auto',
    rules: await planRules(pool, {
      tenantId: 'default',
      dataset,
      target,
      fields,
      headerOf: (field) => field.toUpperCase(),
    }),
  };
  const made = await makePlan(pool, request);
  const blocked = await pool.query<{ record: number; decision: string; codes: string[]; columns: string[] }>(
    `select _record as record, _decision as decision, array(select i ->> 'code' from jsonb_array_elements(_issues) i) as codes,
       array(select i ->> 'column' from jsonb_array_elements(_issues) i) as columns
     from stage.plan_${lockKey} where _issues is not null order by 1`,
  );
  return { ...made, lockKey, request, issues: blocked.rows };
}

it('rules are asked once for all rows, whatever the number of lanes that plan', async () => {
  await owner.query(`
    create table public.parent (code text primary key);
    insert into public.parent select 'P' || n from generate_series(0, 99) n;
    create table public.child (no int primary key, parent text references public.parent, mail text unique, doc jsonb, key_id uuid);
    select waybill.grant_target('default', 'public.child')`);
  const count = 60_000;
  const { counts, issues, lockKey, batches } = await plan(
    'child',
    count,
    ['no', 'parent', 'mail', 'doc'],
    `select n, n, case when n % 20000 = 7 then 'none' else 'P' || n % 100 end, case when n in (10, 50010) then 'twice' else 'm' || n end,
       case when n % 30000 = 11 then '{bad' else '{"n": ' || n || '}' end from generate_series(1, ${count}) n`,
  );
  expect(issues.map(({ record, codes, columns }) => [record, codes, columns])).toEqual([
    [7, ['missing_reference'], ['PARENT']],
    [11, ['not_of_type'], ['DOC']],
    [20007, ['missing_reference'], ['PARENT']],
    [30011, ['not_of_type'], ['DOC']],
    [40007, ['missing_reference'], ['PARENT']],
    [50010, ['not_unique'], ['MAIL']],
  ]);
  expect(counts).toMatchObject({ creates: count - 6, blocked: 6, duplicates: 0 });
  expect(batches).toBeGreaterThanOrEqual(6);
  const { rows } = await pool.query<{ doc: { n: number }; type: string }>(
    `select v_doc as doc, pg_typeof(v_doc)::text as type from stage.plan_${lockKey} where _record = 42`,
  );
  expect(rows).toEqual([{ doc: { n: 42 }, type: 'jsonb' }]);
});

it('rows of one key are one record; of two keys with one value the first goes in', async () => {
  await owner.query(`create table public.person (no int primary key, mail text, area text);
    create unique index person_mail on public.person (lower(mail), area);
    select waybill.grant_target('default', 'public.person')`);
  const { counts, issues } = await plan(
    'person',
    8,
    ['no', 'mail', 'area'],
    `values (1, 1, 'a@x', 'n'), (2, 1, 'A@X', 'n'), (3, 2, 'a@X', 'n'), (4, 3, 'a@x', 's'), (5, 4, 'b@x', null), (6, 5, 'b@x', null),
       (7, null::int, 'c@x', 'n'), (8, 7, 'C@x', 'n')`,
  );
  expect(issues).toEqual([
    { record: 3, decision: 'blocked', codes: ['not_unique'], columns: ['MAIL'] },
    { record: 7, decision: 'blocked', codes: ['key_empty'], columns: [null] },
    { record: 8, decision: 'blocked', codes: ['not_unique'], columns: ['MAIL'] },
  ]);
  expect(counts).toMatchObject({ creates: 4, duplicates: 1, blocked: 3 });
});

it('a parent in the same file is a parent; one that came since is found when planning again', async () => {
  await owner.query(`create table public.node (id int primary key, up int references public.node, kind text);
    insert into public.node values (100, null, 'root');
    create table public.kind (name text primary key);
    select waybill.grant_target('default', 'public.node')`);
  const rules = [
    ...(proposeDataset(await readTable(pool, 'default', 'public', 'node')).dataset.rules ?? []),
    {
      kind: 'reference' as const,
      fields: ['kind'],
      to: { schema: 'public', table: 'kind', columns: ['name'] },
      severity: 'warning' as const,
    },
  ];
  await owner.query('grant select on public.kind to waybill_worker');
  const rows = `values (1, 1, 2, 'x'), (2, 2, 100, 'x'), (3, 3, 9, 'x'), (4, 4, null, null)`;
  const first = await plan('node', 4, ['id', 'up', 'kind'], rows, { rules });
  expect(first.issues).toEqual([
    { record: 1, decision: 'create', codes: ['missing_reference'], columns: ['KIND'] },
    { record: 2, decision: 'create', codes: ['missing_reference'], columns: ['KIND'] },
    {
      record: 3,
      decision: 'blocked',
      codes: ['missing_reference', 'missing_reference'],
      columns: ['UP', 'KIND'],
    },
  ]);
  await owner.query(`insert into public.node values (9, null, 'late'); insert into public.kind values ('x')`);
  await pool.query(`update waybill.imports set epoch = epoch + 1 where import_id = $1`, [
    first.request.importId,
  ]);
  const again = await makePlan(pool, { ...first.request, epoch: first.request.epoch + 1 });
  expect(again.counts).toMatchObject({ creates: 4, blocked: 0 });
});

it('where there is nothing to ask, nothing is made or read for it', async () => {
  await owner.query(`create table public.simple (no int primary key, name varchar(5));
    select waybill.grant_target('default', 'public.simple')`);
  const { request, lockKey } = await plan('simple', 1, ['no', 'name'], `values (1, 1, 'a')`);
  expect(request.rules).toBeNull();
  const made = await pool.query(`select to_regclass('stage.findings_${lockKey}_1') as findings`);
  expect(made.rows).toEqual([{ findings: null }]);
});
