import type pg from 'pg';
import type { CatalogColumn } from '../datasets/catalog.ts';

/** `collation`: as SQL, where it is not the database's own. */
type Column = CatalogColumn & { collation: string | null };

/** The columns of a table as the catalog has them, a domain resolved to what it is based on. */
export async function readColumns(client: pg.Pool | pg.PoolClient, table: number): Promise<Column[]> {
  const result = await client.query<Column>(
    `with recursive layer as (
       select a.attnum, a.atttypid as type, a.atttypmod as modifier, 0 as depth, false as not_null, null::text collate "C" as fallback
       from pg_attribute a where a.attrelid = $1 and a.attnum > 0 and not a.attisdropped
       union all
       select l.attnum, t.typbasetype, t.typtypmod, l.depth + 1, t.typnotnull, t.typdefault collate "C"
       from layer l join pg_type t on t.oid = l.type and t.typtype = 'd'
     ), base as (
       select distinct on (attnum) attnum, type, modifier, depth,
         bool_or(not_null) over (partition by attnum) as not_null, max(fallback) over (partition by attnum) as fallback
       from layer order by attnum, depth desc
     )
     select a.attname as name, format_type(b.type, b.modifier) as type, t.typname as "typeName",
       case when t.typtype = 'e' then 'enum' when t.typtype = 'b' and t.typelem = 0 then 'base' else 'other' end as kind,
       case when b.depth > 0 then format_type(a.atttypid, a.atttypmod) end as domain,
       a.attnotnull or b.not_null as "notNull",
       case when a.attgenerated = '' and a.attidentity = '' then coalesce(pg_get_expr(d.adbin, d.adrelid), b.fallback) end as default,
       case a.attidentity when 'a' then 'always' when 'd' then 'by default' end as identity,
       a.attgenerated <> '' as generated,
       coalesce(pg_get_expr(d.adbin, d.adrelid) ~ '^(nextval|gen_random_uuid|uuidv7|uuid_generate_v[0-9]+|uuidv4)\\(', false) as surrogate,
       case when t.typtype = 'e' then array(select e.enumlabel::text from pg_enum e where e.enumtypid = t.oid order by e.enumsortorder) end as labels,
       col_description(a.attrelid, a.attnum) as comment,
       coalesce(not l.collisdeterministic, false) as folds,
       case when l.collname <> 'default' then l.oid::regcollation::text end as collation
     from pg_attribute a join base b using (attnum) join pg_type t on t.oid = b.type
     left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
     left join pg_collation l on l.oid = a.attcollation
     where a.attrelid = $1 order by a.attnum`,
    [table],
  );
  return result.rows;
}
