import type pg from 'pg';
import type { ImportMode, ImportPolicy } from '../datasets/types.ts';
import { builtinDatasets } from '../datasets/index.ts';
import type { WrittenField } from './apply-program.ts';
import { claimImport, requestStop, takeTurn } from './control.ts';
import type { MissingRequest } from './missing.ts';
import { makePlan, type PlanRequest } from './plan.ts';
import type { Plan } from './stored-plan.ts';
import { createStaging } from './staging.ts';
import { describeTarget, turnOf } from './target.ts';

/** What the tests of the protocol import: rows of `products`, staged as the reader would have staged them. */
export type ProductRow = {
  sku: string | null;
  name?: string | null;
  price?: string | null;
  quantity?: string | null;
  /** By a rule of the reader. */
  blocked?: boolean;
  /** Of another table. */
  [column: string]: string | boolean | null | undefined;
};

const dataset = builtinDatasets.find(({ name }) => name === 'products')!;
let made = 0;

export interface StagedImport {
  importId: string;
  lockKey: number;
  epoch: number;
  request: PlanRequest;
  plan: Plan;
}

interface StageOptions {
  mode?: ImportMode;
  policy?: ImportPolicy;
  columns?: string[];
  /** Another table than `products`, and its key's index. */
  into?: { schema: string; table: string; index: string; key: string };
  tenantId?: string;
  missing?: MissingRequest;
  /** Name of the profile that the rows were read with. */
  profile?: string;
}

/** An import of these rows, claimed, in its turn, planned; under `auto` ready to be applied. */
export async function stageImport(
  pool: pg.Pool,
  rows: ProductRow[],
  options: StageOptions = {},
): Promise<StagedImport> {
  const staged = await stageRows(pool, rows.length, options, async (table, columns) => {
    for (const [at, row] of rows.entries()) {
      await pool.query(
        `insert into ${table} values ($1, $2, 0, 0, $3, null, null${columns.map((_, n) => `, $${n + 4}`).join('')})`,
        [at + 1, at + 2, row.blocked ?? false, ...columns.map((column) => row[column] ?? null)],
      );
    }
  });
  return { ...staged, plan: await makePlan(pool, staged.request) };
}

/** An import of so many rows that `fill` puts into the staging table, claimed, in its turn, not yet planned. */
export async function stageRows(
  pool: pg.Pool,
  count: number,
  options: StageOptions,
  fill: (table: string, columns: string[]) => Promise<void>,
): Promise<Omit<StagedImport, 'plan'>> {
  const { mode = 'upsert', policy = 'auto', columns = ['name', 'price'] } = options;
  const importId = `import-${process.pid}-${++made}`;
  const {
    into = { schema: 'catalog', table: 'products', index: 'products_key', key: 'sku' },
    tenantId = 'default',
  } = options;
  const target = await describeTarget(pool, into.schema, into.table, into.index);
  const turn = turnOf(target, tenantId);
  const lockKey = (
    await pool.query<{ lock_key: number }>(
      `insert into waybill.imports (import_id, tenant_id, dataset, dataset_version, source, file_name, status, created_by, turn,
         input_accepted, input_rejected, policy, mode, incarnation, object_key, profile, profile_version)
       values ($1, $7, 'products', 1, '{"kind":"upload"}', 'x.csv', 'queued', 'test', $2, $3, 0, $4, $5, 1, 'x', $6::text, case when $6::text is not null then 1 end) returning lock_key`,
      [importId, turn, count, policy, mode, options.profile ?? null, tenantId],
    )
  ).rows[0]!.lock_key;
  const { epoch } = (await claimImport(pool, importId, 'run'))!;
  if (policy === 'auto') await takeTurn(pool, importId, epoch, turn, 'turn');
  const fields = [into.key, ...columns].map((column): WrittenField => ({
    column,
    type: target.columns.find(({ name }) => name === column)!.type,
    empty: 'keep',
    key: column === into.key,
    add: mode === 'add' && column === 'quantity',
  }));
  await createStaging(pool, lockKey, 1, fields);
  await fill(
    `stage.rows_${lockKey}_1`,
    fields.map(({ column }) => column),
  );
  await pool.query(`insert into stage.marks_${lockKey}_1 values (0, $1, 0, 0, '{}')`, [count]);
  const manifest = {
    rows: count,
    rejected: 0,
    segments: [{ index: 0, accepted: count, rejected: 0 }],
  } as PlanRequest['manifest'];
  const request: PlanRequest = {
    importId,
    lockKey,
    tenantId,
    epoch,
    incarnation: 1,
    dataset,
    fields,
    target,
    manifest,
    mode,
    policy,
    missing: options.missing ?? null,
  };
  return { importId, lockKey, epoch, request };
}

export interface Receipt {
  created: number;
  updated: number;
  unchanged: number;
  stale: number;
  failed: number;
}

/** Applies every batch and sums the receipts. */
export async function applyAll(
  pool: pg.Pool,
  { importId, epoch, plan }: StagedImport,
  wave = 1,
): Promise<Receipt> {
  const result = await pool.query<Receipt>(
    `select sum(created)::int as created, sum(updated)::int as updated, sum(unchanged)::int as unchanged, sum(stale)::int as stale,
       sum(failed)::int as failed from waybill.apply_batches($1, $2, $3, 1, $4)`,
    [importId, epoch, wave, plan.batches],
  );
  return result.rows[0]!;
}

export const receipt = (some: Partial<Receipt>): Receipt => ({
  created: 0,
  updated: 0,
  unchanged: 0,
  stale: 0,
  failed: 0,
  ...some,
});

/** Brings rows in and ends the import, so that the next one gets the turn. */
export async function land(
  pool: pg.Pool,
  ...args: [ProductRow[], Parameters<typeof stageImport>[2]?]
): Promise<void> {
  const staged = await stageImport(pool, ...args);
  await applyAll(pool, staged);
  await requestStop(pool, { importId: staged.importId, what: 'cancel', actor: 'test' });
}

/** Brings rows in and ends the import as completed. */
export async function importWhole(
  pool: pg.Pool,
  ...args: [ProductRow[], Parameters<typeof stageImport>[2]?]
): Promise<StagedImport> {
  const staged = await stageImport(pool, ...args);
  await applyAll(pool, staged);
  await pool.query(
    `update waybill.imports set status = 'completed', finished_at = clock_timestamp() where import_id = $1`,
    [staged.importId],
  );
  return staged;
}
