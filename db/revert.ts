import type pg from 'pg';
import { HASHED, LANES } from './apply-program.ts';
import { quoteName, withCancellableTransaction, withClient, withTransaction } from './connect.ts';
import type { ImportRow } from './control.ts';
import {
  countDecisions,
  decisions,
  moved,
  reactivated,
  referencesOf,
  shapeOf,
  type OnConflict,
  type RevertCounts,
  type RevertRequest,
} from './revert-plan.ts';
import { revertTable } from './later-imports.ts';
import { missingTable } from './missing-table.ts';
import { freeOf } from './references.ts';
import { arbiterOf, keyJoin, planKey } from './target.ts';

/** Records of one batch of a revert. */
export const BATCH_RECORDS = 10_000;

type Shape = Awaited<ReturnType<typeof shapeOf>>;

/** The statements that waybill.revert_batches runs; $1 and $2 are the first and last place, $3 records (null: all) or a kind. */
function writeProgram(shape: Shape, table: string): Record<string, unknown> {
  const { target, tenantId } = shape.request;
  const range = 'p._place between $1 and $2';
  const key = keyJoin(target, tenantId, 'p');
  const free = (kind: 'created' | 'updated'): string => freeOf(referencesOf(shape, kind));
  const asLeft = (kind: 'created' | 'updated') => `(p._forced or not ${moved(shape, kind)})`;
  const chosen = `${range} and ($3::bigint[] is null or p._record = any($3::bigint[]))`;
  const write = (kind: 'created' | 'updated') =>
    `${chosen} and p._decision = '${kind === 'created' ? 'remove' : 'restore'}' and ${key} and ${asLeft(kind)}${free(kind)} returning p._record`;
  const set = shape.written.map(({ name }) => `${quoteName(name)} = p.${quoteName('b_' + name)}`).join(', ');
  const back = (statement: string) =>
    `with w as (${statement}) select coalesce(array_agg(_record), '{}') from w`;
  return {
    check: `select count(*) as rows, coalesce(bit_xor(${rowHash(shape, 'p')}), 0) as digest,
        count(*) filter (where p._decision = 'gone') as gone, count(*) filter (where p._decision = 'skip') as skipped
      from ${table} p where ${range}`,
    planned: `select coalesce(array_agg(p._record), '{}') from ${table} p where ${range} and p._decision = $3`,
    record_of: `select p._record from ${table} p where p._place = $1`,
    lock:
      shape.references.length > 0
        ? `select count(*) from (select from ${target.name} t join ${table} p on ${key} where ${range} and p._decision in ('remove', 'restore')
             order by p._place for update of t) x`
        : null,
    remove: back(`delete from ${target.name} t using ${table} p where ${write('created')}`),
    ...writeMissing(shape, table),
    restore:
      shape.written.length > 0
        ? back(`update ${target.name} t set ${set} from ${table} p where ${write('updated')}`)
        : `select '{}'::bigint[]`,
    classify: `select coalesce(array_agg(p._record) filter (where t.found is null), '{}') as absent,
        coalesce(array_agg(p._record) filter (where t.moved), '{}') as moved,
        coalesce(array_agg(p._record) filter (where t.found and not t.moved and t.held), '{}') as referenced
      from ${table} p left join lateral (select true as found,
          case p._kind when 'deleted' then true when 'deactivated' then not p._forced and (${reactivated(shape, 't')})
            else not p._forced and case p._kind when 'created' then ${moved(shape, 'created')} else ${moved(shape, 'updated')} end end as moved,
          not case p._kind when 'created' then true${free('created')} else true${free('updated')} end as held
        from ${target.name} t where ${key}) t on true
      where ${range} and p._record = any($3::bigint[])`,
    lanes: target.oneLane ? 1 : LANES,
    itself: shape.references.some(({ itself }) => itself),
  };
}

