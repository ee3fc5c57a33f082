import type { DatasetRule, FieldLimits } from '../intake/rules/types.ts';
import { normaliseName } from '../intake/names.ts';
import type { CatalogColumn, CatalogKey, CatalogTable } from './catalog.ts';
import { narrow, rulesOfCheck, type CheckRules } from './check-rules.ts';
import { shapeOf } from './column-types.ts';
import type { Dataset, DatasetField } from './types.ts';

/** Something a person should know before the proposal is used. */
export interface IntrospectionNote {
  code:
    | 'key_chosen'
    | 'key_unusable'
    | 'left_out'
    | 'check_left_to_database'
    | 'reference_left_to_database'
    | 'type_left_to_database'
    | 'exclusion_left_to_database'
    | 'unique_beside_key'
    | 'row_triggers';
  message: string;
}

export interface Introspection {
  dataset: Omit<Dataset, 'version'>;
  /** Unique indexes that could be the key; the chosen one first. */
  keys: { index: string; columns: string[] }[];
  notes: IntrospectionNote[];
}

/** The table has nothing that could be a key, or the one asked for cannot be. */
export class NoKey extends Error {
  readonly code = 'no_key';
}

const TENANT = 'tenant_id';

/**
 * Proposes a dataset for a table: fields for its columns, and everything its catalog says about them as rules, so that
 * the database refuses nothing later. What cannot be said as a rule is noted and left to the database.
 */
export function proposeDataset(
  table: CatalogTable,
  wanted: { name?: string; key?: string } = {},
): Introspection {
  const notes: IntrospectionNote[] = [];
  const note = (code: IntrospectionNote['code'], message: string): void => void notes.push({ code, message });
  const keys = rankKeys(table);
  const key = chooseKey(table, keys, wanted.key);
  for (const { index, unusable } of table.keys) {
    if (unusable !== null) note('key_unusable', `The unique index ${index} cannot be the key: ${unusable}`);
  }
  if (keys.length > 1 && wanted.key === undefined) {
    const others = keys.filter((other) => other !== key).map(({ index }) => index);
    note('key_chosen', `${key.index} is taken as the key; ${others.join(', ')} could be it as well.`);
  }

  const { limits, rules, left } = checksOf(table);
  for (const { name, column } of table.checks) {
    if (left.has(name) && column === null)
      note(
        'check_left_to_database',
        `The check ${name} is left to the database, which refuses single rows by it.`,
      );
  }
  const nameOf = fieldNames(table.columns);
  const fields: DatasetField[] = [];
  for (const column of table.columns) {
    if (column.name === TENANT) continue;
    const inKey = key.columns.includes(column.name);
    const filled = leftOut(column, inKey);
    if (filled !== null) {
      note('left_out', `${column.name} ${filled}.`);
      continue;
    }
    const { field, asked } = fieldOf(column, nameOf(column.name), limits.get(column.name) ?? {}, inKey);
    const domain = left.has(`domain ${column.domain}`) ? column.domain : null;
    if (domain !== null) rules.push({ kind: 'type', field: field.name, type: domain });
    if (domain !== null || asked) {
      note(
        'type_left_to_database',
        `${column.name} is of type ${column.domain ?? column.type}: the database is asked about its values before anything is written.`,
      );
    }
    fields.push(field);
  }

  const named = new Map(fields.map((field) => [field.column, field.name]));
  const inFields = (columns: string[]) => columns.every((column) => named.has(column));
  const names = (columns: string[]) => columns.map((column) => named.get(column)!);
  const all: DatasetRule[] = rules.flatMap((rule): DatasetRule[] =>
    rule.kind !== 'compare'
      ? [rule]
      : inFields([rule.left, rule.right])
        ? [{ ...rule, left: named.get(rule.left)!, right: named.get(rule.right)! }]
        : [],
  );
  for (const other of table.keys) {
    const columns = other.columns.filter((column) => column !== TENANT);
    // What is unique under a condition only would be refused here without it.
    if (other.index === key.index || !other.whole || columns.length === 0 || !inFields(columns)) continue;
    all.push({ kind: 'unique', fields: names(columns), index: other.index });
    note(
      'unique_beside_key',
      `${other.index} has to be unique too: within the file that is checked before, against other records the database refuses single rows.`,
    );
  }
  for (const {
    columns,
    parentColumns,
    parentHasTenant,
    schema,
    table: parent,
    readable,
    name,
  } of table.references) {
    const pairs = columns.map((column, n) => ({ column, parent: parentColumns[n]! }));
    const own = pairs.filter(({ column }) => column !== TENANT);
    if (own.length === 0 || !inFields(own.map(({ column }) => column))) continue;
    if (!readable) {
      note(
        'reference_left_to_database',
        `${name} is left to the database: Waybill may not read ${schema}.${parent}.`,
      );
      continue;
    }
    // Of a table that all tenants share, only records of this tenant count, whatever the constraint says.
    const tenantColumn =
      pairs.find(({ column }) => column === TENANT)?.parent ?? (parentHasTenant ? TENANT : undefined);
    all.push({
      kind: 'reference',
      fields: names(own.map(({ column }) => column)),
      to: {
        schema,
        table: parent,
        columns: own.map((pair) => pair.parent),
        ...(tenantColumn === undefined ? {} : { tenantColumn }),
      },
    });
  }
  for (const name of table.exclusions) {
    note(
      'exclusion_left_to_database',
      `The exclusion constraint ${name} is left to the database, row by row.`,
    );
  }
  if (table.triggers.length > 0) {
    note(
      'row_triggers',
      `The table has row triggers (${table.triggers.join(', ')}): they may change or refuse rows.`,
    );
  }

  const title = table.comment?.split('\n')[0]!.slice(0, 80) ?? spoken(table.table);
  return {
    dataset: {
      name: wanted.name ?? slug(table.table) ?? 'dataset',
      title: { en: title, ja: title },
      target: { schema: table.schema, table: table.table },
      key: { fields: names(key.columns.filter((column) => column !== TENANT)), index: key.index },
      duplicates: 'last',
      fields,
      ...(all.length > 0 ? { rules: all } : {}),
    },
    keys: keys.map(({ index, columns }) => ({ index, columns })),
    notes,
  };
}

