import type pg from 'pg';
import { quoteName } from './connect.ts';
import { TargetRefused, type Target } from './target.ts';

/** A table that refers to a target. */
export interface TableReference {
  constraint: string;
  table: string;
  columns: string[];
  /** Columns of the target, in the order of `columns`. */
  referenced: string[];
  /** The target refers to itself. */
  itself: boolean;
  /** Changing a referenced value would change others too. */
  cascadesUpdate: boolean;
}

/** What refers to the target. Throws TableClosed where one may not be read: then nobody can tell what would break. */
export async function referencesTo(
  client: pg.Pool | pg.PoolClient,
  target: Target,
): Promise<TableReference[]> {
  const found = await client.query<TableReference & { readable: boolean }>(
    `select c.conname as constraint, c.conrelid::regclass::text as table,
       array(select a.attname::text from unnest(c.conkey) with ordinality k (n, at) join pg_attribute a on a.attrelid = c.conrelid and a.attnum = k.n order by at) as columns,
       array(select a.attname::text from unnest(c.confkey) with ordinality k (n, at) join pg_attribute a on a.attrelid = c.confrelid and a.attnum = k.n order by at) as referenced,
       c.conrelid = c.confrelid as itself, c.confupdtype in ('c', 'n', 'd') as "cascadesUpdate", has_table_privilege(c.conrelid, 'select') as readable
     from pg_constraint c where c.contype = 'f' and c.confrelid = to_regclass($1) and c.conparentid = 0 order by 1`,
    [target.name],
  );
  const closed = found.rows.find(({ readable }) => !readable);
  if (closed)
    throw new TableClosed(
      `Waybill may not read ${closed.table}, whose records refer to this table, so it cannot tell what would break. Grant it SELECT there.`,
    );
  return found.rows;
}

export class TableClosed extends TargetRefused {}

/** ` and not exists (...)` for each: nothing refers to the record `t`, other than that record itself. */
export const freeOf = (references: TableReference[]): string =>
  references
    .map(
      (ref) =>
        ` and not exists (select from ${ref.table} r where ${ref.columns
          .map((c, n) => `r.${quoteName(c)} = t.${quoteName(ref.referenced[n]!)}`)
          .join(' and ')}${ref.itself ? ' and (r.tableoid, r.ctid) <> (t.tableoid, t.ctid)' : ''})`,
    )
    .join('');
