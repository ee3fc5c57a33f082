import type pg from 'pg';
import { quoteText, withClient } from './connect.ts';
import { keyColumns } from './key-map.ts';
import { ledgerRows, missingRows } from './ledger.ts';
import { missingTable } from './missing-table.ts';
import { imagesTable, planTable } from './plan.ts';

/** One statement that anybody can run, and the number that it has to come to. */
export interface ProofCheck {
  name: string;
  sql: string;
  expected: number;
}

export interface CheckedProof {
  ok: boolean;
  checks: (ProofCheck & { found: number | null; ok: boolean; error: string | null })[];
}

type Accounting = Record<string, number>;

/**
 * The proof of a run as SQL: what the run says of itself, each number counted anew from the rows themselves. Written
 * into the proof file, and run by `waybill proof`. What has been dropped by age is left out.
 */
export async function proofChecks(
  pool: pg.Pool,
  run: { importId: string; lockKey: number; accounting: Accounting },
): Promise<ProofCheck[]> {
  const { importId, lockKey, accounting } = run;
  const id = quoteText(importId);
  const [plan, images, missing] = [planTable(lockKey), imagesTable(lockKey), missingTable(lockKey)];
  const [there] = (
    await pool.query<{
      ledger: boolean;
      images: boolean;
      values: boolean;
      check: string | null;
      reverted: boolean;
      missing: boolean;
      missing_values: boolean;
      missing_check: string | null;
    }>(
      `select to_regclass($2) is not null as ledger, to_regclass($3) is not null as images,
         exists (select from pg_attribute where attrelid = to_regclass($2) and attname like 'v\\_%') as values,
         (select program ->> 'check' from waybill.plans p where p.import_id = i.import_id and p.version = i.plan_version) as check,
         (select program #>> '{missing,check}' from waybill.plans p where p.import_id = i.import_id and p.version = i.plan_version) as missing_check,
         to_regclass($4) is not null as missing,
         exists (select from pg_attribute where attrelid = to_regclass($4) and attname like 'r\\_%') as missing_values,
         exists (select from waybill.revert_receipts r where r.import_id = i.import_id) as reverted
       from waybill.imports i where i.import_id = $1`,
      [importId, plan, images, missing],
    )
  ).rows;
  const n = (name: string): number => accounting[name] ?? 0;
  const checks: ProofCheck[] = [];
  const check = (name: string, expected: number, sql: string) =>
    checks.push({ name, expected, sql: sql.replaceAll(/\s+/g, ' ').trim() });

  check(
    'the file has so many records',
    n('input'),
    `select coalesce(input_accepted + input_rejected, 0) from waybill.imports where import_id = ${id}`,
  );
  for (const outcome of ['created', 'updated', 'unchanged', 'stale', 'failed']) {
    check(
      `the receipts add up to ${outcome}`,
      n(outcome),
      `select coalesce(sum(${outcome}), 0) from waybill.receipts where import_id = ${id}`,
    );
  }
  check(
    'every receipt counts the rows of its batch',
    0,
    `select count(*) from waybill.receipts r join waybill.batches b using (import_id, wave, batch) where r.import_id = ${id}
       and r.created + r.updated + r.unchanged + r.stale + r.failed + r.deactivated + r.deleted + r.gone + r.kept <> b.rows`,
  );
  check(
    'no batch that was closed has a receipt',
    0,
    `select count(*) from waybill.receipts r join waybill.batches b using (import_id, wave, batch) where r.import_id = ${id} and b.superseded_at is not null`,
  );
  if (accounting['missing'] !== undefined) {
    for (const outcome of ['deactivated', 'deleted', 'kept'])
      check(
        `the receipts add up to ${outcome}`,
        n(outcome),
        `select coalesce(sum(${outcome}), 0) from waybill.receipts where import_id = ${id}`,
      );
  }
  if (accounting['missing'] !== undefined && there!.missing) {
    check(
      'every record that was missing is kept',
      n('missing'),
      `select count(distinct _record) from ${missing}`,
    );
    for (const fate of ['deactivated', 'deleted', 'kept'])
      check(
        `record by record, ${fate}`,
        n(fate),
        `select count(*) from (${missingRows(importId, lockKey)}) l where fate = ${quoteText(fate)}`,
      );
    if (there!.ledger)
      check(
        'none of them has a row in the file',
        0,
        `select count(*) from ${missing} m join ${plan} p on ${(await keyColumns(pool, lockKey)).map(({ name }) => `p.${name} = m.${name}`).join(' and ')}`,
      );
    if (there!.missing_values && there!.missing_check)
      check(
        'every batch of them is as it was approved, by its digest',
        0,
        `select count(*) from waybill.batches b cross join lateral (${there!.missing_check
          .replaceAll('$1', 'b.first_seq')
          .replaceAll('$2', 'b.last_seq')}) c where b.import_id = ${id} and b.missing
           and b.superseded_at is null and (c.rows, c.digest) is distinct from (b.rows::bigint, b.digest)`,
      );
  }
  if (there!.ledger) {
    check('the ledger holds every record of the file', n('input'), `select count(*) from ${plan}`);
    check('and each of them once', n('input'), `select count(distinct _record) from ${plan}`);
    check(
      'numbered from 1 to the last',
      n('input'),
      `select coalesce(max(_record), 0) from ${plan} where not exists (select from ${plan} where _record < 1)`,
    );
    const fates: Record<string, string> = { duplicates: 'duplicate' };
    const rows = ledgerRows(importId, lockKey);
    for (const name of [
      'created',
      'updated',
      'unchanged',
      'duplicates',
      'blocked',
      'stale',
      'skipped',
      'failed',
      'notProcessed',
    ]) {
      const fate = fates[name] ?? name;
      check(
        `row by row, the ledger has ${name}`,
        n(name),
        `select count(*) from (${rows}) l where fate = ${quoteText(fate)}`,
      );
    }
    if (there!.values && there!.check) {
      const rehash = there!.check.replaceAll('$1', 'b.first_seq').replaceAll('$2', 'b.last_seq');
      check(
        'every batch is as it was approved, by its digest',
        0,
        `select count(*) from waybill.batches b cross join lateral (${rehash}) c where b.import_id = ${id} and not b.missing
           and b.superseded_at is null and (c.rows, c.digest) is distinct from (b.rows::bigint, b.digest)`,
      );
    }
    if (there!.images) {
      check(
        'every updated record has one image of before and after',
        n('updated'),
        `select count(distinct i._record) from ${images} i join (${rows}) l using (_record) where not i._created and l.fate = 'updated'`,
      );
      check('and no other has', n('updated'), `select count(*) from ${images} where not _created`);
    }
  }
  if (there!.reverted) {
    check(
      'every receipt of what was undone counts the records of its batch',
      0,
      `select count(*) from waybill.revert_receipts r join waybill.revert_batches b using (import_id, revert, batch) where r.import_id = ${id}
         and (r.removed + r.restored + r.gone + r.skipped + r.failed <> b.rows or b.superseded_at is not null)`,
    );
  }
  return checks;
}

/** Runs the checks, all of one moment. A statement that fails is a check that fails. */
export async function runProof(pool: pg.Pool, checks: ProofCheck[]): Promise<CheckedProof> {
  return withClient(pool, async (client) => {
    await client.query(
      `begin isolation level repeatable read read only; set local statement_timeout = '10min'`,
    );
    const checked: CheckedProof['checks'] = [];
    for (const check of checks) {
      await client.query('savepoint one');
      try {
        const result = await client.query<Record<string, unknown>>(check.sql);
        const found = Number(Object.values(result.rows[0]!)[0]);
        checked.push({ ...check, found, ok: found === check.expected, error: null });
      } catch (error) {
        const { code, message } = error as { code?: string; message: string };
        // The connection itself is gone: that proves nothing.
        if (!code || /^(08|57)/.test(code)) throw error;
        await client.query('rollback to savepoint one');
        checked.push({ ...check, found: null, ok: false, error: message });
      }
    }
    await client.query('commit');
    return { ok: checked.every(({ ok }) => ok), checks: checked };
  });
}
