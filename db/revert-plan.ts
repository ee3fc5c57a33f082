import type pg from 'pg';
import { comparable } from './apply-program.ts';
import { quoteName, quoteText } from './connect.ts';
import { laterImports, receiptTimes, sightings, undoneRecords } from './later-imports.ts';
import { imagesTable, planTable } from './plan.ts';
import { missingRows } from './ledger.ts';
import { missingTable } from './missing-table.ts';
import { referencesTo, TableClosed, type TableReference } from './references.ts';
import { keyJoin, planKey, type Target } from './target.ts';

/** What becomes of a record that is not as the import left it, that a later import has seen, or that others refer to. */
export interface OnConflict {
  changed: 'skip' | 'force';
  seenLater: 'skip' | 'force';
  /** Never forced: removing it would break or remove what refers to it. */
  referenced: 'skip';
}

export interface RevertRequest {
  importId: string;
  lockKey: number;
  tenantId: string;
  target: Target;
  onConflict: OnConflict;
  /** Those that earlier reverts of this import have undone are left out. */
  revert: number;
}

interface Column {
  name: string;
  type: string;
}

/** Everything about a revert that the catalog knows. */
interface Shape {
  request: RevertRequest;
  /** Columns that an update writes, and those of the key as the file spells them. */
  written: Column[];
  spelled: Column[];
  keys: { name: string; type: string }[];
  /** Columns that the import did not write and that a created record therefore has a known value in. */
  untouched: { name: string; value: string }[];
  /** Constant defaults by column; null where a column has one that is not constant. */
  defaults: Map<string, string | null>;
  references: TableReference[];
  /** What the import did to records that its file did not have; null where it did nothing. */
  missing: { columns: string[]; sets: Record<string, string | null> } | null;
}

/** Nothing can be planned; the sentence says why. */
export class RevertRefused extends Error {
  readonly code: string;
  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}

const CONSTANT = /^('(?:[^']|'')*'(::[\w\s."()]+)?|\(?-?\d+(\.\d+)?\)?(::[\w\s."()]+)?|true|false)$/i;

export async function shapeOf(client: pg.Pool | pg.PoolClient, request: RevertRequest): Promise<Shape> {
  const { target, lockKey } = request;
  const columnsOf = async (table: string, prefix: string): Promise<Column[]> =>
    (
      await client.query<Column>(
        `select substr(attname, 3) as name, format_type(atttypid, atttypmod) as type from pg_attribute
         where attrelid = to_regclass($1) and attnum > 0 and not attisdropped and attname like $2 order by attnum`,
        [table, `${prefix}\\_%`],
      )
    ).rows;
  const written = await columnsOf(imagesTable(lockKey), 'a');
  const inPlan = await columnsOf(planTable(lockKey), 'v');
  const has = (name: string) => target.columns.some((column) => column.name === name);
  if (inPlan.length === 0 || ![...written, ...inPlan].every(({ name }) => has(name))) {
    throw new RevertRefused(
      'target_changed',
      'The table no longer has the columns that this import wrote, or what it replaced is no longer kept.',
    );
  }
  const spelled = inPlan.filter(({ name }) => !written.some((column) => column.name === name));
  const oid = `to_regclass($1)`;
  const plain = await client.query<{ name: string; default: string | null }>(
    `select a.attname as name, pg_get_expr(d.adbin, d.adrelid) as default
     from pg_attribute a left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
     where a.attrelid = ${oid} and a.attnum > 0 and not a.attisdropped and a.attidentity = '' and a.attgenerated = ''`,
    [target.name],
  );
  const references = await referencesTo(client, target).catch((error: unknown) => {
    throw error instanceof TableClosed ? new RevertRefused('may_not_read', error.message) : error;
  });
  const missing = (await columnsOf(missingTable(lockKey), 'r')).map(({ name }) => name);
  if (!missing.every(has))
    throw new RevertRefused(
      'target_changed',
      'The table no longer has the columns that it had when this import deactivated or deleted records of it.',
    );
  const written_ = new Set([...inPlan.map(({ name }) => name), 'tenant_id']);
  return {
    request,
    written,
    spelled,
    keys: planKey(target),
    // A trigger may set anything anywhere.
    untouched: target.hasRowTrigger
      ? []
      : plain.rows
          .filter((column) => !written_.has(column.name))
          .filter((column) => column.default === null || CONSTANT.test(column.default))
          .map((column) => ({ name: column.name, value: column.default ?? 'null' })),
    defaults: new Map(
      plain.rows.flatMap(({ name, default: value }) =>
        value === null ? [] : [[name, CONSTANT.test(value) ? value : null]],
      ),
    ),
    references,
    missing: missing.length > 0 ? { columns: missing, sets: await setsOf(client, request.importId) } : null,
  };
}

