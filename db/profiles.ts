import { createHash } from 'node:crypto';
import type pg from 'pg';
import type { FileOptions, Manifest, Mapping } from '../intake/types.ts';
import { withTransaction } from './connect.ts';

export interface PinnedProfile {
  name: string;
  version: number;
  mapping: Mapping;
}

/** The same header cells in the same order mean the same source, whatever the file's name. */
export const headerDigest = (manifest: Manifest): string =>
  createHash('sha256')
    .update(JSON.stringify(manifest.columns.map((column) => column.original)))
    .digest('hex');

export async function findProfile(
  pool: pg.Pool,
  tenantId: string,
  dataset: string,
  name: string,
  version?: number | null,
): Promise<PinnedProfile | null> {
  const result = await pool.query<PinnedProfile>(
    `select name, version, mapping from waybill.profiles
     where tenant_id = $1 and dataset = $2 and name = $3 and ($4::int is null or version = $4)
     order by version desc limit 1`,
    [tenantId, dataset, name, version ?? null],
  );
  return result.rows[0] ?? null;
}

/** What a person confirmed last for this header. */
export async function confirmedMapping(
  pool: pg.Pool,
  tenantId: string,
  dataset: string,
  digest: string,
): Promise<Mapping | null> {
  const result = await pool.query<{ mapping: Mapping }>(
    `select mapping from waybill.profiles
     where tenant_id = $1 and dataset = $2 and header_digest = $3 and by_person order by created_at desc limit 1`,
    [tenantId, dataset, digest],
  );
  return result.rows[0]?.mapping ?? null;
}

/**
 * Stores a settled mapping and pins it to the import. The same mapping for the same header is the same version, made
 * by a person or not: that is what 'already imported' compares.
 */
export async function pinProfile(
  pool: pg.Pool,
  pin: {
    importId: string;
    tenantId: string;
    dataset: string;
    name: string;
    digest: string;
    mapping: Mapping;
    madeBy: string;
    byPerson: boolean;
    /** The import must be waiting for just this answer in this epoch; its wait ends in the same transaction. */
    answers?: { epoch: number };
  },
): Promise<{ name: string; version: number }> {
  const what = pin.mapping.fields.map(({ field, column, constant, format, values }) => ({
    field,
    column,
    constant,
    format,
    values,
  }));
  const mappingDigest = createHash('sha256').update(JSON.stringify(what)).digest('hex');
  return withTransaction(pool, async (client) => {
    await client.query('select pg_advisory_xact_lock(7297, hashtext($1))', [
      `${pin.tenantId}/${pin.dataset}/${pin.name}`,
    ]);
    const latest = (
      await client.query<{ version: number; mapping_digest: string }>(
        `select version, mapping_digest from waybill.profiles where tenant_id = $1 and dataset = $2 and name = $3
         order by (mapping_digest = $4 and header_digest is not distinct from $5) desc, version desc limit 1`,
        [pin.tenantId, pin.dataset, pin.name, mappingDigest, pin.digest],
      )
    ).rows[0];
    let version = latest?.version ?? 0;
    if (latest?.mapping_digest !== mappingDigest) {
      version = (
        await client.query<{ version: number }>(
          `insert into waybill.profiles (tenant_id, dataset, name, version, header_digest, mapping, mapping_digest, made_by, by_person)
           select $1, $2, $3, coalesce(max(version), 0) + 1, $4, $5, $6, $7, $8
           from waybill.profiles where tenant_id = $1 and dataset = $2 and name = $3 returning version`,
          [
            pin.tenantId,
            pin.dataset,
            pin.name,
            pin.digest,
            JSON.stringify(pin.mapping),
            mappingDigest,
            pin.madeBy,
            pin.byPerson,
          ],
        )
      ).rows[0]!.version;
    } else if (pin.byPerson) {
      await client.query(
        'update waybill.profiles set by_person = true, made_by = $5, created_at = now() where tenant_id = $1 and dataset = $2 and name = $3 and version = $4',
        [pin.tenantId, pin.dataset, pin.name, version, pin.madeBy],
      );
    }
    if (pin.answers) {
      const row = (
        await client.query<{ status: string; profile: string | null; profile_version: number | null }>(
          'select * from waybill.lock_import($1)',
          [pin.importId],
        )
      ).rows[0]!;
      // An earlier attempt whose answer was lost.
      if (row.status !== 'waiting' && row.profile === pin.name && row.profile_version === version) {
        return { name: pin.name, version };
      }
      await client.query(`select waybill.answer_wait($1, $2, 'mapping')`, [pin.importId, pin.answers.epoch]);
    }
    await client.query('update waybill.imports set profile = $2, profile_version = $3 where import_id = $1', [
      pin.importId,
      pin.name,
      version,
    ]);
    return { name: pin.name, version };
  });
}

