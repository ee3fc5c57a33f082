import type pg from 'pg';
import { withTransaction } from './connect.ts';
import { keyColumns, makeKeyMap } from './key-map.ts';
import { missingTable } from './missing-table.ts';
import { imagesTable, planTable } from './plan.ts';
import type { Retention } from './retention.ts';

/** One pass does at most so many imports of each kind: a backlog is worked off over several. */
const AT_ONCE = 50;

interface Ended {
  importId: string;
  lockKey: number;
  tenantId: string;
  turn: string;
  finishedAt: Date;
}

const ENDED = `i.import_id as "importId", i.lock_key as "lockKey", i.tenant_id as "tenantId", i.turn, i.finished_at as "finishedAt"`;

/**
 * Imports that have ended and have no map of their keys (or one of before they were opened again). None while
 * something is being loaded, unless one has waited for `atMostSeconds`: loading comes first.
 */
async function importsWithoutMap(pool: pg.Pool, atMostSeconds: number): Promise<Ended[]> {
  const found = await pool.query<Ended>(
    `select ${ENDED} from waybill.imports i left join waybill.key_maps m using (lock_key)
     where i.finished_at is not null and i.turn is not null and i.plan_version > 0 and i.ledger_dropped_at is null
       and i.status <> 'reverting' and (m.lock_key is null or m.made_at < i.finished_at)
       and (i.finished_at < now() - make_interval(secs => $1)
         or not exists (select from waybill.imports o where o.status = 'running' and o.phase in ('inspect', 'validate', 'apply', 'notify')))
     order by i.finished_at limit ${AT_ONCE}`,
    [atMostSeconds],
  );
  return found.rows;
}

/**
 * What an import replaced and wrote is dropped; its ledger stays, without the values: which record came to what, under
 * which key, and where it stands in the file. Null where there is nothing (left) to drop, or the import is open.
 */
async function dropValues(pool: pg.Pool, { importId, lockKey }: Ended): Promise<void> {
  const plan = planTable(lockKey);
  await withTransaction(pool, async (client) => {
    await client.query(`set local lock_timeout = '5s'`);
    const [row] = (
      await client.query<{ ended: boolean; planned: boolean }>(
        `select finished_at is not null and status <> 'reverting' as ended, to_regclass($2) is not null as planned
         from waybill.lock_import($1)`,
        [importId, plan],
      )
    ).rows;
    if (!row?.ended) return;
    if (row.planned) {
      const keys = await keyColumns(client, lockKey);
      await client.query(
        `create table stage.narrow_${lockKey} with (autovacuum_enabled = false) as
         select _record, _line, _offset, _bytes, _seq, _decision, _winner, ${keys.map(({ name }) => name).join(', ')}, _issues, _raw
         from ${plan} order by _seq`,
      );
      await client.query(`drop table ${plan}`);
      await client.query(`alter table stage.narrow_${lockKey} rename to plan_${lockKey}`);
      await client.query(`create unique index plan_${lockKey}_record on ${plan} (_record)`);
      await client.query(`create index on ${plan} using brin (_seq) with (pages_per_range = 64)`);
    }
    const missing = missingTable(lockKey);
    const whole = await client.query<{ name: string }>(
      `select quote_ident(attname) as name from pg_attribute where attrelid = to_regclass($1) and attname like 'r\\_%' and not attisdropped`,
      [missing],
    );
    if (whole.rows.length > 0) {
      const keys = await keyColumns(client, lockKey);
      await client.query(
        `create table stage.narrow_missing_${lockKey} with (autovacuum_enabled = false) as
         select _record, _seq, _decision, ${keys.map(({ name }) => name).join(', ')} from ${missing}`,
      );
      await client.query(`drop table ${missing}`);
      await client.query(`alter table stage.narrow_missing_${lockKey} rename to missing_${lockKey}`);
      await client.query(`create unique index on ${missing} (_record)`);
    }
    await dropTables(client, [imagesTable(lockKey), ...(await revertTables(client, lockKey))]);
    await client.query(
      'update waybill.imports set values_dropped_at = clock_timestamp() where import_id = $1',
      [importId],
    );
  });
}

