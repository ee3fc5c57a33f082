import type pg from 'pg';
import { withCancellableTransaction } from './connect.ts';
import { planTable } from './plan.ts';

/** How many issues the database keeps; the error report has them all. */
export const KEPT = 1000;

/**
 * Writes the first issues of the plan, in the order of the file, and exact counts of all of them; with the outcomes
 * that apply left behind, once there are any. Replaces what was there.
 */
export async function recordIssues(
  pool: pg.Pool,
  importId: string,
  lockKey: number,
  signal?: AbortSignal,
): Promise<void> {
  const plan = planTable(lockKey);
  await withCancellableTransaction(pool, signal, async (client) => {
    await client.query('delete from waybill.issues where import_id = $1', [importId]);
    await client.query('delete from waybill.issue_counts where import_id = $1', [importId]);
    const all = `
      select p._record as record, i.ordinal, (i.issue ->> 'line')::bigint as line, i.issue ->> 'column' as column_name,
        i.issue ->> 'field' as field, i.issue ->> 'code' as code, i.issue ->> 'severity' as severity,
        i.issue ->> 'value' as value, i.issue ->> 'message' as message, i.issue ->> 'suggestion' as suggestion
      from ${plan} p cross join lateral jsonb_array_elements(p._issues) with ordinality as i (issue, ordinal)
      where p._issues is not null
      union all
      select p._record, 1, p._line, null, null, 'duplicate', 'warning', null,
        format('Another row of the file has the same key and counts instead (line %s).', w._line), null
      from ${plan} p join ${plan} w on w._record = p._winner where p._decision = 'duplicate'
      union all
      select o.record, 1, p._line, null, null, coalesce(o.code, o.outcome), 'error', null, coalesce(o.message, o.outcome), null
      from waybill.outcomes o join ${plan} p on p._record = o.record
      where o.import_id = $1 and o.outcome in ('stale', 'failed')`;
    await client.query(
      `insert into waybill.issues (import_id, ordinal, record, line, column_name, field, code, severity, value, message, suggestion)
       select $1, row_number() over (order by record, ordinal), record, line, column_name, field, code, severity, value, message, suggestion
       from (${all}) a order by record, ordinal limit ${KEPT}`,
      [importId],
    );
    await client.query(
      `insert into waybill.issue_counts (import_id, code, severity, count)
       select $1, code, severity, count(*) from (${all}) a group by code, severity`,
      [importId],
    );
  });
}

export interface ReportRow {
  record: number;
  line: number;
  offset: number;
  bytes: number;
  /** Cells as text; null where the row was clean when it was read. */
  raw: string[] | null;
  codes: string[];
  messages: string[];
}

/** Every record that did not go in and why, in the order of the file, a page at a time. */
export async function* reportRows(
  pool: pg.Pool,
  importId: string,
  lockKey: number,
): AsyncGenerator<ReportRow[]> {
  const plan = planTable(lockKey);
  for (let after = 0; ;) {
    const page = await pool.query<ReportRow>(
      `select p._record as record, p._line as line, p._offset as offset, p._bytes as bytes, p._raw as raw,
         case when o.record is null then array(select i ->> 'code' from jsonb_array_elements(p._issues) i) else array[o.code] end as codes,
         case when o.record is null then array(select concat_ws(': ', coalesce(i ->> 'column', i ->> 'field'), i ->> 'message') from jsonb_array_elements(p._issues) i) else array[o.message] end as messages
       from ${plan} p left join waybill.outcomes o on o.import_id = $1 and o.record = p._record and o.outcome in ('stale', 'failed')
       where (p._decision = 'blocked' or o.record is not null) and p._record > $2
       order by p._record limit 5000`,
      [importId, after],
    );
    if (page.rows.length === 0) return;
    yield page.rows;
    after = page.rows.at(-1)!.record;
  }
}
