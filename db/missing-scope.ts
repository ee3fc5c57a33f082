import type pg from 'pg';
import type { ScopeCondition } from '../intake/missing.ts';
import { quoteName, quoteText } from './connect.ts';
import { keyColumns } from './key-map.ts';
import { revertTable, undoneRecords } from './later-imports.ts';
import { ledgerRows } from './ledger.ts';
import { planKey, TargetRefused, type Target } from './target.ts';

/** A condition whose field has been resolved to a column of the target. */
export type ColumnCondition = Omit<ScopeCondition, 'field'> & { column: string };

/** Writers whose records a file answers for: imports of this profile, or of this sync. */
export interface WrittenBy {
  profile: string | null;
  syncId: string | null;
}

const COMPARE = { less: '<', at_most: '<=', greater: '>', at_least: '>=' } as const;

/** The type of a column; throws TargetRefused where the table has it no more. */
export function columnType(target: Target, column: string): string {
  const found = target.columns.find(({ name }) => name === column);
  if (!found)
    throw new TargetRefused(
      `Missing records cannot be looked for: ${target.schema}.${target.table} has no column ${column} (any more). Correct the scope, or what makes a record inactive.`,
    );
  return found.type;
}

/** Types that round what they are given to their scale. */
const ROUNDING = /^(numeric|interval|timestamp|time)\([\d,-]+\)/;

/**
 * `("supplier" = 'ACME'::text)`, of the record `t`. Values are literals of the column's type, checked before, and never
 * rounded to its scale: `at_most 9.99996` does not mean 10.
 */
export function conditionSql({ column, operator, value }: ColumnCondition, type: string): string {
  const name = `t.${quoteName(column)}`;
  const literal = (one: unknown) => `${quoteText(String(one))}::${type.replace(ROUNDING, '$1')}`;
  switch (operator) {
    case 'is':
      return `${name} = ${literal(value)}`;
    case 'is_not':
      return `${name} is distinct from ${literal(value)}`;
    case 'one_of':
      return `${name} in (${(value as unknown[]).map(literal).join(', ')})`;
    case 'starts_with':
      return `starts_with(${name}::text, ${quoteText(String(value))})`;
    case 'empty':
      return `${name} is null`;
    case 'not_empty':
      return `${name} is not null`;
    default:
      return `${name} ${COMPARE[operator]} ${literal(value)}`;
  }
}

/** Throws TargetRefused for a value that its column cannot hold: nothing is compared with what it cannot mean. */
export async function checkValues(
  client: pg.PoolClient,
  target: Target,
  values: { column: string; value: unknown }[],
): Promise<void> {
  for (const { column, value } of values) {
    const type = columnType(target, column);
    for (const one of Array.isArray(value) ? value : [value]) {
      if (one === null || one === undefined) continue;
      const [row] = (
        await client.query<{ ok: boolean }>('select pg_input_is_valid($1, $2) as ok', [String(one), type])
      ).rows;
      if (!row!.ok)
        throw new TargetRefused(
          `Missing records cannot be looked for: the column ${column} is ${type}, and ${JSON.stringify(one)} is no value of it. Correct the scope.`,
        );
    }
  }
}

interface Writer {
  importId: string;
  lockKey: number;
  own: boolean;
  reverts: number[];
}

/**
 * Leaves in `candidates` (a temporary table of keys) only those whose last write by any import was one of ours. Records
 * that no import of ours wrote as far as the ledgers go back, or that another wrote since, are none of this file's.
 */
export async function keepOwn(
  client: pg.PoolClient,
  options: { importId: string; target: Target; candidates: string; by: WrittenBy },
): Promise<void> {
  const { importId, target, candidates, by } = options;
  const keys = planKey(target);
  const writers = await client.query<Writer>(
    `select i.import_id as "importId", i.lock_key as "lockKey",
       coalesce(i.tenant_id = m.tenant_id and i.dataset = m.dataset and (i.profile = $2 or i.sync_id = $3), false) as own,
       array(select r.revert from waybill.reverts r where r.import_id = i.import_id and r.planned_at is not null order by 1) as reverts
     from waybill.imports i join waybill.imports m on m.import_id = $1 and i.turn = m.turn
     where i.import_id <> $1 and to_regclass('stage.plan_' || i.lock_key) is not null
       and exists (select from waybill.receipts r where r.import_id = i.import_id and r.created + r.updated > 0) order by i.lock_key`,
    [importId, by.profile, by.syncId],
  );
  const names = keys.map(({ name }) => name);
  const key = names.map((name) => `c.${name}`).join(', ');
  const sameKey = (a: string, b: string) => names.map((name) => `${a}.${name} = ${b}.${name}`).join(' and ');
  const written: { own: boolean; sql: string }[] = [];
  for (const { importId: id, lockKey, own, reverts } of writers.rows) {
    // A dataset that had another key then: there is nothing to compare.
    const theirs = await keyColumns(client, lockKey);
    if (theirs.length !== keys.length) continue;
    const undone = [];
    for (const revert of reverts) {
      const [there] = (
        await client.query<{ there: boolean }>('select to_regclass($1) is not null as there', [
          revertTable(lockKey, revert),
        ])
      ).rows;
      if (there!.there)
        undone.push(
          ` and not exists (select from (${undoneRecords(id, lockKey, revert)}) u where u._record = l._record)`,
        );
    }
    const columns = names.map((name) => `p.${name}`);
    // As the key's own type compares; as text only where the type was another one then.
    const asText = theirs.some(({ type }, n) => type !== keys[n]!.type);
    const same = names
      .map((name) => (asText ? `l.${name}::text = c.${name}::text` : `l.${name} = c.${name}`))
      .join(' and ');
    written.push({
      own,
      sql: `select ${key}, l.at
        from (${ledgerRows(id, lockKey, { columns, only: names.map((name) => `p.${name} is not null`).join(' and ') })}) l
        join ${candidates} c on ${same} where l.fate in ('created', 'updated')${undone.join('')}`,
    });
  }
  const all = (own: boolean) => written.filter((one) => one.own === own).map(({ sql }) => sql);
  const [ours, others] = [all(true), all(false)];
  if (ours.length === 0) {
    await client.query(`truncate ${candidates}`);
    return;
  }
  await client.query(`analyze ${candidates}`);
  await client.query(
    `create temp table written_own on commit drop as
     select ${key}, max(c.at) as at from (${ours.join(' union all ')}) c group by ${key}`,
  );
  // Nobody else analyses a temporary table, and without figures it is met row by row.
  await client.query('analyze written_own');
  if (others.length > 0)
    await client.query(
      `delete from written_own c using (${others.join(' union all ')}) y where ${sameKey('y', 'c')} and y.at > c.at`,
    );
  await client.query(
    `delete from ${candidates} c where not exists (select from written_own w where ${sameKey('w', 'c')})`,
  );
  await client.query('drop table written_own');
}