async function dropLedger(pool: pg.Pool, { importId, lockKey }: Ended): Promise<void> {
  await withTransaction(pool, async (client) => {
    await client.query(`set local lock_timeout = '5s'`);
    // Opened again since it was found?
    const found = await client.query<{ ended: boolean }>(
      `select finished_at is not null and status <> 'reverting' as ended from waybill.lock_import($1)`,
      [importId],
    );
    if (!found.rows[0]?.ended) return;
    await dropTables(client, [
      planTable(lockKey),
      imagesTable(lockKey),
      missingTable(lockKey),
      ...(await revertTables(client, lockKey)),
    ]);
    await client.query('delete from waybill.key_blocks where lock_key = $1', [lockKey]);
    await client.query('delete from waybill.key_maps where lock_key = $1', [lockKey]);
    // What came of single rows goes with them, and what they held.
    for (const table of ['outcomes', 'revert_outcomes', 'issues'])
      await client.query(`delete from waybill.${table} where import_id = $1`, [importId]);
    await client.query(
      `update waybill.imports set ledger_dropped_at = clock_timestamp(),
         values_dropped_at = coalesce(values_dropped_at, clock_timestamp()) where import_id = $1`,
      [importId],
    );
  });
}

const dropTables = (client: pg.PoolClient, tables: string[]) =>
  client.query(`drop table if exists ${tables.join(', ')}`);

async function revertTables(client: pg.PoolClient, lockKey: number): Promise<string[]> {
  const found = await client.query<{ name: string }>(
    `select 'stage.' || c.relname as name from pg_class c
     where c.relnamespace = 'stage'::regnamespace and c.relkind = 'r' and c.relname ~ $1`,
    [`^revert_${lockKey}_[0-9]+$`],
  );
  return found.rows.map((row) => row.name);
}

/** What a pass did: imports mapped, reduced to their narrow ledger, given up. */
export interface Kept {
  mapped: number;
  narrowed: number;
  dropped: number;
}

/** How long a map may wait for a moment in which nothing is loaded. */
const MAP_WITHIN_SECONDS = 600;

/**
 * Makes the maps by which records find their imports, and drops by age what imports left. Safe to break off and to do
 * again anywhere; one import's trouble does not keep the others from their turn: it is told to `onError`.
 */
export async function keepHouse(
  pool: pg.Pool,
  retention: Retention,
  onError: (importId: string, error: unknown) => void,
): Promise<Kept> {
  const kept: Kept = { mapped: 0, narrowed: 0, dropped: 0 };
  const each = async (runs: Ended[], count: keyof Kept, work: (run: Ended) => Promise<void>) => {
    for (const run of runs) {
      try {
        await work(run);
        kept[count]++;
      } catch (error) {
        onError(run.importId, error);
      }
    }
  };
  const aged = (column: string, seconds: number) =>
    pool.query<Ended>(
      `select ${ENDED} from waybill.imports i where i.finished_at < now() - make_interval(secs => $1) and i.status <> 'reverting'
         and i.plan_version > 0 and i.${column} is null order by i.finished_at limit ${AT_ONCE}`,
      [seconds],
    );
  await each((await aged('ledger_dropped_at', retention.ledgerSeconds)).rows, 'dropped', (run) =>
    dropLedger(pool, run),
  );
  await each(await importsWithoutMap(pool, MAP_WITHIN_SECONDS), 'mapped', (run) => makeKeyMap(pool, run));
  await each((await aged('values_dropped_at', retention.imagesSeconds)).rows, 'narrowed', (run) =>
    dropValues(pool, run),
  );
  // A month is older than the ledgers in it only when all of them are.
  await pool.query('select waybill.drop_key_partitions((now() - make_interval(secs => $1))::date)', [
    retention.ledgerSeconds,
  ]);
  return kept;
}
