import type pg from 'pg';
import type { ImportPolicy } from '../datasets/types.ts';
import type { Manifest } from '../intake/types.ts';
import { LANES, rowHash, writeProgram, type ApplyProgram } from './apply-program.ts';
import { quoteName, withCancellableTransaction } from './connect.ts';
import { incompleteReasons } from '../intake/missing.ts';
import { findMissing, type MissingFound, type MissingRequest } from './missing.ts';
import { missingTable } from './missing-table.ts';
import {
  othersStatement,
  planColumns,
  splitStatement,
  winnersStatement,
  type Deciding,
  type KeyRange,
} from './plan-statements.ts';
import { findProvisionalKeys, type ProvisionalKey } from './provisional-key.ts';
import { checkRows, type PlanRule } from './rules-of-plan.ts';
import { stagingIsWhole } from './staging.ts';
import { currentPlan, storePlan, type Plan, type PlanCounts } from './stored-plan.ts';
import { planKey } from './target.ts';

/** Rows of one batch: the unit of pause and of a fenced retry. 10,000 five-column rows commit in 40 to 90 ms. */
export const BATCH_ROWS = 10_000;

/** Below this share of the target an index look-up for each row beats reading the whole target (facts: 4.3-5.1 s against 9.8-11.2 s for 1M rows into 10M). */
const LOOKUP_SHARE = 0.25;

/** From here on two connections share the work of planning; fewer rows are decided before the second one is under way. */
const SPLIT_ROWS = 40_000;

/** Staged rows that the split is looked for in. */
const SAMPLE_ROWS = 10_000;

/** Thrown where staging does not cover the file: the caller stages a new incarnation. */
export class StagingLost extends Error {}

export interface PlanRequest extends Deciding {
  importId: string;
  epoch: number;
  manifest: Manifest;
  policy: ImportPolicy;
  /** What has to be asked of the staged rows first; absent or null where there is nothing. */
  rules?: PlanRule[] | null;
  /** How the profile tells rows without key apart. */
  provisional?: ProvisionalKey | null;
  /** What becomes of records that the file does not have; absent or null where nothing does. */
  missing?: MissingRequest | null;
  /** Somebody has said which sheet of the workbook is meant. */
  sheetNamed?: boolean;
  /** How many connections may decide at once; the default is what the machine was measured with. */
  lanes?: number;
}

export const planTable = (lockKey: number): string => `stage.plan_${lockKey}`;
export const imagesTable = (lockKey: number): string => `stage.images_${lockKey}`;
/** The statements that apply the plan. `reviewed`: a person sees it first, so that what has moved since is left alone. */
export const programOf = (
  { target, tenantId, fields, lockKey }: PlanRequest,
  reviewed: boolean,
): ApplyProgram =>
  writeProgram({
    target,
    tenantId,
    fields,
    plan: planTable(lockKey),
    images: imagesTable(lockKey),
    reviewed,
  });

/** The plan while it is being made; staging's own clean-up knows the name. */
const draftName = ({ lockKey, incarnation }: PlanRequest): string => `draft_${lockKey}_${incarnation}`;

/** A plan under way: its table, and the ranges of keys that its lanes decide. */
interface Draft {
  table: string;
  oid: number;
  ranges: KeyRange[];
  source: string | undefined;
}

/** A batch as the lane that wrote it found it. */
interface BatchFound {
  first: number;
  last: number;
  rows: number;
  digest: string;
  creates: number;
  updates: number;
  unchanged: number;
}

/**
 * Decides every record of the file: a sort by key, a look at the target, the plan in key order, by two connections of
 * which each has a range of the keys. They write to a draft that becomes the plan in one last transaction, together
 * with its batches, its program and, under `auto`, the wave that freezes it. Asked again for the same epoch it returns
 * the plan that is there; whatever an attempt left behind before is made anew.
 */
export async function makePlan(pool: pg.Pool, asked: PlanRequest, signal?: AbortSignal): Promise<Plan> {
  const begun = await beginDraft(pool, asked, signal);
  if ('version' in begun) return begun;
  const request: PlanRequest = { ...asked, source: begun.source };
  // The first failure stops the other lane as well: nothing of this attempt may go on when it has ended.
  const failed = new AbortController();
  const stop = signal ? AbortSignal.any([signal, failed.signal]) : failed.signal;
  const lanes = await Promise.allSettled(
    begun.ranges.map((range, lane) =>
      fillDraft(pool, request, begun, lane, range, stop).catch((error: unknown) => {
        failed.abort(error);
        throw error;
      }),
    ),
  );
  if (failed.signal.aborted) {
    signal?.throwIfAborted();
    throw failed.signal.reason;
  }
  const batches = lanes.flatMap((lane) => (lane.status === 'fulfilled' ? lane.value : []));
  return finishDraft(pool, request, begun, batches, signal);
}