/** Usable keys, what a file is likely to have first: no surrogate, primary before others, few columns before many. */
function rankKeys(table: CatalogTable): CatalogKey[] {
  const byName = new Map(table.columns.map((column) => [column.name, column]));
  const rank = (key: CatalogKey): number[] => {
    const columns = key.columns.map((name) => byName.get(name)!);
    return [
      columns.some((column) => column.surrogate || column.identity !== null) ? 1 : 0,
      columns.some((column) => !column.notNull) ? 1 : 0,
      key.primary ? 0 : 1,
      key.columns.length,
    ];
  };
  return table.keys
    .filter((key) => key.unusable === null)
    .map((key) => ({ key, rank: rank(key) }))
    .sort(
      (a, b) =>
        a.rank.map((n, i) => n - b.rank[i]!).find((n) => n !== 0) ?? (a.key.index < b.key.index ? -1 : 1),
    )
    .map(({ key }) => key);
}

function chooseKey(table: CatalogTable, keys: CatalogKey[], wanted: string | undefined): CatalogKey {
  const full = `${table.schema}.${table.table}`;
  if (wanted === undefined) {
    const best = keys[0];
    if (best) return best;
    const why = table.keys.map(({ index, unusable }) => ` ${index}: ${unusable}`).join('');
    throw new NoKey(
      `${full} has no unique index that an import could use as its key.${why} Create one over the columns that tell records apart.`,
    );
  }
  const named = table.keys.find(({ index }) => index === wanted);
  if (!named) throw new NoKey(`${full} has no unique index named ${wanted}.`);
  if (named.unusable !== null) throw new NoKey(`${wanted} cannot be the key of an import: ${named.unusable}`);
  return named;
}