/** What a deactivation by this import wrote, as text by column. */
async function setsOf(
  client: pg.Pool | pg.PoolClient,
  importId: string,
): Promise<Record<string, string | null>> {
  const found = await client.query<{ sets: Record<string, string | null> | null }>(
    `select program #> '{missing,sets}' as sets from waybill.plans where import_id = $1 order by version desc limit 1`,
    [importId],
  );
  return found.rows[0]?.sets ?? {};
}

const differ = (type: string, a: string, b: string): string =>
  `${comparable(type, a)} is distinct from ${comparable(type, b)}`;

/** True where the record `t` is not what the import left; `p` is the row with what it left. */
export function moved(shape: Shape, kind: 'created' | 'updated', t = 't', p = 'p'): string {
  const typeOf = (name: string) =>
    shape.request.target.columns.find((column) => column.name === name)?.type ?? '';
  const parts = shape.written.map(({ name, type }) => {
    const [now, left] = [`${t}.${quoteName(name)}`, `${p}.${quoteName('a_' + name)}`];
    const fallback = kind === 'created' ? shape.defaults.get(name) : undefined;
    if (fallback === undefined) return differ(type, now, left);
    // An empty cell became the default, or NULL: either is as the import left it.
    const asDefault =
      fallback === null ? `${left} is null` : `(${left} is null and not (${differ(type, now, fallback)}))`;
    return `(${differ(type, now, left)} and not ${asDefault})`;
  });
  if (kind === 'created') {
    for (const { name, type } of shape.spelled)
      parts.push(differ(type, `${t}.${quoteName(name)}`, `${p}.${quoteName('x_' + name)}`));
    for (const { name, value } of shape.untouched)
      parts.push(differ(typeOf(name), `${t}.${quoteName(name)}`, `(${value})`));
  }
  return parts.length > 0 ? `(${parts.join(' or ')})` : 'false';
}

/** References that matter to a write of this kind. */
export const referencesOf = (shape: Shape, kind: 'created' | 'updated'): TableReference[] =>
  shape.references.filter(
    (one) =>
      kind === 'created' ||
      (one.cascadesUpdate && one.referenced.some((name) => shape.written.some((c) => c.name === name))),
  );

/** True where a record that the import deactivated is not inactive (in its way) any more. */
export const reactivated = (shape: Shape, t: string): string =>
  Object.entries(shape.missing?.sets ?? {})
    .map(([name, value]) => {
      const type = shape.request.target.columns.find((column) => column.name === name)!.type;
      return `${t}.${quoteName(name)} is distinct from ${value === null ? 'null' : quoteText(value)}::${type}`;
    })
    .join(' or ') || 'false';

/** The records that the import deactivated or deleted, as they were before, in the columns of the others. */
function missingChanges(
  { request, written, spelled, missing }: Shape,
  list: (parts: string[]) => string,
  keysOf: (alias: string) => string,
  fresh: string,
): string {
  if (!missing) return '';
  const { importId, lockKey, target } = request;
  const typed = (column: string, type: string) => `m.${quoteName('r_' + column)}::${type}`;
  const left = ({ name, type }: Column) =>
    name in missing.sets
      ? `case when m._decision = 'deactivate' then ${missing.sets[name] === null ? 'null' : quoteText(missing.sets[name]!)}::${target.columns.find((column) => column.name === name)!.type} end`
      : `case when m._decision = 'deactivate' then ${typed(name, type)} end`;
  return `
      union all
      select p._record, null, ${keysOf('m')}, p.fate, p.at
        ${list(written.map(({ name, type }) => typed(name, type)))}${list(written.map(left))}
        ${list(spelled.map(({ name, type }) => typed(name, type)))}
      from (${missingRows(importId, lockKey)}) p join ${missingTable(lockKey)} m using (_record)
      where p.fate in ('deactivated', 'deleted')${fresh}`;
}