/** Opens a transaction of planning: only one attempt at a time, and none in a run that is stopped or taken over. */
async function enterPlanning(client: pg.PoolClient, { importId, lockKey, epoch }: PlanRequest) {
  await client.query('select pg_advisory_xact_lock(7296, $1)', [lockKey % 2 ** 31]);
  await client.query('select waybill.hold($1, $2)', [importId, epoch]);
}

async function beginDraft(
  pool: pg.Pool,
  request: PlanRequest,
  signal: AbortSignal | undefined,
): Promise<Plan | Draft> {
  const { importId, lockKey, epoch, manifest } = request;
  const rows = manifest.rows + manifest.rejected;
  return withCancellableTransaction(pool, signal, async (client) => {
    await enterPlanning(client, request);
    const made = await currentPlan(client, importId);
    if (made?.epoch === epoch) return made.plan;
    const state = (
      await client.query<{ receipts: boolean; split: string[] | null }>(
        `select i.plan_split as split,
           exists (select from waybill.receipts r where r.import_id = i.import_id) as receipts
         from waybill.imports i where i.import_id = $1`,
        [importId],
      )
    ).rows[0]!;
    if (state.receipts) throw new Error('a plan with receipts is decided anew by rebase, never made again');
    if (!(await stagingIsWhole(client, lockKey, request.incarnation, manifest))) throw new StagingLost();
    if (request.provisional)
      await findProvisionalKeys(client, { ...request, provisional: request.provisional });
    const source = await checkRows(client, request);

    let split: string[] | null = null;
    if (rows >= SPLIT_ROWS && (request.lanes ?? LANES) > 1) {
      // Kept: whoever plans again parts the keys in the same place, and so numbers and batches them as before.
      split = state.split ?? (await findSplit(client, { ...request, source }, rows));
      if (split && !state.split)
        await client.query('update waybill.imports set plan_split = $2 where import_id = $1', [
          importId,
          split,
        ]);
    }
    const table = `stage.${draftName(request)}`;
    await client.query(`drop table if exists ${table}`);
    await client.query(`create table ${table} (${planColumns(request)}) with (autovacuum_enabled = false)`);
    const { oid } = (await client.query<{ oid: number }>('select $1::regclass::oid::int8 as oid', [table]))
      .rows[0]!;
    const ranges = split
      ? [
          { from: null, to: split },
          { from: split, to: null },
        ]
      : [{ from: null, to: null }];
    return { table, oid, ranges, source };
  });
}

async function findSplit(client: pg.PoolClient, request: PlanRequest, rows: number) {
  const percent = Math.min(100, (SAMPLE_ROWS / rows) * 100);
  const found = await client.query<{ split: string[] }>(splitStatement(request, percent));
  return found.rows[0]?.split ?? null;
}

/** Where the numbers of a lane begin: at a batch of its own, behind all that the lanes before it can need. */
const firstPlace = (request: PlanRequest, lane: number): number =>
  lane * Math.ceil((request.manifest.rows + request.manifest.rejected) / BATCH_ROWS) * BATCH_ROWS + 1;

