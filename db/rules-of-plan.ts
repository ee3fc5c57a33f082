import type pg from 'pg';
import type { Dataset } from '../datasets/types.ts';
import type { Severity } from '../intake/rules/types.ts';
import type { WrittenField } from './apply-program.ts';
import { quoteName, quoteText } from './connect.ts';
import { findDataset } from './datasets.ts';
import { asTarget } from './plan-statements.ts';
import { stagingTables } from './staging.ts';
import { describeTarget, keyJoin, planKey, type Target } from './target.ts';

/** A field that a rule speaks of, and where its values stand. */
interface RuleField {
  name: string;
  /** Of the target; its staged values are in `v_...`. */
  column: string;
  /** The file's own name for it, null for a constant. */
  header: string | null;
}

/** A rule that needs more than one row, or the database, as it is asked while planning. */
export type PlanRule =
  | { kind: 'type'; field: RuleField; type: string; severity: Severity }
  | { kind: 'reference'; fields: RuleField[]; parent: Parent; severity: Severity }
  | { kind: 'unique'; fields: RuleField[]; expressions: string[]; severity: Severity }
  /** Records of one key are none of them taken. */
  | { kind: 'once'; fields: RuleField[]; severity: Severity };

interface Parent {
  /** As a person knows it. */
  what: string;
  /** Quoted schema.table. */
  name: string;
  /** What of the staged row is looked for, over the columns named in `columns`; `condition` compares with `s._k1` ... */
  columns: string[];
  keys: string[];
  condition: string;
  /** The target itself: a parent may be in the same file. */
  itself: boolean;
}

/**
 * The rules of a dataset that planning has to ask, of the fields that this file brings; and a question of its own for
 * each column whose type only the database knows. Null where there is nothing to ask, which costs nothing.
 */
export async function planRules(
  pool: pg.Pool,
  of: {
    tenantId: string;
    dataset: Dataset;
    target: Target;
    fields: WrittenField[];
    headerOf(field: string): string | null;
  },
): Promise<PlanRule[] | null> {
  const { tenantId, dataset, target, fields } = of;
  const written = new Set(fields.map(({ column }) => column));
  const field = (name: string): RuleField | null => {
    const column = dataset.fields.find((one) => one.name === name)?.column;
    return column === undefined || !written.has(column) ? null : { name, column, header: of.headerOf(name) };
  };
  const all = (names: string[]): RuleField[] | null => {
    const found = names.map(field);
    return found.every((one) => one !== null) ? found : null;
  };

  const rules: PlanRule[] = [];
  for (const one of dataset.fields) {
    const column = target.columns.find(({ name }) => name === one.column);
    const found = field(one.name);
    if (found && column && !column.shape.known)
      rules.push({ kind: 'type', field: found, type: column.type, severity: 'error' });
  }
  for (const rule of dataset.rules ?? []) {
    if (rule.kind === 'type') {
      const found = field(rule.field);
      if (found) rules.push({ kind: 'type', field: found, type: rule.type, severity: 'error' });
    } else if (rule.kind === 'reference') {
      const found = all(rule.fields);
      const parent = found && (await parentOf(pool, tenantId, dataset, rule.to));
      if (parent)
        rules.push({ kind: 'reference', fields: found, parent, severity: rule.severity ?? 'error' });
    } else if (rule.kind === 'unique') {
      const found = all(rule.fields);
      if (!found) continue;
      const expressions = rule.index
        ? await partsOf(pool, target, rule.index)
        : found.map(({ column }) => quoteName(column));
      rules.push({ kind: 'unique', fields: found, expressions, severity: rule.severity ?? 'error' });
    }
  }
  const key = dataset.duplicates === 'refuse' ? all(dataset.key.fields) : null;
  if (key) rules.push({ kind: 'once', fields: key, severity: 'error' });
  const order = ['type', 'reference', 'unique', 'once'];
  return rules.length === 0 ? null : rules.sort((a, b) => order.indexOf(a.kind) - order.indexOf(b.kind));
}

async function partsOf(pool: pg.Pool, target: Target, index: string): Promise<string[]> {
  const found = await pool.query<{ part: string }>(
    `select pg_get_indexdef(x.indexrelid, n, true) as part
     from pg_index x join pg_class c on c.oid = x.indexrelid cross join generate_series(1, x.indnkeyatts) n
     where x.indrelid = $1::regclass and c.relname = $2 order by n`,
    [target.name, index],
  );
  return found.rows.map(({ part }) => part);
}

type To = Extract<NonNullable<Dataset['rules']>[number], { kind: 'reference' }>['to'];

