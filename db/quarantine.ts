import type pg from 'pg';
import type postgres from 'postgres';

export interface Quarantined {
  importId: string;
  objectKey: string;
  /** The scanner's name for what it found. */
  signature: string;
  /** Which scanner said so, as it is configured. */
  scanner: string;
}

/** Notes where a file was moved to and why; a second time changes nothing. */
export async function noteQuarantine(pool: pg.Pool, found: Quarantined, tenantId: string): Promise<void> {
  await pool.query(
    `insert into waybill.quarantine (import_id, tenant_id, object_key, signature, scanner)
     values ($1, $2, $3, $4, $5) on conflict (import_id) do nothing`,
    [found.importId, tenantId, found.objectKey, found.signature, found.scanner],
  );
}

/** Also of a file that has been removed since. */
export async function findQuarantined(
  pool: pg.Pool,
  importId: string,
): Promise<(Quarantined & { tenantId: string; removed: boolean }) | null> {
  const { rows } = await pool.query<Quarantined & { tenantId: string; removed: boolean }>(
    `select import_id as "importId", object_key as "objectKey", signature, scanner,
       tenant_id as "tenantId", removed_at is not null as removed
     from waybill.quarantine where import_id = $1`,
    [importId],
  );
  return rows[0] ?? null;
}

export interface QuarantinePlace {
  foundAt: string;
  id: string;
}

export interface QuarantinedFile extends Quarantined {
  fileName: string;
  dataset: string;
  bytes: number | null;
  foundAt: Date;
  place: QuarantinePlace;
}

/** Notes that the file is gone, and who wanted it; false where it is none of the tenant's, or gone already. */
export async function noteRemoved(
  pool: pg.Pool,
  of: { importId: string; tenantId: string; actor: string },
): Promise<boolean> {
  const { rowCount } = await pool.query(
    `with removed as (
       update waybill.quarantine set removed_at = clock_timestamp(), removed_by = $3
       where import_id = $1 and tenant_id = $2 and removed_at is null returning object_key, signature)
     insert into waybill.audit (tenant_id, import_id, actor, action, detail)
     select $2, $1, $3, 'remove_quarantined', to_jsonb(removed) from removed`,
    [of.importId, of.tenantId, of.actor],
  );
  return rowCount === 1;
}

/** A tenant's files in quarantine, the newest first. */
export async function listQuarantine(
  sql: postgres.Sql,
  tenantId: string,
  limit: number,
  after: QuarantinePlace | null,
): Promise<QuarantinedFile[]> {
  return sql<QuarantinedFile[]>`
    select q.import_id as "importId", q.object_key as "objectKey", q.signature, q.scanner, q.found_at as "foundAt",
      i.file_name as "fileName", i.dataset, i.file_size as bytes,
      json_build_object('foundAt', q.found_at::text, 'id', q.import_id) as place
    from waybill.quarantine q join waybill.imports i using (import_id)
    where q.tenant_id = ${tenantId} and q.removed_at is null
      ${after ? sql`and (q.found_at, q.import_id) < (${after.foundAt}::timestamptz, ${after.id}::text)` : sql``}
    order by q.found_at desc, q.import_id desc limit ${limit}`;
}
