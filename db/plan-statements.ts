import type { Dataset, ImportMode } from '../datasets/types.ts';
import { differs, type WrittenField } from './apply-program.ts';
import { quoteName, quoteText } from './connect.ts';
import { stagingTables } from './staging.ts';
import { keyJoin, planKey, type Target } from './target.ts';

/** What the statements that decide have to know. */
export interface Deciding {
  lockKey: number;
  incarnation: number;
  tenantId: string;
  target: Target;
  fields: WrittenField[];
  mode: ImportMode;
  dataset: Dataset;
  /** Where to read staged rows from, where rules of the whole file were asked (rules-of-plan.ts). */
  source?: string;
}

/** The part of the keys that one connection decides: from `from` (included) up to `to`, each one value a key part. */
export interface KeyRange {
  from: string[] | null;
  to: string[] | null;
}

/** Modes in which what the target has, or has not, blocks a row. */
export const isRefusing = (mode: ImportMode): boolean => mode === 'insert' || mode === 'update';

/** A type without its length or scale: what was read from the target needs no second check of it. */
const bare = (type: string): string => type.replace(/\([^)]*\)/, '');

/** The columns of a plan's table, in their order. */
export function planColumns({ target, fields }: Pick<Deciding, 'target' | 'fields'>): string {
  return [
    '_record bigint',
    '_line bigint',
    '_offset bigint',
    '_bytes int',
    '_seq bigint',
    '_decision text',
    '_winner bigint',
    ...planKey(target).map((key) => `${key.name} ${key.type}`),
    ...fields.map((field) => `${quoteName('v_' + field.column)} ${field.type}`),
    ...fields
      .filter((field) => !field.key)
      .map((field) => `${quoteName('s_' + field.column)} ${bare(field.type)}`),
    '_issues jsonb',
    '_raw jsonb',
  ].join(', ');
}

/** `(lower(sku), n) < ('x'::text, '5'::integer)`, for a range of keys; '' where it has no bounds. */
function within(
  range: KeyRange,
  target: Target,
  expression: (key: { name: string; expression: string }) => string,
) {
  const keys = planKey(target);
  const row = `(${keys.map(expression).join(', ')})`;
  const bound = (values: string[]) =>
    `(${keys.map((key, n) => `${quoteText(values[n]!)}::${key.type}`).join(', ')})`;
  return [
    ...(range.from ? [`${row} >= ${bound(range.from)}`] : []),
    ...(range.to ? [`${row} < ${bound(range.to)}`] : []),
  ]
    .map((condition) => ` and ${condition}`)
    .join('');
}

/**
 * Staged rows `s` in the words of the target, for expressions that speak of its columns. With their collations: under
 * another one lower() may be another text, and a range of keys another range.
 */
export function asTarget(target: Target, fields: WrittenField[], tenantId: string): string {
  const staged = new Set(fields.map(({ column }) => column));
  return target.columns
    .map((column) => {
      const name = quoteName(column.name);
      if (column.name === 'tenant_id') return `${quoteText(tenantId)}::${column.type} as ${name}`;
      if (!staged.has(column.name)) return `null::${column.type} as ${name}`;
      return `s.${quoteName('v_' + column.name)}${column.collation === null ? '' : ` collate ${column.collation}`} as ${name}`;
    })
    .join(', ');
}

/** Staged rows with the key as the target's index has it: its expressions speak of the target's columns. */
function keyed({ lockKey, incarnation, tenantId, target, fields, source }: Deciding, from?: string): string {
  const rows = source ?? stagingTables(lockKey, incarnation).rows;
  // OFFSET 0: the key is computed once a row, not again for each condition on it.
  const keys = planKey(target).map((key) => `(${key.expression}) as ${key.name}`);
  const values = fields.map((field) => quoteName('v_' + field.column));
  return `select ${[...keys, '_record, _line, _offset, _bytes, _blocked, _issues, _raw', ...values].join(', ')}
    from (select s.*, ${asTarget(target, fields, tenantId)} from ${from ?? `${rows} s`}) s offset 0`;
}

/** A sample of the staged keys, of which the middle one parts the work; as one array of texts. */
export function splitStatement(deciding: Deciding, percent: number): string {
  const { rows } = stagingTables(deciding.lockKey, deciding.incarnation);
  const keys = planKey(deciding.target).map((key) => key.name);
  const sample = deciding.source
    ? `${deciding.source} s where random() * 100 < ${percent}`
    : `${rows} s tablesample system (${percent}) repeatable (1)`;
  return `with k as materialized (select ${keys.join(', ')} from (${keyed(deciding, sample)}) k
      where not _blocked and ${keys.map((key) => `${key} is not null`).join(' and ')})
    select array[${keys.map((key) => `${key}::text`).join(', ')}] as split from k
    order by ${keys.join(', ')} offset (select count(*) / 2 from k) limit 1`;
}

