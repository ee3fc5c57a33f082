import type pg from 'pg';
import { mustBeWhole } from './all-or.ts';
import { withTransaction } from './connect.ts';

/** The plan that somebody approved is not the plan that is there now. */
export class PlanMoved extends Error {}

/**
 * Freezes the wave of the plan that a person (or the guard) saw: version and digest must be those in the database. A
 * person's answer ends the wait in the same transaction.
 */
export async function approvePlan(
  pool: pg.Pool,
  approval: {
    importId: string;
    epoch: number;
    version: number;
    digest: string;
    actor: string;
    endsWait: boolean;
  },
): Promise<void> {
  await withTransaction(pool, async (client) => {
    await client.query('select from waybill.lock_import($1)', [approval.importId]);
    const plan = (
      await client.query<{
        tenant_id: string;
        epoch: number;
        plan_version: number;
        digest: string | null;
        wave: number | null;
      }>(
        `select i.tenant_id, i.epoch, i.plan_version, p.digest,
           (select max(wave) from waybill.waves w where w.import_id = i.import_id and w.plan_version = i.plan_version) as wave
         from waybill.imports i left join waybill.plans p on p.import_id = i.import_id and p.version = i.plan_version
         where i.import_id = $1`,
        [approval.importId],
      )
    ).rows[0];
    if (
      !plan ||
      plan.plan_version !== approval.version ||
      plan.digest !== approval.digest ||
      plan.epoch !== approval.epoch
    ) {
      throw new PlanMoved('The plan has changed since you looked at it. Look at it again, then decide.');
    }
    // A second click on the same plan.
    if (plan.wave !== null) return;
    await mustBeWhole(client, approval.importId);
    await client.query(
      `insert into waybill.waves (import_id, wave, plan_version, approved_by)
       select $1, coalesce(max(wave), 1), $2, $3 from waybill.batches where import_id = $1`,
      [approval.importId, approval.version, approval.actor],
    );
    if (approval.endsWait)
      await client.query(`select waybill.answer_wait($1, $2, 'approval')`, [
        approval.importId,
        approval.epoch,
      ]);
    await client.query(
      `insert into waybill.audit (tenant_id, import_id, actor, action, detail) values ($1, $2, $3, 'approve', $4)`,
      [
        plan.tenant_id,
        approval.importId,
        approval.actor,
        JSON.stringify({ version: approval.version, digest: approval.digest }),
      ],
    );
  });
}
