import { receiptTimes } from './later-imports.ts';
import { quoteText } from './connect.ts';
import { missingTable } from './missing-table.ts';
import { planTable } from './plan.ts';

/** What can come of a row; the position is what key maps keep of it. Only ever add at the end. */
export const FATES = [
  'created',
  'updated',
  'unchanged',
  'duplicate',
  'blocked',
  'stale',
  'skipped',
  'failed',
  'notProcessed',
  'deactivated',
  'deleted',
  // A missing record that had become what it was to become, and one that was left alone.
  'gone',
  'kept',
] as const;
export type Fate = (typeof FATES)[number];

/**
 * Rows of an import's ledger with what came of each: `_record`, `_line`, `_offset`, `_bytes`, `_seq`, `fate`, `at`
 * (when its batch was committed), `code`, `message`, and the columns asked for of the plan `p`. `only`: a condition on `p`.
 */
export function ledgerRows(
  importId: string,
  lockKey: number,
  { columns = [], only = 'true' }: { columns?: string[]; only?: string } = {},
): string {
  const id = quoteText(importId);
  return `select p._record, p._line, p._offset, p._bytes, p._seq, p._winner, p._issues,
      coalesce(o.outcome, case when p._seq is null then p._decision
        when p._seq <= r.lasts[width_bucket(p._seq, r.firsts)] then case p._decision when 'create' then 'created' when 'update' then 'updated' else p._decision end
        else 'notProcessed' end) as fate,
      case when p._seq <= r.lasts[width_bucket(p._seq, r.firsts)] then r.times[width_bucket(p._seq, r.firsts)] end as at,
      o.code, o.message${columns.map((column) => `, ${column}`).join('')}
    from ${planTable(lockKey)} p cross join (${receiptTimes(id)}) r
    left join (select distinct on (record) record, outcome, code, message from waybill.outcomes
      where import_id = ${id} order by record, wave desc) o on o.record = p._record
    where ${only}`;
}

/**
 * The records that the import found missing with what came of each: the same columns as `ledgerRows`, with record numbers
 * below zero and no place in a file. `only`: a condition on the plan's row `p`.
 */
export function missingRows(
  importId: string,
  lockKey: number,
  { columns = [], only = 'true' }: { columns?: string[]; only?: string } = {},
): string {
  const id = quoteText(importId);
  return `select p._record, null::bigint as _line, null::bigint as _offset, null::int as _bytes, p._seq, null::bigint as _winner, null::jsonb as _issues,
      case when o.outcome = 'unchanged' then 'gone' when o.outcome is not null then 'kept'
        when p._seq <= r.lasts[width_bucket(p._seq, r.firsts)] then case p._decision when 'delete' then 'deleted' else 'deactivated' end
        else 'notProcessed' end as fate,
      case when p._seq <= r.lasts[width_bucket(p._seq, r.firsts)] then r.times[width_bucket(p._seq, r.firsts)] end as at,
      o.code, o.message${columns.map((column) => `, ${column}`).join('')}
    from ${missingTable(lockKey)} p cross join (${receiptTimes(id)}) r
    left join (select distinct on (record) record, outcome, code, message from waybill.outcomes
      where import_id = ${id} and record < 0 order by record, wave desc) o on o.record = p._record
    where ${only}`;
}
