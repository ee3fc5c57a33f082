import { disturbed, type Bench, type Case, type Disturbance } from './case.ts';
import { killWithLostAnswer, pauseForAWhile } from './faults.ts';
import { barrier, batchOpen, caughtAt, closeGate, until } from './moments.ts';
import type { Instance } from './instance.ts';

/** Replaces a piece of a function in the test's own database; returns what puts it back. */
async function breakFunction(
  instance: Instance,
  name: string,
  changes: [string, string][],
): Promise<() => Promise<void>> {
  const [row] = await instance.sql<{ definition: string }>(
    `select pg_get_functiondef(p.oid) as definition from pg_proc p join pg_namespace n on n.oid = p.pronamespace
     where n.nspname = 'waybill' and p.proname = $1`,
    [name],
  );
  let broken = row!.definition;
  for (const [from, to] of changes) {
    if (!broken.includes(from))
      throw new Error(`waybill.${name} holds no longer what is to be broken: ${from}`);
    broken = broken.replace(from, to);
  }
  await instance.sql(broken);
  return async () => {
    await instance.sql(row!.definition);
  };
}

/** A guarantee taken away: the oracle has to see it, or it would not have seen it elsewhere either. */
function breakage(
  name: string,
  finds: RegExp,
  run: (
    bench: Bench,
    disturb: (options: Disturbance, strike: (id: string) => Promise<string>) => Promise<void>,
  ) => Promise<string[] | void>,
): Case {
  return {
    name: `broken: ${name}`,
    async run(bench) {
      let found: string[] = [];
      let inFlight = '';
      const more = await run(bench, async (options, strike) => {
        const outcome = await disturbed(bench, options, strike);
        inFlight = outcome.inFlight;
        found = outcome.verdict.problems;
      });
      found.push(...(more ?? []));
      const named = found.find((problem) => finds.test(problem));
      const problems = named ? [] : [`the oracle did not see it; it said: ${found.join('; ') || 'nothing'}`];
      return { inFlight, status: `found: ${named ?? 'nothing'}`, verdict: { lost: 0, doubled: 0, problems } };
    },
  };
}

const RECEIPT_CHECK = `if not exists (select from waybill.batches x where`;
const SKIP_RECEIPTED = 'continue when exists (select from waybill.receipts y';
const FENCE = `if i.status <> 'running' or i.epoch <> p_epoch`;
const PROGRAM = 'set constraints all immediate;';

