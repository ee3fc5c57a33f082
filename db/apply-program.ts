import { quoteName, quoteText } from './connect.ts';
import { arbiterOf, keyJoin, planKey, type Target } from './target.ts';

/** A third lane brought nothing on two cores (4.1 s with two, 4.6 s with three for 1M rows). */
export const LANES = 2;

/** A field as it is written: its column, and what an empty cell and the mode make of it. */
export interface WrittenField {
  column: string;
  type: string;
  /** What its values are staged as, where the reader does not know the type: planning asks the database about them. */
  staged?: string;
  /** `keep`: NULL in the plan leaves the record's value; `clear`: it is written. */
  empty: 'keep' | 'clear';
  /** Part of the natural key: set on insert, never on update. */
  key: boolean;
  /** Mode `add`: the number is added to what is there. */
  add: boolean;
}

/**
 * The statements that waybill.apply_batches runs, frozen with the plan. Parameters of the writing ones: $1 first
 * seq, $2 last seq, $3 records (null: those that the plan decided for), $4 wave, $5 batch.
 */
export interface ApplyProgram {
  check: string;
  planned: string;
  record_of: string;
  /** Null where rows must be read back one by one. */
  insert_fast: string | null;
  insert: string;
  update: string;
  classify: string;
  reviewed: boolean;
  /** How many ranges of batches may be applied at once. */
  lanes: number;
  /** For records that the file does not have (db/missing.ts); null where the import leaves them alone. */
  missing?: MissingProgram | null;
}

/** Parameters: $1 first seq, $2 last seq, $3 records. */
export interface MissingProgram {
  decision: 'deactivate' | 'delete';
  /** When they were looked for: what others commit from then on they were not looked at with. */
  found_at: string;
  /** Records may refer to each other: what the others held goes when they have gone. */
  again: boolean;
  /** Of a deactivation: the column and what it gets, as text. */
  sets: Record<string, string | null>;
  check: string;
  planned: string;
  record_of: string;
  lock: string | null;
  write: string;
  classify: string;
}

/** The new value of a column where the record exists: `t` is the record, `p` the plan's row. */
function updatedValue(field: WrittenField): string {
  const column = quoteName(field.column);
  const value = `p.${quoteName('v_' + field.column)}`;
  if (field.add)
    return `case when ${value} is null then t.${column} else coalesce(t.${column}, 0) + ${value} end`;
  return field.empty === 'keep' ? `coalesce(${value}, t.${column})` : value;
}

/** Types that have no equality, or one that is not of the value (two boxes of one area). */
const BY_TEXT = /^(json|jsonpath|xml|point|polygon|path|box|circle)(\[\])*$/;

export const comparable = (type: string, expression: string): string =>
  BY_TEXT.test(type) ? `(${expression})::text` : expression;

/** True where writing the plan's row would change the record. */
export function differs(
  fields: WrittenField[],
  live: (column: string) => string,
  plan: (column: string) => string,
): string {
  const parts = fields
    .filter((field) => !field.key)
    .map((field) => {
      const value = comparable(field.type, plan(field.column));
      const current = comparable(field.type, live(field.column));
      if (field.add) return `coalesce(${value}, 0) <> 0`;
      const differs = `${current} is distinct from ${value}`;
      return field.empty === 'keep' ? `(${value} is not null and ${differs})` : differs;
    });
  return parts.length > 0 ? parts.join(' or ') : 'false';
}

/**
 * Types that are hashed as they are, and not as they are written: how a time, a float or bytes are written is a setting
 * of the session, and a digest has to be the same in every one.
 */
export const HASHED =
  /^(text|character varying|character|numeric|bigint|integer|smallint|uuid|date|timestamp|time|interval|boolean|real|double precision|bytea|jsonb|inet|cidr)\b/;

/** The extended hash function of a type that many columns have. */
const HASHES: Record<string, string> = {
  text: 'hashtextextended',
  'character varying': 'hashtextextended',
  numeric: 'hash_numeric_extended',
  bigint: 'hashint8extended',
  integer: 'hashint4extended',
  smallint: 'hashint2extended',
  uuid: 'uuid_hash_extended',
};

