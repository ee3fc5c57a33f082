import type pg from 'pg';
import { beforeAll, describe, expect, it } from 'vitest';
import { ownDatabase } from '../test/own-database.ts';
import { approvePlan } from './approve.ts';
import { writeProgram } from './apply-program.ts';
import { withClient } from './connect.ts';
import { claimImport, proveImport, requestStop, resumeImport, takeTurn } from './control.ts';
import { imagesTable, planTable } from './plan.ts';
import { rebasePlan } from './rebase.ts';
import { applyAll, land, receipt, stageImport, type StagedImport } from './staged.fixture.ts';

const own = ownDatabase();
let pool: pg.Pool;
beforeAll(() => {
  pool = own.pool;
});

const records = async () =>
  (
    await pool.query(
      `select sku, name, price::float8 as price, quantity::float8 as quantity from catalog.products order by lower(sku)`,
    )
  ).rows;
const outcomes = async ({ importId }: StagedImport) =>
  (
    await pool.query(
      `select record, decision, outcome, code from waybill.outcomes where import_id = $1 order by record`,
      [importId],
    )
  ).rows;
/** Everything ready but the proof's index, which notify makes. */
const prove = async ({ importId, lockKey }: StagedImport) => {
  await pool.query(`create unique index on ${planTable(lockKey)} (_record)`);
  return proveImport(pool, importId);
};
const alone = async (ddl: string, undo: string, test: () => Promise<void>) => {
  await pool.query(ddl);
  try {
    await test();
  } finally {
    await pool.query(undo);
  }
};

describe('what a batch does to the target', () => {
  it('creates, updates, leaves alone; the last of a key wins; case of the key does not matter', async () => {
    await land(pool, [
      { sku: 'a', name: 'A', price: '1' },
      { sku: 'b', name: 'B', price: '2' },
    ]);
    const second = await stageImport(pool, [
      { sku: 'A', name: 'A', price: '1.00' },
      { sku: 'b', name: 'first', price: '9' },
      { sku: 'B', name: 'last', price: '3' },
      { sku: 'c', name: 'C', price: null },
    ]);
    expect(second.plan.counts).toEqual({ creates: 1, updates: 1, unchanged: 1, duplicates: 1, blocked: 0 });
    expect(await applyAll(pool, second)).toEqual(receipt({ created: 1, updated: 1, unchanged: 1 }));
    expect(await records()).toEqual([
      { sku: 'a', name: 'A', price: 1, quantity: null },
      { sku: 'b', name: 'last', price: 3, quantity: null },
      { sku: 'c', name: 'C', price: null, quantity: null },
    ]);
    const images = await pool.query(
      `select b_name, a_name, b_price::float8, a_price::float8, _created from ${imagesTable(second.lockKey)}`,
    );
    expect(images.rows).toEqual([{ b_name: 'B', a_name: 'last', b_price: 2, a_price: 3, _created: false }]);
    expect(await prove(second)).toMatchObject({
      ok: true,
      accounting: { input: 4, created: 1, updated: 1, unchanged: 1, duplicates: 1 },
    });
  });

  it('keeps what an empty cell does not speak of', async () => {
    await land(pool, [{ sku: 'a', name: 'A', price: '1' }]);
    expect(await applyAll(pool, await stageImport(pool, [{ sku: 'a', name: null, price: '2' }]))).toEqual(
      receipt({ updated: 1 }),
    );
    expect(await records()).toEqual([{ sku: 'a', name: 'A', price: 2, quantity: null }]);
  });

  it('adds numbers in mode add', async () => {
    const rows = [
      { sku: 'a', quantity: '3' },
      { sku: 'b', quantity: '0' },
    ];
    await land(pool, rows, { mode: 'add', columns: ['quantity'] });
    expect(
      await applyAll(pool, await stageImport(pool, rows, { mode: 'add', columns: ['quantity'] })),
    ).toEqual(receipt({ updated: 1, unchanged: 1 }));
    expect((await records()).map((r) => r.quantity)).toEqual([6, 0]);
  });

  it('adds nothing to no number where the cell is empty', async () => {
    await land(pool, [{ sku: 'a', name: 'A' }]);
    const staged = await stageImport(pool, [{ sku: 'a', name: 'B', quantity: null }], {
      mode: 'add',
      columns: ['name', 'quantity'],
    });
    expect(await applyAll(pool, staged)).toEqual(receipt({ updated: 1 }));
    expect(await records()).toEqual([{ sku: 'a', name: 'B', price: null, quantity: null }]);
  });

  it('blocks existing keys in mode insert and unknown ones in mode update', async () => {
    await land(pool, [{ sku: 'a', name: 'A' }]);
    const insert = await stageImport(
      pool,
      [
        { sku: 'a', name: 'X' },
        { sku: 'b', name: 'B' },
      ],
      { mode: 'insert' },
    );
    expect(insert.plan.counts).toMatchObject({ creates: 1, blocked: 1 });
    expect(await applyAll(pool, insert)).toEqual(receipt({ created: 1 }));
    await requestStop(pool, { importId: insert.importId, what: 'cancel', actor: 'test' });
    const update = await stageImport(
      pool,
      [
        { sku: 'a', name: 'X' },
        { sku: 'z', name: 'Z' },
      ],
      { mode: 'update' },
    );
    expect(update.plan.counts).toMatchObject({ updates: 1, blocked: 1 });
    expect(await applyAll(pool, update)).toEqual(receipt({ updated: 1 }));
    expect(await records()).toMatchObject([
      { sku: 'a', name: 'X' },
      { sku: 'b', name: 'B' },
    ]);
  });
});

