import type pg from 'pg';
import { beforeAll, describe, expect, it } from 'vitest';
import { ownDatabase, watchWrites } from '../test/own-database.ts';
import { approvePlan } from './approve.ts';
import { connectPool } from './connect.ts';
import { claimImport, proveImport, requestStop, resumeImport, takeTurn } from './control.ts';
import type { MissingRequest } from './missing.ts';
import { missingTable } from './missing-table.ts';
import { indexLedger, makePlan } from './plan.ts';
import { proofChecks, runProof } from './proof.ts';
import { rebasePlan } from './rebase.ts';
import {
  applyAll,
  land,
  stageImport,
  stageRows,
  type ProductRow,
  type StagedImport,
} from './staged.fixture.ts';

const own = ownDatabase(watchWrites);
let pool: pg.Pool;
beforeAll(() => {
  pool = own.pool;
});

const everything: MissingRequest['scope'] = [{ column: 'sku', operator: 'not_empty' }];
const remove = (scope: MissingRequest['scope'] = everything): MissingRequest => ({
  action: 'delete',
  scope,
  inactive: null,
});
const deactivate = (scope: MissingRequest['scope'] = everything): MissingRequest => ({
  action: 'deactivate',
  scope,
  inactive: { column: 'active', value: 'false' },
});

const rows = (...skus: string[]): ProductRow[] => skus.map((sku) => ({ sku, name: `${sku}!`, price: '1' }));
const there = async () =>
  (
    await pool.query<{ r: string }>(
      `select sku || case when active then '' else '-' end as r from catalog.products order by lower(sku)`,
    )
  ).rows.map(({ r }) => r);
const writes = async () =>
  (
    await pool.query<{ w: string }>(`select op || ' ' || sku as w from public.write_log order by sku, op`)
  ).rows.map(({ w }) => w);
/** Brings in so many rows, `S1` and on. */
async function landMany(many: number, options: Parameters<typeof stageRows>[2] = {}): Promise<void> {
  const staged = await stageRows(pool, many, options, async (table) => {
    await pool.query(
      `insert into ${table} select n, n + 1, 0, 0, false, null, null, 'S' || n, 'x', 1 from generate_series(1, ${many}) n`,
    );
  });
  await applyAll(pool, { ...staged, plan: await makePlan(pool, staged.request) });
  await requestStop(pool, { importId: staged.importId, what: 'cancel', actor: 'test' });
}

const seed = async (...skus: string[]) => {
  await land(pool, rows(...skus));
  await pool.query('truncate public.write_log');
};
const plan = async (staged: StagedImport) =>
  (
    await pool.query<{ r: string }>(
      `select _record || ' ' || _decision || ' ' || _k1 as r from ${missingTable(staged.lockKey)} order by _seq`,
    )
  ).rows.map(({ r }) => r);
const outcomes = async ({ importId }: StagedImport) =>
  (
    await pool.query<{ o: string }>(
      `select concat_ws(' ', record, decision, outcome, code) as o from waybill.outcomes where import_id = $1 and record < 0 order by record desc`,
      [importId],
    )
  ).rows.map(({ o }) => o);
const prove = async ({ importId, lockKey }: StagedImport) => {
  await indexLedger(pool, lockKey);
  const proof = await proveImport(pool, importId);
  const checked = await runProof(
    pool,
    await proofChecks(pool, { importId, lockKey, accounting: proof.accounting }),
  );
  return { ok: proof.ok, wrong: checked.checks.filter((check) => !check.ok), accounting: proof.accounting };
};
const alone = async (ddl: string, undo: string, test: () => Promise<void>) => {
  await pool.query(ddl);
  try {
    await test();
  } finally {
    await pool.query(undo);
  }
};