/** One lane: decides its range of the keys, and returns the batches that came of it. */
async function fillDraft(
  pool: pg.Pool,
  request: PlanRequest,
  draft: Draft,
  lane: number,
  range: KeyRange,
  signal: AbortSignal,
): Promise<BatchFound[]> {
  const { importId, epoch, target, fields, lockKey, incarnation, manifest } = request;
  return withCancellableTransaction(pool, signal, async (client) => {
    await client.query('select waybill.hold($1, $2)', [importId, epoch]);
    await holdDraft(client, draft, 'row exclusive');
    // Seen in this very transaction: a crash of the server, which empties staging, would have ended it.
    if (!(await stagingIsWhole(client, lockKey, incarnation, manifest))) throw new StagingLost();
    await client.query('set local jit = off; set local max_parallel_workers_per_gather = 0');
    // Sorted rows meet the target through its key's index: one look-up each where the target is much larger than the
    // file, else both sides side by side. The planner cannot know how many rows have been staged.
    const lookUp = target.estimatedRows * LOOKUP_SHARE > manifest.rows;
    await client.query(
      `set local enable_hashjoin = off; set local ${lookUp ? 'enable_mergejoin' : 'enable_nestloop'} = off`,
    );
    const places = `stage.places_${lockKey}_${lane}`;
    const first = firstPlace(request, lane);
    await client.query(`create sequence ${places} start ${first} cache ${BATCH_ROWS}`);
    await client.query(winnersStatement(request, { into: draft.table, places, range }));
    await client.query(`drop sequence ${places}`);
    // One pass that collects: the planner, who knows nothing of the new table, would sort all of it first.
    await client.query('set local enable_sort = off');
    const batches = await client.query<BatchFound>(
      `select min(_seq) as first, max(_seq) as last, count(*)::int as rows,
         bit_xor(${rowHash(target, fields, 'p')})::text as digest,
         count(*) filter (where _decision = 'create')::int as creates,
         count(*) filter (where _decision = 'update')::int as updates,
         count(*) filter (where _decision = 'unchanged')::int as unchanged
       from ${draft.table} p where _seq between $1 and $2 group by (_seq - 1) / ${BATCH_ROWS}`,
      [first, firstPlace(request, lane + 1) - 1],
    );
    return batches.rows.sort((a, b) => a.first - b.first);
  });
}

/** Locks the draft, and makes sure that it is the one that this attempt began: a late one finds another in its place. */
async function holdDraft(client: pg.PoolClient, { table, oid }: Draft, mode: string): Promise<void> {
  await client.query(`lock table ${table} in ${mode} mode`);
  const { rows } = await client.query<{ oid: number }>('select to_regclass($1)::oid::int8 as oid', [table]);
  if (rows[0]!.oid !== oid) throw new PlanningOvertaken('another attempt makes this plan');
}

/** This attempt was late: another one has begun the plan anew. Retried, it finds that plan or makes its own. */
class PlanningOvertaken extends Error {}

/** Makes the draft the plan. */
async function finishDraft(
  pool: pg.Pool,
  request: PlanRequest,
  draft: Draft,
  batches: BatchFound[],
  signal: AbortSignal | undefined,
): Promise<Plan> {
  const { importId, lockKey, epoch, manifest } = request;
  const plan = planTable(lockKey);
  return withCancellableTransaction(pool, signal, async (client) => {
    await enterPlanning(client, request);
    const made = await currentPlan(client, importId);
    if (made?.epoch === epoch) return made.plan;
    await holdDraft(client, draft, 'access exclusive');
    // Read again, and only here: whoever takes the turn away has to wait for this transaction.
    const state = (
      await client.query<{ version: number; generation: number | null }>(
        `select i.plan_version as version,
           (select t.generation from waybill.turns t where t.turn = i.turn and t.holder = i.import_id) as generation
         from waybill.imports i where i.import_id = $1`,
        [importId],
      )
    ).rows[0]!;
    await client.query('set local jit = off');
    const placed = batches.reduce((sum, batch) => sum + batch.rows, 0);
    let rest: { decision: string; rows: number }[] = [];
    if (placed < manifest.rows + manifest.rejected) {
      if (!(await stagingIsWhole(client, lockKey, request.incarnation, manifest))) throw new StagingLost();
      await client.query(othersStatement(request, draft.table));
      rest = (
        await client.query<{ decision: string; rows: number }>(
          `select _decision as decision, count(*)::int as rows from ${draft.table} where _seq is null group by 1`,
        )
      ).rows;
    }
    const missing = request.missing
      ? await findMissing(client, request, request.missing, {
          plan: draft.table,
          base: firstPlace(request, draft.ranges.length) - 1,
          batchRows: BATCH_ROWS,
        })
      : null;
    const hold = missing
      ? [
          ...incompleteReasons({
            manifest,
            missing: missing.rows,
            unreadable: await countKeyless(client, request, draft),
            sheetNamed: request.sheetNamed ?? false,
          }),
          ...(missing.later === null ? [] : [missing.later]),
        ]
      : [];
    await client.query(`create index on ${draft.table} (_seq)`);
    await client.query(
      `drop table if exists ${[plan, imagesTable(lockKey), ...(missing ? [] : [missingTable(lockKey)])].join(', ')}`,
    );
    await client.query(`alter table ${draft.table} rename to ${plan.slice('stage.'.length)}`);
    await client.query(imagesStatement(request));
    return freeze(client, request, {
      version: state.version + 1,
      generation: state.generation,
      batches,
      rest: new Map(rest.map(({ decision, rows }) => [decision, rows])),
      missing,
      hold,
    });
  });
}