const issues = (deciding: Deciding) => {
  const keyField =
    deciding.dataset.fields.find((field) => field.column === deciding.fields.find((f) => f.key)?.column)
      ?.name ?? '';
  return (code: string, value: string, message: string, line: string) =>
    `jsonb_build_array(jsonb_build_object('line', ${line}, 'column', null, 'field', ${quoteText(keyField)}, 'code', ${quoteText(code)},
       'severity', 'error', 'value', ${value}, 'message', ${quoteText(message)}))`;
};

/**
 * Decides the winner of every key of a range and gives it its place (`_seq`, from the sequence `places`), in key
 * order. Exported to be looked at with EXPLAIN. Each level is there for a reason, measured for 1M rows: rows are told
 * apart before they meet the target (with the join below DISTINCT ON 6.0 s of processor time, above it 4.3), places
 * come from a sequence (row_number() copies every row once more), and the comparison is made once for all columns.
 */
export function winnersStatement(
  deciding: Deciding,
  options: { into: string; places: string; range: KeyRange },
): string {
  const { tenantId, target, fields, mode, dataset } = deciding;
  const keys = planKey(target).map((key) => key.name);
  const values = fields.map((field) => quoteName('v_' + field.column));
  const written = fields.filter((field) => !field.key).map((field) => field.column);
  const difference = differs(
    fields,
    (c) => `t.${quoteName(c)}`,
    (c) => `k.${quoteName('v_' + c)}`,
  );
  const decision =
    mode === 'insert'
      ? `case when t._found is null then 'create' else 'key_exists' end`
      : `case when t._found is null then '${mode === 'update' ? 'no_such_record' : 'create'}' when ${difference} then 'update' else 'unchanged' end`;
  const placed = `_found in ('create', 'update', 'unchanged')`;
  const place = `nextval(${quoteText(options.places)})`;
  const refusing = isRefusing(mode);
  const issue = issues(deciding);
  const keyText = `concat_ws(' / ', ${keys.join(', ')})`;
  const live = written.map((column) => quoteName('t_' + column));

  return `insert into ${options.into} (${['_record, _line, _offset, _bytes, _seq, _decision', ...keys, ...values, ...written.map((column) => quoteName('s_' + column)), '_issues, _raw'].join(', ')})
    select ${[
      '_record, _line, _offset, _bytes',
      refusing ? `case when ${placed} then ${place} end` : place,
      refusing ? `case when ${placed} then _found else 'blocked' end` : '_found',
      ...keys,
      ...values,
      ...live.map((name) => `case when _found = 'update' then ${name} end`),
      refusing
        ? `case _found when 'key_exists' then ${issue('key_exists', keyText, 'A record with this key exists, and this import only adds new records.', '_line')}
             when 'no_such_record' then ${issue('no_such_record', keyText, 'No record has this key, and this import only updates.', '_line')} else _issues end`
        : '_issues',
      '_raw',
    ].join(', ')}
    from (
      select ${['k.*', `${decision} as _found`, ...written.map((column) => `t.${quoteName(column)} as ${quoteName('t_' + column)}`)].join(', ')}
      from (
        select distinct on (${keys.join(', ')}) * from (${keyed(deciding)}) k
        where not _blocked and ${keys.map((key) => `${key} is not null`).join(' and ')}${within(options.range, target, (key) => key.name)}
        order by ${keys.join(', ')}, _record ${dataset.duplicates === 'first' ? 'asc' : 'desc'}
      ) k left join lateral (
        select ${['true as _found', ...written.map(quoteName)].join(', ')}
        from ${target.name} where ${keyJoin(target, tenantId, 'k')}${within(options.range, target, (key) => `(${key.expression})`)}
      ) t on true
      offset 0
    ) w`;
}

/** What is left over once the winners have their places: duplicates, blocked rows, empty keys. */
export function othersStatement(deciding: Deciding, plan: string): string {
  const { lockKey, incarnation, target, fields, source } = deciding;
  const rows = source ?? stagingTables(lockKey, incarnation).rows;
  const keys = planKey(target).map((key) => key.name);
  const issue = issues(deciding);
  return `with others as materialized (
      select * from ${rows} s where not exists (select from ${plan} p where p._record = s._record))
    insert into ${plan} (_record, _line, _offset, _bytes, _decision, _winner, ${[...keys, ...fields.map((field) => quoteName('v_' + field.column))].join(', ')}, _issues, _raw)
    select k._record, k._line, k._offset, k._bytes, case when w._record is null then 'blocked' else 'duplicate' end, w._record,
      ${[...keys, ...fields.map((field) => quoteName('v_' + field.column))].map((name) => `k.${name}`).join(', ')},
      case when w._record is null and not k._blocked
        then ${issue('key_empty', 'null', 'The key is empty. Give the row a value that tells it from the others.', 'k._line')} else k._issues end, k._raw
    from (${keyed(deciding, 'others s')}) k left join ${plan} w on not k._blocked and ${keys.map((key) => `w.${key} = k.${key}`).join(' and ')}`;
}