describe('rows that the target refuses fail alone', () => {
  const rows = Array.from({ length: 25 }, (_, n) => ({ sku: `s${n}`, name: `n${n}`, price: String(n) }));

  it('a second unique constraint', () =>
    alone(
      'create unique index products_name on catalog.products (name)',
      'drop index catalog.products_name',
      async () => {
        const staged = await stageImport(pool, [...rows, { sku: 'twin', name: 'n7', price: '1' }]);
        expect(staged.request.target.oneLane).toBe(true);
        expect(await applyAll(pool, staged)).toEqual(receipt({ created: 25, failed: 1 }));
        expect(await outcomes(staged)).toMatchObject([{ outcome: 'failed', code: 'not_unique' }]);
        expect(await prove(staged)).toMatchObject({ ok: true, accounting: { created: 25, failed: 1 } });
      },
    ));

  it('a check that the dataset did not know', () =>
    alone(
      'alter table catalog.products add constraint cheap check (price < 20)',
      'alter table catalog.products drop constraint cheap',
      async () => {
        const staged = await stageImport(pool, rows);
        expect(await applyAll(pool, staged)).toEqual(receipt({ created: 20, failed: 5 }));
        expect(new Set((await outcomes(staged)).map((o) => o.code))).toEqual(new Set(['check_failed']));
      },
    ));

  it('a check on update', async () => {
    await land(pool, rows);
    await alone(
      'alter table catalog.products add constraint cheap check (price < 20) not valid',
      'alter table catalog.products drop constraint cheap',
      async () => {
        const staged = await stageImport(
          pool,
          rows.map((row) => ({ ...row, name: row.name + 'x' })),
        );
        expect(await applyAll(pool, staged)).toEqual(receipt({ updated: 20, failed: 5 }));
      },
    );
  });

  it('a trigger that raises, with its own words', () =>
    alone(
      `create function public.no_thirteen() returns trigger language plpgsql as $$ begin
         if new.price = 13 then raise exception 'thirteen brings bad luck'; end if; return new; end $$;
       create trigger no_thirteen before insert on catalog.products for each row execute function public.no_thirteen()`,
      'drop trigger no_thirteen on catalog.products; drop function public.no_thirteen',
      async () => {
        const staged = await stageImport(pool, rows);
        expect(await applyAll(pool, staged)).toEqual(receipt({ created: 24, failed: 1 }));
        const kept = await pool.query('select message from waybill.outcomes where import_id = $1', [
          staged.importId,
        ]);
        expect(kept.rows[0].message).toContain('thirteen brings bad luck');
        // With a row trigger created rows leave an after-image.
        expect(
          (await pool.query(`select count(*) as n from ${imagesTable(staged.lockKey)} where _created`))
            .rows[0].n,
        ).toBe(24);
      },
    ));

  it('a trigger that drops rows without a word', () =>
    alone(
      `create function public.drop_odd() returns trigger language plpgsql as $$ begin
         if new.price::int % 2 = 1 then return null; end if; return new; end $$;
       create trigger drop_odd before insert or update on catalog.products for each row execute function public.drop_odd()`,
      'drop trigger drop_odd on catalog.products; drop function public.drop_odd',
      async () => {
        const staged = await stageImport(pool, rows);
        expect(await applyAll(pool, staged)).toEqual(receipt({ created: 13, failed: 12 }));
        expect(new Set((await outcomes(staged)).map((o) => o.code))).toEqual(new Set(['refused_by_target']));
      },
    ));

  it('a deferred constraint', () =>
    alone(
      "create table catalog.maker (name text primary key); alter table catalog.products add constraint maker foreign key (name) references catalog.maker deferrable initially deferred; insert into catalog.maker values ('n1'), ('n2')",
      'alter table catalog.products drop constraint maker; drop table catalog.maker',
      async () => {
        const staged = await stageImport(pool, rows.slice(0, 5));
        expect(await applyAll(pool, staged)).toEqual(receipt({ created: 2, failed: 3 }));
        expect(new Set((await outcomes(staged)).map((o) => o.code))).toEqual(new Set(['reference_missing']));
      },
    ));
});