async function parentOf(pool: pg.Pool, tenantId: string, dataset: Dataset, to: To): Promise<Parent | null> {
  if ('dataset' in to) {
    const other = await findDataset(pool, tenantId, to.dataset);
    if (!other) return null;
    const { schema, table } = other.target;
    const parent = await describeTarget(pool, schema, table, other.key.index, tenantId);
    return {
      what: other.name,
      name: parent.name,
      columns: other.key.fields.map((name) => other.fields.find((field) => field.name === name)!.column),
      keys: planKey(parent).map(({ expression }) => expression),
      condition: keyJoin(parent, tenantId, 's'),
      itself: false,
    };
  }
  const { schema, table, columns, tenantColumn } = to;
  return {
    what: `${schema}.${table}`,
    name: `${quoteName(schema)}.${quoteName(table)}`,
    columns,
    keys: columns.map(quoteName),
    condition: [
      ...columns.map((column, n) => `p.${quoteName(column)} = s._k${n + 1}`),
      ...(tenantColumn ? [`p.${quoteName(tenantColumn)}::text = ${quoteText(tenantId)}`] : []),
    ].join(' and '),
    itself: dataset.target.schema === schema && dataset.target.table === table,
  };
}

interface Checked {
  lockKey: number;
  incarnation: number;
  tenantId: string;
  target: Target;
  fields: WrittenField[];
  rules?: PlanRule[] | null;
}

/**
 * Asks the rules of a whole staging and returns where planning is to read from: the staged rows with what was found,
 * every value of its column's own type. Undefined where staging itself will do. Whatever an earlier attempt found is
 * forgotten: parents may have come since.
 */
export async function checkRows(client: pg.PoolClient, checked: Checked): Promise<string | undefined> {
  const { rules, fields, lockKey, incarnation } = checked;
  if (!rules || rules.length === 0) return undefined;
  const { findings } = stagingTables(lockKey, incarnation);
  await client.query(`drop table if exists ${findings}`);
  await client.query(
    `create unlogged table ${findings} (_record bigint, _ordinal int, _error boolean, _issue jsonb) with (autovacuum_enabled = false)`,
  );
  const texts = fields.some((field) => field.staged !== undefined);
  let found = 0;
  let asked = 0;
  for (const [ordinal, rule] of rules.entries()) {
    // Types first, as they are staged; parents of every row; who has a value twice only of rows that are right so far.
    const asStaged = rule.kind === 'type' || (!texts && (rule.kind === 'reference' || found === 0));
    const from = asStaged ? stagingTables(lockKey, incarnation).rows : sourceOf(checked);
    const statement = {
      type: typeStatement,
      reference: referenceStatement,
      unique: uniqueStatement,
      once: onceStatement,
    }[rule.kind] as (checked: Checked, rule: PlanRule, from: string) => string;
    const inserted = await client.query(
      `insert into ${findings} select _record, ${ordinal}, ${rule.severity === 'error'}, _issue from (${statement(checked, rule, from)}) f`,
    );
    found += inserted.rowCount ?? 0;
    asked++;
  }
  if (found > 0) await client.query(`create index on ${findings} (_record); analyze ${findings}`);
  return asked > 0 && (found > 0 || texts) ? sourceOf(checked) : undefined;
}

/** Staged rows as planning reads them, with the findings so far. */
function sourceOf({ fields, lockKey, incarnation }: Checked): string {
  const { rows, findings } = stagingTables(lockKey, incarnation);
  const values = fields.map((field) => {
    const name = quoteName('v_' + field.column);
    // What is of no such type has been found before: there is nothing left that a cast could stumble over.
    return field.staged === undefined
      ? `r.${name}`
      : `case when not r._blocked and f._error is not true then r.${name}::${field.type} end as ${name}`;
  });
  return `(select ${[
    'r._record, r._line, r._offset, r._bytes, r._blocked or f._error is true as _blocked',
    `case when f._record is null then r._issues else coalesce(r._issues, '[]') || f._found end as _issues, r._raw`,
    ...values,
  ].join(', ')}
    from ${rows} r left join (select _record, bool_or(_error) as _error, jsonb_agg(_issue order by _ordinal) as _found
      from ${findings} group by _record) f using (_record))`;
}

const valueOf = ({ column }: RuleField): string => `s.${quoteName('v_' + column)}`;

/** The issue of a row `s`, as the reader would have written it. */
function issue(rule: PlanRule, fields: RuleField[], code: string, message: string, value: string): string {
  const first = fields[0]!;
  return `jsonb_build_object('line', s._line, 'column', ${first.header === null ? 'null' : quoteText(first.header)},
    'field', ${quoteText(first.name)}, 'code', ${quoteText(code)}, 'severity', ${quoteText(rule.severity)},
    'value', left(${value}, 1000), 'message', ${message}) as _issue`;
}

/** The values of a rule's fields as one text. */
const textOf = (fields: RuleField[]): string =>
  fields.length === 1
    ? `${valueOf(fields[0]!)}::text`
    : `concat_ws(' / ', ${fields.map((field) => `${valueOf(field)}::text`).join(', ')})`;