export const breakages: Case[] = [
  breakage(
    'an upsert done again, as at-least-once importers do',
    /writes too many/,
    async (bench, disturb) => {
      const undo = [
        await breakFunction(bench.instance, 'apply_batches', [
          [RECEIPT_CHECK, `if false and ${RECEIPT_CHECK.slice(3)}`],
          [SKIP_RECEIPTED, SKIP_RECEIPTED.replace('when exists', 'when false and exists')],
          [
            PROGRAM,
            `${PROGRAM} program := jsonb_set(program, '{insert_fast}', to_jsonb((program ->> 'insert_fast')
             || ' on conflict (tenant_id, lower(sku)) do update set name = excluded.name'));`,
          ],
        ]),
        await breakFunction(bench.instance, 'apply_batch', [
          [
            'insert into waybill.receipts values (r.*);',
            'insert into waybill.receipts values (r.*) on conflict do nothing;',
          ],
        ]),
      ];
      await disturb({}, () => killWithLostAnswer(bench));
      for (const repair of undo) await repair();
    },
  ),

  breakage('the receipt is not looked at', /^outcomes|the accounting says/, async (bench, disturb) => {
    const undo = [
      await breakFunction(bench.instance, 'apply_batches', [
        [RECEIPT_CHECK, `if false and ${RECEIPT_CHECK.slice(3)}`],
        [SKIP_RECEIPTED, SKIP_RECEIPTED.replace('when exists', 'when false and exists')],
      ]),
      await breakFunction(bench.instance, 'apply_batch', [
        [
          'insert into waybill.receipts values (r.*);',
          'insert into waybill.receipts values (r.*) on conflict do nothing;',
        ],
      ]),
    ];
    await disturb({}, () => killWithLostAnswer(bench));
    for (const repair of undo) await repair();
  }),

  breakage('no fence: status, epoch and turn are not asked', /rows moved/, async (bench, disturb) => {
    const repair = await breakFunction(bench.instance, 'apply_batches', [
      [FENCE, `if false and (${FENCE.slice(3)}`],
      ['t.holder = p_import) then', 't.holder = p_import)) then'],
    ]);
    let moved: string | null = null;
    await disturb({ slow: 0.2 }, async (id) => {
      const inFlight = await until('an open batch', batchOpen(bench.instance, id));
      try {
        await pauseForAWhile(bench, id, 4);
      } catch (error) {
        moved = (error as Error).message;
        await bench.instance.api('POST', `/imports/${id}/resume`);
      }
      return inFlight;
    });
    await repair();
    return moved === null ? [] : [moved];
  }),

  breakage(
    'the plan is not compared with what was approved',
    /missing or not as they should be/,
    async (bench, disturb) => {
      const { instance } = bench;
      const repair = await breakFunction(instance, 'apply_batch', [
        ['if found_rows.rows <> b.rows or found_rows.digest <> b.digest then', 'if false then'],
      ]);
      await disturb({}, async (id) => {
        const gate = await closeGate(instance);
        const seen = await until('batches at the gate', caughtAt(gate));
        const [row] = await instance.sql<{ plan: string }>(
          `select 'stage.plan_' || lock_key as plan from waybill.imports where import_id = $1`,
          [id],
        );
        await instance.sql(
          `update ${row!.plan} set v_price = 0 where _seq = (select max(_seq) from ${row!.plan} where _decision = 'create')`,
        );
        await gate.release();
        return `${seen}; a row of the plan changed`;
      });
      await repair();
    },
  ),

  breakage('rows staged twice', /the ledger holds|ended as unproven/, async (bench, disturb) => {
    const { instance } = bench;
    const hold = { release: async () => {} };
    await disturb(
      {
        submit: async (file) => {
          // Between staging and planning the run asks for its turn.
          Object.assign(
            hold,
            await barrier(
              instance,
              `select from waybill.turns where turn like 'catalog.products%' for update`,
            ),
          );
          return { upload_id: await instance.submit(file) };
        },
      },
      async (id) => {
        await until('staging to be whole', async () => {
          const [waiting] = await instance.sql<{ n: number }>(
            `select count(*)::int as n from pg_stat_activity where wait_event_type = 'Lock' and query like '%take_turn%'`,
          );
          return waiting!.n > 0 ? '' : null;
        });
        const [row] = await instance.sql<{ rows: string }>(
          `select 'stage.rows_' || lock_key || '_' || incarnation as rows from waybill.imports where import_id = $1`,
          [id],
        );
        await instance.sql(`insert into ${row!.rows} select * from ${row!.rows} where _blocked`);
        await hold.release();
        return 'staging whole, rows of it put in again';
      },
    );
  }),

  breakage('a receipt that counts wrong', /the accounting says|ended as unproven/, async (bench, disturb) => {
    const repair = await breakFunction(bench.instance, 'apply_batch', [
      [
        'insert into waybill.receipts values (r.*);',
        'r.created := r.created + 1; insert into waybill.receipts values (r.*);',
      ],
    ]);
    await disturb({}, async () => 'nothing');
    await repair();
  }),

  breakage('the turn is not given back', /turn .* of an ended run/, async (bench, disturb) => {
    const { instance } = bench;
    await instance.sql('alter table waybill.imports disable trigger release_turns');
    await disturb({}, async () => 'nothing');
    await instance.sql('alter table waybill.imports enable trigger release_turns');
    await instance.sql('update waybill.turns set holder = null');
    await instance.sql('delete from waybill.tickets');
  }),

  breakage('a record written behind the import', /writes too many/, async (bench, disturb) => {
    const { instance } = bench;
    await disturb({}, async () => {
      const gate = await closeGate(instance);
      const seen = await until('batches at the gate', caughtAt(gate));
      await gate.release();
      await until('records', async () => {
        const rows = await instance.sql(
          `update catalog.products set name = name where product_id = (select max(product_id) from catalog.products) returning 1`,
        );
        return rows.length > 0 ? '' : null;
      });
      return seen;
    });
  }),
];