describe('what a full catalogue does not have', () => {
  it('is deleted, once each, and counted beside the input', async () => {
    await seed('A', 'B', 'C', 'D');
    const staged = await stageImport(pool, rows('a', 'E'), { missing: remove() });
    expect(await plan(staged)).toEqual(['-1 delete b', '-2 delete c', '-3 delete d']);
    await applyAll(pool, staged);
    await applyAll(pool, staged);
    expect(await there()).toEqual(['A', 'E']);
    expect(await writes()).toEqual(['U A', 'D B', 'D C', 'D D', 'I E']);
    expect(await prove(staged)).toEqual({
      ok: true,
      wrong: [],
      accounting: expect.objectContaining({
        input: 2,
        created: 1,
        updated: 1,
        failed: 0,
        notProcessed: 0,
        missing: 3,
        deactivated: 0,
        deleted: 3,
        kept: 0,
      }),
    });
  });

  it('is deactivated in that field alone, and what is inactive already is not touched', async () => {
    await seed('A', 'B', 'C');
    await pool.query(`update catalog.products set active = false where sku = 'C'`);
    await pool.query('truncate public.write_log');
    const staged = await stageImport(pool, [{ sku: 'A', name: 'A!', price: '1' }], { missing: deactivate() });
    expect(await plan(staged)).toEqual(['-1 deactivate b']);
    await applyAll(pool, staged);
    expect(await there()).toEqual(['A', 'B-', 'C-']);
    expect(await writes()).toEqual(['U B']);
    expect((await prove(staged)).accounting).toMatchObject({ unchanged: 1, missing: 1, deactivated: 1 });
    await requestStop(pool, { importId: staged.importId, what: 'cancel', actor: 'test' });
    const again = await stageImport(pool, [{ sku: 'A', name: 'A!', price: '1' }], { missing: deactivate() });
    expect(again.plan.counts).toMatchObject({ unchanged: 1, missing: 0 });
  });

  it('keeps to its scope, and to the tenant', async () => {
    await seed('A-1', 'A-2', 'B-1');
    await pool.query(`insert into catalog.products (tenant_id, sku) values ('other', 'A-9')`);
    const staged = await stageImport(pool, rows('A-1'), {
      missing: remove([{ column: 'sku', operator: 'starts_with', value: 'A-' }]),
    });
    expect(await plan(staged)).toEqual(['-1 delete a-2']);
    await applyAll(pool, staged);
    expect(await there()).toEqual(['A-1', 'A-9', 'B-1']);
  });

  it.each([
    ['is', { column: 'price', operator: 'is', value: 2 }, ['b']],
    ['is_not', { column: 'name', operator: 'is_not', value: 'x' }, ['a', 'c']],
    ['one_of', { column: 'price', operator: 'one_of', value: [1, '2'] }, ['a', 'b']],
    ['less', { column: 'price', operator: 'less', value: 2 }, ['a']],
    ['at_most', { column: 'price', operator: 'at_most', value: 2 }, ['a', 'b']],
    ['at_most, as it is said', { column: 'price', operator: 'at_most', value: 1.99996 }, ['a']],
    ['greater', { column: 'price', operator: 'greater', value: 1 }, ['b']],
    ['at_least', { column: 'price', operator: 'at_least', value: 2 }, ['b']],
    ['empty', { column: 'price', operator: 'empty' }, ['c']],
    ['starts_with', { column: 'name', operator: 'starts_with', value: `O'` }, ['a']],
  ] as const)('a scope of %s', async (_, condition, keys) => {
    await land(pool, [
      { sku: 'A', name: `O'Neill`, price: '1' },
      { sku: 'B', name: 'x', price: '2' },
      { sku: 'C', name: null, price: null },
    ]);
    const staged = await stageImport(pool, rows('Z'), {
      missing: remove([
        { ...condition, value: 'value' in condition ? (condition.value as string) : undefined },
      ]),
    });
    expect(await plan(staged)).toEqual(keys.map((key, n) => `${-n - 1} delete ${key}`));
  });

  it('refuses a value that its column cannot hold', async () => {
    await expect(
      stageImport(pool, rows('A'), { missing: remove([{ column: 'price', operator: 'is', value: 'dear' }]) }),
    ).rejects.toThrow('is numeric(18,4), and "dear" is no value of it');
  });

  it('is not what a blocked row names; a row without key holds the run, and so does an empty file', async () => {
    await seed('A', 'B', 'C');
    const blocked = await stageImport(pool, [...rows('A'), { sku: 'B', price: '1', blocked: true }], {
      missing: remove(),
    });
    expect(await plan(blocked)).toEqual(['-1 delete c']);
    expect(blocked.plan.hold).toEqual([]);
    await requestStop(pool, { importId: blocked.importId, what: 'cancel', actor: 'test' });
    const keyless = await stageImport(pool, [...rows('A'), { sku: null, price: '1' }], { missing: remove() });
    expect(keyless.plan.hold).toEqual([
      '1 record has no key that could be read, so some of the records that look missing may be in the file.',
    ]);
    await expect(applyAll(pool, keyless)).rejects.toThrow('nobody has approved wave 1');
    await requestStop(pool, { importId: keyless.importId, what: 'cancel', actor: 'test' });
    const empty = await stageImport(pool, [], { missing: remove() });
    expect(empty.plan.hold).toEqual(['The file has no rows: nothing says that it is the whole catalogue.']);
    await expect(applyAll(pool, empty)).rejects.toThrow('nobody has approved wave 1');
    expect(await there()).toEqual(['A', 'B', 'C']);
  });

  it('a held run goes on when a person has approved the plan', async () => {
    await seed('A', 'B');
    const staged = await stageImport(pool, [...rows('A'), { sku: null, price: '1' }], { missing: remove() });
    await approvePlan(pool, {
      importId: staged.importId,
      epoch: staged.epoch,
      version: staged.plan.version,
      digest: staged.plan.digest,
      actor: 'anna',
      endsWait: false,
    });
    await applyAll(pool, staged);
    expect(await there()).toEqual(['A']);
    expect((await prove(staged)).accounting).toMatchObject({ blocked: 1, missing: 1, deleted: 1 });
  });
});

