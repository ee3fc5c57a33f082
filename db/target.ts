import type pg from 'pg';
import { shapeOf, type ColumnShape } from '../datasets/column-types.ts';
import { readColumns } from './columns.ts';
import { quoteName, quoteText } from './connect.ts';

export interface TargetColumn {
  name: string;
  /** As format_type writes it, a domain resolved to what it is based on: `numeric(18,4)`. */
  type: string;
  notNull: boolean;
  /** Default expression, null where there is none. */
  default: string | null;
  /** Computed by the table from the others. */
  generated: boolean;
  /** As SQL; null where it is the database's own. */
  collation: string | null;
  /** What the reader has to keep to so that the column can hold every value it lets pass. */
  shape: ColumnShape;
}

export interface KeyPart {
  /** As the unique index has it, with its collation: a column's quoted name or an expression over columns. */
  expression: string;
  /** It names a collation: not the database's own, and perhaps not the column's. Under another one no index is found. */
  collated: boolean;
  /** The column, where the part is one. */
  column: string | null;
  type: string;
}

/** What apply has to know of the table that rows go to. */
export interface Target {
  /** Quoted schema.table. */
  name: string;
  schema: string;
  table: string;
  columns: TargetColumn[];
  key: KeyPart[];
  /** tenant_id is part of the key: each tenant has a turn of its own. */
  perTenant: boolean;
  /** A user's own BEFORE ROW trigger may change or drop rows: created rows are then read back one by one. */
  hasRowTrigger: boolean;
  /** Lanes could meet: another unique or exclusion constraint, a reference to itself, a row trigger. */
  oneLane: boolean;
  /** The planner's estimate of its rows. */
  estimatedRows: number;
  serverVersion: number;
}

const TENANT_TYPES = ['text', 'varchar'];

/** The target cannot be loaded into; the sentence says why. */
export class TargetRefused extends Error {
  readonly code = 'target_refused';
}

/** A table that may be loaded into; throws TargetRefused for any other. */
export async function findTable(
  client: pg.Pool | pg.PoolClient,
  schema: string,
  table: string,
  tenantId?: string,
): Promise<{ oid: number; rows: number; version: number }> {
  if (
    ['waybill', 'stage', 'information_schema'].includes(schema) ||
    schema.startsWith('pg_') ||
    table === 'waybill_migrations'
  ) {
    throw new TargetRefused(`Tables of the schema ${schema} cannot be loaded into.`);
  }
  const relation = (
    await client.query<{
      oid: number;
      kind: string;
      rls: boolean;
      rows: number;
      version: number;
      granted: boolean;
    }>(
      `select c.oid::int, c.relkind as kind, c.relrowsecurity as rls, greatest(c.reltuples, 0)::float8 as rows,
         current_setting('server_version_num')::int as version,
         n.nspname = 'catalog' or $3::text is null or exists (select from waybill.target_grants g
           where (g.tenant_id, g.target_schema, g.target_table) = ($3, n.nspname, c.relname))
           and has_schema_privilege('waybill_worker', n.oid, 'usage')
           and has_table_privilege('waybill_worker', c.oid, 'insert, update') as granted
       from pg_class c join pg_namespace n on n.oid = c.relnamespace where n.nspname = $1 and c.relname = $2`,
      [schema, table, tenantId ?? null],
    )
  ).rows[0];
  // What was not given is spoken of as what does not exist: nobody learns which tables there are.
  if (!relation?.granted) {
    throw new TargetRefused(
      `There is no table ${schema}.${table} that this tenant may load into. The database's owner gives one with select waybill.grant_target('${tenantId ?? 'TENANT'}', 'SCHEMA.TABLE').`,
    );
  }
  if (!['r', 'p'].includes(relation.kind) || relation.rls) {
    throw new TargetRefused(
      `${schema}.${table} is a view, a foreign table or has row security; it cannot be a target.`,
    );
  }
  return relation;
}

/**
 * Reads from the catalog what the target is now. Throws TargetRefused for what cannot be an import's target or was not
 * given to the tenant.
 */
