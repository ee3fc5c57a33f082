import type pg from 'pg';
import type { CatalogCheck, CatalogKey, CatalogReference, CatalogTable } from '../datasets/catalog.ts';
import { readColumns } from './columns.ts';
import { findTable } from './target.ts';

/**
 * What the catalog says about a table. Throws TargetRefused for what cannot be an import's target, and for what the
 * deployment has not given to the tenant.
 */
export async function readTable(
  pool: pg.Pool,
  tenantId: string,
  schema: string,
  table: string,
): Promise<CatalogTable> {
  const { oid } = await findTable(pool, schema, table, tenantId);
  const [columns, checks, keys, references, rest] = await Promise.all([
    readColumns(pool, oid),
    pool.query<CatalogCheck>(
      `select c.conname as name, pg_get_expr(c.conbin, c.conrelid) as expression, null as "column"
       from pg_constraint c where c.conrelid = $1 and c.contype = 'c'
       union all
       select 'domain ' || format_type(a.atttypid, -1), pg_get_expr(c.conbin, 0), a.attname
       from pg_attribute a cross join lateral (
         with recursive layer as (
           select a.atttypid as type union all
           select t.typbasetype from layer l join pg_type t on t.oid = l.type and t.typtype = 'd')
         select type from layer) l
       join pg_constraint c on c.contypid = l.type and c.contype = 'c'
       where a.attrelid = $1 and a.attnum > 0 and not a.attisdropped`,
      [oid],
    ),
    pool.query<Omit<CatalogKey, 'unusable' | 'whole'> & { flaws: string[] }>(
      `select c.relname as index, x.indisprimary as primary,
         array(select pg_get_indexdef(x.indexrelid, n, true) from generate_series(1, x.indnkeyatts) n order by n) as parts,
         array(select a.attname::text from pg_attribute a where a.attrelid = x.indrelid and a.attnum > 0
           and (a.attnum = any(x.indkey::int2[]) and array_position(x.indkey::int2[], a.attnum) < x.indnkeyatts
             or exists (select from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = x.indexrelid
               and d.refclassid = 'pg_class'::regclass and d.refobjid = x.indrelid and d.refobjsubid = a.attnum
               and x.indexprs is not null and not a.attnum = any(x.indkey::int2[])))
           order by array_position(x.indkey::int2[], a.attnum), a.attnum) as columns,
         array_remove(array[
           case when not (x.indisvalid and x.indisready) then 'not_valid' end,
           case when not x.indimmediate then 'deferrable' end,
           case when x.indpred is not null then 'partial' end,
           case when exists (select from pg_collation l where l.oid = any(x.indcollation) and not l.collisdeterministic) then 'folds' end
         ], null) as flaws
       from pg_index x join pg_class c on c.oid = x.indexrelid
       where x.indrelid = $1 and x.indisunique order by not x.indisprimary, c.relname`,
      [oid],
    ),
    pool.query<CatalogReference>(
      `select f.conname as name, n.nspname as schema, c.relname as table,
         (select array_agg(a.attname::text order by o) from unnest(f.conkey) with ordinality k (n, o)
            join pg_attribute a on a.attrelid = f.conrelid and a.attnum = k.n) as columns,
         (select array_agg(a.attname::text order by o) from unnest(f.confkey) with ordinality k (n, o)
            join pg_attribute a on a.attrelid = f.confrelid and a.attnum = k.n) as "parentColumns",
         exists (select from pg_attribute a where a.attrelid = c.oid and a.attname = 'tenant_id' and not a.attisdropped) as "parentHasTenant",
         has_schema_privilege('waybill_worker', n.oid, 'usage') and has_table_privilege('waybill_worker', c.oid, 'select') as readable
       from pg_constraint f join pg_class c on c.oid = f.confrelid join pg_namespace n on n.oid = c.relnamespace
       where f.conrelid = $1 and f.contype = 'f' order by f.conname`,
      [oid],
    ),
    pool.query<{ comment: string | null; triggers: string[]; exclusions: string[] }>(
      `select obj_description($1, 'pg_class') as comment,
         array(select t.tgname::text from pg_trigger t where t.tgrelid = $1 and not t.tgisinternal and t.tgenabled <> 'D'
           and t.tgtype & 1 = 1 order by t.tgname) as triggers,
         array(select x.conname::text from pg_constraint x where x.conrelid = $1 and x.contype = 'x' order by x.conname) as exclusions`,
      [oid],
    ),
  ]);
  const byName = new Map(columns.map((column) => [column.name, column]));
  const hasTenant = byName.has('tenant_id');
  return {
    schema,
    table,
    columns,
    checks: checks.rows,
    keys: keys.rows.map(({ flaws, ...key }) => ({
      ...key,
      columns: inOrderOf(key.parts, key.columns),
      whole: !flaws.includes('partial') && !flaws.includes('not_valid'),
      unusable: unusable(
        [
          ...flaws,
          ...(key.columns.some((name) => byName.get(name)!.generated) ? ['computed'] : []),
          ...(key.columns.some((name) => byName.get(name)!.identity === 'always') ? ['numbered'] : []),
          ...(hasTenant && !key.columns.includes('tenant_id') ? ['no_tenant'] : []),
          ...(key.columns.every((name) => name === 'tenant_id') ? ['only_tenant'] : []),
        ][0],
      ),
    })),
    references: references.rows,
    ...rest.rows[0]!,
  };
}

const WHY: Record<string, string> = {
  not_valid: 'it is not valid (an earlier attempt to make it failed).',
  deferrable: 'it is deferrable.',
  partial: 'it covers a part of the rows only.',
  folds:
    'its collation takes different texts for equal, and an import tells keys apart by their text. Make a unique index with another collation beside it, such as (lower(code) collate "C").',
  computed: 'the database computes a column of it.',
  numbered: 'the database numbers a column of it by itself.',
  no_tenant:
    'the table has a column tenant_id and the index does not: rows of other tenants could be changed by it.',
  only_tenant: 'it is over tenant_id alone.',
};

const unusable = (flaw: string | undefined): string | null => (flaw === undefined ? null : WHY[flaw]!);

/** Columns as the parts of an index speak of them: in the order of the parts, an expression's too. */
function inOrderOf(parts: string[], columns: string[]): string[] {
  const place = (column: string): number => {
    const quoted = `"${column.replaceAll('"', '""')}"`;
    const own = parts.findIndex((part) => part === column || part === quoted);
    if (own >= 0) return own;
    const plain = new RegExp(`(?<![\\w"])${column.replaceAll(/[\\^$.*+?()[\]{}|/-]/gu, '\\$&')}(?![\\w"])`);
    return parts.findIndex((part) => part.includes(quoted) || plain.test(part));
  };
  return columns.toSorted((a, b) => place(a) - place(b));
}
