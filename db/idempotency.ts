import { createHash } from 'node:crypto';
import type pg from 'pg';
import { withClient } from './connect.ts';

export interface IdempotentRequest {
  tenantId: string;
  route: string;
  key: string;
  body: unknown;
}

export type IdempotentOutcome<T> =
  | { kind: 'done'; status: number; body: T; repeated: boolean }
  /** The same key came before, with another body. */
  | { kind: 'mismatch' }
  /** The same request is being answered at this moment. */
  | { kind: 'busy' };

/** Members in a fixed order, so that the same request written in another order has the same digest. */
function canonical(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(canonical);
  if (value === null || typeof value !== 'object') return value;
  return Object.entries(value)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, member]) => [name, canonical(member)]);
}

/**
 * Does `work` once for a key and keeps its answer; later requests with the key get that answer. What `work` throws
 * is not kept: the next try does it again. While it runs, a session's advisory lock says so: it ends with the
 * process, so that a request that died does not block its own repetition.
 */
export async function once<T>(
  pool: pg.Pool,
  request: IdempotentRequest,
  work: () => Promise<{ status: number; body: T }>,
): Promise<IdempotentOutcome<T>> {
  const { tenantId, route, key } = request;
  const digest = createHash('sha256')
    .update(JSON.stringify(canonical(request.body)))
    .digest('hex');
  return withClient(pool, async (client): Promise<IdempotentOutcome<T>> => {
    const name = JSON.stringify([tenantId, route, key]);
    const lock = await client.query<{ held: boolean }>(
      'select pg_try_advisory_lock(hashtextextended($1, 7295)) as held',
      [name],
    );
    if (!lock.rows[0]!.held) return { kind: 'busy' };
    try {
      await client.query(
        `insert into waybill.idempotency_keys (tenant_id, route, key, body_digest) values ($1, $2, $3, $4)
         on conflict do nothing`,
        [tenantId, route, key, digest],
      );
      const found = await client.query<{ body_digest: string; status: number | null; body: T }>(
        `select body_digest, status, body from waybill.idempotency_keys
         where tenant_id = $1 and route = $2 and key = $3`,
        [tenantId, route, key],
      );
      const kept = found.rows[0]!;
      if (kept.body_digest !== digest) return { kind: 'mismatch' };
      if (kept.status !== null) return { kind: 'done', status: kept.status, body: kept.body, repeated: true };
      const { status, body } = await work();
      await client.query(
        `update waybill.idempotency_keys set status = $4, body = $5 where tenant_id = $1 and route = $2 and key = $3`,
        [tenantId, route, key, status, JSON.stringify(body)],
      );
      return { kind: 'done', status, body, repeated: false };
    } catch (error) {
      // Another body may be the cure for what went wrong: the key is free again.
      await client.query(
        `delete from waybill.idempotency_keys where tenant_id = $1 and route = $2 and key = $3 and status is null`,
        [tenantId, route, key],
      );
      throw error;
    } finally {
      await client.query('select pg_advisory_unlock(hashtextextended($1, 7295))', [name]);
    }
  });
}

/** A client that repeats a request does it within minutes; without this the table would only grow. */
const KEPT_DAYS = 30;

export async function forgetOldKeys(pool: pg.Pool): Promise<void> {
  await pool.query(
    'delete from waybill.idempotency_keys where created_at < now() - make_interval(days => $1)',
    [KEPT_DAYS],
  );
}
