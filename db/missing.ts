import type pg from 'pg';
import type { Dataset } from '../datasets/types.ts';
import { hashOf, type MissingProgram, type WrittenField } from './apply-program.ts';
import { quoteName, quoteText } from './connect.ts';
import {
  checkValues,
  columnType,
  conditionSql,
  keepOwn,
  type ColumnCondition,
  type WrittenBy,
} from './missing-scope.ts';
import { missingTable } from './missing-table.ts';
import { markSeenLater } from './seen-later.ts';
import { freeOf, referencesTo, type TableReference } from './references.ts';
import { keyJoin, planKey, type Target } from './target.ts';

/** What an import does with records that its file does not have, with fields resolved to columns. */
export interface MissingRequest {
  action: 'deactivate' | 'delete';
  scope: ColumnCondition[] | WrittenBy;
  /** Of a deactivation: what makes a record inactive; as the database reads it, null for NULL. */
  inactive: { column: string; value: string | null } | null;
}

/** A batch of missing records as it was found. */
export interface MissingBatch {
  first: number;
  last: number;
  rows: number;
  digest: string;
}

export interface MissingFound {
  rows: number;
  batches: MissingBatch[];
  program: MissingProgram;
  /** What a person has to know first: a newer file came in before this one. */
  later: string | null;
}

interface Deciding {
  importId: string;
  lockKey: number;
  tenantId: string;
  target: Target;
  dataset: Dataset;
  fields: WrittenField[];
}

/** The record as the plan saw it: one column `r_...` for each of the table's. */
const seen = (name: string): string => quoteName(`r_${name}`);

const literal = (target: Target, column: string, value: string | null): string =>
  `${value === null ? 'null' : quoteText(value)}::${columnType(target, column)}`;

/**
 * Finds the records in scope that the file does not have, blocked rows with a key included, and keeps them as they are
 * now with places from `base` on. In the transaction that makes `plan` the plan, when every row of the file is in it.
 */
export async function findMissing(
  client: pg.PoolClient,
  deciding: Deciding,
  missing: MissingRequest,
  options: { plan: string; base: number; batchRows: number },
): Promise<MissingFound> {
  const { importId, lockKey, target } = deciding;
  const table = missingTable(lockKey);
  const byWriter = Array.isArray(missing.scope) ? null : missing.scope;
  await checkValues(client, target, [
    ...(Array.isArray(missing.scope) ? missing.scope : []).map(({ column, operator, value }) => ({
      column,
      value: operator === 'starts_with' ? null : value,
    })),
    ...(missing.inactive ? [missing.inactive] : []),
  ]);
  await client.query(`drop table if exists ${table}`);
  const [now] = (await client.query<{ at: string }>('select clock_timestamp()::text as at')).rows;
  let from = missingStatement(deciding, missing, { plan: options.plan });
  const names = planKey(target).map(({ name }) => name);
  if (byWriter) {
    await client.query(
      `create temp table missing_candidates on commit drop as select ${names.join(', ')} from (${from}) m`,
    );
    await keepOwn(client, { importId, target, candidates: 'missing_candidates', by: byWriter });
    await client.query('analyze missing_candidates');
    from = missingStatement(deciding, missing, { among: 'missing_candidates' });
  }
  const order = names.map((name) => `m.${name}`).join(', ');
  await client.query(
    `create table ${table} with (autovacuum_enabled = false) as
     select -row_number() over w as _record, ${options.base} + row_number() over w as _seq, ${quoteText(missing.action)}::text as _decision,
       null::text as _seen, m.*
     from (${from}) m window w as (order by ${order})`,
  );
  if (byWriter) await client.query('drop table missing_candidates');
  await client.query(`create unique index on ${table} (_seq)`);
  await client.query(`create unique index on ${table} (_record)`);
  if (missing.inactive) await warnOfInactive(client, deciding, missing.inactive, options.plan);
  const later = await markSeenLater(client, deciding, { since: null });
  const batches = await client.query<MissingBatch>(
    `select min(_seq) as first, max(_seq) as last, count(*)::int as rows, bit_xor(${rowHash(target, 'p')})::text as digest
     from ${table} p group by (_seq - 1) / ${options.batchRows} order by 1`,
  );
  return {
    rows: batches.rows.reduce((sum, batch) => sum + batch.rows, 0),
    batches: batches.rows,
    program: {
      ...writeMissingProgram(deciding, missing, await referencesTo(client, target)),
      found_at: now!.at,
    },
    later,
  };
}

/**
 * The records in scope without a row in the plan, or those whose keys are in the table `among`, as `_k1 ... r_...`. Exported to be looked at with EXPLAIN: a hash
 * anti-join of the target with the plan's keys. A record whose key has a NULL can never be in a file, so it is not missing.
 */
