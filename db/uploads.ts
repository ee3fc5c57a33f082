import type postgres from 'postgres';

/** An import whose file is on its way, with what is needed to receive it. */
export interface Upload {
  importId: string;
  tenantId: string;
  dataset: string;
  fileName: string;
  contentType: string;
  status: string;
  policy: 'auto' | 'review' | 'guard';
  key: string;
  storeUploadId: string;
  partSize: number;
  declaredSize: number | null;
  expiresAt: Date;
  /** By the database's clock, which set the time. */
  expired: boolean;
  completed: boolean;
}

export interface NewUpload {
  importId: string;
  tenantId: string;
  dataset: string;
  datasetVersion: number;
  fileName: string;
  contentType: string;
  key: string;
  storeUploadId: string;
  partSize: number;
  declaredSize: number | null;
  expiresInSeconds: number;
  idempotencyKey: string;
  createdBy: string;
}

/** The import and its upload, in one statement: neither is ever there without the other. */
export async function insertUpload(sql: postgres.Sql, upload: NewUpload): Promise<void> {
  await sql`
    with import as (
      insert into waybill.imports (import_id, tenant_id, dataset, dataset_version, source, file_name, content_type,
        object_key, file_size, status, idempotency_key, created_by)
      values (${upload.importId}, ${upload.tenantId}, ${upload.dataset}, ${upload.datasetVersion},
        ${sql.json({ kind: 'upload' })}, ${upload.fileName}, ${upload.contentType}, ${upload.key},
        ${upload.declaredSize}, 'uploading', ${upload.idempotencyKey}, ${upload.createdBy})
      returning import_id
    )
    insert into waybill.uploads (import_id, store_upload_id, part_size, declared_size, expires_at)
    select import_id, ${upload.storeUploadId}, ${upload.partSize}, ${upload.declaredSize},
      now() + make_interval(secs => ${upload.expiresInSeconds}) from import`;
}

export async function findUpload(
  sql: postgres.Sql,
  tenantId: string,
  importId: string,
): Promise<Upload | null> {
  const [found] = await sql<Upload[]>`
    select i.import_id as "importId", i.tenant_id as "tenantId", i.dataset, i.file_name as "fileName",
      coalesce(i.content_type, 'application/octet-stream') as "contentType", i.status, i.policy,
      i.object_key as key, u.store_upload_id as "storeUploadId", u.part_size as "partSize",
      u.declared_size as "declaredSize", u.expires_at as "expiresAt", u.expires_at < now() as expired,
      u.completed_at is not null as completed
    from waybill.imports i join waybill.uploads u using (import_id)
    where i.import_id = ${importId} and i.tenant_id = ${tenantId}`;
  return found ?? null;
}

/** Imports of a tenant that are on their way in or in line. */
export async function countQueued(sql: postgres.Sql, tenantId: string): Promise<number> {
  const [row] = await sql<[{ n: number }]>`
    select count(*)::int as n from waybill.imports
    where tenant_id = ${tenantId} and status in ('uploading', 'queued', 'running')`;
  return row.n;
}

/** Gives an upload that is still open more time. */
export async function extendUpload(sql: postgres.Sql, importId: string, seconds: number): Promise<void> {
  await sql`
    update waybill.uploads set expires_at = now() + make_interval(secs => ${seconds})
    where import_id = ${importId} and completed_at is null and aborted_at is null`;
}

export interface ReceivedFile {
  importId: string;
  etag: string;
  size: number;
  sha256: string | null;
  policy: 'auto' | 'review' | 'guard';
  mode: 'upsert' | 'insert' | 'update' | 'add';
  options: Record<string, unknown>;
  actor: string;
}

/** From `uploading` to `queued`, with what was asked for. False where it is no longer uploading. */
export async function acceptUpload(sql: postgres.Sql, file: ReceivedFile): Promise<boolean> {
  const accepted = await sql`
    with accepted as (
      update waybill.imports set status = 'queued', object_etag = ${file.etag}, file_size = ${file.size},
        file_sha256 = ${file.sha256}, policy = ${file.policy}, mode = ${file.mode},
        options = ${sql.json(file.options as postgres.JSONValue)}
      where import_id = ${file.importId} and status = 'uploading'
      returning import_id, tenant_id
    ), completed as (
      update waybill.uploads set completed_at = now() where import_id in (select import_id from accepted)
    )
    insert into waybill.audit (tenant_id, import_id, actor, action, detail)
    select tenant_id, import_id, ${file.actor}, 'upload', ${sql.json({ bytes: file.size })} from accepted
    returning 1`;
  return accepted.length > 0;
}

/** Ends an import whose upload was refused; there is no run to end. */
export async function refuseUpload(
  sql: postgres.Sql,
  importId: string,
  error: { code: string; message: string },
): Promise<void> {
  await sql`
    with refused as (
      update waybill.imports set status = 'failed', finished_at = now(), error = ${sql.json(error)}
      where import_id = ${importId} and status = 'uploading' returning import_id
    )
    update waybill.uploads set aborted_at = now() where import_id in (select import_id from refused)`;
}

/** Notes that nothing of the upload is left in the store. */
export async function markUploadAborted(sql: postgres.Sql, importId: string): Promise<void> {
  await sql`update waybill.uploads set aborted_at = now() where import_id = ${importId} and completed_at is null`;
}
