import type { ImportDocument, Instance } from './instance.ts';

/** An advisory lock that every write to the target asks for: whoever holds it keeps the batches in mid-transaction. */
export const GATE = 7_310_001;

/** The content of a record, as two runs must agree on it: all but the surrogate id. */
const CONTENT = (t: string) =>
  `hash_record_extended(row(${['tenant_id', 'sku', 'name', 'description', 'price', 'quantity', 'active'].map((c) => `${t}.${c}`).join(', ')}), 0)`;

/**
 * Watches the target: statement triggers with transition tables log every row that is written. Statement triggers
 * are none of ROW, so the import keeps its two lanes. The log is a logged table: it has to outlive a crash.
 */
export async function installOracle(instance: Instance): Promise<void> {
  const on = (event: 'insert' | 'update' | 'delete') => `
    create trigger watch_${event} after ${event} on catalog.products
      referencing ${event === 'delete' ? 'old' : 'new'} table as changed
      for each statement execute function public.log_writes();`;
  await instance.sql(`
    create table public.write_log (op text not null, key text not null, txid xid8 not null, pid int not null,
      began timestamptz not null, at timestamptz not null);
    create table public.throttle (seconds float8 not null);
    insert into public.throttle values (0);
    create table public.raise (code text);
    insert into public.raise values (null);
    create sequence public.raised;
    create function public.log_writes() returns trigger language plpgsql security definer as $$
    declare fault text := (select code from public.raise);
    begin
      if fault is not null then
        perform nextval('public.raised');
        raise 'raised by the harness' using errcode = fault;
      end if;
      insert into public.write_log
      select left(tg_op, 1), lower(sku), pg_current_xact_id(), pg_backend_pid(), now(), clock_timestamp() from changed;
      perform pg_sleep(seconds) from public.throttle where seconds > 0;
      perform pg_advisory_xact_lock_shared(${GATE});
      return null;
    end $$;
    ${on('insert')} ${on('update')} ${on('delete')}
    create table public.before (key text, content bigint);`);
}

/** Makes each write take longer, so that there is a middle to strike in. */
export async function throttle(instance: Instance, seconds: number): Promise<void> {
  await instance.sql('update public.throttle set seconds = $1', [seconds]);
}

const snapshot = (table: string) =>
  `create table if not exists public.${table} (key text, content bigint); truncate public.${table}; insert into public.${table} select lower(sku), ${CONTENT('t')} from catalog.products t;
   analyze public.${table}`;

/** Keeps what is in the target before a run. */
export async function keepBefore(instance: Instance): Promise<void> {
  await instance.sql(snapshot('before'));
}

/** Forgets what was written so far. */
export async function beginRun(instance: Instance): Promise<void> {
  await throttle(instance, 0);
  await instance.sql('truncate public.write_log');
}

/** What an import left besides the target's content, in a form that two runs of one file must share. */
export interface Fingerprint {
  /** Where the content of the target is kept. */
  content: string;
  accounting: Record<string, number>;
  issues: Record<string, number>;
  outcomes: Record<string, number>;
  /** Of the before- and after-images. */
  changes: { rows: number; hash: string };
}

async function fingerprint(
  instance: Instance,
  document: ImportDocument,
): Promise<Omit<Fingerprint, 'content'>> {
  const images = `stage.images_${await lockKey(instance, document.id)}`;
  const [row] = await instance.sql<Omit<Fingerprint, 'accounting' | 'content'>>(
    `select
       (select coalesce(jsonb_object_agg(code || '/' || severity, count order by code), '{}') from waybill.issue_counts where import_id = $1) as issues,
       (select coalesce(jsonb_object_agg(k, n), '{}') from (select decision || ' ' || outcome || ' ' || coalesce(code, '') as k, count(*) as n
          from waybill.outcomes where import_id = $1 group by 1) o) as outcomes,
       (select jsonb_build_object('rows', count(*), 'hash', coalesce(sum(hashtextextended((to_jsonb(i) - '{_wave,_batch}'::text[])::text, 0)), 0)::text)
          from ${images} i) as changes`,
    [document.id],
  );
  return { ...row!, accounting: document.accounting! };
}

