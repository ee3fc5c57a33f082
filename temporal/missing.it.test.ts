/** Records that a full catalogue does not have, through a whole run: the file, the worker, Temporal, the API. */
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { startTestApp, type TestApp } from '../test/api.ts';
import { reached as come, submit } from '../test/import.ts';
import { startTestWorker } from '../test/worker.ts';

let app: TestApp;
let worker: Awaited<ReturnType<typeof startTestWorker>>;
const start = () => startTestWorker({ databaseUrl: app.workerUrl, namespace: app.namespace });
beforeAll(async () => {
  app = await startTestApp();
  worker = await start();
  await app.owner.unsafe(`
    create table public.write_log (op text, sku text);
    create function public.log_writes() returns trigger language plpgsql security definer as $$
    begin insert into public.write_log select left(tg_op, 1), sku from changed; return null; end $$;
    create trigger watch_insert after insert on catalog.products referencing new table as changed for each statement execute function public.log_writes();
    create trigger watch_update after update on catalog.products referencing new table as changed for each statement execute function public.log_writes();
    create trigger watch_delete after delete on catalog.products referencing old table as changed for each statement execute function public.log_writes();`);
});
afterAll(async () => {
  await worker?.stop();
  await app?.close();
});
beforeEach(async () => {
  await app.owner`truncate catalog.products, public.write_log`;
});

const csv = (...skus: string[]): string =>
  ['sku,name,price', ...skus.map((sku) => `${sku},Part ${sku},5`)].join('\n');
const seed = (...skus: string[]) =>
  app.owner`insert into catalog.products (tenant_id, sku, name, price) select 'default', sku, 'Part ' || sku, 5 from unnest(${skus}::text[]) sku`.then(
    () => app.owner`truncate public.write_log`,
  );
const there = async () =>
  (
    await app.owner<{ r: string }[]>`
      select sku || case when active then '' else '-' end as r from catalog.products order by sku`
  ).map(({ r }) => r);
const writes = async () =>
  (await app.owner<{ w: string }[]>`select op || ' ' || sku as w from public.write_log order by 1`).map(
    ({ w }) => w,
  );
const show = async (id: string) => (await app.call('GET', `/api/imports/${id}`)).body;
/** Waits for a status, and shows the import as it is then. */
const reached = async (id: string, status: string) => {
  await come(app, id, status);
  return show(id);
};
const scope = [{ field: 'sku', operator: 'starts_with', value: 'A-' }];

it(
  'a profile that deactivates: under the guard it waits with examples, and approved it is done, proven and undone',
  { timeout: 60_000 },
  async () => {
    await seed('A-1', 'A-2', 'A-3', 'B-1');
    const saved = await app.call('POST', '/api/datasets/products/profiles', {
      body: {
        waybillProfile: 1,
        dataset: 'products',
        name: 'catalogue',
        fields: { sku: { column: 'sku' }, name: { column: 'name' }, price: { column: 'price' } },
        missing: { action: 'deactivate', scope, inactive: { field: 'active', value: false } },
      },
    });
    expect(saved.status).toBeLessThan(300);
    const id = await submit(app, csv('A-1', 'B-1'), { profile: 'catalogue', policy: 'guard' });
    const waiting = await reached(id, 'waiting');
    expect(waiting).toMatchObject({
      planCounts: { missing: 2 },
      waitingFor: {
        what: 'approval',
        reasons: [
          '2 of 4 known records (50%) are not in the file and would be deactivated; the limit is 0%.',
        ],
      },
      guard: {
        examples: [
          { kind: 'removed', key: 'a-2', field: 'active', before: 'true', after: 'false' },
          { kind: 'removed', key: 'a-3', field: 'active', before: 'true', after: 'false' },
        ],
      },
    });
    expect(await there()).toEqual(['A-1', 'A-2', 'A-3', 'B-1']);
    await app.call('POST', `/api/imports/${id}/approve`, { body: { plan: waiting.plan } });
    expect(await reached(id, 'completed')).toMatchObject({
      accounting: { input: 2, unchanged: 2, missing: 2, deactivated: 2, deleted: 0, kept: 0 },
    });
    expect(await there()).toEqual(['A-1', 'A-2-', 'A-3-', 'B-1']);
    expect(await writes()).toEqual(['U A-2', 'U A-3']);
    expect((await app.call('GET', `/api/imports/${id}/proof/checks`)).body).toMatchObject({
      ok: true,
    });
    expect((await app.call('GET', `/api/imports/${id}/results/missing`)).body).toContain(
      'deactivated,,A-2,Part A-2',
    );

    await app.call('POST', `/api/imports/${id}/revert`, { body: {} });
    await reached(id, 'reverted');
    expect(await there()).toEqual(['A-1', 'A-2', 'A-3', 'B-1']);
  },
);