describe('a target that moves between plan and apply', () => {
  const edit = (sql: string) => pool.query(sql);

  it('auto: what appeared is updated or found equal, what went is created, what became equal is left alone', async () => {
    await land(
      pool,
      ['u', 'gone', 'equal'].map((sku) => ({ sku, name: 'old', price: '1' })),
    );
    const staged = await stageImport(
      pool,
      ['u', 'gone', 'equal', 'new', 'appeared', 'same'].map((sku) => ({ sku, name: 'N', price: '2' })),
    );
    await edit(`delete from catalog.products where sku = 'gone'`);
    await edit(`update catalog.products set name = 'N', price = 2 where sku = 'equal'`);
    await edit(
      `insert into catalog.products (tenant_id, sku, name, price) values ('default', 'appeared', 'X', 9), ('default', 'same', 'N', 2)`,
    );
    expect(await applyAll(pool, staged)).toEqual(receipt({ created: 2, updated: 2, unchanged: 2 }));
    expect(new Set((await records()).map((r) => `${r.name}${r.price}`))).toEqual(new Set(['N2']));
    expect((await outcomes(staged)).map((o) => `${o.decision}>${o.outcome}`).sort()).toEqual([
      'create>unchanged',
      'create>updated',
      'update>created',
      'update>unchanged',
    ]);
    expect((await prove(staged)).ok).toBe(true);
  });

  it('review: what moved is stale and not overwritten', async () => {
    await land(
      pool,
      ['u', 'edited', 'gone'].map((sku) => ({ sku, name: 'old', price: '1' })),
    );
    const staged = await stageImport(
      pool,
      ['u', 'edited', 'gone', 'appeared'].map((sku) => ({ sku, name: 'N', price: '2' })),
      { policy: 'review' },
    );
    await edit(`update catalog.products set price = 7 where sku = 'edited'`);
    await edit(`delete from catalog.products where sku = 'gone'`);
    await edit(
      `insert into catalog.products (tenant_id, sku, name) values ('default', 'appeared', 'theirs')`,
    );
    await expect(applyAll(pool, staged)).rejects.toMatchObject({ code: 'WB001' });
    await approvePlan(pool, {
      importId: staged.importId,
      epoch: staged.epoch,
      version: staged.plan.version,
      digest: staged.plan.digest,
      actor: 'test',
      endsWait: false,
    });
    await takeTurn(pool, staged.importId, staged.epoch, 'catalog.products/default', 'turn');
    expect(await applyAll(pool, staged)).toEqual(receipt({ updated: 1, stale: 3 }));
    expect(await records()).toMatchObject([
      { sku: 'appeared', name: 'theirs' },
      { sku: 'edited', name: 'old', price: 7 },
      { sku: 'u', name: 'N', price: 2 },
    ]);
  });

  it('review: what was equal and is not any more is stale too', async () => {
    await land(
      pool,
      ['same', 'edited', 'gone'].map((sku) => ({ sku, name: 'A', price: '1' })),
    );
    const rows = ['same', 'edited', 'gone'].map((sku) => ({ sku, name: 'A', price: '1' }));
    const staged = await stageImport(pool, rows, { policy: 'review' });
    expect(staged.plan.counts.unchanged).toBe(3);
    await edit(`update catalog.products set price = 7 where sku = 'edited'`);
    await edit(`delete from catalog.products where sku = 'gone'`);
    const { version, digest } = staged.plan;
    await approvePlan(pool, { ...staged, version, digest, actor: 'test', endsWait: false });
    await takeTurn(pool, staged.importId, staged.epoch, 'catalog.products/default', 'turn');
    expect(await applyAll(pool, staged)).toEqual(receipt({ unchanged: 1, stale: 2 }));
  });

  it('the statements for PostgreSQL 16 and 17 do the same as those for 18', async () => {
    await land(pool, [
      { sku: 'a', name: 'A', price: '1' },
      { sku: 'b', name: 'B', price: '1' },
    ]);
    const staged = await stageImport(pool, [
      { sku: 'a', name: 'A2', price: '2' },
      { sku: 'b', name: 'B2', price: '2' },
    ]);
    const { request } = staged;
    const program = writeProgram({
      ...request,
      plan: planTable(staged.lockKey),
      images: imagesTable(staged.lockKey),
      reviewed: false,
      serverVersion: 160000,
    });
    await pool.query('update waybill.plans set program = $2 where import_id = $1', [
      staged.importId,
      JSON.stringify(program),
    ]);
    await pool.query(`update catalog.products set name = 'B2', price = 2 where sku = 'b'`);
    expect(await applyAll(pool, staged)).toEqual(receipt({ updated: 1, unchanged: 1 }));
    expect((await pool.query(`select b_name, a_name from ${imagesTable(staged.lockKey)}`)).rows).toEqual([
      { b_name: 'A', a_name: 'A2' },
    ]);
  });
});

