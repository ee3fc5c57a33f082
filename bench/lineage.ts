import { performance } from 'node:perf_hooks';
import { connectPool } from '../db/connect.ts';
import { makeKeyMap } from '../db/key-map.ts';
import { recordHistory } from '../db/lineage.ts';
import { describeTarget } from '../db/target.ts';
import { startInstance } from '../test/faults/instance.ts';

const TURN = 'catalog.products/default';
const LOOKUPS = 200;

const median = (values: number[]): number => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!;
const p95 = (values: number[]): number => values.toSorted((a, b) => a - b)[Math.floor(values.length * 0.95)]!;

/**
 * A record's history among `imports` imports of `rows` rows each, every one of which has the record: what making the
 * map of one import costs, what a look-up does and how long it takes. Blocks have the same size whatever the size of an import, so that
 * what a look-up costs depends on how many imports there are, and only its index on how many rows.
 */
export async function benchLineage({ imports, rows }: { imports: number; rows: number }): Promise<void> {
  const instance = await startInstance({ WAYBILL_KEEP_MS: '86400000' });
  const pool = connectPool(instance.run().databaseUrl, { max: 2 });
  try {
    await pool.query(
      `insert into waybill.imports (import_id, tenant_id, dataset, dataset_version, source, file_name, status, created_by, turn, plan_version, finished_at)
       select 'bench-' || n, 'default', 'products', 1, '{"kind":"upload"}', 'bench.csv', 'completed', 'bench', $2, 1, now() from generate_series(1, $1::int) n`,
      [imports, TURN],
    );
    const runs = (
      await pool.query<{ import_id: string; lock_key: number; finished_at: Date }>(
        `select import_id, lock_key, finished_at from waybill.imports where created_by = 'bench' order by lock_key`,
      )
    ).rows;
    let seconds = 0;
    for (const { import_id, lock_key, finished_at } of runs) {
      await pool.query(
        `create table stage.plan_${lock_key} with (autovacuum_enabled = false) as
         select n::bigint as _record, n::bigint + 1 as _line, n::bigint * 40 as _offset, 40 as _bytes, n::bigint as _seq, 'unchanged' as _decision, null::bigint as _winner,
           'sku' || n as _k1, 'SKU' || n as v_sku, 'name ' || n as v_name, null::jsonb as _issues, null::jsonb as _raw from generate_series(1, ${rows}) n`,
      );
      await pool.query(
        `insert into waybill.batches (import_id, wave, batch, first_seq, last_seq, rows, digest) values ($1, 1, 1, 1, $2::int, $2::int, 0)`,
        [import_id, rows],
      );
      await pool.query(
        `insert into waybill.receipts (import_id, wave, batch, epoch, created, updated, unchanged, stale, failed) values ($1, 1, 1, 1, 0, 0, $2, 0, 0)`,
        [import_id, rows],
      );
      await pool.query(`create unique index plan_${lock_key}_record on stage.plan_${lock_key} (_record)`);
      const since = performance.now();
      await makeKeyMap(pool, {
        importId: import_id,
        lockKey: lock_key,
        tenantId: 'default',
        turn: TURN,
        finishedAt: finished_at,
      });
      seconds += (performance.now() - since) / 1000;
    }
    for (const table of ['key_blocks', 'key_maps']) await pool.query(`vacuum analyze waybill.${table}`);
    const [size] = (
      await pool.query<{ blocks: number; table: string; index: string }>(
        `select (select count(*) from waybill.key_blocks) as blocks, pg_size_pretty(sum(pg_table_size(inhrelid))) as table,
           pg_size_pretty(sum(pg_indexes_size(inhrelid))) as index from pg_inherits where inhparent = 'waybill.key_blocks'::regclass`,
      )
    ).rows;
    const all = imports * rows;
    console.log(
      `${imports.toLocaleString('en')} maps of ${rows.toLocaleString('en')} rows: ${((seconds / all) * 1e6).toFixed(2)} s a million rows; ` +
        `${size!.blocks.toLocaleString('en')} blocks, ${size!.table} and ${size!.index} of index`,
    );

    const target = await describeTarget(pool, 'catalog', 'products', 'products_key');
    const look = (sku: string, limit: number) =>
      recordHistory(pool, { tenantId: 'default', turn: TURN, target, key: { sku }, limit });
    const blocks: number[] = [];
    const pages: number[] = [];
    for (let n = 0; n < LOOKUPS; n++) {
      const sku = `sku${1 + ((n * 7919) % rows)}`;
      let since = performance.now();
      const found = await pool.query(
        `select count(*) as n from waybill.key_sightings($1, 'default', hash_record_extended(row($2::text), 0), $3, null)`,
        [TURN, sku, Number.MAX_SAFE_INTEGER],
      );
      if (found.rows[0].n < imports) throw new Error(`${sku} was found in ${found.rows[0].n} of ${imports}`);
      blocks.push(performance.now() - since);
      since = performance.now();
      const page = await look(sku, 20);
      if (page.entries.length !== Math.min(20, imports)) throw new Error(`a page of ${page.entries.length}`);
      pages.push(performance.now() - since);
    }
    const figures = (values: number[]) => ({
      'median ms': median(values).toFixed(1),
      'p95 ms': p95(values).toFixed(1),
      'first ms': values[0]!.toFixed(1),
    });
    console.table({
      'which rows met it, of all imports': figures(blocks),
      'a page of 20 with values': figures(pages),
    });
    const plan = await pool.query<{ 'QUERY PLAN': string }>(
      `explain (analyze, buffers) select m.lock_key, e / 16 from waybill.key_maps m
       join waybill.key_blocks b on b.month = m.month and b.lock_key = m.lock_key
         and b.block = ((hash_record_extended(row('sku7'::text), 0) >> (64 - m.bits)) & ((1::bigint << m.bits) - 1))::int
       cross join lateral unnest(array_positions(b.hashes, ((hash_record_extended(row('sku7'::text), 0) << 32) >> 32)::int)) at
       cross join lateral (select b.entries[at] as e) x where m.turn = '${TURN}' and m.tenant_id = 'default' order by m.lock_key desc`,
    );
    console.log(plan.rows.map((row) => row['QUERY PLAN']).join('\n'));
  } finally {
    await pool.end();
    await instance.stop();
  }
}
