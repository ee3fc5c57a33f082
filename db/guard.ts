import type pg from 'pg';
import type { PlanCounts } from './stored-plan.ts';
import { planTable } from './plan.ts';
import type { WrittenField } from './apply-program.ts';
import { quoteName, quoteText } from './connect.ts';
import type { MissingRequest } from './missing.ts';
import { missingTable } from './missing-table.ts';
import { planKey, type Target } from './target.ts';

interface Asked {
  lockKey: number;
  target: Target;
  tenantId: string;
  fields: WrittenField[];
  counts: PlanCounts;
  missing?: MissingRequest | null;
}

/** What the guard looks at: how much is there already, and how the numbers of the updated rows move. */
export async function guardFigures(
  pool: pg.Pool,
  options: Asked,
): Promise<{
  counts: PlanCounts;
  scope: number;
  medians: { field: string; before: number; after: number }[];
  removing?: 'deactivate' | 'delete';
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
  const removing = options.missing?.action;
  if (numeric.length === 0 || counts.updates === 0) return { counts, scope, medians: [], removing };
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
  return { counts, scope, medians, removing };
}

/** One record that shows what a reason is about. */
export interface GuardExample {
  kind: 'blocked' | 'changed' | 'removed' | 'median';
  /** As the table's key index has it; null where it could not be read. */
  key: string | null;
  /** Line in the file; null of a record that is not in it. */
  line: number | null;
  /** Column, where it is about one. */
  field: string | null;
  before: string | null;
  after: string | null;
  message: string | null;
}

const EXAMPLES = 3;

/** Up to three records for each reason; of a median those that move the most. */
export async function guardExamples(
  pool: pg.Pool,
  { lockKey, target, fields, missing }: Asked,
  reasons: { kind: GuardExample['kind']; field: string | null }[],
): Promise<GuardExample[]> {
  const plan = planTable(lockKey);
  const key = `concat_ws(' / ', ${planKey(target)
    .map(({ name }) => `p.${name}::text`)
    .join(', ')})`;
  const none = 'null::text';
  const select = (kind: string, parts: Record<string, string>, from: string) =>
    `(select ${quoteText(kind)} as kind, ${parts['key'] ?? `nullif(${key}, '')`} as key, ${parts['line'] ?? 'p._line'} as line,
       ${parts['field'] ?? none} as field, ${parts['before'] ?? none} as before, ${parts['after'] ?? none} as after, ${parts['message'] ?? none} as message
     from ${from} limit ${EXAMPLES})`;
  const pairOf = (column: string) => [`p.${quoteName('s_' + column)}`, `p.${quoteName('v_' + column)}`];
  const written = fields.filter((field) => !field.key && !field.add);
  const statements = reasons.flatMap(({ kind, field }): string[] => {
    if (kind === 'blocked')
      return [
        select(
          kind,
          { message: `p._issues -> 0 ->> 'message'` },
          `${plan} p where p._decision = 'blocked' and p._seq is null`,
        ),
      ];
    if (kind === 'median') {
      const [before, after] = pairOf(field!);
      return [
        select(
          kind,
          { field: quoteText(field!), before: `${before}::text`, after: `${after}::text` },
          `${plan} p where p._decision = 'update' and ${before} is not null and ${after} is not null order by abs(${after}::numeric - ${before}::numeric) desc`,
        ),
      ];
    }
    if (kind === 'changed') {
      // The first column of each that differs.
      const first = written.map(({ column, empty }) => {
        const [before, after] = pairOf(column);
        const differs = `${before}::text is distinct from ${after}::text`;
        return `when ${empty === 'keep' ? `${after} is not null and ${differs}` : differs} then jsonb_build_array(${quoteText(column)}, ${before}::text, ${after}::text)`;
      });
      return first.length === 0
        ? []
        : [
            select(
              kind,
              { field: 'd.c ->> 0', before: 'd.c ->> 1', after: 'd.c ->> 2' },
              `${plan} p cross join lateral (select case ${first.join(' ')} end as c) d where p._decision = 'update'`,
            ),
          ];
    }
    if (!missing) return [];
    const { inactive } = missing;
    return [
      select(
        'removed',
        {
          line: 'null::bigint',
          ...(inactive && {
            field: quoteText(inactive.column),
            before: `p.${quoteName('r_' + inactive.column)}::text`,
            after: inactive.value === null ? none : quoteText(inactive.value),
          }),
        },
        `${missingTable(lockKey)} p`,
      ),
    ];
  });
  if (statements.length === 0) return [];
  return (await pool.query<GuardExample>(statements.join(' union all '))).rows;
}
