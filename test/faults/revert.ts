import { createWriteStream } from 'node:fs';
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { randomFrom, type Outcome } from './case.ts';
import { expectedAccounting, seedTarget, writeCsv } from './files.ts';
import { until } from './moments.ts';
import { beginRun, installOracle, keepBefore, orphans, throttle } from './oracle.ts';
import type { Instance } from './instance.ts';

/** Of a million rows: records that an operator edits after the import, and rows of a later import that meet its keys. */
const EDITED = 1 / 1000;
const SEEN_LATER = 1 / 2000;
/** Seconds that each write takes longer, so that there is a middle to strike in. */
const SLOWER = 0.3;
const CONTENT = `hash_record_extended(row(t.tenant_id, t.sku, t.name, t.description, t.price, t.quantity, t.active), 0)`;

const REVERTING = `select pid from pg_stat_activity where application_name = 'waybill worker' and state = 'active'
  and backend_xid is not null and query like '%revert_batches%'`;

/**
 * An import is undone after an operator has edited records of it and a later import has met others, and is killed on
 * the way, worker, database and API in turn: the table is then as it was before but for those, which are listed; and
 * the log of the database itself has one write for each record that was undone.
 */
export async function undoneThroughKills(
  instance: Instance,
  options: { rows: number; kills: number; seed: number },
): Promise<Outcome> {
  const { rows, kills } = options;
  const random = randomFrom(options.seed);
  const file = join(instance.data, 'undone.csv');
  const later = join(instance.data, 'later.csv');
  await writeCsv(file, { rows });
  await installOracle(instance);
  await seedTarget(instance, { rows });
  await keepBefore(instance);
  const { id } = await instance.ended(await instance.submit(file));
  const { created, updated } = expectedAccounting({ rows }) as { created: number; updated: number };

  // Of the records that the import changed: some edited by hand, others met by a later import, some of these equal.
  const [edited, seen] = [Math.round(rows * EDITED), Math.round(rows * SEEN_LATER)];
  await instance.sql(`
    create table public.touched as
    select lower(sku) as key, sku, name, price, row_number() over (order by hashtext(sku)) as n
    from catalog.products t left join public.before b on b.key = lower(sku) where b.content is distinct from ${CONTENT};
    delete from public.touched where n > ${edited + seen};
    update catalog.products t set quantity = quantity + 1000000 from public.touched x where lower(t.sku) = x.key and x.n <= ${edited}`);
  await writeLater(instance, later, edited);
  await instance.ended(await instance.submit(later));
  await instance.sql(`
    create table public.should as
    select coalesce(x.key, b.key) as key, case when x.key is null then b.content else ${CONTENT} end as content,
      x.key is not null as kept
    from public.before b full join public.touched x using (key) left join catalog.products t on lower(t.sku) = x.key`);
  await beginRun(instance);
  await throttle(instance, SLOWER);

  const answer = await instance.api('POST', `/imports/${id}/revert`, { reason: 'the wrong file' });
  if (answer.status !== 200)
    throw new Error(`revert was answered with ${answer.status}: ${JSON.stringify(answer.body)}`);
  const roles = ['worker', 'postgres', 'worker', 'api'] as const;
  const struck: string[] = [];
  for (let kill = 0; kill < kills; kill++) {
    const role = roles[kill % roles.length]!;
    const receipts = await count(instance, id);
    await until('another batch of the revert', async () =>
      (await count(instance, id)) > receipts || kill === 0 ? '' : null,
    );
    await delay(random() * 300);
    await until('an open batch of the revert', async () =>
      (await instance.sql(REVERTING)).length > 0 ? '' : null,
    );
    struck.push(`${role} after ${await count(instance, id)} batches`);
    const pid = instance.signal(role, 'SIGKILL');
    await instance.restarted(role, pid);
  }
  await throttle(instance, 0);
  const document = await instance.ended(id, ['reverted']);
  const problems = await judge(instance, id, { changed: created + updated, edited, seen });
  const [written] = await instance.sql<{ lost: number; doubled: number }>(`
    with log as (select key, count(*) as n, min(op) as op from public.write_log group by 1),
      target as (select lower(sku) as key, ${CONTENT} as content from catalog.products t)
    select (count(*) filter (where t.content is distinct from s.content))::int as lost,
      coalesce(sum(greatest(l.n - 1, 0)) + count(*) filter (where l.n > 0 and s.kept), 0)::int as doubled
    from public.should s full join target t using (key) left join log l using (key)`);
  if (written!.lost > 0) problems.push(`${written!.lost} records are not as they were before`);
  if (written!.doubled > 0) problems.push(`${written!.doubled} writes too many`);
  return {
    faults: kills,
    inFlight: `${kills} times a batch of the revert: ${struck.join(', ')}`,
    status: document.status,
    verdict: { ...written!, problems, rows },
  };
}

