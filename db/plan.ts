import type pg from 'pg';
import type { Dataset, ImportMode, ImportPolicy } from '../datasets/types.ts';
import type { Manifest } from '../intake/types.ts';
import { differs, rowHash, writeProgram, type WrittenField } from './apply-program.ts';
import { quoteName, quoteText, withCancellableTransaction } from './connect.ts';
import { stagingIsWhole, stagingTables } from './staging.ts';
import { keyJoin, planKey, type Target } from './target.ts';

/** Rows of one batch: the unit of pause and of a fenced retry. 10,000 five-column rows commit in 40 to 90 ms. */
const BATCH_ROWS = 10_000;

/** Below this share of the target an index look-up for each row beats reading the whole target (facts: 4.3-5.1 s against 9.8-11.2 s for 1M rows into 10M). */
const LOOKUP_SHARE = 0.25;

export interface PlanCounts {
  creates: number;
  updates: number;
  unchanged: number;
  duplicates: number;
  blocked: number;
}

export interface Plan {
  version: number;
  digest: string;
  counts: PlanCounts;
  /** Batches of the wave that was frozen with the plan; 0 where nobody has approved it yet. */
  batches: number;
}

/** Thrown where staging does not cover the file: the caller stages a new incarnation. */
export class StagingLost extends Error {}

export interface PlanRequest {
  importId: string;
  lockKey: number;
  tenantId: string;
  epoch: number;
  incarnation: number;
  dataset: Dataset;
  fields: WrittenField[];
  target: Target;
  manifest: Manifest;
  mode: ImportMode;
  policy: ImportPolicy;
}

export const planTable = (lockKey: number): string => `stage.plan_${lockKey}`;
export const imagesTable = (lockKey: number): string => `stage.images_${lockKey}`;

/**
 * Decides every record of the file: one sort by key, a look at the target, the plan in key order. In one
 * transaction with its batches, its program and, under `auto`, the wave that freezes it. Asked again for the same
 * epoch it returns the plan that is there.
 */
export async function makePlan(pool: pg.Pool, request: PlanRequest, signal?: AbortSignal): Promise<Plan> {
  const { importId, lockKey, epoch, target } = request;
  return withCancellableTransaction(pool, signal, async (client) => {
    await client.query('select pg_advisory_xact_lock(7296, $1)', [lockKey % 2 ** 31]);
    await client.query('select waybill.hold($1, $2)', [importId, epoch]);
    const state = (
      await client.query<{ version: number; generation: number | null; receipts: boolean }>(
        `select i.plan_version as version,
           (select t.generation from waybill.turns t where t.turn = i.turn and t.holder = i.import_id) as generation,
           exists (select from waybill.receipts r where r.import_id = i.import_id) as receipts
         from waybill.imports i where i.import_id = $1`,
        [importId],
      )
    ).rows[0]!;
    const made = await planOfEpoch(client, importId, epoch);
    if (made) return made;
    if (state.receipts) throw new Error('a plan with receipts is decided anew by rebase, never made again');
    if (!(await stagingIsWhole(client, lockKey, request.incarnation, request.manifest)))
      throw new StagingLost();

    const version = state.version + 1;
    await client.query('set local jit = off');
    if (target.estimatedRows * LOOKUP_SHARE > request.manifest.rows) {
      await client.query('set local enable_hashjoin = off; set local enable_mergejoin = off');
    }
    await client.query(`drop table if exists ${planTable(lockKey)}, ${imagesTable(lockKey)}`);
    const { winners, others } = planStatements(request);
    const placed = (await client.query(winners)).rowCount ?? 0;
    if (placed < request.manifest.rows + request.manifest.rejected) await client.query(others);
    await client.query(`create index on ${planTable(lockKey)} using brin (_seq) with (pages_per_range = 64)`);
    await client.query(imagesStatement(request));
    return freeze(client, request, version, state.generation, request.policy === 'auto' ? 'auto' : null);
  });
}