/** Records that the import deactivated or deleted, from the whole rows that it kept of them. */
function writeMissing(shape: Shape, table: string): { reactivate: string; reinsert: string } {
  const { missing, request } = shape;
  if (!missing) return { reactivate: `select '{}'::bigint[]`, reinsert: `select '{}'::bigint[]` };
  const { target, tenantId, lockKey } = request;
  const from = `${table} p join ${missingTable(lockKey)} m using (_record)`;
  const range = 'p._place between $1 and $2';
  const chosen = `${range} and ($3::bigint[] is null or p._record = any($3::bigint[]))`;
  const set = Object.keys(missing.sets).map((name) => `${quoteName(name)} = m.${quoteName('r_' + name)}`);
  // What the table computes it computes again.
  const columns = missing.columns.filter((name) => !target.columns.find((c) => c.name === name)!.generated);
  const keys = planKey(target);
  // Joined by hash, it would read all of them for each batch.
  const bound = (which: 'min' | 'max') =>
    `(select ${which}(p._record) from ${table} p where ${range} and p._decision = 'reinsert')`;
  return {
    reactivate:
      set.length === 0
        ? `select '{}'::bigint[]`
        : `with w as (update ${target.name} t set ${set.join(', ')} from ${from}
             where ${chosen} and p._decision = 'reactivate' and ${keyJoin(target, tenantId, 'p')}
               and (p._forced or not (${reactivated(shape, 't')})) returning p._record)
           select coalesce(array_agg(_record), '{}') from w`,
    reinsert: `with w as (insert into ${target.name} (${columns.map(quoteName).join(', ')}) overriding system value
          select ${columns.map((name) => `m.${quoteName('r_' + name)}`).join(', ')} from ${from}
          where ${chosen} and p._decision = 'reinsert' and m._record between ${bound('min')} and ${bound('max')} order by p._place
          on conflict (${arbiterOf(target)}) do nothing returning ${keys.map((key) => `${key.expression} as ${key.name}`).join(', ')})
        select coalesce(array_agg(p._record), '{}') from ${table} p join w on ${keys.map((key) => `w.${key.name} = p.${key.name}`).join(' and ') || 'true'}
        where ${range} and p._decision = 'reinsert'`,
  };
}

function rowHash(shape: Shape, alias: string): string {
  const column = (name: string, type: string) =>
    `${alias}.${quoteName(name)}${HASHED.test(type) ? '' : '::text'}`;
  return `hash_record_extended(row(${[
    ...['_place', '_record', '_kind', '_decision', '_forced', ...shape.keys.map((key) => key.name)].map(
      (name) => `${alias}.${name}`,
    ),
    ...shape.written.flatMap(({ name, type }) => [column('b_' + name, type), column('a_' + name, type)]),
    ...shape.spelled.map(({ name, type }) => column('x_' + name, type)),
  ].join(', ')}), 0)`;
}

/** Looks at what undoing an import would do, without doing any of it: counts, and the first conflicts. */
export async function previewRevert(
  pool: pg.Pool,
  request: Omit<RevertRequest, 'revert'>,
  examples: number,
): Promise<{ counts: RevertCounts; conflicts: RevertConflict[] }> {
  return withClient(pool, async (client) => {
    await client.query(`begin; set local statement_timeout = '60s'; set local jit = off`);
    const revert = await nextRevert(client, request.importId);
    const shape = await shapeOf(client, { ...request, revert });
    await client.query(
      `create temp table revert_preview on commit drop as ${await decisions(client, shape)}`,
    );
    const counts = await countDecisions(client, 'revert_preview');
    const conflicts = await conflictsOf(client, {
      table: 'revert_preview',
      importId: request.importId,
      revert,
      after: 0,
      limit: examples,
    });
    await client.query('rollback');
    return { counts, conflicts };
  });
}

const nextRevert = async (client: pg.PoolClient, importId: string): Promise<number> =>
  (
    await client.query<{ next: number }>(
      'select coalesce(max(revert), 0) + 1 as next from waybill.reverts where import_id = $1',
      [importId],
    )
  ).rows[0]!.next;

export interface RevertPlanned {
  revert: number;
  counts: RevertCounts;
  batches: number;
}

/**
 * Decides what undoing does with each record, in the turn that it will be done in. Asked again, it returns what it
 * decided; where somebody else held the turn meanwhile, records without a receipt are decided anew in new batches.
 */