describe('written by this profile', () => {
  const mine: MissingRequest['scope'] = { profile: 'feed', syncId: null };

  it('takes only records whose last write was one of it', async () => {
    await pool.query(`insert into catalog.products (tenant_id, sku) values ('default', 'BY-HAND')`);
    await land(pool, rows('A', 'B', 'C', 'D'), { profile: 'feed' });
    await land(pool, rows('OTHER', 'E'), { profile: 'another' });
    // Written by the other since, and found equal by it: only the first is no longer ours.
    await land(pool, [{ sku: 'C', name: 'theirs', price: '3' }, ...rows('D')], { profile: 'another' });
    const staged = await stageImport(pool, rows('A'), { profile: 'feed', missing: remove(mine) });
    expect(await plan(staged)).toEqual(['-1 delete b', '-2 delete d']);
    await applyAll(pool, staged);
    expect(await there()).toEqual(['A', 'BY-HAND', 'C', 'E', 'OTHER']);
  });

  it.each([
    ['numeric', '1.0', '1'],
    ['citext', 'ABC', 'abc'],
  ])('compares keys as the table does: %s', (type, spelled, again) =>
    alone(
      `create extension if not exists citext; create table public.keyed (sku ${type} primary key, name text)`,
      'drop table public.keyed',
      async () => {
        const into = { schema: 'public', table: 'keyed', index: 'keyed_pkey', key: 'sku' };
        const columns = ['name'];
        const named = (sku: string, name: string): ProductRow => ({ sku, name });
        await land(pool, [named(spelled, 'ours'), named('2', 'x'), named('3', 'x')], {
          into,
          columns,
          profile: 'feed',
        });
        await land(pool, [named(again, 'theirs')], { into, columns, profile: 'another' });
        const staged = await stageImport(pool, [named('2', 'x')], {
          into,
          columns,
          profile: 'feed',
          missing: remove(mine),
        });
        expect(await plan(staged)).toEqual(['-1 delete 3']);
      },
    ),
  );

  it('knows what another tenant wrote to a table that they share', () =>
    alone(
      `create table public.shared (sku text primary key, name text); insert into waybill.tenants values ('theirs', 'Theirs') on conflict do nothing`,
      'drop table public.shared',
      async () => {
        const into = { schema: 'public', table: 'shared', index: 'shared_pkey', key: 'sku' };
        const [columns, profile] = [['name'], 'feed'];
        await land(pool, rows('A', 'B', 'C'), { into, columns, profile });
        await land(pool, [{ sku: 'B', name: 'new' }], { into, columns, profile, tenantId: 'theirs' });
        const staged = await stageImport(pool, rows('A'), {
          into,
          columns,
          profile,
          missing: remove(mine),
        });
        expect(await plan(staged)).toEqual(['-1 delete C']);
      },
    ));

  it('finds many, in proportion to how many', async () => {
    const many = 20_000;
    await landMany(many, { profile: 'feed' });
    const little = connectPool(`${own.ownerUrl}?options=-c%20work_mem%3D64kB`);
    try {
      const staged = await stageRows(
        pool,
        1,
        { profile: 'feed', missing: remove(mine) },
        async (table) =>
          void (await pool.query(
            `insert into ${table} values (1, 2, 0, 0, false, null, null, 'S1', 'x', 1)`,
          )),
      );
      const made = await makePlan(little, staged.request, AbortSignal.timeout(6000));
      expect(made.counts).toMatchObject({ missing: many - 1 });
    } finally {
      await little.end();
    }
  }, 20_000);

  it('is nothing where no import of it has written', async () => {
    await land(pool, rows('A'), { profile: 'another' });
    const staged = await stageImport(pool, rows('B'), {
      profile: 'unheard-of',
      missing: remove({ profile: 'unheard-of', syncId: null }),
    });
    expect(staged.plan.counts.missing).toBe(0);
  });
});