/** Keeps what an undisturbed run made of the file, for the others to be compared with. */
export async function keepExpected(
  instance: Instance,
  document: ImportDocument,
  scenario: string,
): Promise<Fingerprint> {
  const content = `expected_${scenario}`;
  await instance.sql(snapshot(content));
  return { content, ...(await fingerprint(instance, document)) };
}

export interface Verdict {
  /** Records of the target that were compared. */
  rows: number;
  lost: number;
  doubled: number;
  /** Whatever else is not as it should be, in words; empty is good. */
  problems: string[];
  lanes: number;
}

export interface JudgeOptions {
  expected: Fingerprint;
  /** How the run has to have ended. */
  status?: string;
  /** Backends that must have written at the same time; a fault may leave one lane to go on alone. */
  lanes?: number;
}

/** Compares everything that a run left behind with what it should have left. */
export async function judge(
  instance: Instance,
  document: ImportDocument,
  options: JudgeOptions,
): Promise<Verdict> {
  const problems: string[] = [];
  const must = (good: boolean, sentence: string) => {
    if (!good) problems.push(sentence);
  };
  const wanted = options.status ?? 'completed_with_issues';
  must(
    document.status === wanted,
    `the run ended as ${document.status}${document.error ? ` (${document.error.message})` : ''}, not ${wanted}`,
  );

  const written = await judgeTarget(instance, options.expected.content);
  must(written.lost === 0, `${written.lost} records are missing or not as they should be`);
  must(written.extra === 0, `${written.extra} records are there that should not be`);
  must(written.doubled === 0, `${written.doubled} writes too many`);
  must(written.unwritten === 0, `${written.unwritten} changed records that the log has no write of`);
  must(written.wrong_write === 0, `${written.wrong_write} records written by the wrong statement`);
  must(written.keys_twice === 0, `${written.keys_twice} keys twice in the target`);

  problems.push(...(await judgeLedger(instance, document)));
  const found = await fingerprint(instance, document);
  for (const part of ['accounting', 'issues', 'outcomes', 'changes'] as const) {
    const [is, should] = [stable(found[part]), stable(options.expected[part])];
    must(is === should, `${part} ${is}, of an undisturbed run ${should}`);
  }
  const lanes = await lanesAtOnce(instance);
  must(lanes >= (options.lanes ?? 1), `${lanes} lane wrote at a time, not ${options.lanes}`);
  problems.push(...(await judgeTruth(instance, document)), ...(await orphans(instance)));
  return { rows: written.rows, lost: written.lost, doubled: written.doubled, problems, lanes };
}

const stable = (value: object): string =>
  JSON.stringify(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)));

async function lockKey(instance: Instance, importId: string): Promise<number> {
  const [row] = await instance.sql<{ lock_key: string }>(
    'select lock_key from waybill.imports where import_id = $1',
    [importId],
  );
  return Number(row!.lock_key);
}

interface Written {
  rows: number;
  lost: number;
  extra: number;
  doubled: number;
  unwritten: number;
  wrong_write: number;
  keys_twice: number;
}

/** One write for each created or changed record and none for the others, whatever any counter says. */
async function judgeTarget(instance: Instance, expected: string): Promise<Written> {
  const [row] = await instance.sql<Written>(`
    with target as (select lower(sku) as key, min(${CONTENT('t')}) as content, count(*) as copies from catalog.products t group by 1),
      log as (select key, count(*) as n, min(op) as op from public.write_log group by 1),
      keys as (
        select key, b.content as before, e.content as expected, t.content as found, t.copies, coalesce(l.n, 0) as n, l.op,
          case when e.key is null then case when b.key is not null then 'D' end when b.key is null then 'I' when b.content <> e.content then 'U' end as should
        from public.${expected} e full join public.before b using (key) full join target t using (key) full join log l using (key))
    select count(expected)::int as rows,
      (count(*) filter (where expected is not null and found is distinct from expected))::int as lost,
      (count(*) filter (where expected is null and found is not null))::int as extra,
      coalesce(sum(greatest(n - (should is not null)::int, 0)), 0)::int as doubled,
      (count(*) filter (where should is not null and n = 0 and found is not distinct from expected))::int as unwritten,
      (count(*) filter (where should is not null and n = 1 and op <> should))::int as wrong_write,
      (count(*) filter (where copies > 1))::int as keys_twice
    from keys`);
  return row!;
}