export async function planRevert(
  pool: pg.Pool,
  request: RevertRequest,
  epoch: number,
  signal?: AbortSignal,
): Promise<RevertPlanned> {
  const { importId, revert, lockKey } = request;
  const table = revertTable(lockKey, revert);
  return withCancellableTransaction(pool, signal, async (client) => {
    await client.query('select pg_advisory_xact_lock(7296, $1)', [lockKey % 2 ** 31]);
    await client.query('select waybill.hold_revert($1, $2)', [importId, epoch]);
    await client.query('set local jit = off');
    const state = (
      await client.query<{ planned: boolean; same: boolean; generation: number }>(
        `select v.planned_at is not null as planned, v.turn_generation is not distinct from t.generation as same, t.generation
         from waybill.reverts v join waybill.imports i using (import_id)
         left join waybill.turns t on t.turn = i.turn and t.holder = i.import_id
         where v.import_id = $1 and v.revert = $2`,
        [importId, revert],
      )
    ).rows[0]!;
    if (!state.planned || !state.same) {
      const shape = await shapeOf(client, request);
      if (state.planned) await decideAgain(client, shape, table);
      else await decideAll(client, shape, table);
      await client.query(
        `update waybill.reverts set planned_at = clock_timestamp(), turn_generation = $3, counts = $4, program = $5
         where import_id = $1 and revert = $2`,
        [
          importId,
          revert,
          state.generation,
          JSON.stringify(await countDecisions(client, table)),
          JSON.stringify(writeProgram(shape, table)),
        ],
      );
    }
    const made = await client.query<RevertPlanned>(
      `select v.revert, v.counts, (select count(*)::int from waybill.revert_batches b
         where b.import_id = v.import_id and b.revert = v.revert and b.superseded_at is null) as batches
       from waybill.reverts v where v.import_id = $1 and v.revert = $2`,
      [importId, revert],
    );
    return made.rows[0]!;
  });
}

async function decideAll(client: pg.PoolClient, shape: Shape, table: string): Promise<void> {
  const { importId, revert } = shape.request;
  await client.query(`drop table if exists ${table}`);
  await client.query(
    `create table ${table} with (autovacuum_enabled = false) as ${await decisions(client, shape)}`,
  );
  await client.query(`create index on ${table} using brin (_place) with (pages_per_range = 64)`);
  // Half the proof that each record is undone once, and how its history finds it.
  await client.query(`create unique index on ${table} (_record)`);
  await client.query(
    `insert into waybill.revert_batches (import_id, revert, batch, first_place, last_place, rows, digest)
     select $1, $2, ((_place - 1) / ${BATCH_RECORDS})::int + 1, min(_place), max(_place), count(*)::int, bit_xor(${rowHash(shape, 'p')})
     from ${table} p group by 3`,
    [importId, revert],
  );
}

async function decideAgain(client: pg.PoolClient, shape: Shape, table: string): Promise<void> {
  const { importId, revert } = shape.request;
  // A late attempt of the old epoch may be committing one of these: wait for it, then see its receipt.
  await client.query(
    'select from waybill.revert_batches where import_id = $1 and revert = $2 and superseded_at is null order by batch for update',
    [importId, revert],
  );
  const open = `b.import_id = $1 and b.revert = $2 and b.superseded_at is null and not exists (
    select from waybill.revert_receipts c where (c.import_id, c.revert, c.batch) = (b.import_id, b.revert, b.batch))`;
  await client.query(
    `create temp table undecided on commit drop as select p._record from waybill.revert_batches b
     join ${table} p on p._place between b.first_place and b.last_place where ${open}`,
    [importId, revert],
  );
  await client.query(
    `create temp table again on commit drop as ${await decisions(client, shape, 'l._record in (select _record from undecided)')}`,
  );
  await client.query(
    `update ${table} p set (_decision, _forced, _conflicts, _seen_by, _referenced_by, _now)
       = (d._decision, d._forced, d._conflicts, d._seen_by, d._referenced_by, d._now)
     from again d where d._record = p._record
       and (p._decision, p._forced, p._conflicts, p._seen_by, p._referenced_by) is distinct from (d._decision, d._forced, d._conflicts, d._seen_by, d._referenced_by)`,
  );
  await client.query(
    `with old as (update waybill.revert_batches b set superseded_at = clock_timestamp() where ${open} returning b.*),
       numbered as (select o.*, row_number() over (order by o.batch) as n from old o)
     insert into waybill.revert_batches (import_id, revert, batch, first_place, last_place, rows, digest)
     select $1, $2, (select max(batch) from waybill.revert_batches where import_id = $1 and revert = $2) + n, first_place, last_place, x.rows, x.digest
     from numbered cross join lateral (select count(*)::int as rows, coalesce(bit_xor(${rowHash(shape, 'p')}), 0) as digest
       from ${table} p where p._place between first_place and last_place) x`,
    [importId, revert],
  );
}