/**
 * The statement that decides every record that the import changed: what it was, what the import left, what is there
 * now, what stands in the way. `only`: a condition on `l._record`, for those that are decided anew.
 */
export async function decisions(
  client: pg.Pool | pg.PoolClient,
  shape: Shape,
  only = 'true',
): Promise<string> {
  const { importId, lockKey, tenantId, target, onConflict, revert } = shape.request;
  const { written, spelled, keys } = shape;
  const [plan, images] = [planTable(lockKey), imagesTable(lockKey)];
  const list = (parts: string[]) => parts.map((part) => `, ${part}`).join('');
  const keysOf = (alias: string) => keys.map((key) => `${alias}.${key.name}`).join(', ');
  const later = await sightings(client, await laterImports(client, importId), shape.keys);

  const undone = (
    await client.query<{ revert: number }>(
      `select revert from waybill.reverts where import_id = $1 and revert < $2 and planned_at is not null order by 1`,
      [importId, revert],
    )
  ).rows.map((row) => undoneRecords(importId, lockKey, row.revert));
  const fresh = undone
    .map((sql) => ` and not exists (select from (${sql}) u where u._record = p._record)`)
    .join('');

  const choice = (kind: keyof OnConflict) => (onConflict[kind] === 'force' ? 'false' : 'true');
  // What this revert removes itself does not keep what it refers to. Of a longer branch the batches find out.
  const stays = ` and not exists (select from d x where x._kind = 'created' and x._found
    and not (x._moved and ${choice('changed')} or x._seen_by is not null and ${choice('seenLater')}) and ${keyJoin(target, tenantId, 'x')})`;
  const refs = shape.references.map((ref, n) => ({
    ...ref,
    alias: `f${n}`,
    // A record that refers to itself goes with itself.
    from: `(select distinct ${ref.columns.map((c, i) => `r.${quoteName(c)} as c${i}`).join(', ')} from ${ref.table} r
      where ${ref.columns.map((c) => `r.${quoteName(c)} is not null`).join(' and ')}${ref.itself ? ` and (${ref.columns.map((c) => `r.${quoteName(c)}`).join(', ')}) <> (${ref.referenced.map((c) => `r.${quoteName(c)}`).join(', ')})${stays}` : ''})`,
  }));
  // Whoever wrote a tree by hand wrote parents first: their children are removed before them.
  const inOrder = refs.some(({ itself }) => itself)
    ? '_record desc'
    : keys.map(({ name }) => name).join(', ');
  const needed = [...new Set(refs.flatMap((ref) => ref.referenced))];
  const referencedBy = refs.map(
    (ref) =>
      `when ${ref.alias}.c0 is not null and ${referencesOf(shape, 'updated').some((r) => r.constraint === ref.constraint) ? 'true' : `d._kind = 'created'`} then ${quoteText(`${ref.table} (${ref.constraint})`)}`,
  );

  return `with r as materialized (${receiptTimes(quoteText(importId))}),
    l as materialized (
      select p._record, p._line, ${keysOf('p')}, 'updated'::text as _kind, r.times[width_bucket(p._seq, r.firsts)] as _at
        ${list(written.map(({ name }) => `i.${quoteName('b_' + name)}`))}${list(written.map(({ name }) => `i.${quoteName('a_' + name)}`))}
        ${list(spelled.map(({ name }) => `p.${quoteName('v_' + name)} as ${quoteName('x_' + name)}`))}
      from ${images} i join ${plan} p using (_record) cross join r where not i._created${fresh}
      union all
      select p._record, p._line, ${keysOf('p')}, 'created', r.times[width_bucket(p._seq, r.firsts)]
        ${list(written.map(({ type }) => `null::${type}`))}${list(written.map(({ name }) => `coalesce(i.${quoteName('a_' + name)}, p.${quoteName('v_' + name)})`))}
        ${list(spelled.map(({ name }) => `p.${quoteName('v_' + name)}`))}
      from ${plan} p cross join r
      left join ${images} i on i._record = p._record and i._created
      left join (select distinct on (record) record, outcome from waybill.outcomes where import_id = ${quoteText(importId)}
        order by record, wave desc) o on o.record = p._record
      where (o.outcome = 'created' or o.outcome is null and p._decision = 'create') and p._seq <= r.lasts[width_bucket(p._seq, r.firsts)]${fresh}${missingChanges(shape, list, keysOf, fresh)}
    ),
    s as materialized (${
      later === null
        ? 'select null::bigint as _record, null::text as seen_by where false'
        : `select distinct on (l._record) l._record, y.import_id as seen_by from l join (${later.sql}) y
             on ${later.same('y', 'l')} and y.at > l._at
           order by l._record, y.at desc`
    }),
    d as (
      select l.*, t._found, s.seen_by as _seen_by,
        coalesce(t._found and case l._kind when 'created' then ${moved(shape, 'created', 't', 'l')} when 'deleted' then true when 'deactivated' then ${reactivated(shape, 't')} else ${moved(shape, 'updated', 't', 'l')} end, false) as _moved
        ${list(needed.map((c) => `t.${quoteName(c)} as ${quoteName('r_' + c)}`))}
        ${list(written.map(({ name }) => `t.${quoteName(name)} as ${quoteName('n_' + name)}`))}
      from l left join s using (_record) left join lateral (
        select ${['true as _found', ...target.columns.map((column) => quoteName(column.name))].join(', ')} from ${target.name} where ${keyJoin(target, tenantId, 'l')}
      ) t on true
      where ${only}
    ),
    e as (
      select d.*, ${referencedBy.length > 0 ? `case ${referencedBy.join(' ')} end` : 'null::text'} as _referenced_by
      from d ${refs
        .map(
          (ref) =>
            `left join ${ref.from} ${ref.alias} on ${ref.referenced.map((c, i) => `${ref.alias}.c${i} = d.${quoteName('r_' + c)}`).join(' and ')}`,
        )
        .join(' ')}
    ),
    f as (
      select e.*, case when _found is null and _kind = 'created' then '{}'::text[] else array_remove(array[
        case when _moved or _found is null and _kind <> 'deleted' then 'changed' end, case when _seen_by is not null then 'seenLater' end,
        case when _referenced_by is not null then 'referenced' end], null) end as _conflicts
      from e
    )
    select row_number() over (order by ${inOrder}) as _place, _record, _line, _kind, ${keys.map((key) => key.name).join(', ')},
      case when _found is null and _kind = 'created' then 'gone'
        -- A record that is there again is never written over.
        when _kind = 'deleted' and _found then 'skip'
        when _found is null and _kind <> 'deleted' or ${choice('changed')} and 'changed' = any(_conflicts) or ${choice('seenLater')} and 'seenLater' = any(_conflicts)
          or 'referenced' = any(_conflicts) then 'skip'
        when _kind = 'created' then 'remove' when _kind = 'deleted' then 'reinsert' when _kind = 'deactivated' then 'reactivate' else 'restore' end as _decision,
      'changed' = any(_conflicts) and not ${choice('changed')} as _forced,
      _conflicts, _seen_by, _referenced_by,
      case when _found and cardinality(_conflicts) > 0 then jsonb_build_object(${written.map(({ name }) => `${quoteText(name)}, ${quoteName('n_' + name)}`).join(', ')}) end as _now
      ${list([...written.map(({ name }) => quoteName('b_' + name)), ...written.map(({ name }) => quoteName('a_' + name)), ...spelled.map(({ name }) => quoteName('x_' + name))])}
    from f`;
}

/** What a preview and a plan count: records, what would be done, and each kind of conflict. */
export interface RevertCounts {
  records: number;
  remove: number;
  restore: number;
  gone: number;
  skip: number;
  conflicts: { changed: number; seenLater: number; referenced: number };
}

export async function countDecisions(client: pg.Pool | pg.PoolClient, table: string): Promise<RevertCounts> {
  const [row] = (
    await client.query<{ counts: RevertCounts }>(
      `select jsonb_build_object('records', count(*),
         'remove', count(*) filter (where _decision = 'remove'), 'restore', count(*) filter (where _decision in ('restore', 'reactivate', 'reinsert')),
         'gone', count(*) filter (where _decision = 'gone'), 'skip', count(*) filter (where _decision = 'skip'),
         'conflicts', jsonb_build_object('changed', count(*) filter (where 'changed' = any(_conflicts)),
           'seenLater', count(*) filter (where 'seenLater' = any(_conflicts)),
           'referenced', count(*) filter (where 'referenced' = any(_conflicts)))) as counts from ${table}`,
    )
  ).rows;
  return row!.counts;
}
