import type pg from 'pg';
import { quoteName, quoteText } from './connect.ts';
import { stagingTables } from './staging.ts';
import type { Target } from './target.ts';

/** How rows without key are told apart for the time being. */
export interface ProvisionalKey {
  /** The one field that is the key, and its column. */
  key: { field: string; column: string };
  /** Fields that have to be equal, case and space around left aside. */
  by: { field: string; column: string }[];
}

/**
 * Gives staged rows without key the key of the one record of the target that is equal in other fields, each with a
 * warning. Where none is equal, or more than one, the row stays without key, and planning blocks it.
 */
export async function findProvisionalKeys(
  client: pg.PoolClient,
  of: { lockKey: number; incarnation: number; tenantId: string; target: Target; provisional: ProvisionalKey },
): Promise<void> {
  const { key, by } = of.provisional;
  const { rows } = stagingTables(of.lockKey, of.incarnation);
  const staged = quoteName('v_' + key.column);
  const type = of.target.columns.find(({ name }) => name === key.column)!.type;
  const same = (value: string) => `lower(btrim(${value}::text))`;
  const byTenant = of.target.columns.some(({ name }) => name === 'tenant_id');
  const condition = by
    .map(({ column }) => `${same(`t.${quoteName(column)}`)} = ${same(`s.${quoteName('v_' + column)}`)}`)
    .join(' and ');
  const message = `${key.field} is empty. The row was taken for the one record with the same ${by.map(({ field }) => field).join(' and ')}.`;
  await client.query(
    `with found as (
       select s._record, min(t.${quoteName(key.column)}::text) as key
       from ${rows} s join ${of.target.name} t on ${condition} ${byTenant ? `and t.tenant_id::text = ${quoteText(of.tenantId)}` : ''}
       where not s._blocked and s.${staged} is null and ${by.map(({ column }) => `btrim(s.${quoteName('v_' + column)}::text) <> ''`).join(' and ')}
       group by s._record having count(*) = 1)
     update ${rows} r set ${staged} = found.key::${type}, _issues = coalesce(r._issues, '[]') || jsonb_build_array(jsonb_build_object(
       'line', r._line, 'column', null, 'field', ${quoteText(key.field)}, 'code', 'matched_provisionally', 'severity', 'warning',
       'value', null, 'message', ${quoteText(message)}, 'suggestion', found.key))
     from found where r._record = found._record`,
  );
}