function checksOf(table: CatalogTable): {
  limits: Map<string, CheckRules['limits'][number]['limits']>;
  rules: DatasetRule[];
  left: Set<string>;
} {
  const limits = new Map<string, CheckRules['limits'][number]['limits']>();
  const rules: DatasetRule[] = [];
  const left = new Set<string>();
  for (const check of table.checks) {
    const found = rulesOfCheck(check, table.columns);
    if (!found) {
      left.add(check.name);
      continue;
    }
    rules.push(...found.rules);
    for (const { column, limits: more } of found.limits) {
      const before = limits.get(column) ?? {};
      limits.set(column, {
        ...narrow(before, more),
        ...(before.required || more.required ? { required: true } : {}),
      });
    }
  }
  return { limits, rules, left };
}

/** Why a file does not bring this column; null where it may. */
function leftOut(column: CatalogColumn, inKey: boolean): string | null {
  if (column.generated) return 'is computed by the database';
  if (column.identity === 'always') return 'is numbered by the database';
  if (!inKey && (column.identity !== null || column.surrogate)) return 'is filled by the database';
  return null;
}

function fieldOf(
  column: CatalogColumn,
  name: string,
  checked: FieldLimits & { required?: true },
  inKey: boolean,
): { field: DatasetField; asked: boolean } {
  const shape = shapeOf(column.typeName, column.type, column.labels);
  const { required, ...limits } = checked;
  const label = column.comment?.split('\n')[0]!.slice(0, 80) ?? spoken(column.name);
  const typed = narrow(shape.limits, limits);
  // The type's own bounds of a whole number say nothing to a person; the reader keeps to them anyway.
  if (shape.type === 'integer') {
    for (const bound of ['min', 'max'] as const) if (limits[bound] === undefined) delete typed[bound];
  }
  if (shape.type === 'decimal' && column.typeName !== 'numeric') delete typed.precision;
  if (typed.precision === undefined || column.type === 'numeric') {
    delete typed.precision;
    delete typed.scale;
  }
  return {
    field: {
      name,
      column: column.name,
      type: shape.type,
      title: { en: label, ja: label },
      required:
        inKey || required === true || (column.notNull && column.default === null && column.identity === null),
      empty: 'keep',
      aliases: [...new Set([column.name, spoken(column.name), ...(column.comment ? [label] : [])])].filter(
        (alias) => alias !== name,
      ),
      ...typed,
    },
    asked: !shape.known,
  };
}

/** A name for each column that the API and the console can carry: letters, digits and `_`; its own where it has none. */
function fieldNames(columns: CatalogColumn[]): (column: string) => string {
  const names = new Map<string, string>();
  const taken = new Set<string>();
  for (const { name } of columns) {
    const wanted = slug(name) ?? name;
    let free = wanted;
    for (let n = 2; taken.has(free); n++) free = `${wanted}_${n}`;
    taken.add(free);
    names.set(name, free);
  }
  return (column) => names.get(column)!;
}

/** `Unit Price` as `unit_price`; null where nothing is left of it. */
function slug(name: string): string | null {
  const plain = name
    .replace(/([\p{Ll}\p{Nd}])(\p{Lu})/gu, '$1_$2')
    .normalize('NFKD')
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, '_')
    .replaceAll(/^_+|_+$/g, '')
    .slice(0, 63);
  return plain === '' || (normaliseName(name) !== '' && /[^\p{ASCII}\p{M}]/u.test(name.normalize('NFKD')))
    ? null
    : plain;
}

/** `unit_price` and `unitPrice` as `Unit price`. */
function spoken(name: string): string {
  const words = name
    .replace(/([\p{Ll}\p{Nd}])(\p{Lu})/gu, '$1 $2')
    .replaceAll(/[_\s]+/g, ' ')
    .trim();
  return words.charAt(0).toUpperCase() + words.slice(1);
}