export async function describeTarget(
  client: pg.Pool | pg.PoolClient,
  schema: string,
  table: string,
  keyIndex: string,
  tenantId?: string,
): Promise<Target> {
  const relation = await findTable(client, schema, table, tenantId);
  const columns = await readColumns(client, relation.oid);
  const index = (
    await client.query<{ usable: boolean; folds: boolean; key: KeyPart[] }>(
      `select exists (select from pg_collation l where l.oid = any(x.indcollation) and not l.collisdeterministic) as folds,
          x.indisunique and x.indisvalid and x.indisready and x.indimmediate and x.indpred is null as usable,
         (select json_agg(json_build_object('column', a.attname, 'type', format_type(k.atttypid, k.atttypmod), 'collated', said,
            'expression', case when not said then part when a.attname is null then '(' || part || ')' else part end
              || case when said then ' collate ' || x.indcollation[n - 1]::regcollation else '' end) order by n)
          from generate_series(1, x.indnkeyatts) n
          cross join lateral (select pg_get_indexdef(x.indexrelid, n, true) as part, x.indcollation[n - 1] not in (0, 100) as said) p
          join pg_attribute k on k.attrelid = x.indexrelid and k.attnum = n
          left join pg_attribute a on a.attrelid = x.indrelid and a.attnum = x.indkey[n - 1]) as key
       from pg_index x join pg_class c on c.oid = x.indexrelid
       where x.indrelid = $1 and c.relname = $2`,
      [relation.oid, keyIndex],
    )
  ).rows[0];
  if (!index?.usable) {
    throw new TargetRefused(
      `${schema}.${table} has no full, valid, immediate unique index named ${keyIndex}; an import needs one as its key.`,
    );
  }
  if (index.folds) {
    throw new TargetRefused(
      `The key index ${keyIndex} compares text by a collation for which different texts are equal. Waybill cannot tell its keys apart the same way yet; use an expression such as lower(...) instead.`,
    );
  }
  const tenant = columns.find(({ name }) => name === 'tenant_id');
  if (
    tenant &&
    (!index.key.some((part) => part.column === 'tenant_id') || !TENANT_TYPES.includes(tenant.typeName))
  ) {
    throw new TargetRefused(
      `${schema}.${table} has a column tenant_id that ${keyIndex} does not contain, or that is no text. An import could change rows of other tenants: put it into the key as text.`,
    );
  }
  const traits = (
    await client.query<{ before: boolean; any_trigger: boolean; others: boolean; itself: boolean }>(
      `select
         exists (select from pg_trigger t where t.tgrelid = $1 and not t.tgisinternal and t.tgenabled <> 'D'
           and t.tgtype & 1 = 1 and t.tgtype & 2 = 2) or exists (select from pg_rewrite r where r.ev_class = $1) as before,
         exists (select from pg_trigger t where t.tgrelid = $1 and not t.tgisinternal and t.tgenabled <> 'D'
           and t.tgtype & 1 = 1) as any_trigger,
         exists (select from pg_index x join pg_class c on c.oid = x.indexrelid
           where x.indrelid = $1 and (x.indisunique or x.indisexclusion) and c.relname <> $2
           and not (x.indnatts = 1 and exists (select from pg_attribute a where a.attrelid = $1
             and a.attnum = x.indkey[0] and (a.attidentity <> ''
               or pg_get_serial_sequence($3, a.attname) is not null)))) as others,
         exists (select from pg_constraint f where f.contype = 'f' and f.conrelid = $1 and f.confrelid = $1) as itself`,
      [relation.oid, keyIndex, `${quoteName(schema)}.${quoteName(table)}`],
    )
  ).rows[0]!;
  return {
    name: `${quoteName(schema)}.${quoteName(table)}`,
    schema,
    table,
    columns: columns.map(
      ({ name, type, typeName, labels, notNull, generated, collation, default: fallback }) => ({
        name,
        type,
        notNull,
        default: fallback,
        generated,
        collation,
        shape: shapeOf(typeName, type, labels),
      }),
    ),
    // A domain's own checks are none of a plan's business, which holds blocked rows as well.
    key: index.key.map((part) => ({
      ...part,
      type: columns.find(({ name }) => name === part.column)?.type ?? part.type,
    })),
    perTenant: index.key.some((part) => part.column === 'tenant_id'),
    hasRowTrigger: traits.before,
    oneLane: traits.any_trigger || traits.others || traits.itself,
    estimatedRows: relation.rows,
    serverVersion: relation.version,
  };
}

/** Name of the turn that an import into this target takes. */
export const turnOf = (target: Target, tenantId: string): string =>
  target.perTenant ? `${target.schema}.${target.table}/${tenantId}` : `${target.schema}.${target.table}`;

/** What an insert names to meet the key's own index: its columns, and expressions in parentheses. */
export const arbiterOf = (target: Target): string =>
  target.key
    .map(({ column, collated, expression }) => (column !== null || collated ? expression : `(${expression})`))
    .join(', ');

/** `t."tenant_id" = 'x' and lower(t.sku) = p._k1 ...`: finds a plan row's record through the key's own index. */
export function keyJoin(target: Target, tenantId: string, planAlias: string): string {
  let n = 0;
  return target.key
    .map((part) =>
      part.column === 'tenant_id'
        ? `tenant_id = ${quoteText(tenantId)}`
        : `(${part.expression}) = ${planAlias}._k${++n}`,
    )
    .join(' and ');
}

/** The key's parts without the tenant, named _k1, _k2 ... in the plan. */
export const planKey = (target: Target): { name: string; expression: string; type: string }[] =>
  target.key
    .filter((part) => part.column !== 'tenant_id')
    .map((part, n) => ({ name: `_k${n + 1}`, expression: part.expression, type: part.type }));