/** The plan that an earlier attempt at the same planning has committed. */
export async function planOfEpoch(
  client: pg.PoolClient,
  importId: string,
  epoch: number,
): Promise<Plan | null> {
  const result = await client.query<Plan>(
    `select p.version, p.digest, p.counts, (select count(*)::int from waybill.batches b where b.import_id = i.import_id
       and b.superseded_at is null) as batches
     from waybill.imports i join waybill.plans p on p.import_id = i.import_id and p.version = i.plan_version
     where i.import_id = $1 and p.epoch = $2`,
    [importId, epoch],
  );
  return result.rows[0] ?? null;
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

/**
 * The two statements that make the plan; exported to be looked at with EXPLAIN. The first sorts once and gives every
 * key's winner its place. The second runs only where records are left over: duplicates, blocked rows, empty keys.
 * As one statement with window functions for rank and winner it took 2.3 times as long (14.8 against 6.4 s for 1M).
 */
export function planStatements(request: PlanRequest): { winners: string; others: string } {
  const { lockKey, incarnation, tenantId, target, fields, mode, dataset } = request;
  const keys = planKey(target);
  const plan = planTable(lockKey);
  const { rows } = stagingTables(lockKey, incarnation);
  const byColumn = new Map(fields.map((field) => [field.column, field]));
  // The key's expressions speak of the target's columns: here those are what the file carries.
  const asTarget = target.columns.map((column) => {
    const name = quoteName(column.name);
    if (column.name === 'tenant_id') return `${quoteText(tenantId)}::${column.type} as ${name}`;
    return `${byColumn.has(column.name) ? `s.${quoteName('v_' + column.name)}` : `null::${column.type}`} as ${name}`;
  });
  const values = fields.map((field) => quoteName('v_' + field.column)).join(', ');
  const keyed = `select _record, _line, _offset, _bytes, _blocked, _issues, _raw, ${values},
      ${keys.map((key) => `(${key.expression}) as ${key.name}`).join(', ')}
    from (select s.*, ${asTarget.join(', ')} from ${rows} s) s`;

  const written = fields.filter((field) => !field.key);
  const difference = differs(
    fields,
    (c) => `t.${quoteName(c)}`,
    (c) => `k.${quoteName('v_' + c)}`,
  );
  const found = `when ${difference} then 'update' else 'unchanged' end`;
  const decision =
    mode === 'insert'
      ? `case when t._found is null then 'create' else 'key_exists' end`
      : `case when t._found is null then '${mode === 'update' ? 'no_such_record' : 'create'}' ${found}`;
  const refusing = mode === 'insert' || mode === 'update';
  const placed = `_found in ('create', 'update', 'unchanged')`;
  const keyNames = keys.map((key) => key.name).join(', ');
  const noNull = keys.map((key) => `k.${key.name} is not null`).join(' and ');
  const seen = written.map((field) => quoteName('s_' + field.column));
  const keyField =
    dataset.fields.find((field) => field.column === fields.find((f) => f.key)?.column)?.name ?? '';
  const issue = (code: string, value: string, message: string, line = '_line') =>
    `jsonb_build_array(jsonb_build_object('line', ${line}, 'column', null, 'field', ${quoteText(keyField)}, 'code', ${quoteText(code)},
       'severity', 'error', 'value', ${value}, 'message', ${quoteText(message)}))`;
  const keyText = `concat_ws(' / ', ${keyNames})`;

  const winners = `create table ${plan} with (autovacuum_enabled = false) as
    select _record, _line, _offset, _bytes,
      ${refusing ? `case when ${placed} then count(*) filter (where ${placed}) over (rows unbounded preceding) end` : 'row_number() over ()'} as _seq,
      ${refusing ? `case when ${placed} then _found else 'blocked' end` : '_found'} as _decision,
      null::bigint as _winner, ${[keyNames, values, ...seen].join(', ')},
      ${
        refusing
          ? `case _found when 'key_exists' then ${issue('key_exists', keyText, 'A record with this key exists, and this import only adds new records.')}
             when 'no_such_record' then ${issue('no_such_record', keyText, 'No record has this key, and this import only updates.')} else _issues end as _issues`
          : '_issues'
      }, _raw
    from (
      select distinct on (${keyNames}) k.*, ${[
        `${decision} as _found`,
        ...written.map(
          (field) =>
            `case when t._found and (${difference}) then t.${quoteName(field.column)} end as ${quoteName('s_' + field.column)}`,
        ),
      ].join(', ')}
      from (${keyed}) k left join lateral (
        select ${['true as _found', ...written.map((field) => quoteName(field.column))].join(', ')}
        from ${target.name} where ${keyJoin(target, tenantId, 'k')}
      ) t on true
      where not k._blocked and ${noNull}
      order by ${keyNames}, _record ${dataset.duplicates === 'first' ? 'asc' : 'desc'}
    ) w`;

  const others = `insert into ${plan} (_record, _line, _offset, _bytes, _decision, _winner, ${[keyNames, values].join(', ')}, _issues, _raw)
    select k._record, k._line, k._offset, k._bytes, case when w._record is null then 'blocked' else 'duplicate' end, w._record,
      ${keys.map((key) => `k.${key.name}`).join(', ')}, ${fields.map((field) => `k.${quoteName('v_' + field.column)}`).join(', ')},
      case when w._record is null and not k._blocked
        then ${issue('key_empty', 'null', 'The key is empty. Give the row a value that tells it from the others.', 'k._line')} else k._issues end, k._raw
    from (${keyed}) k left join ${plan} w on not k._blocked and ${keys.map((key) => `w.${key.name} = k.${key.name}`).join(' and ')}
    where not exists (select from ${plan} p where p._record = k._record)`;
  return { winners, others };
}

/** Writes the plan's batches and digest and, where somebody approves, the wave that makes it final. */
async function freeze(
  client: pg.PoolClient,
  request: PlanRequest,
  version: number,
  generation: number | null,
  approvedBy: string | null,
): Promise<Plan> {
  const { importId, lockKey, tenantId, target, fields } = request;
  const wave = 1;
  // One pass for everything: batches with their digests, and the rows without a place by their decision.
  const groups = await client.query<{
    batch: number | null;
    decision: string | null;
    first: number;
    last: number;
    rows: number;
    digest: string;
    creates: number;
    updates: number;
    unchanged: number;
  }>(
    `select ((_seq - 1) / ${BATCH_ROWS})::int as batch, case when _seq is null then _decision end as decision,
       min(_seq) as first, max(_seq) as last, count(*)::int as rows, bit_xor(${rowHash(target, fields, 'p')})::text as digest,
       count(*) filter (where _decision = 'create')::int as creates,
       count(*) filter (where _decision = 'update')::int as updates,
       count(*) filter (where _decision = 'unchanged')::int as unchanged
     from ${planTable(lockKey)} p group by 1, 2 order by 1 nulls last`,
  );
  const batches = groups.rows.filter((row) => row.batch !== null);
  const sum = (pick: (row: (typeof batches)[number]) => number) =>
    batches.reduce((total, row) => total + pick(row), 0);
  const without = (decision: string) => groups.rows.find((row) => row.decision === decision)?.rows ?? 0;
  const counts: PlanCounts = {
    creates: sum((row) => row.creates),
    updates: sum((row) => row.updates),
    unchanged: sum((row) => row.unchanged),
    duplicates: without('duplicate'),
    blocked: without('blocked'),
  };
  const program = writeProgram({
    target,
    tenantId,
    fields,
    plan: planTable(lockKey),
    images: imagesTable(lockKey),
    reviewed: request.policy !== 'auto',
  });
  // Batches of a plan nobody approved are replaced by those of the next; approved ones can only be superseded.
  await client.query(
    `delete from waybill.batches b where import_id = $1
       and not exists (select from waybill.receipts r where (r.import_id, r.wave, r.batch) = (b.import_id, b.wave, b.batch))`,
    [importId],
  );
  await client.query('delete from waybill.waves where import_id = $1', [importId]);
  await client.query(
    `insert into waybill.batches (import_id, wave, batch, first_seq, last_seq, rows, digest)
     select $1, $2, * from unnest($3::int[], $4::bigint[], $5::bigint[], $6::int[], $7::bigint[])`,
    [
      importId,
      wave,
      batches.map((b) => b.batch! + 1),
      batches.map((b) => b.first),
      batches.map((b) => b.last),
      batches.map((b) => b.rows),
      batches.map((b) => b.digest),
    ],
  );
  const digest = await storePlan(client, { request, version, wave, counts, program, generation, approvedBy });
  return { version, digest, counts, batches: batches.length };
}

/** Writes the plan's row with the digest over its batches, what the import now stands at, and who approved it. */
export async function storePlan(
  client: pg.PoolClient,
  plan: {
    request: PlanRequest;
    version: number;
    wave: number;
    counts: PlanCounts;
    program: object;
    generation: number | null;
    approvedBy: string | null;
  },
): Promise<string> {
  const { importId, epoch } = plan.request;
  const { version, wave, counts } = plan;
  const stored = await client.query<{ digest: string }>(
    `insert into waybill.plans (import_id, version, epoch, digest, counts, program)
     select $1, $2, $3, encode(sha256(convert_to($4::text || coalesce(string_agg(
         concat_ws(':', batch, first_seq, last_seq, rows, digest), ',' order by batch), ''), 'UTF8')), 'hex'), $4::jsonb, $5
     from waybill.batches where import_id = $1 and wave = $6
     returning digest`,
    [importId, version, epoch, JSON.stringify(counts), JSON.stringify(plan.program), wave],
  );
  await client.query(
    'update waybill.imports set plan_version = $2, turn_generation = $3 where import_id = $1',
    [importId, version, plan.generation],
  );
  if (plan.approvedBy !== null) {
    await client.query(
      'insert into waybill.waves (import_id, wave, plan_version, approved_by) values ($1, $2, $3, $4)',
      [importId, wave, version, plan.approvedBy],
    );
  }
  return stored.rows[0]!.digest;
}

/**
 * The ledger's index, made once at the end: look-ups by record, and half the proof, for it is unique. Where it cannot
 * be made because a record is there twice, it is left out and the proof says so.
 */
export async function indexLedger(pool: pg.Pool, lockKey: number): Promise<void> {
  try {
    await pool.query(
      `create unique index if not exists plan_${lockKey}_record on ${planTable(lockKey)} (_record)`,
    );
  } catch (error) {
    if ((error as { code?: string }).code !== '23505') throw error;
  }
}
