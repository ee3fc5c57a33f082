import type pg from 'pg';
import { fieldFits } from '../datasets/field-fits.ts';
import type { Dataset } from '../datasets/types.ts';
import { mayRunAway } from '../intake/rules/pattern-cost.ts';
import type { DatasetRule } from '../intake/rules/types.ts';
import { findDataset } from './datasets.ts';
import { readTable } from './introspect.ts';
import { describeTarget } from './target.ts';

export interface DefinitionFault {
  /** Where: `fields.price.pattern`, `rules.2`. */
  path: string;
  message: string;
}

const NUMBER = /^-?\d+(?:\.\d+)?$/;
const DAY = /^(?:\d{4}-\d{2}-\d{2}|today(?:[+-]\d{1,6})?)$/;

/**
 * What is wrong with a definition: every name it uses has to be there, in the dataset and in the database as it is
 * now. Throws TargetRefused where the table itself is no target.
 */
export async function checkDefinition(
  pool: pg.Pool,
  tenantId: string,
  dataset: Omit<Dataset, 'version'>,
): Promise<DefinitionFault[]> {
  const faults: DefinitionFault[] = [];
  const fault = (path: string, message: string): void => void faults.push({ path, message });
  const { schema, table } = dataset.target;
  const target = await describeTarget(pool, schema, table, dataset.key.index, tenantId);
  const catalog = await readTable(pool, tenantId, schema, table);
  const columns = new Map(target.columns.map((column) => [column.name, column]));
  const written = new Map(catalog.columns.map((column) => [column.name, column]));

  const seen = new Set<string>();
  for (const field of dataset.fields) {
    const at = `fields.${field.name}`;
    for (const name of [`field ${field.name}`, `column ${field.column}`]) {
      if (seen.has(name)) fault(at, `The ${name} is there twice.`);
      seen.add(name);
    }
    const column = columns.get(field.column);
    if (!column) fault(at, `${schema}.${table} has no column ${field.column}.`);
    else if (field.column === 'tenant_id') fault(at, 'tenant_id is filled by Waybill itself: leave it out.');
    else if (written.get(field.column)!.generated || written.get(field.column)!.identity === 'always')
      fault(at, `${field.column} is filled by the database: leave it out.`);
    else if (!fieldFits(field.type, column.shape))
      fault(at, `${field.name} is of type ${field.type}; its column is ${column.type}.`);
    if (field.pattern !== undefined) {
      try {
        new RegExp(`^(?:${field.pattern})$`, 'u');
      } catch (error) {
        fault(`${at}.pattern`, `The pattern of ${field.name} cannot be used: ${(error as Error).message}.`);
      }
      if (mayRunAway(field.pattern))
        fault(
          `${at}.pattern`,
          `The pattern of ${field.name} repeats a group that itself repeats or chooses: one value could keep it busy for hours. Write it without the outer repetition, or with a class such as [ab]+.`,
        );
    }
    for (const bound of ['min', 'max', 'above', 'below'] as const) {
      const text = field[bound];
      if (text === undefined) continue;
      const number = field.type === 'integer' || field.type === 'decimal';
      if (!(number ? NUMBER : field.type === 'date' ? DAY : /^$/).test(text)) {
        fault(
          `${at}.${bound}`,
          `${bound} of ${field.name} must be a plain number of a number, or a date of a date (2026-01-31, today, today-30).`,
        );
      }
    }
  }

  const names = new Set(dataset.fields.map((field) => field.name));
  const keyed = new Set(
    dataset.key.fields.map((name) => dataset.fields.find((field) => field.name === name)?.column),
  );
  const index = catalog.keys.find((key) => key.index === dataset.key.index)!;
  const wanted = index.columns.filter((column) => column !== 'tenant_id');
  if (wanted.length !== keyed.size || !wanted.every((column) => keyed.has(column))) {
    fault(
      'key',
      `The key has to be the fields of the columns ${wanted.join(', ')}: those of ${dataset.key.index}.`,
    );
  }
  for (const [n, rule] of (dataset.rules ?? []).entries()) {
    const at = `rules.${n}`;
    const unknown = fieldsOf(rule).filter((name) => !names.has(name));
    if (unknown.length > 0) {
      fault(at, `There is no field ${unknown.join(', ')} in this dataset.`);
      continue;
    }
    const message = await wrongRule(pool, tenantId, dataset, rule, catalog.keys);
    if (message !== null) fault(at, message);
  }
  return faults;
}

