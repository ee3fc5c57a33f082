import type pg from 'pg';
import { quoteName, quoteText, withClient } from './connect.ts';
import { keyColumns, keyHash } from './key-map.ts';
import { revertTable } from './later-imports.ts';
import { FATES, ledgerRows, missingRows, type Fate } from './ledger.ts';
import { imagesTable } from './plan.ts';
import { planKey, type Target } from './target.ts';

type Values = Record<string, string | null>;

/** What a row of an import came to, with the record before and after where it is (still) kept. Values by column. */
export interface RowOutcome {
  importId: string;
  record: number;
  /** Null for a record that was missing in the file; its `record` is below zero. */
  line: number | null;
  fate: Fate;
  /** When its batch was committed; null where none was. */
  at: Date | null;
  /** Of the key, as the target's index has it. */
  key: string[];
  /** As the row would have them written; null where they are no longer kept. */
  values: Values | null;
  before: Values | null;
  after: Values | null;
  code: string | null;
  message: string | null;
  /** Another row of the file that had the same key and counted instead. */
  winner: number | null;
  /** Undone since, or left alone by the revert: newest first. */
  reverts: { revert: number; at: Date; outcome: 'removed' | 'restored' | 'gone' | 'skipped' | 'failed' }[];
  offset: number;
  bytes: number;
  /** Of a row that was rejected or blocked: its cells as they were read. */
  raw: string[] | null;
  issues: { code: string; message: string; field: string | null; column: string | null }[];
}

export interface HistoryEntry extends RowOutcome {
  fileName: string;
  createdBy: string;
  status: string;
}

export interface RecordHistory {
  /** Values by column as they are now; null where there is no such record. */
  record: Values | null;
  entries: HistoryEntry[];
  /** Lock key of the import behind which the next page begins; null at the end. */
  next: number | null;
}

const textObject = (source: string, prefix: string): string =>
  `(select jsonb_object_agg(substr(k, 3), v) from jsonb_each_text(to_jsonb(${source})) e (k, v) where k like '${prefix}\\_%')`;

interface Shape {
  importId: string;
  lockKey: number;
  fileName: string;
  createdBy: string;
  status: string;
  keys: { name: string; type: string }[];
  images: boolean;
  values: boolean;
  /** Records that were missing, and whether they are still known whole. */
  missing: boolean;
  missing_values: boolean;
  reverts: number[];
}

/** What is (still) kept of each import, by lock key; those without a ledger are left out. */
async function shapesOf(client: pg.PoolClient, lockKeys: number[]): Promise<Map<number, Shape>> {
  const found = await client.query<Shape>(
    `select i.import_id as "importId", i.lock_key as "lockKey", i.file_name as "fileName", i.created_by as "createdBy", i.status,
       to_regclass('stage.images_' || i.lock_key) is not null as images, a.keys, a.values,
       to_regclass('stage.missing_' || i.lock_key) is not null as missing,
       exists (select from pg_attribute where attrelid = to_regclass('stage.missing_' || i.lock_key) and attname like 'r\\_%') as missing_values,
       array(select r.revert from waybill.reverts r where r.import_id = i.import_id and r.planned_at is not null
         and to_regclass('stage.revert_' || i.lock_key || '_' || r.revert) is not null order by 1 desc) as reverts
     from waybill.imports i cross join lateral (
       select json_agg(json_build_object('name', attname, 'type', format_type(atttypid, atttypmod)) order by attnum) filter (where attname ~ '^_k[0-9]+$') as keys,
         bool_or(attname like 'v\\_%') as values
       from pg_attribute where attrelid = to_regclass('stage.plan_' || i.lock_key) and attnum > 0 and not attisdropped) a
     where i.lock_key = any($1::bigint[]) and a.keys is not null`,
    [lockKeys],
  );
  return new Map(found.rows.map((shape) => [shape.lockKey, shape]));
}

/** One row of an import's ledger with everything that is known of it. */
function outcomeStatement(shape: Shape, record: number): string {
  if (record < 0) return missingStatement(shape, record);
  const { importId, lockKey, keys, images, values } = shape;
  const id = quoteText(importId);
  const row = ledgerRows(importId, lockKey, {
    columns: [
      'p._raw',
      `array[${keys.map(({ name }) => `p.${name}::text`).join(', ')}] as key`,
      ...(values ? ['p as whole'] : []),
    ],
    only: `p._record = ${record}`,
  });
  return `select ${lockKey}::bigint as "lockKey", ${id} as "importId", l._record as record, l._line as line, l.fate, l.at, l.key, l.code, l.message, l._winner as winner,
      l._offset as offset, l._bytes as bytes, l._raw as raw,
      ${values ? textObject('l.whole', 'v') : 'null::jsonb'} as values,
      ${images ? `case when not i._created then ${textObject('i', 'b')} end` : 'null::jsonb'} as before,
      ${images ? `${textObject('i', 'a')}` : 'null::jsonb'} as after,
      (select coalesce(jsonb_agg(jsonb_build_object('code', x ->> 'code', 'message', x ->> 'message', 'field', x ->> 'field', 'column', x ->> 'column')), '[]')
        from jsonb_array_elements(l._issues) x) as issues,
      ${undoneSince(shape)} as reverts
    from (${row}) l ${images ? `left join ${imagesTable(lockKey)} i on i._record = l._record` : ''}`;
}