/** Plan, receipts and outcomes hold each record of the file once, and add up to what the run says of itself. */
async function judgeLedger(instance: Instance, document: ImportDocument): Promise<string[]> {
  const problems: string[] = [];
  const plan = `stage.plan_${await lockKey(instance, document.id)}`;
  const [ledger] = await instance.sql<Record<string, number>>(
    `with r as (select array_agg(b.first_seq order by b.first_seq) as firsts, array_agg(b.last_seq order by b.first_seq) as lasts
         from waybill.receipts x join waybill.batches b using (import_id, wave, batch) where x.import_id = $1),
       p as (select _record, _seq, _decision, _seq <= r.lasts[width_bucket(_seq, r.firsts)] as receipted,
           (select o.outcome from waybill.outcomes o where o.import_id = $1 and o.record = p._record order by wave desc limit 1) as outcome
         from ${plan} p, r),
       f as (select *, coalesce(outcome, case _decision when 'create' then 'created' when 'update' then 'updated' else _decision end) as fate from p)
     select count(*)::int as records, count(distinct _record)::int as distinct_records, coalesce(min(_record), 1)::int as first, coalesce(max(_record), 0)::int as last,
       (count(*) filter (where _seq is not null and receipted is not true))::int as not_once,
       (select count(*) from generate_subscripts((select firsts from r), 1) k, r where r.firsts[k] <= r.lasts[k - 1])::int as overlapping,
       (count(*) filter (where fate = 'created'))::int as created, (count(*) filter (where fate = 'updated'))::int as updated,
       (count(*) filter (where fate = 'unchanged'))::int as unchanged, (count(*) filter (where fate = 'duplicate'))::int as duplicates,
       (count(*) filter (where fate = 'blocked'))::int as blocked, (count(*) filter (where fate = 'stale'))::int as stale,
       (count(*) filter (where fate = 'skipped'))::int as skipped, (count(*) filter (where fate = 'failed'))::int as failed
     from f`,
    [document.id],
  );
  const { records, distinct_records, first, last, not_once, overlapping, ...fates } = ledger!;
  const input = document.accounting?.['input'];
  if (records !== input || distinct_records !== input || last !== input || first !== 1) {
    problems.push(
      `the ledger holds ${records} records (${distinct_records} distinct, ${first} to ${last}), the file ${input}`,
    );
  }
  if (not_once !== 0) problems.push(`${not_once} records are in no batch with a receipt`);
  if (overlapping !== 0) problems.push(`${overlapping} batches with receipts share records`);
  for (const [name, count] of Object.entries(fates)) {
    if (document.accounting?.[name] !== count)
      problems.push(`the accounting says ${name} ${document.accounting?.[name]}, the ledger ${count}`);
  }
  const { input: whole, missing, deactivated = 0, deleted = 0, kept, ...parts } = document.accounting ?? {};
  const sum = Object.values(parts).reduce((total, n) => total + n, 0);
  if (sum !== whole) problems.push(`the accounting adds up to ${sum}, not ${whole}`);
  if (missing !== undefined) {
    // Each of them in one batch with a receipt, and removed unless an outcome says why not.
    const table = plan.replace('plan', 'missing');
    const [beside] = await instance.sql<{ records: number; not_once: number; done: number }>(
      `select count(distinct m._record)::int as records,
         (count(*) filter (where (select count(*) from waybill.receipts x join waybill.batches b using (import_id, wave, batch)
            where x.import_id = $1 and b.missing and m._seq between b.first_seq and b.last_seq) <> 1))::int as not_once,
         (count(*) filter (where not exists (select from waybill.outcomes o where o.import_id = $1 and o.record = m._record)))::int as done
       from ${table} m`,
      [document.id],
    );
    if (beside!.records !== missing || beside!.not_once !== 0 || beside!.done !== deactivated + deleted)
      problems.push(
        `of ${missing} missing records ${beside!.records} are in the ledger, ${beside!.not_once} not once, ${beside!.done} done where ${deactivated + deleted} are said (${kept} kept)`,
      );
  }
  const [images] = await instance.sql<{ strange: number }>(
    `select count(*)::int as strange from (
       select _record, count(*) as n from ${plan.replace('plan', 'images')} where not _created group by 1) i
     full join (select p._record from ${plan} p where p._decision = 'update'
       and not exists (select from waybill.outcomes o where o.import_id = $1 and o.record = p._record)) u using (_record)
     where i.n is distinct from 1`,
    [document.id],
  );
  if (images!.strange !== 0)
    problems.push(`${images!.strange} updates without exactly one image of before and after`);
  return problems;
}