const count = async (instance: Instance, id: string): Promise<number> =>
  (
    await instance.sql<{ n: number }>(
      'select count(*)::int as n from waybill.revert_receipts where import_id = $1',
      [id],
    )
  )[0]!.n;

/** Rows of the later import: every other one says what is there already. */
async function writeLater(instance: Instance, path: string, from: number): Promise<void> {
  const touched = await instance.sql<{ sku: string; name: string; price: string; n: string }>(
    'select sku, name, price::text, n from public.touched where n > $1 order by n',
    [from],
  );
  const out = createWriteStream(path);
  out.write('sku,name,price\n');
  for (const { sku, name, price, n } of touched)
    out.write(`${sku},${Number(n) % 2 ? `${name} again` : name},${price}\n`);
  out.end();
  await once(out, 'finish');
}

/** One write of the right kind for each undone record; conflicts listed, each with what is in its way. */
async function judge(
  instance: Instance,
  id: string,
  { changed, edited, seen }: { changed: number; edited: number; seen: number },
): Promise<string[]> {
  const problems: string[] = [];
  const must = (good: boolean, sentence: string) => {
    if (!good) problems.push(sentence);
  };
  const { body } = await instance.api<{ runs: { state: string; result: Record<string, number> }[] }>(
    'GET',
    `/imports/${id}/revert`,
    undefined,
    { patient: true },
  );
  const { state, result } = body.runs[0]!;
  must(state === 'done', `the revert is ${state}`);
  must(
    result['removed']! + result['restored']! === changed - edited - seen &&
      result['skipped'] === edited + seen,
    `it says ${JSON.stringify(result)}; ${changed} were changed, ${edited} edited, ${seen} seen later`,
  );
  const [log] = await instance.sql<{ undone: number; wrong: number; removed: number; restored: number }>(`
    with log as (select key, count(*) as n, min(op) as op from public.write_log group by 1)
    select count(*)::int as undone, (count(*) filter (where l.op = 'D'))::int as removed, (count(*) filter (where l.op = 'U'))::int as restored,
      (count(*) filter (where l.n <> 1 or l.op <> case when b.key is null then 'D' else 'U' end))::int as wrong
    from log l left join public.before b using (key)`);
  must(log!.undone === changed - edited - seen, `the log has writes of ${log!.undone} records`);
  must(log!.wrong === 0, `${log!.wrong} records written twice or in the wrong way`);
  must(
    log!.removed === result['removed'] && log!.restored === result['restored'],
    `the log has ${log!.removed} removed and ${log!.restored} restored`,
  );

  const listed = new Map<string, { kinds: string[]; seenBy: { importId: string } | null }>();
  for (let cursor: string | null = ''; cursor !== null;) {
    type Page = {
      items: { key: string; kinds: string[]; seenBy: { importId: string } | null }[];
      nextCursor: string | null;
    };
    const page: { body: Page } = await instance.api<Page>(
      'GET',
      `/imports/${id}/revert/conflicts?limit=200${cursor && `&cursor=${encodeURIComponent(cursor)}`}`,
      undefined,
      { patient: true },
    );
    for (const one of page.body.items) listed.set(one.key, one);
    cursor = page.body.nextCursor;
  }
  const touched = await instance.sql<{ key: string; n: string }>('select key, n from public.touched');
  must(listed.size === touched.length, `${listed.size} conflicts are listed, not ${touched.length}`);
  const unexplained = touched.filter(({ key, n }) => {
    const one = listed.get(key);
    return Number(n) <= edited
      ? !one?.kinds.includes('changed')
      : !one?.kinds.includes('seenLater') || !one.seenBy;
  });
  must(unexplained.length === 0, `${unexplained.length} conflicts do not say what is in their way`);
  problems.push(...(await orphans(instance)));
  return problems;
}