/** Records of the file whose key nobody can read. */
async function countKeyless(
  client: pg.PoolClient,
  { target }: PlanRequest,
  { table }: Draft,
): Promise<number> {
  const without = planKey(target).map(({ name }) => `${name} is null`);
  const [row] = (
    await client.query<{ rows: number }>(
      `select count(*) as rows from ${table} where _seq is null and (${without.join(' or ')})`,
    )
  ).rows;
  return row!.rows;
}

function imagesStatement({ lockKey, fields }: PlanRequest): string {
  const written = fields.filter((field) => !field.key);
  const columns = ['b_', 'a_'].flatMap((prefix) =>
    written.map((field) => `${quoteName(prefix + field.column)} ${field.type}`),
  );
  return `create table ${imagesTable(lockKey)} (${[
    '_record bigint not null',
    '_wave int not null',
    '_batch int not null',
    '_created boolean not null',
    ...(written.length > 0 ? columns : ['_ignored text']),
  ].join(', ')}) with (autovacuum_enabled = false)`;
}

/** Writes the plan's batches and digest and, where nobody else has to approve it, the wave that makes it final. */
async function freeze(
  client: pg.PoolClient,
  request: PlanRequest,
  found: {
    version: number;
    generation: number | null;
    batches: BatchFound[];
    /** Rows without a place, by their decision. */
    rest: Map<string, number>;
    missing: MissingFound | null;
    hold: string[];
  },
): Promise<Plan> {
  const { importId } = request;
  const { version, generation, rest, missing, hold } = found;
  const batches = found.batches.map((batch) => ({ ...batch, missing: false }));
  const all = [...batches, ...(missing?.batches ?? []).map((batch) => ({ ...batch, missing: true }))];
  const approvedBy = request.policy === 'auto' && hold.length === 0 ? 'auto' : null;
  const wave = 1;
  const sum = (pick: (batch: BatchFound) => number) =>
    batches.reduce((total, batch) => total + pick(batch), 0);
  const counts: PlanCounts = {
    creates: sum((batch) => batch.creates),
    updates: sum((batch) => batch.updates),
    unchanged: sum((batch) => batch.unchanged),
    duplicates: rest.get('duplicate') ?? 0,
    blocked: rest.get('blocked') ?? 0,
    ...(missing && { missing: missing.rows }),
  };
  const program = { ...programOf(request, approvedBy === null), missing: missing?.program ?? null };
  // Batches of a plan nobody approved are replaced by those of the next; approved ones can only be superseded.
  await client.query(
    `delete from waybill.batches b where import_id = $1
       and not exists (select from waybill.receipts r where (r.import_id, r.wave, r.batch) = (b.import_id, b.wave, b.batch))`,
    [importId],
  );
  await client.query('delete from waybill.waves where import_id = $1', [importId]);
  await client.query(
    `insert into waybill.batches (import_id, wave, batch, first_seq, last_seq, rows, digest, missing)
     select $1, $2, * from unnest($3::int[], $4::bigint[], $5::bigint[], $6::int[], $7::bigint[], $8::boolean[])`,
    [
      importId,
      wave,
      all.map((_, n) => n + 1),
      all.map((b) => b.first),
      all.map((b) => b.last),
      all.map((b) => b.rows),
      all.map((b) => b.digest),
      all.map((b) => b.missing),
    ],
  );
  const digest = await storePlan(client, {
    request,
    version,
    wave,
    counts,
    program,
    generation,
    approvedBy,
    hold,
  });
  return { version, digest, counts, batches: all.length, hold };
}

/**
 * The ledger's index, made once at the end: look-ups by record, and half the proof, for it is unique. Where it cannot
 * be made because a record is there twice, it is left out and the proof says so.
 */
export async function indexLedger(pool: pg.Pool | pg.PoolClient, lockKey: number): Promise<void> {
  try {
    await pool.query(
      `create unique index if not exists plan_${lockKey}_record on ${planTable(lockKey)} (_record)`,
    );
  } catch (error) {
    if ((error as { code?: string }).code !== '23505') throw error;
  }
}