describe('fencing', () => {
  it('a second attempt gets the receipt and writes nothing, even after the run was stopped', async () => {
    const staged = await stageImport(pool, [{ sku: 'a', quantity: '1' }], {
      mode: 'add',
      columns: ['quantity'],
    });
    await applyAll(pool, staged);
    await requestStop(pool, { importId: staged.importId, what: 'pause', actor: 'test' });
    expect(await applyAll(pool, staged)).toEqual(receipt({ created: 1 }));
    expect(await records()).toMatchObject([{ quantity: 1 }]);
  });

  it('two attempts at once write once', async () => {
    const staged = await stageImport(
      pool,
      Array.from({ length: 500 }, (_, n) => ({ sku: `s${n}`, quantity: '1' })),
      { mode: 'add', columns: ['quantity'] },
    );
    const [one, two] = await Promise.all([applyAll(pool, staged), applyAll(pool, staged)]);
    expect([one, two]).toEqual([receipt({ created: 500 }), receipt({ created: 500 })]);
    expect((await pool.query('select sum(quantity)::int as n from catalog.products')).rows[0].n).toBe(500);
  });

  it.each([
    [
      'paused',
      async (s: StagedImport) =>
        void (await requestStop(pool, { importId: s.importId, what: 'pause', actor: 't' })),
    ],
    [
      'resumed under a new epoch',
      async (s: StagedImport) => {
        await requestStop(pool, { importId: s.importId, what: 'pause', actor: 't' });
        await resumeImport(pool, s.importId, 't');
        await takeTurn(pool, s.importId, s.epoch + 2, 'catalog.products/default', 'turn');
      },
    ],
    [
      'claimed by another workflow run',
      async (s: StagedImport) => void (await claimImport(pool, s.importId, 'other')),
    ],
    ['without the turn', async () => void (await pool.query('update waybill.turns set holder = null'))],
  ])('a batch of a run that was %s touches nothing', async (_name, move) => {
    const staged = await stageImport(pool, [{ sku: 'a', name: 'A' }]);
    await move(staged);
    await expect(applyAll(pool, staged)).rejects.toMatchObject({ code: 'WB001' });
    expect(await records()).toEqual([]);
  });

  it('a plan that lost a row, gained a value or moved a boundary is refused', async () => {
    for (const harm of [
      (plan: string) => `delete from ${plan} where _seq = 2`,
      (plan: string) => `update ${plan} set v_price = 99 where _seq = 2`,
      (plan: string) => `update ${plan} set _seq = 4 where _seq = 2`,
      () => `update waybill.batches set last_seq = 2`,
    ]) {
      const staged = await stageImport(
        pool,
        ['a', 'b', 'c'].map((sku) => ({ sku, price: '1' })),
      );
      await pool.query(harm(planTable(staged.lockKey)));
      await expect(applyAll(pool, staged)).rejects.toMatchObject({ code: 'WB002' });
      expect(await records()).toEqual([]);
      await requestStop(pool, { importId: staged.importId, what: 'cancel', actor: 'test' });
    }
  });

  it('pause waits half a second for a batch that hangs, then ends its backend: nothing half-committed', async () => {
    const staged = await stageImport(
      pool,
      ['a', 'b'].map((sku) => ({ sku, price: '1' })),
    );
    await withClient(pool, async (other) => {
      // Somebody holds the key that the batch wants to insert.
      await other.query('begin');
      await other.query(`insert into catalog.products (tenant_id, sku) values ('default', 'b')`);
      const hanging = applyAll(pool, staged).catch((error: unknown) => error);
      await expect
        .poll(
          async () => (await pool.query(`select count(*) as n from pg_locks where not granted`)).rows[0].n,
        )
        .toBeGreaterThan(0);
      const started = performance.now();
      const row = await requestStop(pool, { importId: staged.importId, what: 'pause', actor: 'test' });
      expect(row!.status).toBe('paused');
      expect(performance.now() - started).toBeLessThan(1500);
      expect(await hanging).toBeInstanceOf(Error);
      await other.query('rollback');
    });
    expect(await records()).toEqual([]);
    expect(
      (await pool.query('select count(*) as n from waybill.receipts where import_id = $1', [staged.importId]))
        .rows[0].n,
    ).toBe(0);
  });
});