const fieldsOf = (rule: DatasetRule): string[] =>
  rule.kind === 'compare' ? [rule.left, rule.right] : rule.kind === 'type' ? [rule.field] : rule.fields;

async function wrongRule(
  pool: pg.Pool,
  tenantId: string,
  dataset: Omit<Dataset, 'version'>,
  rule: DatasetRule,
  keys: { index: string; columns: string[] }[],
): Promise<string | null> {
  const field = (name: string) => dataset.fields.find((one) => one.name === name)!;
  switch (rule.kind) {
    case 'compare': {
      const kinds = [rule.left, rule.right].map((name) => kindOf(field(name).type));
      if (kinds[0] !== kinds[1])
        return `${rule.left} and ${rule.right} cannot be compared: they are of different types.`;
      if (kinds[0] === 'text' && rule.operator !== '=' && rule.operator !== '<>')
        return `${rule.left} and ${rule.right} are texts: they can be equal or not.`;
      return null;
    }
    case 'unique': {
      if (rule.index === undefined) return null;
      const columns = keys
        .find((key) => key.index === rule.index)
        ?.columns.filter((name) => name !== 'tenant_id');
      const own = rule.fields.map((name) => field(name).column);
      return columns?.length === own.length && columns.every((name) => own.includes(name))
        ? null
        : `There is no unique index ${rule.index} over ${rule.fields.join(', ')}.`;
    }
    case 'type': {
      const known = await pool.query<{ there: boolean }>('select to_regtype($1) is not null as there', [
        rule.type,
      ]);
      return known.rows[0]!.there ? null : `The database knows no type ${rule.type}.`;
    }
    case 'reference': {
      if ('dataset' in rule.to) {
        const other = await findDataset(pool, tenantId, rule.to.dataset);
        if (!other) return `There is no dataset ${rule.to.dataset} to refer to.`;
        return other.key.fields.length === rule.fields.length
          ? null
          : `The key of ${other.name} is ${other.key.fields.join(', ')}; name as many fields, in that order.`;
      }
      const { schema, table, columns, tenantColumn } = rule.to;
      if (columns.length !== rule.fields.length) return `Name a column of ${schema}.${table} for each field.`;
      const there = await pool.query<{ readable: boolean; columns: string[] }>(
        `select (n.nspname = 'catalog'
             or exists (select from waybill.target_grants g where (g.tenant_id, g.target_schema, g.target_table) = ($3, n.nspname, c.relname))
             or exists (select from pg_constraint f join pg_class o on o.oid = f.conrelid join pg_namespace s on s.oid = o.relnamespace
               where f.contype = 'f' and f.confrelid = c.oid and (s.nspname, o.relname) = ($4, $5)))
           and has_schema_privilege('waybill_worker', n.oid, 'usage') and has_table_privilege('waybill_worker', c.oid, 'select') as readable,
           array(select attname::text from pg_attribute where attrelid = c.oid and attnum > 0 and not attisdropped) as columns
         from pg_class c join pg_namespace n on n.oid = c.relnamespace
         where n.nspname = $1 and c.relname = $2 and n.nspname not in ('waybill', 'stage') and n.nspname not like 'pg\\_%'`,
        [schema, table, tenantId, dataset.target.schema, dataset.target.table],
      );
      const parent = there.rows[0];
      if (!parent?.readable) return `There is no table ${schema}.${table} that Waybill may read.`;
      const missing = [...columns, ...(tenantColumn ? [tenantColumn] : [])].filter(
        (name) => !parent.columns.includes(name),
      );
      if (missing.length > 0) return `${schema}.${table} has no column ${missing.join(', ')}.`;
      return parent.columns.includes('tenant_id') && tenantColumn !== 'tenant_id'
        ? `${schema}.${table} has a column tenant_id: name it as tenantColumn, so that only records of this tenant count.`
        : null;
    }
  }
}

function kindOf(type: string): string {
  if (type === 'integer' || type === 'decimal') return 'number';
  return type === 'email' || type === 'phone' ? 'text' : type;
}