describe('what happened since the plan', () => {
  it('a record that was changed stays, one that is gone is not counted, and both are said', async () => {
    await seed('A', 'B', 'C', 'D');
    const staged = await stageImport(pool, rows('A'), { missing: remove() });
    await pool.query(`update catalog.products set quantity = 7 where sku = 'B'`);
    await pool.query(`delete from catalog.products where sku = 'C'`);
    await applyAll(pool, staged);
    expect(await there()).toEqual(['A', 'B']);
    expect(await outcomes(staged)).toEqual(['-1 delete stale stale', '-2 delete unchanged gone']);
    const { ok, wrong, accounting } = await prove(staged);
    expect({ ok, wrong }).toEqual({ ok: true, wrong: [] });
    expect(accounting).toMatchObject({ missing: 3, deleted: 1, kept: 1 });
  });

  it('what somebody deactivated meanwhile is as it should be', async () => {
    await seed('A', 'B', 'C');
    const staged = await stageImport(pool, rows('A'), { missing: deactivate() });
    await pool.query(`update catalog.products set active = false where sku = 'B'`);
    await pool.query(`delete from catalog.products where sku = 'C'`);
    await applyAll(pool, staged);
    expect(await outcomes(staged)).toEqual(['-1 deactivate unchanged gone', '-2 deactivate stale stale']);
  });

  it.each(['no action', 'cascade', 'set null'])('a reference (%s) keeps that record alone', (rule) =>
    alone(
      `create table public.orders (product bigint references catalog.products (product_id) on delete ${rule});
       alter table catalog.products add constraint products_pk unique (product_id)`.replace(
        /(create table[^;]*);\s*(alter[^;]*)/,
        '$2; $1',
      ),
      'drop table public.orders; alter table catalog.products drop constraint products_pk',
      async () => {
        await seed('A', 'B', 'C');
        await pool.query(`insert into public.orders select product_id from catalog.products where sku = 'B'`);
        const staged = await stageImport(pool, rows('A'), { missing: remove() });
        await applyAll(pool, staged);
        expect(await there()).toEqual(['A', 'B']);
        expect(await outcomes(staged)).toEqual(['-1 delete failed referenced']);
        expect((await pool.query('select product from public.orders')).rows[0].product).not.toBeNull();
        expect((await prove(staged)).accounting).toMatchObject({
          missing: 2,
          deleted: 1,
          kept: 1,
          failed: 0,
        });
      },
    ),
  );

  it('many go in proportion to how many, also from a target that was never analyzed', () =>
    alone(
      `alter table catalog.products set (autovacuum_enabled = false);
       create table public.orders (product bigint references catalog.products (product_id))`,
      'drop table public.orders; alter table catalog.products reset (autovacuum_enabled)',
      async () => {
        await landMany(6000);
        const staged = await stageImport(pool, rows('S1'), { missing: remove() });
        const client = await pool.connect();
        try {
          await client.query(`set statement_timeout = '10s'`);
          await client.query('select waybill.apply_batches($1, $2, 1, 1, 9)', [
            staged.importId,
            staged.epoch,
          ]);
        } finally {
          client.release(true);
        }
        expect(await there()).toEqual(['S1']);
      },
    ));

  it('a row trigger that raises keeps that record alone', () =>
    alone(
      `create function public.no_b() returns trigger language plpgsql as $$
         begin if old.sku = 'B' then raise 'not this one'; end if; return old; end $$;
       create trigger no_b before delete on catalog.products for each row execute function public.no_b()`,
      'drop trigger no_b on catalog.products; drop function public.no_b',
      async () => {
        await seed('A', 'B', 'C');
        const staged = await stageImport(pool, rows('A'), { missing: remove() });
        await applyAll(pool, staged);
        expect(await there()).toEqual(['A', 'B']);
        expect(await outcomes(staged)).toEqual(['-1 delete failed refused_by_trigger']);
      },
    ));
});