/** What reverts of the import made of the row `l` since, as a JSON array. */
function undoneSince({ importId, lockKey, reverts }: Shape): string {
  const id = quoteText(importId);
  const undone = reverts.map(
    (revert) => `select ${revert} as revert, c.committed_at as at,
        coalesce(o.outcome, case e._decision when 'remove' then 'removed' when 'restore' then 'restored' when 'reactivate' then 'restored' when 'reinsert' then 'restored' when 'skip' then 'skipped' else e._decision end) as outcome
      from ${revertTable(lockKey, revert)} e
      join waybill.revert_batches b on b.import_id = ${id} and b.revert = ${revert} and e._place between b.first_place and b.last_place
      join waybill.revert_receipts c on (c.import_id, c.revert, c.batch) = (b.import_id, b.revert, b.batch)
      left join waybill.revert_outcomes o on o.import_id = ${id} and o.revert = ${revert} and o.record = e._record
      where e._record = l._record`,
  );
  return undone.length > 0
    ? `(select coalesce(jsonb_agg(jsonb_build_object('revert', revert, 'at', at, 'outcome', outcome) order by revert desc), '[]') from (${undone.join(' union all ')}) u)`
    : `'[]'::jsonb`;
}

/** The same of a record that was missing in the file. */
function missingStatement(shape: Shape, record: number): string {
  const { importId, lockKey, keys, missing_values: values } = shape;
  const row = missingRows(importId, lockKey, {
    columns: [
      `array[${keys.map(({ name }) => `p.${name}::text`).join(', ')}] as key`,
      'p._decision',
      ...(values ? ['p as whole'] : []),
    ],
    only: `p._record = ${record}`,
  });
  const before = values ? textObject('l.whole', 'r') : 'null::jsonb';
  return `select ${lockKey}::bigint as "lockKey", ${quoteText(importId)} as "importId", l._record as record, l._line as line, l.fate, l.at, l.key, l.code, l.message, l._winner as winner,
      l._offset as offset, l._bytes as bytes, null::jsonb as _raw, null::jsonb as values, ${before} as before,
      case when l.fate = 'deactivated' then ${before} || (select program #> '{missing,sets}' from waybill.plans p
        join waybill.imports i on i.import_id = p.import_id and i.plan_version = p.version where p.import_id = ${quoteText(importId)}) end as after,
      '[]'::jsonb as issues, ${undoneSince(shape)} as reverts
    from (${row}) l`;
}

/** Several rows in one statement: what a page costs is mostly how often the database is asked. */
async function outcomesOf(
  client: pg.PoolClient,
  rows: { shape: Shape; record: number }[],
): Promise<(RowOutcome & { lockKey: number })[]> {
  if (rows.length === 0) return [];
  const statement = rows
    .map(({ shape, record }) => `(${outcomeStatement(shape, record)})`)
    .join(' union all ');
  const found = await client.query<RowOutcome & { lockKey: number }>(statement);
  return found.rows.map((row) => ({
    ...row,
    // A created record is what the row said, unless a trigger had a word in it.
    after: row.after ?? (row.fate === 'created' ? row.values : null),
    reverts: row.reverts.map((one) => ({ ...one, at: new Date(one.at) })),
  }));
}

/** A row of an import and what came of it; null where the import has no such row or its ledger is no longer kept. */
export async function findRow(pool: pg.Pool, lockKey: number, record: number): Promise<RowOutcome | null> {
  return withClient(pool, async (client) => {
    const shape = (await shapesOf(client, [lockKey])).get(lockKey);
    return (shape && (await outcomesOf(client, [{ shape, record }]))[0]) ?? null;
  });
}

interface Sighting {
  lock_key: number;
  record: number;
}

const NEWEST = Number.MAX_SAFE_INTEGER;

/**
 * A page of what a record went through, the newest import first: one look into the map of each import's keys, and one
 * into the plans that had it. Imports without a map yet (it is made a while after the end) are looked through.
 */