/**
 * The hash of a plan row as it was approved: what is written, where, and what the plan had seen there. Each column is
 * hashed with a seed of its own and the row once more over all of them: half of what hash_record_extended takes, which
 * builds a record of every row and takes it apart again.
 */
export function rowHash(target: Target, fields: WrittenField[], alias: string): string {
  const columns = [
    { name: '_record', type: 'bigint' },
    { name: '_seq', type: 'bigint' },
    { name: '_decision', type: 'text' },
    ...planKey(target),
    ...fields.map((field) => ({ name: quoteName('v_' + field.column), type: field.type })),
    ...fields
      .filter((field) => !field.key)
      .map((field) => ({ name: quoteName('s_' + field.column), type: field.type })),
  ];
  return hashOf(columns, alias);
}

/** One hash over columns of a row, each with a seed of its own. */
export function hashOf(columns: { name: string; type: string }[], alias: string): string {
  const hashes = columns.map(({ name, type }, n) => {
    const hash = HASHES[type.replace(/\([^)]*\)/, '')];
    const value = `${alias}.${name}`;
    const hashed = hash
      ? `${hash}(${value}, ${n})`
      : HASHED.test(type)
        ? `hash_record_extended(row(${value}), ${n})`
        : `hashtextextended(${value}::text, ${n})`;
    return `coalesce(${hashed}, ${n})`;
  });
  return `hashint8extended(${hashes.join(' # ')}, 0)`;
}

/**
 * Writes the program for a plan table. `images` is the import's table of before- and after-images.
 * On PostgreSQL 18 an UPDATE returns the old row itself; before that the rows are locked and read first.
 */
