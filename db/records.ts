import type pg from 'pg';
import type { Dataset } from '../datasets/types.ts';
import { quoteName } from './connect.ts';
import { describeTarget } from './target.ts';

export interface RecordPage {
  /** Fields by name, values as the database writes them. */
  rows: Record<string, string | null>[];
  /** Where the next page begins: the last row's key as the index has it. Null at the end. */
  next: string[] | null;
}

/** A page of a dataset's target in the order of its key, this tenant's part of it. */
export async function listRecords(
  pool: pg.Pool,
  dataset: Dataset,
  page: { tenantId: string; after?: string[]; prefix?: string; limit: number },
): Promise<RecordPage> {
  const { schema, table } = dataset.target;
  const target = await describeTarget(pool, schema, table, dataset.key.index, page.tenantId);
  const key = target.key.filter((part) => part.column !== 'tenant_id');
  const values: unknown[] = [];
  const given = (value: unknown): string => `$${values.push(value)}`;
  const where: string[] = [];
  if (target.columns.some((column) => column.name === 'tenant_id'))
    where.push(`tenant_id = ${given(page.tenantId)}`);
  if (page.after) {
    if (page.after.length !== key.length) return { rows: [], next: null };
    const after = page.after.map((text, n) => `${given(text)}::text::${key[n]!.type}`);
    where.push(`(${key.map((part) => part.expression).join(', ')}) > (${after.join(', ')})`);
  }
  if (page.prefix !== undefined) {
    const first = dataset.fields.find((field) => field.name === dataset.key.fields[0])!;
    const pattern = `${page.prefix.replaceAll(/[\\%_]/g, (c) => `\\${c}`)}%`;
    where.push(`${quoteName(first.column)}::text ilike ${given(pattern)}`);
  }
  const columns = [
    ...dataset.fields.map((field) => `${quoteName(field.column)}::text as ${quoteName(`f_${field.name}`)}`),
    ...key.map((part, n) => `(${part.expression})::text as k_${n}`),
  ];
  const found = await pool.query<Record<string, string | null>>(
    `select ${columns.join(', ')} from ${target.name} ${where.length > 0 ? `where ${where.join(' and ')}` : ''}
     order by ${key.map((part) => part.expression).join(', ')} limit ${given(page.limit + 1)}`,
    values,
  );
  const rows = found.rows.slice(0, page.limit);
  const last = found.rows.length > page.limit ? rows.at(-1)! : null;
  return {
    rows: rows.map((row) =>
      Object.fromEntries(dataset.fields.map(({ name }) => [name, row[`f_${name}`] ?? null])),
    ),
    next: last && key.map((_, n) => last[`k_${n}`] ?? ''),
  };
}