describe('turns', () => {
  it('a paused run gives its turn back; if another took it, its open batches are decided anew in a new wave', async () => {
    const first = await stageImport(pool, [
      { sku: 'a', name: 'first', price: '1' },
      { sku: 'b', name: 'first', price: '1' },
    ]);
    await requestStop(pool, { importId: first.importId, what: 'pause', actor: 'test' });
    const second = await stageImport(pool, [{ sku: 'b', name: 'second', price: '2' }]);
    expect(await applyAll(pool, second)).toEqual(receipt({ created: 1 }));

    const { epoch } = (await resumeImport(pool, first.importId, 'test'))!;
    const turn = 'catalog.products/default';
    expect(await takeTurn(pool, first.importId, epoch, turn, 'turn')).toMatchObject({
      held: false,
      ahead: 1,
    });
    await requestStop(pool, { importId: second.importId, what: 'cancel', actor: 'test' });
    expect(await takeTurn(pool, first.importId, epoch, turn, 'turn')).toMatchObject({
      held: true,
      moved: true,
    });

    const plan = await rebasePlan(pool, { ...first.request, epoch });
    expect(plan).toMatchObject({ version: 2, counts: { creates: 1, updates: 1 } });
    await expect(applyAll(pool, { ...first, epoch }, 1)).rejects.toMatchObject({ code: 'WB001' });
    expect(await applyAll(pool, { ...first, epoch, plan }, 2)).toEqual(receipt({ created: 1, updated: 1 }));
    expect((await prove(first)).ok).toBe(true);
  });

  /** Paused after `before`, while another import held the turn; then resumed under the new epoch. */
  const loseTurn = async (staged: StagedImport, meanwhile: () => Promise<void>): Promise<StagedImport> => {
    await requestStop(pool, { importId: staged.importId, what: 'pause', actor: 'test' });
    await land(pool, [{ sku: 'zz', name: 'other' }]);
    await meanwhile();
    const { epoch } = (await resumeImport(pool, staged.importId, 'test'))!;
    expect(await takeTurn(pool, staged.importId, epoch, 'catalog.products/default', 'turn')).toMatchObject({
      moved: true,
    });
    return { ...staged, epoch, plan: await rebasePlan(pool, { ...staged.request, epoch }) };
  };

  it('a run with nothing left to apply comes through it', async () => {
    const first = await stageImport(pool, [{ sku: 'a', name: 'A' }]);
    await applyAll(pool, first);
    const again = await loseTurn(first, async () => {});
    expect(again.plan).toMatchObject({ version: 2, batches: 0 });
    expect((await prove(again)).ok).toBe(true);
  });

  it('update-only does not create what went away meanwhile', async () => {
    await land(pool, [
      { sku: 'a', name: 'A' },
      { sku: 'b', name: 'B' },
    ]);
    const first = await stageImport(
      pool,
      [
        { sku: 'a', name: 'X' },
        { sku: 'b', name: 'X' },
      ],
      { mode: 'update' },
    );
    const again = await loseTurn(first, async () => {
      await pool.query(`delete from catalog.products where sku = 'a'`);
    });
    expect(await applyAll(pool, again, 2)).toEqual(receipt({ updated: 1, failed: 1 }));
    expect(await outcomes(again)).toMatchObject([{ decision: 'update', code: 'no_such_record' }]);
  });

  it('a claim gives back slot and turn, so that two runs cannot hold one each', async () => {
    const first = await stageImport(pool, [{ sku: 'a', name: 'A' }]);
    await claimImport(pool, first.importId, 'another run');
    const held = await pool.query('select from waybill.turns where holder = $1', [first.importId]);
    expect(held.rowCount).toBe(0);
  });
});