export function writeProgram(options: {
  target: Target;
  tenantId: string;
  plan: string;
  images: string;
  fields: WrittenField[];
  reviewed: boolean;
  /** Only for the tests: writes the statements that PostgreSQL 16 and 17 get. */
  serverVersion?: number;
}): ApplyProgram {
  const { target, tenantId, plan, images, fields, reviewed } = options;
  const hasTenant = target.columns.some((column) => column.name === 'tenant_id');
  const written = fields.filter((field) => !field.key);
  const defaults = new Map(target.columns.map((column) => [column.name, column.default]));
  const range = `p._seq between $1 and $2`;
  const chosen = (decision: string) =>
    `${range} and (($3::bigint[] is null and p._decision = '${decision}') or p._record = any($3::bigint[]))`;

  const insertColumns = [...(hasTenant ? ['tenant_id'] : []), ...fields.map((field) => field.column)].map(
    quoteName,
  );
  const insertValues = [
    ...(hasTenant ? [quoteText(tenantId)] : []),
    ...fields.map((field) => {
      const value = `p.${quoteName('v_' + field.column)}`;
      const fallback = defaults.get(field.column);
      return fallback !== null && fallback !== undefined && field.empty === 'keep'
        ? `coalesce(${value}, ${fallback})`
        : value;
    }),
  ];
  const into = `insert into ${target.name} (${insertColumns.join(', ')}) select ${insertValues.join(', ')} from ${plan} p`;
  const keys = planKey(target);
  const back = keys.map((key) => `${key.expression} as ${key.name}`).join(', ');
  const sameKey = keys.map((key) => `w.${key.name} = p.${key.name}`).join(' and ') || 'true';
  const names = (prefix: string) => written.map((field) => quoteName(prefix + field.column));

  // Where a trigger may change what goes in, created rows leave an after-image too.
  const returned = target.hasRowTrigger
    ? [
        back,
        ...written.map((field) => `${quoteName(field.column)} as ${quoteName('a_' + field.column)}`),
      ].join(', ')
    : back;
  const imageOfCreated = target.hasRowTrigger
    ? `, i as (insert into ${images} (_record, _wave, _batch, _created, ${names('a_').join(', ') || '_ignored'})
         select p._record, $4, $5, true, ${
           names('a_')
             .map((n) => `w.${n}`)
             .join(', ') || 'null'
         }
         from ${plan} p join w on ${sameKey} where ${range})`
    : '';
  const insert = `with w as (${into} where ${chosen('create')} order by p._seq
      on conflict (${arbiterOf(target)}) do nothing returning ${returned})${imageOfCreated}
    select coalesce(array_agg(p._record), '{}') from ${plan} p join w on ${sameKey} where ${range}`;

  const key = keyJoin(target, tenantId, 'p');
  const unmoved = reviewed
    ? ` and ${written.map((field) => `${comparable(field.type, `t.${quoteName(field.column)}`)} is not distinct from ${comparable(field.type, `p.${quoteName('s_' + field.column)}`)}`).join(' and ') || 'true'}`
    : '';
  const difference = differs(
    fields,
    (c) => `t.${quoteName(c)}`,
    (c) => `p.${quoteName('v_' + c)}`,
  );
  const set = written.map((field) => `${quoteName(field.column)} = ${updatedValue(field)}`).join(', ');
  const imageColumns = ['_record', '_wave', '_batch', '_created', ...names('b_'), ...names('a_')].join(', ');
  const update =
    written.length === 0
      ? `select '{}'::bigint[]`
      : (options.serverVersion ?? target.serverVersion) >= 180000
        ? `with w as (update ${target.name} t set ${set} from ${plan} p
             where ${chosen('update')} and ${key} and (${difference})${unmoved}
             returning p._record, ${[...written.map((f) => `old.${quoteName(f.column)} as ${quoteName('b_' + f.column)}`), ...written.map((f) => `new.${quoteName(f.column)} as ${quoteName('a_' + f.column)}`)].join(', ')}),
           i as (insert into ${images} (${imageColumns}) select w._record, $4, $5, false, ${[...names('b_'), ...names('a_')].map((n) => `w.${n}`).join(', ')} from w)
           select coalesce(array_agg(_record), '{}') from w`
        : `with l as materialized (select p._record, ${written.map((f) => `t.${quoteName(f.column)} as ${quoteName('b_' + f.column)}`).join(', ')}
             from ${plan} p join ${target.name} t on ${key} where ${chosen('update')} order by p._seq for update of t),
           w as (update ${target.name} t set ${set} from ${plan} p
             where p._record = any(array(select _record from l)) and ${chosen('update')} and ${key} and (${difference})${unmoved}
             returning p._record, ${written.map((f) => `t.${quoteName(f.column)} as ${quoteName('a_' + f.column)}`).join(', ')}),
           i as (insert into ${images} (${imageColumns}) select w._record, $4, $5, false, ${[...names('b_').map((n) => `l.${n}`), ...names('a_').map((n) => `w.${n}`)].join(', ')} from w join l using (_record))
           select coalesce(array_agg(_record), '{}') from w`;

  return {
    check: `select count(*) as rows, coalesce(bit_xor(${rowHash(target, fields, 'p')}), 0) as digest,
        count(*) filter (where p._decision = 'create') as creates,
        count(*) filter (where p._decision = 'update') as updates,
        count(*) filter (where p._decision = 'unchanged') as unchanged
      from ${plan} p where ${range}`,
    planned: `select coalesce(array_agg(p._record), '{}') from ${plan} p where ${range} and p._decision = $3`,
    record_of: `select p._record from ${plan} p where p._seq = $1`,
    insert_fast: target.hasRowTrigger
      ? null
      : `${into} where ${range} and p._decision = 'create' order by p._seq`,
    insert,
    update,
    classify: `select coalesce(array_agg(p._record) filter (where t.found and not coalesce(t.differs, false)), '{}') as equal,
        coalesce(array_agg(p._record) filter (where t.found and t.differs), '{}') as different,
        coalesce(array_agg(p._record) filter (where t.found is null), '{}') as absent
      from ${plan} p left join lateral (select true as found, (${difference}) as differs from ${target.name} t where ${key}) t on true
      where ${range} and p._record = any($3::bigint[])`,
    reviewed,
    lanes: target.oneLane ? 1 : LANES,
  };
}
