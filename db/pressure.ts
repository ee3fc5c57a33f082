import type pg from 'pg';

/**
 * What weighs on the database: the replicas' replay lag in milliseconds (null: none, or it may not be seen) and how
 * many sessions of others wait for locks that Waybill's workers hold.
 */
export async function readPressure(pool: pg.Pool): Promise<{ lagMs: number | null; lockWaits: number }> {
  const { rows } = await pool.query<{ lag_ms: number | null; lock_waits: number }>(
    'select lag_ms, lock_waits from waybill.pressure()',
  );
  return { lagMs: rows[0]!.lag_ms, lockWaits: rows[0]!.lock_waits };
}