export function missingStatement(
  { tenantId, target }: Pick<Deciding, 'tenantId' | 'target'>,
  missing: MissingRequest,
  rows: { plan: string } | { among: string },
): string {
  const keys = planKey(target);
  const conditions = [
    ...(target.columns.some(({ name }) => name === 'tenant_id')
      ? [`t.tenant_id = ${quoteText(tenantId)}`]
      : []),
    ...(Array.isArray(missing.scope) ? missing.scope : []).map((condition) =>
      conditionSql(condition, columnType(target, condition.column)),
    ),
    // What is inactive already is not missing any more.
    ...(missing.inactive
      ? [
          `t.${quoteName(missing.inactive.column)} is distinct from ${literal(target, missing.inactive.column, missing.inactive.value)}`,
        ]
      : []),
  ];
  return `select * from (
      select ${[...keys.map((key) => `(${key.expression}) as ${key.name}`), ...target.columns.map(({ name }) => `t.${quoteName(name)} as ${seen(name)}`)].join(', ')}
      from ${target.name} t where ${conditions.join(' and ') || 'true'}) k
    where ${keys.map(({ name }) => `k.${name} is not null`).join(' and ')}
      and ${'plan' in rows ? 'not exists' : 'exists'} (select from ${'plan' in rows ? rows.plan : rows.among} p where ${keys.map(({ name }) => `p.${name} = k.${name}`).join(' and ')})`;
}

/** A record that is in the file again stays inactive unless the file says otherwise; each such row says so. */
async function warnOfInactive(
  client: pg.PoolClient,
  { tenantId, target, dataset, fields }: Deciding,
  { column, value }: { column: string; value: string | null },
  plan: string,
): Promise<void> {
  const field = fields.find((one) => one.column === column);
  if (field?.empty === 'clear') return;
  const name = dataset.fields.find((one) => one.column === column)?.name ?? column;
  await client.query(
    `update ${plan} p set _issues = coalesce(p._issues, '[]') || jsonb_build_array(jsonb_build_object('line', p._line, 'field', ${quoteText(name)},
       'code', 'still_inactive', 'severity', 'warning', 'message', ${quoteText(`The record is in the file again and stays inactive: the file says nothing of ${name}. Map a column to it, or set it by hand.`)}))
     from ${target.name} t where ${keyJoin(target, tenantId, 'p')} and p._decision in ('update', 'unchanged')
       and t.${quoteName(column)} is not distinct from ${literal(target, column, value)}
       ${field ? `and p.${quoteName('v_' + column)} is null` : ''}`,
  );
}

const rowHash = (target: Target, alias: string): string =>
  hashOf(
    [
      { name: '_record', type: 'bigint' },
      { name: '_seq', type: 'bigint' },
      { name: '_decision', type: 'text' },
      { name: '_seen', type: 'text' },
      ...planKey(target),
      ...target.columns.map(({ name, type }) => ({ name: seen(name), type })),
    ],
    alias,
  );

function writeMissingProgram(
  { lockKey, tenantId, target }: Deciding,
  { action, inactive }: MissingRequest,
  references: TableReference[],
): Omit<MissingProgram, 'found_at'> {
  const table = missingTable(lockKey);
  const range = 'p._seq between $1 and $2';
  const key = keyJoin(target, tenantId, 'p');
  // As it lies there: what a type holds for equal (citext's cases) is a change all the same, and not every type has an =.
  const image = (one: (column: string) => string) =>
    `row(${target.columns.map(({ name }) => one(name)).join(', ')})`;
  const unmoved = `record_image_eq(${image((name) => `t.${quoteName(name)}`)}, ${image((name) => `p.${seen(name)}`)})`;
  const free = action === 'delete' ? freeOf(references) : '';
  const chosen = `${range} and ($3::bigint[] is null or p._record = any($3::bigint[])) and ${key} and p._seen is null and ${unmoved}${free}`;
  const change =
    action === 'delete'
      ? `delete from ${target.name} t using ${table} p where ${chosen} returning p._record`
      : `update ${target.name} t set ${quoteName(inactive!.column)} = ${literal(target, inactive!.column, inactive!.value)}
         from ${table} p where ${chosen} returning p._record`;
  // For a record that is there: it is inactive by now.
  const reached = inactive
    ? `t.${quoteName(inactive.column)} is not distinct from ${literal(target, inactive.column, inactive.value)}`
    : 'false';
  return {
    decision: action,
    again: action === 'delete' && references.some(({ itself }) => itself),
    sets: inactive ? { [inactive.column]: inactive.value } : {},
    check: `select count(*) as rows, coalesce(bit_xor(${rowHash(target, 'p')}), 0) as digest from ${table} p where ${range}`,
    planned: `select coalesce(array_agg(p._record), '{}') from ${table} p where ${range}`,
    record_of: `select p._record from ${table} p where p._seq = $1`,
    lock:
      action === 'delete' && references.length > 0
        ? `select count(*) from (select from ${target.name} t join ${table} p on ${key} where ${range} order by p._seq for update of t) x`
        : null,
    write: `with w as (${change}) select coalesce(array_agg(_record), '{}') from w`,
    classify: `select coalesce(array_agg(p._record) filter (where ${action === 'delete' ? 't.found is null' : 't.reached'}), '{}') as reached,
        coalesce(array_agg(p._record) filter (where ${action === 'delete' ? 't.moved and p._seen is null' : 'not coalesce(t.reached, false) and (t.found is null or t.moved and p._seen is null)'}), '{}') as moved,
        coalesce(array_agg(p._record) filter (where t.found and not t.reached and p._seen is not null), '{}') as seen,
        coalesce(array_agg(p._record) filter (where t.found and not t.moved and t.held and p._seen is null), '{}') as referenced
      from ${table} p left join lateral (select true as found, not (${unmoved}) as moved, ${reached} as reached, not (true${free}) as held
        from ${target.name} t where ${key}) t on true
      where ${range} and p._record = any($3::bigint[])`,
  };
}
