import type pg from 'pg';
import { comparable, differs, type ApplyProgram } from './apply-program.ts';
import { quoteName, quoteText, withCancellableTransaction } from './connect.ts';
import { overwritesNewer } from './older-file.ts';
import { markSeenLater } from './seen-later.ts';
import { planTable, programOf, type PlanRequest } from './plan.ts';
import { currentPlan, planIsJudged, storePlan, type Plan, type PlanCounts } from './stored-plan.ts';
import { keyJoin } from './target.ts';

/**
 * The turn was lost and somebody else wrote meanwhile: closes the batches without receipt and decides their rows
 * anew, as the next plan version with a wave of its own. Under `auto` each row is compared with the record as it is
 * now; under review the decisions stay, and apply finds what moved to be stale. Rows with a receipt are not touched.
 * Where a newer file of the same source was the other one, a run that nobody looked at is held (`hold`).
 */
export async function rebasePlan(pool: pg.Pool, request: PlanRequest, signal?: AbortSignal): Promise<Plan> {
  const { importId, lockKey, tenantId, target, fields, epoch, mode } = request;
  const plan = planTable(lockKey);
  return withCancellableTransaction(pool, signal, async (client) => {
    await client.query('select pg_advisory_xact_lock(7296, $1)', [lockKey % 2 ** 31]);
    await client.query('select waybill.hold($1, $2)', [importId, epoch]);
    // Said again, or by an attempt whose first one got through: decided in this very turn.
    const made = await currentPlan(client, importId);
    if (made?.ofThisTurn) return made.plan;
    await client.query('set local jit = off');
    const before = (
      await client.query<{
        version: number;
        wave: number;
        approved_by: string;
        program: ApplyProgram;
        counts: PlanCounts;
        generation: number | null;
      }>(
        `select i.plan_version as version, w.wave, w.approved_by, p.program, p.counts,
           (select t.generation from waybill.turns t where t.turn = i.turn and t.holder = i.import_id) as generation
         from waybill.imports i
         join waybill.plans p on p.import_id = i.import_id and p.version = i.plan_version
         join waybill.waves w on w.import_id = i.import_id and w.plan_version = i.plan_version
         where i.import_id = $1 order by w.wave desc limit 1`,
        [importId],
      )
    ).rows[0]!;
    const version = before.version + 1;
    const wave = before.wave + 1;
    // A late attempt of the old epoch may be committing one of these: wait for it, then see its receipt.
    await client.query(
      'select from waybill.batches where import_id = $1 and superseded_at is null order by wave, batch for update',
      [importId],
    );
    const open = `b.import_id = $1 and b.superseded_at is null and not exists (
      select from waybill.receipts r where (r.import_id, r.wave, r.batch) = (b.import_id, b.wave, b.batch))`;

    // A run under `auto` that a person had to look at is a reviewed one.
    if (!before.program.reviewed) {
      const written = fields.filter((field) => !field.key);
      const difference = differs(
        fields,
        (c) => `t.${quoteName(c)}`,
        (c) => `p.${quoteName('v_' + c)}`,
      );
      const seen = written.map((field) => quoteName('s_' + field.column));
      const otherwise = [
        'p._decision <> d._decision',
        ...written.map(({ type }, n) =>
          [comparable(type, `p.${seen[n]!}`), comparable(type, `d.${seen[n]!}`)].join(' is distinct from '),
        ),
      ].join(' or ');
      const live = written.map(
        (f) =>
          `case when t._found and (${difference}) then t.${quoteName(f.column)} end as ${quoteName('s_' + f.column)}`,
      );
      // Update-only leaves a record that is gone to apply, which says so; insert-only does not turn to updating.
      await client.query(
        `update ${plan} p set ${['_decision = d._decision', ...seen.map((name) => `${name} = d.${name}`)].join(', ')}
         from (select ${['p._record', `case when t._found is null then '${mode === 'update' ? 'update' : 'create'}' when ${difference} then 'update' else 'unchanged' end as _decision`, ...live].join(', ')}
           from ${plan} p join waybill.batches b on p._seq between b.first_seq and b.last_seq and ${open}
           left join lateral (select ${['true as _found', ...written.map((f) => quoteName(f.column))].join(', ')}
             from ${target.name} where ${keyJoin(target, tenantId, 'p')}) t on true) d
         where d._record = p._record and ${mode === 'insert' ? `p._decision <> 'create' and` : ''} (${otherwise})`,
        [importId],
      );
    }
    // Missing records keep their decision, and whatever was written to one since is left alone. What a newer file has,
    // however equal, is not missing.
    const missing = before.program.missing ?? null;
    const later = missing
      ? await markSeenLater(client, request, {
          since: missing.found_at,
          only: `exists (select from waybill.batches b where p._seq between b.first_seq and b.last_seq and ${open.replaceAll('$1', quoteText(importId))})`,
        })
      : null;
    // What is reviewed leaves alone what has moved; what is only inserted, or added, writes over nothing.
    const writesOver = mode !== 'insert' && fields.some(({ key, add }) => !key && !add);
    const older =
      before.program.reviewed || !writesOver ? null : await overwritesNewer(client, request, open);
    // Nobody has looked, and nobody would: the older file asks before it removes, or writes over, what is left.
    const unseen = ['auto', 'guard'].includes(before.approved_by);
    const hold = [later, older].filter((reason) => reason !== null && unseen) as string[];
    await client.query(
      `insert into waybill.batches (import_id, wave, batch, first_seq, last_seq, rows, digest, missing)
       select b.import_id, $2::int, b.batch, b.first_seq, b.last_seq, x.rows, x.digest, false
       from waybill.batches b cross join lateral (${ofBatch(before.program.check)}) x
       where ${open} and not b.missing
${
  missing
    ? `
       union all
       select b.import_id, $2::int, b.batch, b.first_seq, b.last_seq, x.rows, x.digest, true
       from waybill.batches b cross join lateral (${ofBatch(missing.check)}) x
       where ${open} and b.missing`
    : ''
}`,
      [importId, wave],
    );
    await client.query(
      `update waybill.batches b set superseded_at = clock_timestamp() where ${open} and b.wave < $2`,
      [importId, wave],
    );
    const now = (
      await client.query<{ creates: number; updates: number; unchanged: number; batches: number }>(
        `select count(*) filter (where _decision = 'create')::float8 as creates,
           count(*) filter (where _decision = 'update')::float8 as updates,
           count(*) filter (where _decision = 'unchanged')::float8 as unchanged,
           (select count(*)::int from waybill.batches where import_id = $1 and wave = $2) as batches
         from ${plan}`,
        [importId, wave],
      )
    ).rows[0]!;
    const { batches, ...moved } = now;
    const counts: PlanCounts = { ...before.counts, ...moved };
    const digest = await storePlan(client, {
      request,
      version,
      wave,
      counts,
      program: hold.length > 0 ? reviewedProgram(request, before.program) : before.program,
      generation: before.generation,
      approvedBy: hold.length === 0 ? before.approved_by : null,
      hold,
    });
    // What the guard saw stays with the plan that it now waits for: only the reasons are others.
    const seen =
      hold.length > 0
        ? await client.query<{ guard: object }>(
            `select guard || jsonb_build_object('reasons', $2::text[]) as guard from waybill.plans
             where import_id = $1 and guard is not null order by version desc limit 1`,
            [importId, hold],
          )
        : null;
    await planIsJudged(client, { importId, version, guard: seen?.rows[0]?.guard ?? null });
    return { version, digest, counts, batches, hold };
  });
}

/** A batch's digest as the import has always computed it: another version of the worker may hash otherwise. */
const ofBatch = (check: string): string =>
  check.replace(/between \$1 and \$2$/u, 'between b.first_seq and b.last_seq');

/** What a person is to look at is applied as they saw it: a record that has moved since is left alone. */
const reviewedProgram = (request: PlanRequest, program: ApplyProgram): ApplyProgram =>
  program.reviewed
    ? program
    : { ...programOf(request, true), check: program.check, missing: program.missing ?? null };
