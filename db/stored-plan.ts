import type pg from 'pg';

export interface PlanCounts {
  creates: number;
  updates: number;
  unchanged: number;
  duplicates: number;
  blocked: number;
  /** Records that the file does not have and that would be deactivated or deleted; only of imports that look for them. */
  missing?: number;
}

export interface Plan {
  version: number;
  digest: string;
  counts: PlanCounts;
  /** Batches of the wave that was frozen with the plan; 0 where nobody has approved it yet. */
  batches: number;
  /** Why a person has to look at it under every policy, in sentences. */
  hold: string[];
}

/** The plan as it stands, the epoch that made it, and whether it was decided in the turn that the import has now. */
export async function currentPlan(
  client: pg.PoolClient,
  importId: string,
): Promise<{ plan: Plan; epoch: number; ofThisTurn: boolean } | null> {
  const { rows } = await client.query<Plan & { epoch: number; ofThisTurn: boolean }>(
    `select p.version, p.digest, p.counts, p.hold, p.epoch,
       (select count(*)::int from waybill.batches b where b.import_id = i.import_id and b.superseded_at is null) as batches,
       exists (select from waybill.turns t where t.turn = i.turn and t.holder = i.import_id and t.generation = i.turn_generation) as "ofThisTurn"
     from waybill.imports i join waybill.plans p on p.import_id = i.import_id and p.version = i.plan_version
     where i.import_id = $1`,
    [importId],
  );
  if (!rows[0]) return null;
  const { epoch, ofThisTurn, ...plan } = rows[0];
  return { plan, epoch, ofThisTurn };
}

/** Writes the plan's row with the digest over its batches, what the import now stands at, and who approved it. */
export async function storePlan(
  client: pg.PoolClient,
  plan: {
    request: { importId: string; epoch: number };
    version: number;
    wave: number;
    counts: PlanCounts;
    program: object;
    generation: number | null;
    approvedBy: string | null;
    hold: string[];
  },
): Promise<string> {
  const { importId, epoch } = plan.request;
  const { version, wave, counts } = plan;
  const stored = await client.query<{ digest: string }>(
    `insert into waybill.plans (import_id, version, epoch, digest, counts, program, hold)
     select $1, $2, $3, encode(sha256(convert_to($4::text || coalesce(string_agg(
         concat_ws(':', batch, first_seq, last_seq, rows, digest), ',' order by batch), ''), 'UTF8')), 'hex'), $4::jsonb, $5, $7::text[]
     from waybill.batches where import_id = $1 and wave = $6
     returning digest`,
    [importId, version, epoch, JSON.stringify(counts), JSON.stringify(plan.program), wave, plan.hold],
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

/** Keeps what the guard saw, and that nothing is left to be found out about the plan. */
export async function planIsJudged(
  pool: pg.Pool | pg.PoolClient,
  { importId, version, guard }: { importId: string; version: number; guard: object | null },
): Promise<void> {
  await pool.query(
    'update waybill.plans set guard = $3, judged_at = clock_timestamp() where import_id = $1 and version = $2',
    [importId, version, guard && JSON.stringify(guard)],
  );
}

export async function plansAreJudged(pool: pg.Pool, importId: string): Promise<boolean> {
  const found = await pool.query<{ judged: boolean }>(
    'select bool_and(judged_at is not null) as judged from waybill.plans where import_id = $1',
    [importId],
  );
  return found.rows[0]!.judged;
}