/** Batches of a revert without receipt, as contiguous ranges, and how many of them may be done at once. */
export async function pendingReverts(
  pool: pg.Pool,
  importId: string,
  revert: number,
): Promise<{ lanes: number; ranges: { first: number; last: number }[] }> {
  const lanes = await pool.query<{ lanes: number }>(
    `select (program ->> 'lanes')::int as lanes from waybill.reverts where import_id = $1 and revert = $2`,
    [importId, revert],
  );
  const ranges = await pool.query<{ first: number; last: number }>(
    `select min(batch) as first, max(batch) as last from (
       select b.batch, b.batch - row_number() over (order by b.batch) as run from waybill.revert_batches b
       where b.import_id = $1 and b.revert = $2 and b.superseded_at is null and not exists (
         select from waybill.revert_receipts c where (c.import_id, c.revert, c.batch) = (b.import_id, b.revert, b.batch))) g
     group by run order by 1`,
    [importId, revert],
  );
  return { lanes: lanes.rows[0]?.lanes ?? 1, ranges: ranges.rows };
}

/** One transaction: the batches first..last, each exactly once. Throws WB001, WB002 or the target's error. */
export async function revertBatches(
  pool: pg.Pool,
  batches: { importId: string; epoch: number; revert: number; first: number; last: number },
): Promise<void> {
  await withClient(pool, (client) =>
    client.query('select from waybill.revert_batches($1, $2, $3, $4, $5)', [
      batches.importId,
      batches.epoch,
      batches.revert,
      batches.first,
      batches.last,
    ]),
  );
}

/** Throws WB409 with a sentence where the import cannot be undone as it stands. */
export async function mayRevert(pool: pg.Pool, importId: string, windowSeconds: number): Promise<void> {
  await pool.query(
    'select waybill.must_be_revertable(i, make_interval(secs => $2)) from waybill.imports i where import_id = $1',
    [importId, windowSeconds],
  );
}

/** Begins to undo an import. Throws WB409 with a sentence where that is not possible. */
export async function beginRevert(
  pool: pg.Pool,
  begin: {
    importId: string;
    actor: string;
    onConflict: OnConflict;
    reason: string | null;
    windowSeconds: number;
  },
): Promise<ImportRow> {
  return withTransaction(pool, async (client) => {
    const result = await client.query<ImportRow>(
      'select * from waybill.begin_revert($1, $2, $3, $4, make_interval(secs => $5))',
      [begin.importId, begin.actor, JSON.stringify(begin.onConflict), begin.reason, begin.windowSeconds],
    );
    return result.rows[0]!;
  });
}

export async function claimRevert(
  pool: pg.Pool,
  importId: string,
  runId: string,
): Promise<{ epoch: number; revert: number; paused: boolean } | null> {
  const result = await pool.query<{ epoch: number; revert: number; paused: boolean }>(
    'select * from waybill.claim_revert($1, $2)',
    [importId, runId],
  );
  return result.rows[0] ?? null;
}

/** Ends it: with an error, or as its proof says. Null: no such import. */
export async function finishRevert(
  pool: pg.Pool,
  end: { importId: string; epoch: number; error?: { code: string; message: string } | null },
): Promise<ImportRow> {
  const result = await pool.query<ImportRow>('select * from waybill.finish_revert($1, $2, $3)', [
    end.importId,
    end.epoch,
    end.error ? JSON.stringify(end.error) : null,
  ]);
  return result.rows[0]!;
}

export interface StoredRevert {
  revert: number;
  state: 'running' | 'paused' | 'done' | 'cancelled' | 'failed' | 'unproven';
  onConflict: OnConflict;
  requestedBy: string;
  reason: string | null;
  requestedAt: Date;
  plannedAt: Date | null;
  counts: RevertCounts | null;
  /** Records undone or found not to need it so far. */
  done: number;
  result: Record<'removed' | 'restored' | 'gone' | 'skipped' | 'failed', number>;
  error: { code: string; message: string } | null;
  finishedAt: Date | null;
}

