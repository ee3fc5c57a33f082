import type pg from 'pg';
import type { ImportRow } from '../db/control.ts';
import { findDuplicate } from '../db/duplicates.ts';
import { ImportRefused } from './guarded.ts';

/** Refuses a file that was imported before, unless it was said that it may be. */
export async function refuseDuplicate(
  pool: pg.Pool,
  row: ImportRow,
  profile: { name: string; version: number },
): Promise<void> {
  if (row.options['allow_duplicate'] === true) return;
  const earlier = await findDuplicate(pool, {
    importId: row.import_id,
    tenantId: row.tenant_id,
    dataset: row.dataset,
    contentSha256: row.content_sha256!,
    profile: profile.name,
    version: profile.version,
    mode: row.mode,
  });
  if (!earlier) return;
  throw new ImportRefused(
    'duplicate_file',
    `This very file was already imported, on ${earlier.finishedAt.toISOString().slice(0, 16).replace('T', ' ')} UTC. Allow duplicates to import it again.`,
    { importId: earlier.importId },
  );
}