const namesOf = (fields: RuleField[]): string => fields.map(({ name }) => name).join(', ');

function typeStatement(_: Checked, rule: Extract<PlanRule, { kind: 'type' }>, from: string): string {
  const value = textOf([rule.field]);
  const type = quoteText(rule.type);
  const message = `${quoteText(`${rule.field.name} is no value that its column takes (`)} || coalesce((pg_input_error_info(${value}, ${type})).message, '') || ').'`;
  return `select s._record, ${issue(rule, [rule.field], 'not_of_type', message, value)} from ${from} s
    where not s._blocked and ${valueOf(rule.field)} is not null and not pg_input_is_valid(${value}, ${type})`;
}

function referenceStatement(
  checked: Checked,
  rule: Extract<PlanRule, { kind: 'reference' }>,
  from: string,
): string {
  const { fields, parent } = rule;
  const value = textOf(fields);
  const message = `${quoteText(`${namesOf(fields)} "`)} || left(${value}, 60) || ${quoteText(`" is not in ${parent.what}. Add it there first, or correct it here.`)}`;
  // The parent's key speaks of its own columns: here they are what the row has of them.
  const named = parent.columns.map((column, n) => `${valueOf(fields[n]!)} as ${quoteName(column)}`);
  const keys = parent.keys.map((key, n) => `(${key}) as _k${n + 1}`);
  const columns = new Set(checked.fields.map(({ column }) => column));
  const inFile =
    parent.itself && parent.columns.every((column) => columns.has(column))
      ? ` and not exists (select from ${from} o where not o._blocked and ${parent.columns.map((column, n) => `o.${quoteName('v_' + column)} = s._k${n + 1}`).join(' and ')})`
      : '';
  return `select s._record, ${issue(rule, fields, 'missing_reference', message, value)}
    from (select s.*, ${keys.join(', ')} from (select s.*, ${named.join(', ')} from ${from} s) s) s
    where not s._blocked and ${fields.map((field) => `${valueOf(field)} is not null`).join(' and ')}
      and not exists (select from ${parent.name} p where ${parent.condition})${inFile}`;
}

/** Every row whose key another row of the file has as well. */
function onceStatement(
  { target, fields, tenantId }: Checked,
  rule: Extract<PlanRule, { kind: 'once' }>,
  from: string,
): string {
  const keys = planKey(target);
  const names = keys.map(({ name }) => name).join(', ');
  const values = keys.map(({ name, expression }) => `(${expression}) as ${name}`).join(', ');
  const message = `'This key stands in ' || s._times || ' rows of the file, from line ' || s._first || ' to line ' || s._last || '. None of them is taken: leave one.'`;
  return `select s._record, ${issue(rule, rule.fields, 'duplicate_key', message, textOf(rule.fields))}
    from (select k.*, count(*) over w as _times, min(_line) over w as _first, max(_line) over w as _last
      from (select s.*, ${values} from (select s.*, ${asTarget(target, fields, tenantId)} from ${from} s where not s._blocked) s) k
      where ${keys.map(({ name }) => `k.${name} is not null`).join(' and ')}
      window w as (partition by ${names})) s
    where s._times > 1`;
}

/** Of rows with one value and several keys the first is right and the others are not; rows of one key are one record. */
function uniqueStatement(
  { target, fields, tenantId }: Checked,
  rule: Extract<PlanRule, { kind: 'unique' }>,
  from: string,
): string {
  const keys = planKey(target);
  const values = rule.expressions.map((expression, n) => `(${expression}) as _u${n + 1}`);
  const names = rule.expressions.map((_, n) => `_u${n + 1}`).join(', ');
  const value = textOf(rule.fields);
  const message = `${quoteText(`${namesOf(rule.fields)} "`)} || left(${value}, 60) || '" stands in line ' || s._first || ' already, in a row with another key. It may be there once.'`;
  const others = keys.map((key) => `s.${key.name} is distinct from s._f${key.name}`).join(' or ');
  return `with k as materialized (
      select s.*, ${[...values, ...keys.map((key) => `(${key.expression}) as ${key.name}`)].join(', ')}
      from (select s.*, ${asTarget(target, fields, tenantId)} from ${from} s where not s._blocked) s
    ), d as (
      select ${names} from k where ${rule.expressions.map((_, n) => `_u${n + 1} is not null`).join(' and ')} group by ${names} having count(*) > 1
    )
    select s._record, ${issue(rule, rule.fields, 'not_unique', message, value)}
    from (select k.*, first_value(k._line) over w as _first, ${keys.map((key) => `first_value(k.${key.name}) over w as _f${key.name}`).join(', ')}
      from k join d using (${names}) window w as (partition by ${names} order by k._record)) s
    where ${others}`;
}
