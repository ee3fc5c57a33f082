import type pg from 'pg';

/**
 * The run that brought in this very content with this very profile, complete and not undone. What is to be added counts
 * twice even where another run has added only some of it, and by whatever profile.
 */
export async function findDuplicate(
  pool: pg.Pool,
  of: {
    importId: string;
    tenantId: string;
    dataset: string;
    contentSha256: string;
    profile: string;
    version: number;
    mode: string;
  },
): Promise<{ importId: string; finishedAt: Date } | null> {
  const result = await pool.query<{ importId: string; finishedAt: Date }>(
    `select import_id as "importId", coalesce(finished_at, started_at) as "finishedAt" from waybill.imports i
     where tenant_id = $1 and dataset = $2 and content_sha256 = $3 and import_id <> $6
       and (status = 'completed' and profile = $4 and profile_version = $5
         or $7 = 'add' and mode = 'add' and waybill.has_effect(i))
     order by 2 desc limit 1`,
    [of.tenantId, of.dataset, of.contentSha256, of.profile, of.version, of.importId, of.mode],
  );
  return result.rows[0] ?? null;
}