it('a child before its parent in the same batch goes in although the table refuses another row of it', async () => {
  await alone(
    `alter table catalog.products add constraint codes unique (sku), add constraint not_13 check (price <> 13),
       add constraint parents foreign key (name) references catalog.products (sku)`,
    `alter table catalog.products drop constraint parents, drop constraint not_13, drop constraint codes`,
    async () => {
      await land(pool, [{ sku: 'k', price: '1' }]);
      // In the order of their keys: a refers to z, b to a, and both stand before what refuses the whole.
      const staged = await stageImport(pool, [
        { sku: 'a', name: 'z' },
        { sku: 'b', name: 'a' },
        { sku: 'k', name: 'b' },
        { sku: 'm', price: '13' },
        { sku: 'y', name: 'nobody' },
        { sku: 'z' },
      ]);
      expect(await applyAll(pool, staged)).toEqual(receipt({ created: 3, updated: 1, failed: 2 }));
      expect(await outcomes(staged)).toEqual([
        { record: 4, decision: 'create', outcome: 'failed', code: 'check_failed' },
        { record: 5, decision: 'create', outcome: 'failed', code: 'reference_missing' },
      ]);
      expect(await prove(staged)).toMatchObject({ ok: true, accounting: { created: 3, failed: 2 } });
    },
  );
});
