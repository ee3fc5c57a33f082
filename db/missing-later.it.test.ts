import type pg from 'pg';
import { beforeAll, describe, expect, it } from 'vitest';
import { ownDatabase } from '../test/own-database.ts';
import { approvePlan } from './approve.ts';
import { claimImport, proveImport, requestStop, resumeImport, takeTurn } from './control.ts';
import type { MissingRequest } from './missing.ts';
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

// An older catalogue that comes to be applied after a newer one.

const own = ownDatabase();
let pool: pg.Pool;
beforeAll(() => {
  pool = own.pool;
});

const scope: MissingRequest['scope'] = [{ column: 'sku', operator: 'not_empty' }];
const remove: MissingRequest = { action: 'delete', scope, inactive: null };
const deactivate: MissingRequest = {
  action: 'deactivate',
  scope,
  inactive: { column: 'active', value: 'false' },
};
const rows = (...skus: string[]): ProductRow[] => skus.map((sku) => ({ sku, name: `${sku}!`, price: '1' }));
const there = async () =>
  (
    await pool.query<{ r: string }>(
      `select sku || case when active then '' else '-' end as r from catalog.products order by lower(sku)`,
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
const pause = ({ importId }: StagedImport) => requestStop(pool, { importId, what: 'pause', actor: 'test' });
const turn = (importId: string, epoch: number) =>
  takeTurn(pool, importId, epoch, 'catalog.products/default', 'turn');
/** Resumed and in its turn again, decided anew where the turn says so. */
const goOn = async (staged: StagedImport): Promise<StagedImport & { moved: boolean }> => {
  await resumeImport(pool, staged.importId, 'test');
  const { epoch } = (await claimImport(pool, staged.importId, 'run-2'))!;
  const { moved } = await turn(staged.importId, epoch);
  const request = { ...staged.request, epoch };
  return {
    ...staged,
    moved,
    epoch,
    request,
    plan: moved ? await rebasePlan(pool, request) : staged.plan,
  };
};
const approve = ({ importId, epoch, plan }: StagedImport) =>
  approvePlan(pool, {
    importId,
    epoch,
    version: plan.version,
    digest: plan.digest,
    actor: 'anna',
    endsWait: false,
  });

describe('what a newer file has is not removed by an older one', () => {
  it.each([
    ['delete', remove, ['A', 'B', 'C']],
    ['deactivate', deactivate, ['A', 'B', 'C', 'D-']],
  ] as const)('that was paused: %s', async (_, missing, left) => {
    await land(pool, rows('A', 'B', 'C', 'D'));
    const old = await stageImport(pool, rows('A'), { missing });
    expect(old.plan.counts.missing).toBe(3);
    await pause(old);
    // Found equal: nothing of these records is written.
    await land(pool, rows('A', 'B', 'C'));
    const again = await goOn(old);
    expect(again.moved).toBe(true);
    await applyAll(pool, again, 2);
    expect(await there()).toEqual(left);
    expect(await outcomes(old)).toEqual(['-1', '-2'].map((n) => `${n} ${missing.action} stale seen_later`));
    expect(await prove(old)).toMatchObject({
      ok: true,
      wrong: [],
      accounting: { input: 1, unchanged: 1, notProcessed: 0, missing: 3, kept: 2 },
    });
  });

  it('that waited for its first approval', async () => {
    await land(pool, rows('A', 'B', 'C'));
    const old = await stageImport(pool, rows('A'), { missing: remove, policy: 'review' });
    await land(pool, rows('A', 'B'));
    await approve(old);
    expect((await turn(old.importId, old.epoch)).moved).toBe(true);
    const again = await rebasePlan(pool, old.request);
    expect(await rebasePlan(pool, old.request)).toMatchObject({ version: again.version });
    await applyAll(pool, { ...old, plan: again }, 2);
    expect(await there()).toEqual(['A', 'B']);
    expect(await prove(old)).toMatchObject({
      ok: true,
      wrong: [],
      accounting: { missing: 2, deleted: 1, kept: 1 },
    });
  });

  it('that was held, in one epoch', async () => {
    await land(pool, rows('A', 'B', 'C'));
    const old = await stageImport(pool, rows('A'), { missing: remove, policy: 'review' });
    await pool.query('update waybill.imports set turn_generation = 0 where import_id = $1', [old.importId]);
    await land(pool, rows('A', 'B', 'C'));
    await approve(old);
    expect((await turn(old.importId, old.epoch)).moved).toBe(true);
    const again = await rebasePlan(pool, old.request);
    expect(again.version).toBe(old.plan.version + 1);
    await applyAll(pool, { ...old, plan: again }, 2);
    expect(await there()).toEqual(['A', 'B', 'C']);
  });

  it('that nobody passed goes on as it was', async () => {
    await land(pool, rows('A', 'B'));
    const old = await stageImport(pool, rows('A'), { missing: remove, policy: 'review' });
    await approve(old);
    expect((await turn(old.importId, old.epoch)).moved).toBe(false);
    await applyAll(pool, old);
    expect(await there()).toEqual(['A']);
  });

  it('that is planned only when the newer one is through, and then a person is asked', async () => {
    await land(pool, rows('A', 'B', 'C'));
    const old = await stageRows(pool, 1, { missing: remove, profile: 'feed' }, async (table) => {
      await pool.query(`insert into ${table} values (1, 2, 0, 0, false, null, null, 'A', 'A!', 1)`);
    });
    await requestStop(pool, { importId: old.importId, what: 'pause', actor: 'test' });
    await land(pool, rows('A', 'B'), { profile: 'feed' });
    await resumeImport(pool, old.importId, 'test');
    const { epoch } = (await claimImport(pool, old.importId, 'run-2'))!;
    await turn(old.importId, epoch);
    const plan = await makePlan(pool, { ...old.request, epoch });
    expect(plan.hold).toEqual([
      expect.stringMatching(
        /^A later import of the same source has been there since: x.csv \(import-\S+\)\. Of the records that this older file does not have, 1 is in it and will be left alone; 1 would still be deactivated or deleted\.$/,
      ),
    ]);
    const staged = { ...old, epoch, plan };
    await approve(staged);
    await applyAll(pool, staged);
    expect(await there()).toEqual(['A', 'B']);
    expect(await prove(staged)).toMatchObject({ ok: true, wrong: [], accounting: { deleted: 1, kept: 1 } });
  });

  it('and before it removes what is left, a run that nobody looked at asks', async () => {
    await land(pool, rows('A', 'B', 'C'));
    const old = await stageImport(pool, rows('A'), { missing: remove, profile: 'feed' });
    await pause(old);
    await land(pool, rows('A', 'B'), { profile: 'feed' });
    const again = await goOn(old);
    expect(again.plan.hold).toHaveLength(1);
    await expect(applyAll(pool, again, 2)).rejects.toMatchObject({ code: 'WB002' });
    await approve(again);
    await applyAll(pool, again, 2);
    expect(await there()).toEqual(['A', 'B']);
    expect(await prove(again)).toMatchObject({ ok: true, wrong: [] });
  });

  it('with what the guard saw of it, however often it was decided anew', async () => {
    await land(pool, rows('A', 'B', 'C'));
    const old = await stageImport(pool, rows('A'), { missing: remove, policy: 'guard', profile: 'feed' });
    await pool.query(`update waybill.plans set guard = '{"scope": 3, "reasons": []}' where import_id = $1`, [
      old.importId,
    ]);
    await approvePlan(pool, { ...old, ...old.plan, actor: 'guard', endsWait: false });
    await turn(old.importId, old.epoch);
    await pause(old);
    await land(pool, rows('X'));
    const second = await goOn(old);
    expect(second.plan).toMatchObject({ version: 2, hold: [] });
    await pause(second);
    await land(pool, rows('A', 'B'), { profile: 'feed' });
    const third = await goOn(second);
    expect(third.plan).toMatchObject({ version: 3, hold: [expect.any(String)] });
    const kept = await pool.query('select guard from waybill.plans where import_id = $1 and version = 3', [
      old.importId,
    ]);
    expect(kept.rows).toEqual([{ guard: { scope: 3, reasons: third.plan.hold } }]);
  });

  it('but an older one that came late is no reason to keep anything', async () => {
    const older = await stageImport(pool, rows('A', 'B'), { policy: 'review' });
    await approve(older);
    await turn(older.importId, older.epoch);
    await applyAll(pool, older);
    const newer = stageRows(pool, 1, { missing: remove }, async (table) => {
      await pool.query(`insert into ${table} values (1, 2, 0, 0, false, null, null, 'A', 'A!', 1)`);
    });
    await requestStop(pool, { importId: older.importId, what: 'cancel', actor: 'test' });
    const { importId, epoch, ...more } = await newer;
    await turn(importId, epoch);
    const staged = { ...more, importId, epoch, plan: await makePlan(pool, more.request) };
    expect(staged.plan.hold).toEqual([]);
    await applyAll(pool, staged);
    expect(await there()).toEqual(['A']);
  });
});
