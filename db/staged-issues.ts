import type pg from 'pg';
import type { CommonIssue, Tally } from '../intake/rules/every-row-bad.ts';
import { withTransaction } from './connect.ts';
import { KEPT, type ReportRow } from './issues-of-plan.ts';
import { stagingTables } from './staging.ts';

/** Rows that are looked at for what they have in common. */
const LOOKED_AT = 10_000;

/** How many records are staged, and how many of them are good, by the segments' marks. */
export async function stagedTally(pool: pg.Pool, lockKey: number, incarnation: number): Promise<Tally> {
  const result = await pool.query<Tally>(
    `select coalesce(sum(accepted + rejected), 0)::float8 as records, coalesce(sum(accepted - blocked), 0)::float8 as good
     from ${stagingTables(lockKey, incarnation).marks}`,
  );
  return result.rows[0]!;
}

/** Has the reader, or a rule of the whole file, anything to say of a row? A warning blocks none, and is said all the same. */
export async function stagingHasIssues(
  pool: pg.Pool,
  lockKey: number,
  incarnation: number,
): Promise<boolean> {
  const { marks, findings } = stagingTables(lockKey, incarnation);
  const there = (
    await pool.query<{ marks: boolean; findings: boolean }>(
      'select to_regclass($1) is not null as marks, to_regclass($2) is not null as findings',
      [marks, findings],
    )
  ).rows[0]!;
  for (const question of [
    ...(there.marks ? [`select from ${marks} where issues <> '{}' limit 1`] : []),
    ...(there.findings ? [`select from ${findings} limit 1`] : []),
  ]) {
    if ((await pool.query(question)).rowCount! > 0) return true;
  }
  return false;
}

/** The issue that explains most of the bad rows among the first that were staged. */
export async function commonIssue(
  pool: pg.Pool,
  lockKey: number,
  incarnation: number,
): Promise<CommonIssue | null> {
  const result = await pool.query<CommonIssue>(
    `select i ->> 'code' as code, i ->> 'column' as column, i ->> 'field' as field,
       (array_agg(i ->> 'message' order by r._record))[1] as message, count(distinct r._record)::float8 as rows
     from (select _record, _issues from ${stagingTables(lockKey, incarnation).rows} where _blocked limit ${LOOKED_AT}) r
     cross join lateral jsonb_array_elements(r._issues) i
     where i ->> 'severity' = 'error'
     group by 1, 2, 3 order by 5 desc, 1, 2 limit 1`,
  );
  return result.rows[0] ?? null;
}

/** Every staged record with an error and why, in the order of the file, a page at a time; as it was when asked first. */
export async function* stagedReportRows(
  pool: pg.Pool,
  lockKey: number,
  incarnation: number,
): AsyncGenerator<ReportRow[]> {
  const client = await pool.connect();
  let whole = false;
  try {
    await client.query('begin');
    await client.query(
      `declare report no scroll cursor for
       select r._record as record, r._line as line, r._offset as offset, r._bytes as bytes, r._raw as raw,
         array(select i ->> 'code' from jsonb_array_elements(r._issues) i) as codes,
         array(select concat_ws(': ', coalesce(i ->> 'column', i ->> 'field'), i ->> 'message') from jsonb_array_elements(r._issues) i) as messages
       from ${stagingTables(lockKey, incarnation).rows} r where r._blocked order by r._record`,
    );
    for (;;) {
      const page = await client.query<ReportRow>('fetch 5000 from report');
      if (page.rows.length === 0) break;
      yield page.rows;
    }
    await client.query('commit');
    whole = true;
  } finally {
    client.release(!whole);
  }
}

/** Keeps the issues of a staging that no plan will be made of: the first of them, and their counts. */
export async function recordStagedIssues(
  pool: pg.Pool,
  importId: string,
  lockKey: number,
  incarnation: number,
): Promise<void> {
  const all = `select r._record as record, i.ordinal, i.issue
    from ${stagingTables(lockKey, incarnation).rows} r
    cross join lateral jsonb_array_elements(r._issues) with ordinality i (issue, ordinal) where r._issues is not null`;
  await withTransaction(pool, async (client) => {
    await client.query('delete from waybill.issues where import_id = $1', [importId]);
    await client.query('delete from waybill.issue_counts where import_id = $1', [importId]);
    await client.query(
      `insert into waybill.issues (import_id, ordinal, record, line, column_name, field, code, severity, value, message, suggestion)
       select $1, row_number() over (order by record, ordinal), record, (issue ->> 'line')::bigint, issue ->> 'column',
         issue ->> 'field', issue ->> 'code', issue ->> 'severity', issue ->> 'value', issue ->> 'message', issue ->> 'suggestion'
       from (${all}) a order by record, ordinal limit ${KEPT}`,
      [importId],
    );
    await client.query(
      `insert into waybill.issue_counts (import_id, code, severity, count)
       select $1, issue ->> 'code', issue ->> 'severity', count(*) from (${all}) a group by 2, 3`,
      [importId],
    );
  });
}