describe('whatever dies', () => {
  it('a batch whose transaction died is done once by the next attempt', async () => {
    await seed('A', 'B', 'C');
    const staged = await stageImport(pool, rows('A'), { missing: remove() });
    const client = await pool.connect();
    await client.query('begin');
    await client.query('select waybill.apply_batches($1, $2, 1, 1, 9)', [staged.importId, staged.epoch]);
    await client.query('rollback');
    client.release();
    expect(await there()).toEqual(['A', 'B', 'C']);
    await applyAll(pool, staged);
    expect(await there()).toEqual(['A']);
    expect(await prove(staged)).toMatchObject({ ok: true, wrong: [] });
  });

  it('an old epoch deletes nothing, and neither does a plan that was tampered with', async () => {
    await seed('A', 'B', 'C');
    const staged = await stageImport(pool, rows('A'), { missing: remove() });
    await requestStop(pool, { importId: staged.importId, what: 'pause', actor: 'test' });
    await expect(applyAll(pool, staged)).rejects.toMatchObject({ code: 'WB001' });
    await resumeImport(pool, staged.importId, 'test');
    const { epoch } = (await claimImport(pool, staged.importId, 'run-2'))!;
    await takeTurn(pool, staged.importId, epoch, 'catalog.products/default', 'turn');
    await pool.query(`update ${missingTable(staged.lockKey)} set _k1 = 'a' where _k1 = 'b'`);
    await expect(applyAll(pool, { ...staged, epoch })).rejects.toMatchObject({ code: 'WB002' });
    expect(await there()).toEqual(['A', 'B', 'C']);
  });

  it('after somebody else had the turn, what was written since is left alone', async () => {
    await seed('A', 'B', 'C');
    const staged = await stageImport(pool, rows('A'), { missing: remove() });
    await requestStop(pool, { importId: staged.importId, what: 'pause', actor: 'test' });
    await land(pool, [{ sku: 'B', name: 'new name', price: '9' }]);
    await resumeImport(pool, staged.importId, 'test');
    const { epoch } = (await claimImport(pool, staged.importId, 'run-2'))!;
    expect((await takeTurn(pool, staged.importId, epoch, 'catalog.products/default', 'turn')).moved).toBe(
      true,
    );
    const again = await rebasePlan(pool, { ...staged.request, epoch });
    expect(again.batches).toBe(2);
    await applyAll(pool, { ...staged, epoch, plan: again }, 2);
    expect(await there()).toEqual(['A', 'B']);
    expect(await prove(staged)).toMatchObject({
      ok: true,
      wrong: [],
      accounting: { missing: 2, deleted: 1, kept: 1 },
    });
  });

  it('planning again finds them again', async () => {
    await seed('A', 'B');
    const staged = await stageImport(pool, rows('A'), { missing: remove(), policy: 'review' });
    await pool.query(`insert into catalog.products (tenant_id, sku) values ('default', 'Z')`);
    const { epoch } = (await claimImport(pool, staged.importId, 'run-2'))!;
    const again = await makePlan(pool, { ...staged.request, epoch });
    expect(again.counts.missing).toBe(2);
    expect(await plan(staged)).toEqual(['-1 delete b', '-2 delete z']);
  });
});
