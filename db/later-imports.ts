import type pg from 'pg';
import { quoteText } from './connect.ts';
import { missingTable } from './missing-table.ts';
import { planTable } from './plan.ts';

/** Another import of the same turn that committed something, or ended, after the first batch of ours. */
export interface LaterImport {
  importId: string;
  lockKey: number;
  /** Where it was undone itself. */
  lastRevert: number | null;
  /** It deactivated or deleted records that its file did not have. */
  missing: boolean;
}

export const revertTable = (lockKey: number, revert: number): string => `stage.revert_${lockKey}_${revert}`;

/** Records that a revert has undone. A record finds its batch in an array: joined by range, each would meet each batch. */
export const undoneRecords = (importId: string, lockKey: number, revert: number): string => {
  const of = `import_id = ${quoteText(importId)} and revert = ${revert}`;
  return `select e._record from ${revertTable(lockKey, revert)} e cross join (
     select coalesce(array_agg(first_place order by first_place), '{}') as firsts, coalesce(array_agg(last_place order by first_place), '{}') as lasts
     from waybill.revert_receipts join waybill.revert_batches using (import_id, revert, batch) where ${of}) done
   where e._decision in ('remove', 'restore', 'reactivate', 'reinsert') and e._place <= done.lasts[width_bucket(e._place, done.firsts)]
     and not exists (select from waybill.revert_outcomes o where ${of} and o.record = e._record)`;
};

/** First and last seq of the receipted batches of an import, and when each was committed. */
export const receiptTimes = (importId: string): string =>
  `select coalesce(array_agg(b.first_seq order by b.first_seq), '{}') as firsts, coalesce(array_agg(b.last_seq order by b.first_seq), '{}') as lasts,
     coalesce(array_agg(c.committed_at order by b.first_seq), '{}') as times
   from waybill.receipts c join waybill.batches b using (import_id, wave, batch) where c.import_id = ${importId}`;

/** Null too where what it left alone is no longer kept: then all of its records count. */
const LAST_REVERT = `case when i.status = 'reverted' then
  (select max(v.revert) from waybill.reverts v where v.import_id = i.import_id and v.planned_at is not null
     and to_regclass('stage.revert_' || i.lock_key || '_' || v.revert) is not null) end as "lastRevert"`;

export async function laterImports(
  client: pg.Pool | pg.PoolClient,
  importId: string,
): Promise<LaterImport[]> {
  const found = await client.query<LaterImport>(
    `select i.import_id as "importId", i.lock_key as "lockKey", to_regclass('stage.missing_' || i.lock_key) is not null as missing, ${LAST_REVERT}
     from waybill.imports i cross join (select min(committed_at) as first from waybill.receipts where import_id = $1) m
     where i.turn = (select turn from waybill.imports where import_id = $1) and i.import_id <> $1 and to_regclass('stage.plan_' || i.lock_key) is not null
       -- One of which every row was blocked has no receipt.
       and (exists (select from waybill.receipts r where r.import_id = i.import_id and r.committed_at > m.first)
         or i.status in ('completed', 'completed_with_issues') and i.finished_at > m.first)
     order by i.lock_key`,
    [importId],
  );
  return found.rows;
}

/**
 * Imports of the same turn whose files are later than the decision about what is missing in ours: what they committed
 * came after `since`, or they were begun after this one. `sameSource`: of the same profile or sync.
 */
export async function importsSince(
  client: pg.Pool | pg.PoolClient,
  importId: string,
  since: string | null,
): Promise<(LaterImport & { fileName: string; sameSource: boolean })[]> {
  const found = await client.query<LaterImport & { fileName: string; sameSource: boolean }>(
    `select i.import_id as "importId", i.lock_key as "lockKey", i.file_name as "fileName", ${LAST_REVERT},
       -- What it removed itself is gone, or is seen to have changed.
       false as missing,
       coalesce(i.tenant_id = m.tenant_id and i.dataset = m.dataset and (i.profile = m.profile or i.sync_id = m.sync_id), false) as "sameSource"
     from waybill.imports i join waybill.imports m on m.import_id = $1 and i.turn = m.turn and i.import_id <> m.import_id
     where to_regclass('stage.plan_' || i.lock_key) is not null
       and (exists (select from waybill.receipts r where r.import_id = i.import_id and (r.committed_at > $2 or i.created_at > m.created_at))
         or i.status in ('completed', 'completed_with_issues') and (i.finished_at > $2 or i.created_at > m.created_at))
     order by i.created_at, i.lock_key`,
    [importId, since],
  );
  return found.rows;
}

/**
 * Keys that those imports had a row for, whatever came of it, and when. Of one that was undone itself only the records
 * that its revert left alone count. `same`: the condition that a sighting, by its alias, is of our row's key; compared as
 * they are written where the key's type has changed since.
 */
export async function sightings(
  client: pg.Pool | pg.PoolClient,
  imports: LaterImport[],
  keys: { name: string; type: string }[],
): Promise<{ sql: string; same: (seen: string, ours: string) => string } | null> {
  const found: { one: LaterImport; types: string[] }[] = [];
  for (const one of imports) {
    const columns = await client.query<{ type: string }>(
      `select format_type(atttypid, atttypmod) as type from pg_attribute
       where attrelid = to_regclass($1) and attname ~ '^_k[0-9]+$' and not attisdropped order by attnum`,
      [planTable(one.lockKey)],
    );
    // A dataset that has another key since: there is nothing to compare.
    if (columns.rows.length === keys.length) found.push({ one, types: columns.rows.map((row) => row.type) });
  }
  const asText = found.some(({ types }) => types.some((type, n) => type !== keys[n]!.type));
  const parts: string[] = [];
  for (const { one } of found) {
    const plan = planTable(one.lockKey);
    const select = keys.map((key) => (asText ? `p.${key.name}::text as ${key.name}` : `p.${key.name}`));
    const id = quoteText(one.importId);
    // The last revert's plan has every record that those before it did not undo.
    const kept =
      one.lastRevert !== null
        ? ` and p._record in (select _record from ${revertTable(one.lockKey, one.lastRevert)} where _decision <> 'gone' except ${undoneRecords(one.importId, one.lockKey, one.lastRevert)})`
        : '';
    parts.push(
      `select ${select.join(', ')}, ${id}::text as import_id,
         case when p._seq is null then (select max(made_at) from waybill.plans where import_id = ${id})
           when p._seq <= r.lasts[width_bucket(p._seq, r.firsts)] then r.times[width_bucket(p._seq, r.firsts)] end as at
       from ${plan} p cross join (${receiptTimes(id)}) r
       where ${keys.map((key) => `p.${key.name} is not null`).join(' and ')}${kept}`,
    );
    // What it had no row for, and deactivated or deleted for that.
    if (one.missing)
      parts.push(
        `select ${select.join(', ')}, ${id}::text as import_id,
           case when p._seq <= r.lasts[width_bucket(p._seq, r.firsts)] then r.times[width_bucket(p._seq, r.firsts)] end as at
         from ${missingTable(one.lockKey)} p cross join (${receiptTimes(id)}) r where true${kept}`,
      );
  }
  if (parts.length === 0) return null;
  return {
    sql: parts.join('\nunion all\n'),
    same: (seen, ours) =>
      keys.map(({ name }) => `${seen}.${name} = ${ours}.${name}${asText ? '::text' : ''}`).join(' and '),
  };
}
