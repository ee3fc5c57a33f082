import { createHash } from 'node:crypto';
import type pg from 'pg';
import { reportColumns } from '../intake/error-report.ts';
import type { FileOptions, Manifest, Mapping } from '../intake/types.ts';
import { withTransaction } from './connect.ts';

export interface PinnedProfile {
  name: string;
  version: number;
  mapping: Mapping;
}

/** An error report has the columns of the file that it is of, behind its own. */
const sourceColumns = ({ columns }: Manifest): Manifest['columns'] => columns.slice(reportColumns(columns));

/** The same header cells in the same order mean the same source, whatever the file's name. */
export const headerDigest = (manifest: Manifest): string =>
  createHash('sha256')
    .update(JSON.stringify(sourceColumns(manifest).map((column) => column.original)))
    .digest('hex');

/** A profile in one version, or in the one that was said last: an older version that is said again counts again. */
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
     order by created_at desc, version desc limit 1`,
    [tenantId, dataset, name, version ?? null],
  );
  return result.rows[0] ?? null;
}

/** What a person confirmed last for this header; of an error report what its file was read with, whoever settled it. */
export async function confirmedMapping(
  pool: pg.Pool,
  tenantId: string,
  dataset: string,
  digest: string,
  ofReport = false,
): Promise<Mapping | null> {
  const result = await pool.query<{ mapping: Mapping }>(
    `select mapping from waybill.profiles
     where tenant_id = $1 and dataset = $2 and header_digest = $3 and (by_person or $4) order by created_at desc limit 1`,
    [tenantId, dataset, digest, ofReport],
  );
  return result.rows[0]?.mapping ?? null;
}

interface NewVersion {
  tenantId: string;
  dataset: string;
  name: string;
  /** Of the header that it was settled for; null for a profile that is used by its name alone. */
  digest: string | null;
  mapping: Mapping;
  madeBy: string;
  byPerson: boolean;
}

/** What decides about rows, and nothing else: the order of members and where columns stand do not. */
function digestOf({ fields, rules }: Mapping): string {
  const said = fields.map(({ column, header, join, confidence: _, reason: _r, ...cell }) => ({
    ...cell,
    from: header ?? column,
    ...(join && { join: join.headers ?? join.columns, separator: join.separator }),
  }));
  const sorted = (_: string, value: unknown): unknown =>
    value !== null && typeof value === 'object' && !Array.isArray(value)
      ? Object.fromEntries(Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1)))
      : value;
  const what = { fields: said.toSorted((a, b) => (a.field < b.field ? -1 : 1)), rules: rules ?? {} };
  return createHash('sha256').update(JSON.stringify(what, sorted)).digest('hex');
}

/** The version of a profile that says just this; made if there is none. */
async function storeVersion(
  client: pg.PoolClient,
  of: NewVersion,
): Promise<{ version: number; created: boolean }> {
  const mappingDigest = digestOf(of.mapping);
  await client.query('select pg_advisory_xact_lock(7297, hashtext($1))', [
    `${of.tenantId}/${of.dataset}/${of.name}`,
  ]);
  const same = (
    await client.query<{ version: number }>(
      `select version from waybill.profiles where tenant_id = $1 and dataset = $2 and name = $3 and mapping_digest = $4
       order by version desc limit 1`,
      [of.tenantId, of.dataset, of.name, mappingDigest],
    )
  ).rows[0];
  if (!same) {
    const made = await client.query<{ version: number }>(
      `insert into waybill.profiles (tenant_id, dataset, name, version, header_digest, mapping, mapping_digest, made_by, by_person)
       select $1, $2, $3, coalesce(max(version), 0) + 1, $4, $5, $6, $7, $8
       from waybill.profiles where tenant_id = $1 and dataset = $2 and name = $3 returning version`,
      [
        of.tenantId,
        of.dataset,
        of.name,
        of.digest,
        JSON.stringify(of.mapping),
        mappingDigest,
        of.madeBy,
        of.byPerson,
      ],
    );
    return { version: made.rows[0]!.version, created: true };
  }
  if (of.byPerson) {
    await client.query(
      `update waybill.profiles set by_person = true, made_by = $5, created_at = now(), header_digest = coalesce($6, header_digest)
       where tenant_id = $1 and dataset = $2 and name = $3 and version = $4`,
      [of.tenantId, of.dataset, of.name, same.version, of.madeBy, of.digest],
    );
  } else {
    // Read with it again, it is as if it had been made now: the next reader is to find it, not one that it was made of.
    await client.query(
      `update waybill.profiles p set created_at = now()
       where tenant_id = $1 and dataset = $2 and name = $3 and version = $4 and exists (select from waybill.profiles n
         where (n.tenant_id, n.dataset, n.name) = (p.tenant_id, p.dataset, p.name) and n.created_at > p.created_at)`,
      [of.tenantId, of.dataset, of.name, same.version],
    );
  }
  return { version: same.version, created: false };
}

/** Keeps a profile that did not come of an import: written by hand, or brought from elsewhere. */
export function saveProfile(
  pool: pg.Pool,
  profile: Omit<NewVersion, 'digest' | 'byPerson'>,
): Promise<{ version: number; created: boolean }> {
  return withTransaction(pool, (client) =>
    storeVersion(client, { ...profile, digest: null, byPerson: true }),
  );
}

export interface ListedProfile {
  name: string;
  /** The version that counts, and how many there are. */
  version: number;
  versions: number;
  madeBy: string;
  byPerson: boolean;
  createdAt: Date;
  /** Imports that used any of its versions. */
  imports: number;
}

/** Profiles of a dataset, those that a person made or named first. */
export async function listProfiles(
  pool: pg.Pool,
  tenantId: string,
  dataset: string,
): Promise<ListedProfile[]> {
  const result = await pool.query<ListedProfile>(
    `select p.name, (array_agg(p.version order by p.created_at desc, p.version desc))[1] as version, count(*)::int as versions,
       (array_agg(p.made_by order by p.created_at desc, p.version desc))[1] as "madeBy", bool_or(p.by_person) as "byPerson",
       max(p.created_at) as "createdAt",
       (select count(*)::int from waybill.imports i
        where i.tenant_id = $1 and i.dataset = $2 and i.profile = p.name) as imports
     from waybill.profiles p where p.tenant_id = $1 and p.dataset = $2
     group by p.name order by bool_or(p.by_person) desc, max(p.created_at) desc, p.name limit 1000`,
    [tenantId, dataset],
  );
  return result.rows;
}

/** An import goes on with a profile just as it is. */
export async function pinVersion(
  pool: pg.Pool,
  importId: string,
  { name, version }: { name: string; version: number },
): Promise<{ name: string; version: number }> {
  await pool.query('update waybill.imports set profile = $2, profile_version = $3 where import_id = $1', [
    importId,
    name,
    version,
  ]);
  return { name, version };
}

/**
 * Stores a settled mapping and pins it to the import. The same mapping for the same header is the same version, made
 * by a person or not: that is what 'already imported' compares.
 */
export async function pinProfile(
  pool: pg.Pool,
  pin: NewVersion & {
    importId: string;
    /** The import must be waiting for just this answer in this epoch; its wait ends in the same transaction. */
    answers?: { epoch: number };
  },
): Promise<{ name: string; version: number }> {
  return withTransaction(pool, async (client) => {
    const { version } = await storeVersion(client, pin);
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
const FILE_OPTIONS = [
  'sheet',
  'encoding',
  'delimiter',
  'quote',
  'header_row',
  'keep_footer',
  'types',
] as const;
export type FileOptionsJson = Partial<Record<(typeof FILE_OPTIONS)[number], unknown>>;

/** What was said of how to read a file, of options as the API names them. */
export function fileOptionsOf(options: Record<string, unknown>): FileOptions {
  const {
    sheet,
    encoding,
    delimiter,
    quote,
    header_row: headerRow,
    keep_footer: keepFooter,
    types,
  } = options;
  const said = { sheet, encoding, delimiter, quote, headerRow, keepFooter, types };
  return Object.fromEntries(Object.entries(said).filter(([, value]) => value !== undefined));
}

/**
 * How an import's file is to be read: as its profile says where the import itself does not. Whoever has had it read
 * anew has said all there is to say.
 */
export async function readingOf(
  pool: pg.Pool,
  of: { tenantId: string; dataset: string; options: Record<string, unknown> },
): Promise<FileOptions> {
  const { profile, inspection } = of.options;
  const said = fileOptionsOf(of.options);
  if (typeof profile !== 'string' || inspection !== undefined) return said;
  const found = await findProfile(pool, of.tenantId, of.dataset, profile);
  return { ...found?.mapping.rules?.reading, ...said };
}

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
    // Both begin anew: how long somebody thought about it is not how long they took.
    await client.query(
      `update waybill.phases set started_at = clock_timestamp(), finished_at = null
       where import_id = $1 and name in ('inspect', 'map')`,
      [wanted.importId],
    );
  });
}