it(
  'an import that deletes: the worker killed in the middle, each record goes once',
  { timeout: 90_000 },
  async () => {
    await app.owner`insert into catalog.products (tenant_id, sku) select 'default', 'A-' || n from generate_series(1, 12000) n`;
    await app.owner`truncate public.write_log`;
    // Somebody holds one of the last: its batch waits while the first are done.
    const holder = await app.owner.reserve();
    await holder`begin`;
    await holder`select from catalog.products where sku = 'A-9999' for update`;
    const id = await submit(app, csv('A-1', 'NEW'), { missing: { action: 'delete', scope } });
    for (;;) {
      const [row] = await app.owner<{ n: number }[]>`select count(*)::int as n from pg_stat_activity
      where wait_event_type = 'Lock' and query like '%apply_batches%'`;
      if (row!.n > 0) break;
      await delay(20);
    }
    process.kill(worker.pid, 'SIGKILL');
    await worker.stop();
    await holder`rollback`;
    holder.release();
    worker = await start();
    expect(await reached(id, 'completed')).toMatchObject({
      accounting: { input: 2, created: 1, missing: 11_999, deleted: 11_999, kept: 0 },
    });
    expect(await there()).toEqual(['A-1', 'NEW']);
    const [log] = await app.owner<
      { deleted: number; twice: number }[]
    >`select count(*)::int as deleted, (count(*) - count(distinct sku))::int as twice
    from public.write_log where op = 'D'`;
    expect(log).toEqual({ deleted: 11_999, twice: 0 });
  },
);

it(
  'under auto, too, a row whose key cannot be read holds the run; nothing is removed until a person says so',
  { timeout: 60_000 },
  async () => {
    await seed('A-1', 'A-2', 'A-3');
    const id = await submit(app, `${csv('A-1')}\n,Part ?,7`, { missing: { action: 'delete', scope } });
    const waiting = await reached(id, 'waiting');
    expect(waiting.waitingFor.reasons).toEqual([
      '1 record has no key that could be read, so some of the records that look missing may be in the file.',
    ]);
    await app.owner`update catalog.products set price = 6 where sku = 'A-3'`;
    await app.call('POST', `/api/imports/${id}/approve`, { body: { plan: waiting.plan } });
    expect(await reached(id, 'completed_with_issues')).toMatchObject({
      accounting: { blocked: 1, missing: 2, deleted: 1, kept: 1 },
    });
    expect(await there()).toEqual(['A-1', 'A-3']);
  },
);

it(
  'missing records go only after every row of the file is in, in the proof as in the table',
  { timeout: 60_000 },
  async () => {
    await seed('A-1', 'A-2', 'A-3');
    const id = await submit(app, csv('A-1', 'ONLY-NOW'), { missing: { action: 'delete', scope } });
    expect(await reached(id, 'completed')).toMatchObject({ accounting: { created: 1, deleted: 2 } });
    const applied = new Map<string, string>();
    const { events } = await app.client.workflow.getHandle(id).fetchHistory();
    const order = events!.flatMap((event) => {
      const scheduled = event.activityTaskScheduledEventAttributes;
      if (scheduled?.activityType?.name === 'apply') {
        applied.set(String(event.eventId), `batch ${applied.size + 1}`);
        return [`${applied.get(String(event.eventId))} begun`];
      }
      const done = applied.get(String(event.activityTaskCompletedEventAttributes?.scheduledEventId));
      return done === undefined ? [] : [`${done} done`];
    });
    expect(order).toEqual(['batch 1 begun', 'batch 1 done', 'batch 2 begun', 'batch 2 done']);
    const proof = (await app.call('GET', `/api/imports/${id}/proof`)).body;
    expect(proof.receipts).toMatchObject([
      { batch: 1, created: 1, deleted: 0 },
      { batch: 2, created: 0, deactivated: 0, deleted: 2, gone: 0, kept: 0 },
    ]);
  },
);

it('what cannot be meant is refused before anything is read', async () => {
  await expect(submit(app, csv('A-1'), { missing: { action: 'delete' } })).rejects.toThrow();
  expect((await show('nothing')).status).not.toBe('running');
});