/** The reverts of an import, the newest first. */
export async function listReverts(pool: pg.Pool, importId: string): Promise<StoredRevert[]> {
  const result = await pool.query<StoredRevert>(
    `select v.revert, v.state, v.on_conflict as "onConflict", v.requested_by as "requestedBy", v.reason, v.requested_at as "requestedAt",
       v.planned_at as "plannedAt", v.counts, v.error, v.finished_at as "finishedAt", c.done, c.result
     from waybill.reverts v cross join lateral (
       select coalesce(sum(removed + restored + gone + skipped + failed), 0)::float8 as done,
         jsonb_build_object('removed', coalesce(sum(removed), 0), 'restored', coalesce(sum(restored), 0), 'gone', coalesce(sum(gone), 0),
           'skipped', coalesce(sum(skipped), 0), 'failed', coalesce(sum(failed), 0)) as result
       from waybill.revert_receipts r where (r.import_id, r.revert) = (v.import_id, v.revert)) c
     where v.import_id = $1 order by v.revert desc`,
    [importId],
  );
  return result.rows;
}

export interface RevertConflict {
  record: number;
  line: number | null;
  key: string;
  change: 'created' | 'updated' | 'deactivated' | 'deleted';
  kinds: ('changed' | 'seenLater' | 'referenced')[];
  /** What was decided, and what came of it where that differs. */
  decision: 'remove' | 'restore' | 'reactivate' | 'reinsert' | 'skip' | 'gone';
  outcome: 'gone' | 'skipped' | 'failed' | null;
  message: string | null;
  /** Values of the columns that the import wrote: before it, as it left them, as they are now (null: no such record). */
  before: Record<string, string | null> | null;
  left: Record<string, string | null>;
  now: Record<string, string | null> | null;
  /** Null too where it is an import of another tenant, to whom the table was given as well. */
  seenBy: { importId: string; fileName: string; createdBy: string } | null;
  /** Table and constraint. */
  referencedBy: string | null;
}

/** Conflicts of a revert behind `after` (a place), in the order of their places; none before it is planned. */
export async function listConflicts(
  pool: pg.Pool,
  page: { lockKey: number; importId: string; revert: number; after: number; limit: number },
): Promise<(RevertConflict & { place: number })[]> {
  const table = revertTable(page.lockKey, page.revert);
  const [there] = (
    await pool.query<{ there: boolean }>('select to_regclass($1) is not null as there', [table])
  ).rows;
  return there!.there ? conflictsOf(pool, { ...page, table }) : [];
}

async function conflictsOf(
  client: pg.Pool | pg.PoolClient,
  page: { table: string; importId: string; revert: number; after: number; limit: number },
): Promise<(RevertConflict & { place: number })[]> {
  const text = (prefix: string) =>
    `(select coalesce(jsonb_object_agg(substr(k, 3), v), '{}') from jsonb_each_text(to_jsonb(p)) e (k, v) where k like '${prefix}\\_%')`;
  const result = await client.query<RevertConflict & { place: number }>(
    `select p._place as place, p._record as record, p._line as line,
       (select string_agg(v, ' / ' order by k) from jsonb_each_text(to_jsonb(p)) e (k, v) where k ~ '^_k[0-9]+$') as key,
       p._kind as change, p._conflicts as kinds, p._decision as decision, o.outcome, o.message,
       case when p._kind <> 'created' then ${text('b')} end as before, ${text('a')} as left,
       case when p._now is not null then (select jsonb_object_agg(k, v) from jsonb_each_text(p._now) e (k, v)) end as now,
       case when p._seen_by is not null then (select jsonb_build_object('importId', i.import_id, 'fileName', i.file_name, 'createdBy', i.created_by)
         from waybill.imports i join waybill.imports own using (tenant_id) where i.import_id = p._seen_by and own.import_id = $1) end as "seenBy",
       p._referenced_by as "referencedBy"
     from ${page.table} p
     left join waybill.revert_outcomes o on o.import_id = $1 and o.revert = $2 and o.record = p._record
     where p._place > $3 and (cardinality(p._conflicts) > 0 or o.record is not null) order by p._place limit $4`,
    [page.importId, page.revert, page.after, page.limit],
  );
  return result.rows;
}
