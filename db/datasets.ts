import type pg from 'pg';
import type postgres from 'postgres';
import { builtinDatasets } from '../datasets/index.ts';
import type { Dataset } from '../datasets/types.ts';
import { withTransaction } from './connect.ts';

/** What the database keeps of a dataset; name and version stand beside it. */
type Definition = Omit<Dataset, 'name' | 'version'>;
interface StoredDataset {
  name: string;
  version: number;
  definition: Definition;
}

const fromStored = ({ name, version, definition }: StoredDataset): Dataset => ({
  ...definition,
  name,
  version,
});

export const isBuiltin = (name: string): boolean => builtinDatasets.some((dataset) => dataset.name === name);

/**
 * A dataset by its name: built in, or the tenant's own, of its newest version unless one is named. A removed one is
 * found by its version only: imports of it that still run go on.
 */
export async function findDataset(
  db: pg.Pool | postgres.Sql,
  tenantId: string,
  name: string,
  version?: number,
): Promise<Dataset | null> {
  const builtin = builtinDatasets.find((dataset) => dataset.name === name);
  if (builtin) return builtin;
  const statement = `select name, version, definition from waybill.datasets
    where tenant_id = $1 and name = $2 and ($3::int is null and removed_at is null or version = $3)
    order by version desc limit 1`;
  const values = [tenantId, name, version ?? null];
  const [found] =
    'unsafe' in db
      ? await db.unsafe<StoredDataset[]>(statement, values)
      : (await db.query<StoredDataset>(statement, values)).rows;
  return found ? fromStored(found) : null;
}

/** Built-in datasets, then the tenant's own by name; each in its newest version. */
export async function listDatasets(pool: pg.Pool, tenantId: string): Promise<Dataset[]> {
  const own = await pool.query<StoredDataset>(
    `select distinct on (name) name, version, definition from waybill.datasets
     where tenant_id = $1 and removed_at is null order by name, version desc`,
    [tenantId],
  );
  return [...builtinDatasets, ...own.rows.map(fromStored)];
}

/**
 * Stores a definition as the next version; the same as the last one is the last one. Null where `expected` says that
 * the dataset must (not) exist and it does not (does).
 */
export async function saveDataset(
  pool: pg.Pool,
  save: { tenantId: string; dataset: Omit<Dataset, 'version'>; actor: string; expected: 'new' | 'known' },
): Promise<Dataset | null> {
  const { tenantId, actor, expected } = save;
  const { name, ...rest } = save.dataset;
  const definition: Definition = rest;
  return withTransaction(pool, async (client) => {
    await client.query('select pg_advisory_xact_lock(7298, hashtext($1))', [`${tenantId}/${name}`]);
    const before = (
      await client.query<StoredDataset & { removed: boolean; same: boolean }>(
        `select name, version, definition, removed_at is not null as removed, definition = $3::jsonb as same
         from waybill.datasets where tenant_id = $1 and name = $2 order by version desc limit 1`,
        [tenantId, name, JSON.stringify(definition)],
      )
    ).rows[0];
    const known = before !== undefined && !before.removed;
    if (known !== (expected === 'known')) return null;
    if (known && before.same) return fromStored(before);
    const version = (before?.version ?? 0) + 1;
    await client.query(
      `insert into waybill.datasets (tenant_id, name, version, definition, created_by) values ($1, $2, $3, $4, $5)`,
      [tenantId, name, version, JSON.stringify(definition), actor],
    );
    await client.query(
      `insert into waybill.audit (tenant_id, actor, action, detail) values ($1, $2, 'save_dataset', $3)`,
      [tenantId, actor, JSON.stringify({ name, version })],
    );
    return { ...definition, name, version };
  });
}

/** Takes a dataset out of use; its versions stay for the imports that were made with them. False where there is none. */
export async function removeDataset(
  pool: pg.Pool,
  of: { tenantId: string; name: string; actor: string },
): Promise<boolean> {
  return withTransaction(pool, async (client) => {
    const removed = await client.query(
      `update waybill.datasets set removed_at = now() where tenant_id = $1 and name = $2 and removed_at is null`,
      [of.tenantId, of.name],
    );
    if (removed.rowCount === 0) return false;
    await client.query(
      `insert into waybill.audit (tenant_id, actor, action, detail) values ($1, $2, 'remove_dataset', $3)`,
      [of.tenantId, of.actor, JSON.stringify({ name: of.name })],
    );
    return true;
  });
}
