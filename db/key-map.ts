import type pg from 'pg';
import { HASHED } from './apply-program.ts';
import { withTransaction } from './connect.ts';
import { FATES, ledgerRows, missingRows } from './ledger.ts';
import { missingTable } from './missing-table.ts';
import { imagesTable, indexLedger, planTable } from './plan.ts';

/** Rows of a block: one of 24 is 330 bytes, and is searched in under a microsecond. */
const ROWS_PER_BLOCK = 24;

/** The hash of a key, the same for every import whose key is equal. */
export const keyHash = (keys: { name: string; type: string }[], alias: string): string =>
  `hash_record_extended(row(${keys
    .map(({ name, type }) => (HASHED.test(type) ? `${alias}.${name}` : `${alias}.${name}::text`))
    .join(', ')}), 0)`;

/** The key's columns of an import's plan. */
export async function keyColumns(
  client: pg.Pool | pg.PoolClient,
  lockKey: number,
): Promise<{ name: string; type: string }[]> {
  const found = await client.query<{ name: string; type: string }>(
    `select attname as name, format_type(atttypid, atttypmod) as type from pg_attribute
     where attrelid = to_regclass($1) and attname ~ '^_k[0-9]+$' and not attisdropped order by attnum`,
    [planTable(lockKey)],
  );
  return found.rows;
}

/**
 * Makes the map of an import's keys, and the index by which its images are found; replaces what was there. After the
 * end of the import and off its path: nothing waits for it.
 */
export async function makeKeyMap(
  pool: pg.Pool,
  run: { importId: string; lockKey: number; tenantId: string; turn: string; finishedAt: Date },
): Promise<void> {
  const { importId, lockKey } = run;
  const month = `${run.finishedAt.toISOString().slice(0, 7)}-01`;
  await pool.query('select waybill.key_partition($1)', [month]);
  // Of a run that ended before its proof.
  const [plan] = (
    await pool.query<{ there: boolean }>('select to_regclass($1) is not null as there', [planTable(lockKey)])
  ).rows;
  if (plan!.there) await indexLedger(pool, lockKey);
  await withTransaction(pool, async (client) => {
    // An import that is opened again meanwhile waits; one that is open is left for later.
    await client.query('select pg_advisory_xact_lock_shared($1::bigint)', [lockKey]);
    const [state] = (
      await client.query<{ ended: boolean; planned: boolean; images: boolean; missing: boolean }>(
        `select finished_at is not null as ended, to_regclass($2) is not null as planned, to_regclass($3) is not null as images,
           to_regclass($4) is not null as missing
         from waybill.imports where import_id = $1`,
        [importId, planTable(lockKey), imagesTable(lockKey), missingTable(lockKey)],
      )
    ).rows;
    if (!state?.ended) return;
    await client.query(`set local work_mem = '64MB'; set local jit = off`);
    await client.query('delete from waybill.key_blocks where lock_key = $1', [lockKey]);
    await client.query('delete from waybill.key_maps where lock_key = $1', [lockKey]);
    let rows = 0;
    let bits = 0;
    if (state.planned) {
      const keys = await keyColumns(client, lockKey);
      const present = keys.map(({ name }) => `p.${name} is not null`).join(' and ');
      rows = (
        await client.query<{ n: number }>(
          `select (select count(*) from ${planTable(lockKey)} p where ${present})${state.missing ? ` + (select count(*) from ${missingTable(lockKey)})` : ''} as n`,
        )
      ).rows[0]!.n;
      bits = Math.max(0, Math.ceil(Math.log2(rows / ROWS_PER_BLOCK)));
      const block = bits === 0 ? '0' : `((h >> ${64 - bits}) & ${2 ** bits - 1})::int`;
      const fates = `array[${FATES.map((fate) => `'${fate}'`).join(', ')}]`;
      const hashed = { columns: [`${keyHash(keys, 'p')} as h`], only: present };
      const met = state.missing
        ? `(${ledgerRows(importId, lockKey, hashed)}) union all (${missingRows(importId, lockKey, hashed)})`
        : ledgerRows(importId, lockKey, hashed);
      // What was never applied has not met its record.
      await client.query(
        `insert into waybill.key_blocks (month, lock_key, block, hashes, entries)
         select $1::date, $2::bigint, block, array_agg(low), array_agg(entry)
         from (select ${block} as block, ((h << 32) >> 32)::int as low, _record * 16 + array_position(${fates}, fate) - 1 as entry
           from (${met}) l
           where fate <> 'notProcessed' order by 1) x
         group by block`,
        [month, lockKey],
      );
      if (state.images)
        await client.query(
          `create index if not exists images_${lockKey}_record on ${imagesTable(lockKey)} (_record)`,
        );
    }
    await client.query(
      `insert into waybill.key_maps (lock_key, tenant_id, turn, month, bits, rows) values ($1, $2, $3, $4, $5, $6)`,
      [lockKey, run.tenantId, run.turn, month, bits, rows],
    );
  });
}