export async function recordHistory(
  pool: pg.Pool,
  ask: {
    tenantId: string;
    turn: string;
    target: Target;
    /** Values of the key's columns, by column. */
    key: Values;
    fates?: Fate[];
    before?: number;
    limit: number;
  },
): Promise<RecordHistory> {
  const { tenantId, turn, target } = ask;
  const keys = planKey(target);
  const before = ask.before ?? NEWEST;
  const fates = ask.fates?.map((fate) => FATES.indexOf(fate)) ?? null;
  return withClient(pool, async (client) => {
    await client.query('begin read only');
    const given = target.columns
      .filter(({ name }) => name !== 'tenant_id' && ask.key[name] !== undefined)
      .map(
        ({ name, type }) =>
          `${ask.key[name] === null ? 'null' : quoteText(ask.key[name]!)}::${type} as ${quoteName(name)}`,
      );
    const [wanted] = (
      await client.query<{ hash: string; values: string[] }>(
        `select ${keyHash(keys, 'k')}::text as hash, array[${keys.map(({ name }) => `k.${name}::text`).join(', ')}] as values
         from (select ${keys.map(({ name, expression }) => `(${expression}) as ${name}`).join(', ')} from (select ${given.join(', ')}) g) k`,
      )
    ).rows;
    const { hash, values } = wanted!;
    const mapped = await client.query<Sighting>(
      'select lock_key, record from waybill.key_sightings($1, $2, $3, $4, $5)',
      [turn, tenantId, hash, before, fates],
    );
    const recent = await unmapped(client, { turn, tenantId, keys, values, before, fates });
    const found = [...mapped.rows, ...recent].sort((a, b) => b.lock_key - a.lock_key || b.record - a.record);

    // A page ends between two imports.
    let end = Math.min(ask.limit, found.length);
    while (end > 0 && end < found.length && found[end]!.lock_key === found[end - 1]!.lock_key) end++;
    const shapes = await shapesOf(client, [...new Set(found.slice(0, end).map(({ lock_key }) => lock_key))]);
    const outcomes = await outcomesOf(
      client,
      found.slice(0, end).flatMap(({ lock_key, record }) => {
        const shape = shapes.get(lock_key);
        return shape ? [{ shape, record }] : [];
      }),
    );
    const entries = outcomes
      // Two keys may share a hash.
      .filter((outcome) => outcome.key.every((value, n) => value === values[n]))
      .sort((a, b) => b.lockKey - a.lockKey || b.record - a.record)
      .map(({ lockKey, ...outcome }): HistoryEntry => {
        const { fileName, createdBy, status } = shapes.get(lockKey)!;
        return { ...outcome, fileName, createdBy, status };
      });
    const record = await client.query<{ now: Values }>(
      `select (select jsonb_object_agg(k, v) from jsonb_each_text(to_jsonb(t)) e (k, v)) as now from ${target.name} t
       where ${target.key
         .map((part) =>
           part.column === 'tenant_id'
             ? `tenant_id = $1`
             : `(${part.expression}) = ${keyValue(keys, part.expression, values)}`,
         )
         .join(' and ')}${target.perTenant ? '' : ' and $1::text is not null'}`,
      [tenantId],
    );
    await client.query('commit');
    return {
      record: record.rows[0]?.now ?? null,
      entries,
      next: end < found.length ? found[end - 1]!.lock_key : null,
    };
  });
}

const keyValue = (keys: ReturnType<typeof planKey>, expression: string, values: string[]): string => {
  const n = keys.findIndex((key) => key.expression === expression);
  return `${quoteText(values[n]!)}::${keys[n]!.type}`;
};

async function unmapped(
  client: pg.PoolClient,
  ask: {
    turn: string;
    tenantId: string;
    keys: { name: string; type: string }[];
    values: string[];
    before: number;
    fates: number[] | null;
  },
): Promise<Sighting[]> {
  const runs = await client.query<{ import_id: string; lock_key: number; missing: boolean }>(
    `select i.import_id, i.lock_key, to_regclass('stage.missing_' || i.lock_key) is not null as missing from waybill.imports i
     where i.turn = $1 and i.tenant_id = $2 and i.lock_key < $3 and i.plan_version > 0 and to_regclass('stage.plan_' || i.lock_key) is not null
       and not exists (select from waybill.key_maps m where m.lock_key = i.lock_key)`,
    [ask.turn, ask.tenantId, ask.before],
  );
  const found: Sighting[] = [];
  for (const { import_id, lock_key, missing } of runs.rows) {
    const keys = await keyColumns(client, lock_key);
    if (keys.length !== ask.keys.length) continue;
    const only = keys
      .map(({ name, type }, n) => `p.${name} = ${quoteText(ask.values[n]!)}::${type}`)
      .join(' and ');
    const rows = await client.query<{ record: number; fate: Fate }>(
      `select _record as record, fate from (${ledgerRows(import_id, lock_key, { only })}${
        missing ? ` union all ${missingRows(import_id, lock_key, { only })}` : ''
      }) l where fate <> 'notProcessed'`,
    );
    for (const { record, fate } of rows.rows)
      if (ask.fates === null || ask.fates.includes(FATES.indexOf(fate))) found.push({ lock_key, record });
  }
  return found;
}