/** How many backends had transactions open on the target that overlap. */
async function lanesAtOnce(instance: Instance): Promise<number> {
  const [row] = await instance.sql<{ lanes: number }>(`
    with t as (select txid, min(pid) as pid, min(began) as began, max(at) as ended from public.write_log group by 1)
    select coalesce(max(1 + (select count(distinct o.pid) from t o where o.pid <> t.pid and o.began < t.ended and t.began < o.ended)), 0)::int as lanes
    from t`);
  return row!.lanes;
}

/** What is shown is what is stored. */
async function judgeTruth(instance: Instance, document: ImportDocument): Promise<string[]> {
  const problems: string[] = [];
  const [row] = await instance.sql<{
    status: string;
    accounting: Record<string, number>;
    phase: string | null;
    finished: boolean;
  }>(
    'select status, accounting, phase, finished_at is not null as finished from waybill.imports where import_id = $1',
    [document.id],
  );
  if (row!.status !== document.status) problems.push(`shown as ${document.status}, stored as ${row!.status}`);
  if (stable(row!.accounting ?? {}) !== stable(document.accounting ?? {}))
    problems.push('the accounting shown is not the one stored');
  if (row!.phase !== null || !row!.finished) problems.push(`ended, yet in phase ${row!.phase}`);
  return problems;
}

const OPEN = `('uploading', 'queued', 'running', 'paused', 'waiting', 'reverting')`;
const QUIET_WITHIN_MS = 20_000;

/** What must not stay behind when nothing is running: waits for the clean-up to be through, then names what is left. */
export async function orphans(instance: Instance): Promise<string[]> {
  const deadline = Date.now() + QUIET_WITHIN_MS;
  for (;;) {
    const left = await look(instance);
    if (left.length === 0 || Date.now() > deadline) return left;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

async function look(instance: Instance): Promise<string[]> {
  const found = await instance.sql<{ what: string }>(`
    select 'a backend ' || state || ': ' || left(query, 60) as what from pg_stat_activity
      where application_name like 'waybill%' and pid <> pg_backend_pid() and datname = current_database()
        and (state like 'idle in transaction%' or state = 'active' and xact_start < clock_timestamp() - interval '1 second')
    union all
    select 'the table stage.' || c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace
      where n.nspname = 'stage' and c.relkind = 'r' and c.relname ~ '^(rows|marks)_'
        and not exists (select from waybill.imports i where c.relname ~ ('^(rows|marks)_' || i.lock_key || '_') and i.status in ${OPEN})
    union all
    select 'the turn ' || u.turn || ' of an ended run' from waybill.turns u join waybill.imports i on i.import_id = u.holder where i.status not in ${OPEN}
    union all
    select 'a ticket for ' || t.turn from waybill.tickets t join waybill.imports i using (import_id) where i.status not in ${OPEN}
    union all
    select 'an import that is ' || status || ': ' || import_id from waybill.imports where status in ${OPEN}
    union all
    select 'an advisory lock' from pg_locks l join waybill.imports i
        on ((l.classid::bigint << 32) | l.objid::bigint) = i.lock_key and l.objsubid = 1
      where l.locktype = 'advisory' and l.granted`);
  const left = found.map((row) => row.what);
  const workflows = await instance.openWorkflows();
  left.push(...workflows.map((id) => `an open workflow ${id}`));
  const uploads = await instance.openUploads();
  left.push(...uploads.map((key) => `an open multipart upload of ${key}`));
  left.push(...instance.spooled().map((id) => `a spooled copy of ${id}`));
  return left;
}
