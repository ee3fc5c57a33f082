import type postgres from 'postgres';

export interface StoredIssue {
  ordinal: number;
  record: number;
  line: number;
  column: string | null;
  field: string | null;
  code: string;
  severity: 'error' | 'warning';
  value: string | null;
  message: string;
  suggestion: string | null;
}

export interface IssueCount {
  code: string;
  severity: 'error' | 'warning';
  count: number;
}

/** Issues behind `after`, in their order; at most the first 1,000 of an import are kept one by one. */
export async function listIssues(
  sql: postgres.Sql,
  importId: string,
  page: { after: number; limit: number; code?: string; severity?: 'error' | 'warning' },
): Promise<StoredIssue[]> {
  return sql<StoredIssue[]>`
    select ordinal, record, line, column_name as "column", field, code, severity, value, message, suggestion
    from waybill.issues
    where import_id = ${importId} and ordinal > ${page.after}
      ${page.code ? sql`and code = ${page.code}` : sql``}
      ${page.severity ? sql`and severity = ${page.severity}` : sql``}
    order by ordinal limit ${page.limit}`;
}

/** Exact counts of all issues, the most frequent first. */
export async function countIssues(sql: postgres.Sql, importId: string): Promise<IssueCount[]> {
  return sql<IssueCount[]>`
    select code, severity, count from waybill.issue_counts where import_id = ${importId}
    order by count desc, code, severity`;
}