/** How a file is to be read, as the options of an import name it; what is absent is detected. */
const FILE_OPTIONS = ['sheet', 'encoding', 'delimiter', 'quote', 'header_row'] as const;
export type FileOptionsJson = Partial<Record<(typeof FILE_OPTIONS)[number], string | number>>;

export const fileOptionsOf = (options: Record<string, unknown>): FileOptions => ({
  sheet: options['sheet'] as string | undefined,
  encoding: options['encoding'] as string | undefined,
  delimiter: options['delimiter'] as string | undefined,
  quote: options['quote'] as string | undefined,
  headerRow: options['header_row'] as number | undefined,
});

/** A mapping that a person settled for a reading of the file that has yet to be made. */
export interface MappingAnswer {
  mapping: Mapping;
  actor: string;
  /** Name of the profile to keep it as. */
  saveAs?: string;
}

/**
 * The file has to be read in another way: forgets what inspection found, keeps the person's mapping for the next one,
 * and ends the wait in the same transaction. Fenced where the import does not wait for a mapping (any more).
 */
export async function readAnew(
  pool: pg.Pool,
  wanted: { importId: string; epoch: number; options: FileOptionsJson; answer: MappingAnswer },
): Promise<void> {
  const answer = JSON.stringify(wanted.answer);
  await withTransaction(pool, async (client) => {
    const row = (
      await client.query<{ status: string; options: Record<string, unknown>; answered: boolean }>(
        `select l.status, l.options, l.mapping_proposal -> 'answer' = $2::jsonb as answered
         from waybill.lock_import($1) l`,
        [wanted.importId, answer],
      )
    ).rows[0]!;
    // An earlier attempt whose answer was lost.
    if (row.status !== 'waiting' && row.answered) return;
    await client.query(`select waybill.answer_wait($1, $2, 'mapping')`, [wanted.importId, wanted.epoch]);
    const others = Object.entries(row.options).filter(
      ([name]) => !(FILE_OPTIONS as readonly string[]).includes(name),
    );
    const inspection = Number(row.options['inspection'] ?? 1) + 1;
    const options = { ...Object.fromEntries(others), ...wanted.options, inspection };
    await client.query(
      `update waybill.imports set options = $2, manifest_key = null, content_sha256 = null, input_accepted = null,
         input_rejected = null, mapping_proposal = $3::jsonb || jsonb_build_object('answer', $4::jsonb)
       where import_id = $1`,
      [wanted.importId, JSON.stringify(options), JSON.stringify(wanted.answer.mapping), answer],
    );
  });
}

/** The run that brought in this very content with this very profile, complete and not undone. */
export async function findDuplicate(
  pool: pg.Pool,
  of: {
    importId: string;
    tenantId: string;
    dataset: string;
    contentSha256: string;
    profile: string;
    version: number;
  },
): Promise<{ importId: string; finishedAt: Date } | null> {
  const result = await pool.query<{ importId: string; finishedAt: Date }>(
    `select import_id as "importId", finished_at as "finishedAt" from waybill.imports
     where tenant_id = $1 and dataset = $2 and content_sha256 = $3 and profile = $4 and profile_version = $5
       and status = 'completed' and import_id <> $6
     order by finished_at desc limit 1`,
    [of.tenantId, of.dataset, of.contentSha256, of.profile, of.version, of.importId],
  );
  return result.rows[0] ?? null;
}
