import type pg from 'pg';
import type { PlanCounts } from './plan.ts';
import { planTable } from './plan.ts';
import type { WrittenField } from './apply-program.ts';
import { quoteName, quoteText } from './connect.ts';
import type { Target } from './target.ts';

/** What the guard looks at: how much is there already, and how the numbers of the updated rows move. */
export async function guardFigures(
  pool: pg.Pool,
  options: { lockKey: number; target: Target; tenantId: string; fields: WrittenField[]; counts: PlanCounts },
): Promise<{
  counts: PlanCounts;
  scope: number;
  medians: { field: string; before: number; after: number }[];
}> {
  const { lockKey, target, tenantId, fields, counts } = options;
  const scope = (
    await pool.query<{ count: number }>(
      `select count(*) as count from ${target.name}${target.perTenant ? ` where tenant_id = ${quoteText(tenantId)}` : ''}`,
    )
  ).rows[0]!.count;
  const numeric = fields.filter(
    (field) => !field.key && !field.add && /^(numeric|integer|bigint|smallint|real|double)/.test(field.type),
  );
  if (numeric.length === 0 || counts.updates === 0) return { counts, scope, medians: [] };
  const middle = (prefix: string, column: string) =>
    `percentile_disc(0.5) within group (order by p.${quoteName(prefix + column)}) filter (where p.${quoteName('v_' + column)} is not null and p.${quoteName('s_' + column)} is not null)::float8`;
  const row = (
    await pool.query<Record<string, number | null>>(
      `select ${numeric.map((field, n) => `${middle('s_', field.column)} as b${n}, ${middle('v_', field.column)} as a${n}`).join(', ')}
       from ${planTable(lockKey)} p where p._decision = 'update'`,
    )
  ).rows[0]!;
  const medians = numeric.flatMap((field, n) => {
    const [before, after] = [row[`b${n}`], row[`a${n}`]];
    return typeof before === 'number' && typeof after === 'number'
      ? [{ field: field.column, before, after }]
      : [];
  });
  return { counts, scope, medians };
}
