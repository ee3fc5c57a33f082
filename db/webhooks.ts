import { randomBytes, randomUUID } from 'node:crypto';
import type { Sql } from 'postgres';

export interface Endpoint {
  endpointId: string;
  tenantId: string;
  url: string;
  description: string | null;
  events: string[];
  datasets: string[] | null;
  enabled: boolean;
  disabledReason: string | null;
  createdBy: string;
  createdAt: Date;
}

export interface EndpointSettings {
  url: string;
  description: string | null;
  events: string[];
  datasets: string[] | null;
  enabled: boolean;
}

export interface DeliveryAttempt {
  attempt: number;
  at: Date;
  durationMs: number;
  status: number | null;
  error: string | null;
  responseExcerpt: string | null;
}

export interface Delivery {
  eventId: number;
  endpointId: string;
  type: string;
  url: string;
  state: 'pending' | 'delivered' | 'given_up';
  createdAt: Date;
  finishedAt: Date | null;
  nextAttemptAt: Date | null;
  attempts: DeliveryAttempt[];
}

/** Everything that one attempt needs; null where endpoint or delivery is gone. */
export interface DueDelivery {
  url: string;
  enabled: boolean;
  state: Delivery['state'];
  /** Newest first; the older one only while it is still valid. */
  secrets: string[];
  event: { eventId: number; type: string; createdAt: Date; data: unknown };
}

/** The type of the event that the test button sends; it goes to one endpoint, whatever that listens to. */
export const TEST_EVENT = 'webhook.test';

export async function createEndpoint(
  sql: Sql,
  tenantId: string,
  settings: EndpointSettings,
  createdBy: string,
): Promise<Endpoint & { secret: string }> {
  const secret = `whsec_${randomBytes(32).toString('base64')}`;
  const [row] = await sql<Endpoint[]>`
    insert into waybill.webhook_endpoints
      (endpoint_id, tenant_id, url, description, events, datasets, enabled, secret, created_by)
    values (${randomUUID()}, ${tenantId}, ${settings.url}, ${settings.description}, ${settings.events},
      ${settings.datasets}, ${settings.enabled}, ${secret}, ${createdBy})
    returning ${columns(sql)}`;
  return { ...row!, secret };
}

const columns = (sql: Sql) => sql`
  endpoint_id as "endpointId", tenant_id as "tenantId", url, description, events, datasets, enabled,
  disabled_reason as "disabledReason", created_by as "createdBy", created_at as "createdAt"`;

export function listEndpoints(sql: Sql, tenantId: string): Promise<Endpoint[]> {
  return sql<Endpoint[]>`
    select ${columns(sql)} from waybill.webhook_endpoints where tenant_id = ${tenantId}
    order by created_at, endpoint_id`;
}

export async function findEndpoint(sql: Sql, tenantId: string, endpointId: string): Promise<Endpoint | null> {
  const [row] = await sql<Endpoint[]>`
    select ${columns(sql)} from waybill.webhook_endpoints
    where tenant_id = ${tenantId} and endpoint_id = ${endpointId}`;
  return row ?? null;
}

/** Null where there is no such endpoint. Switching one on forgets why it was off. */
export async function changeEndpoint(
  sql: Sql,
  tenantId: string,
  endpointId: string,
  change: Partial<EndpointSettings>,
): Promise<Endpoint | null> {
  const given = (name: keyof EndpointSettings) => change[name] !== undefined;
  const [row] = await sql<Endpoint[]>`
    update waybill.webhook_endpoints set
      url = coalesce(${change.url ?? null}, url),
      description = case when ${given('description')} then ${change.description ?? null} else description end,
      events = coalesce(${change.events ?? null}, events),
      datasets = case when ${given('datasets')} then ${change.datasets ?? null}::text[] else datasets end,
      enabled = coalesce(${change.enabled ?? null}, enabled),
      disabled_reason = case when ${change.enabled === true} then null else disabled_reason end
    where tenant_id = ${tenantId} and endpoint_id = ${endpointId}
    returning ${columns(sql)}`;
  return row ?? null;
}

export async function removeEndpoint(sql: Sql, tenantId: string, endpointId: string): Promise<boolean> {
  const { count } = await sql`
    delete from waybill.webhook_endpoints where tenant_id = ${tenantId} and endpoint_id = ${endpointId}`;
  return count > 0;
}

/**
 * Makes the delivery rows of the oldest events that nobody has dispatched yet, one for each endpoint that wants
 * them, and returns them with the events that are to be marked. Doing it twice makes nothing new.
 */
export async function prepareDeliveries(
  sql: Sql,
  limit: number,
): Promise<{
  eventIds: number[];
  deliveries: { eventId: number; endpointId: string; type: string; host: string }[];
}> {
  const rows = await sql<{ eventId: number; endpointId: string | null; type: string; url: string | null }[]>`
    with due as (
      select * from waybill.events where dispatched_at is null order by event_id limit ${limit}
    ), wanted as (
      select e.event_id, w.endpoint_id, e.type, w.url
      from due e left join waybill.webhook_endpoints w
        on w.tenant_id = e.tenant_id and w.enabled and e.type = any (w.events)
        and (w.datasets is null or e.data ->> 'dataset' is null or e.data ->> 'dataset' = any (w.datasets))
    ), made as (
      insert into waybill.deliveries (event_id, endpoint_id, state)
      select event_id, endpoint_id, 'pending' from wanted where endpoint_id is not null
      on conflict do nothing
    )
    select event_id as "eventId", endpoint_id as "endpointId", type, url from wanted
    order by event_id, endpoint_id`;
  return {
    eventIds: [...new Set(rows.map((row) => row.eventId))],
    deliveries: rows
      .filter((row) => row.endpointId !== null)
      .map((row) => ({
        eventId: row.eventId,
        endpointId: row.endpointId!,
        type: row.type,
        host: URL.parse(row.url!)?.host ?? '',
      })),
  };
}

/** Deliveries that were due a while ago and that nothing came of: their workflow works late, or is lost. */
export async function overdueDeliveries(
  sql: Sql,
  limit: number,
): Promise<{ eventId: number; endpointId: string; type: string; host: string }[]> {
  const rows = await sql<{ eventId: number; endpointId: string; type: string; url: string }[]>`
    select d.event_id as "eventId", d.endpoint_id as "endpointId", e.type, w.url
    from waybill.deliveries d
    join waybill.webhook_endpoints w using (endpoint_id)
    join waybill.events e using (event_id)
    where d.state = 'pending' and w.enabled and e.type <> ${TEST_EVENT}
      and coalesce(d.next_attempt_at, d.created_at) < now() - interval '10 minutes'
    order by d.created_at limit ${limit}`;
  return rows.map(({ url, ...row }) => ({ ...row, host: URL.parse(url)?.host ?? '' }));
}

export async function markDispatched(sql: Sql, eventIds: number[]): Promise<void> {
  await sql`update waybill.events set dispatched_at = clock_timestamp() where event_id = any (${eventIds})`;
}

/** An event of its own for one endpoint, with its delivery; the dispatcher passes it over. */
export async function createTestDelivery(sql: Sql, endpoint: Endpoint): Promise<number> {
  const [row] = await sql<{ eventId: number }[]>`
    with event as (
      insert into waybill.events (tenant_id, type, data, dispatched_at)
      values (${endpoint.tenantId}, ${TEST_EVENT},
        ${sql.json({ message: 'This is a test: nothing has happened.' })}, clock_timestamp())
      returning event_id
    )
    insert into waybill.deliveries (event_id, endpoint_id, state)
    select event_id, ${endpoint.endpointId}, 'pending' from event
    returning event_id as "eventId"`;
  return row!.eventId;
}

export async function findDelivery(
  sql: Sql,
  eventId: number,
  endpointId: string,
): Promise<DueDelivery | null> {
  const [row] = await sql<
    {
      url: string;
      enabled: boolean;
      state: Delivery['state'];
      secret: string;
      previous: string | null;
      type: string;
      createdAt: Date;
      data: unknown;
    }[]
  >`
    select w.url, w.enabled, d.state, w.secret,
      case when w.previous_secret_until > now() then w.previous_secret end as previous,
      e.type, e.created_at as "createdAt", e.data
    from waybill.deliveries d
    join waybill.webhook_endpoints w using (endpoint_id)
    join waybill.events e using (event_id)
    where d.event_id = ${eventId} and d.endpoint_id = ${endpointId}`;
  if (!row) return null;
  return {
    url: row.url,
    enabled: row.enabled,
    state: row.state,
    secrets: row.previous === null ? [row.secret] : [row.secret, row.previous],
    event: { eventId, type: row.type, createdAt: row.createdAt, data: row.data },
  };
}

/** Keeps what an attempt came to; with `state`, the delivery ends with it. */
export async function recordAttempt(
  sql: Sql,
  eventId: number,
  endpointId: string,
  attempt: DeliveryAttempt,
  state: Delivery['state'],
): Promise<void> {
  await sql`
    with tried as (
      insert into waybill.delivery_attempts
        (event_id, endpoint_id, attempt, at, duration_ms, status, error, response_excerpt)
      select event_id, endpoint_id, ${attempt.attempt}, ${attempt.at}, ${attempt.durationMs}, ${attempt.status},
        ${attempt.error}, ${attempt.responseExcerpt}
      from waybill.deliveries where event_id = ${eventId} and endpoint_id = ${endpointId}
      on conflict (event_id, endpoint_id, attempt) do update set at = excluded.at,
        duration_ms = excluded.duration_ms, status = excluded.status, error = excluded.error,
        response_excerpt = excluded.response_excerpt
    )
    update waybill.deliveries set state = ${state}, next_attempt_at = null,
      finished_at = case when ${state} = 'pending' then null else clock_timestamp() end
    where event_id = ${eventId} and endpoint_id = ${endpointId}`;
}

/** When the next attempt is due, or, with null, that there will be none. */
export async function scheduleAttempt(
  sql: Sql,
  eventId: number,
  endpointId: string,
  next: Date | null,
): Promise<void> {
  await sql`
    update waybill.deliveries set next_attempt_at = ${next},
      state = case when ${next === null} then 'given_up' else state end,
      finished_at = case when ${next === null} then clock_timestamp() end
    where event_id = ${eventId} and endpoint_id = ${endpointId} and state = 'pending'`;
}

/** The endpoint said that it is gone (410): it is told nothing more until somebody switches it on again. */
export async function disableEndpoint(sql: Sql, endpointId: string, reason: string): Promise<void> {
  await sql`
    update waybill.webhook_endpoints set enabled = false, disabled_reason = ${reason}
    where endpoint_id = ${endpointId} and enabled`;
}

/** Deliveries with their attempts, of one import or of one endpoint, the newest first. */
export async function listDeliveries(
  sql: Sql,
  tenantId: string,
  of: { importId: string } | { endpointId: string },
  limit: number,
  after: { eventId: number; endpointId: string } | null,
): Promise<Delivery[]> {
  const rows = await sql<Delivery[]>`
    select d.event_id as "eventId", d.endpoint_id as "endpointId", e.type, w.url, d.state,
      d.created_at as "createdAt", d.finished_at as "finishedAt", d.next_attempt_at as "nextAttemptAt",
      coalesce((select jsonb_agg(jsonb_build_object('attempt', a.attempt, 'at', a.at,
          'durationMs', a.duration_ms, 'status', a.status, 'error', a.error,
          'responseExcerpt', a.response_excerpt) order by a.attempt)
        from waybill.delivery_attempts a
        where a.event_id = d.event_id and a.endpoint_id = d.endpoint_id), '[]') as attempts
    from waybill.deliveries d
    join waybill.webhook_endpoints w using (endpoint_id)
    join waybill.events e using (event_id)
    where w.tenant_id = ${tenantId}
      and ${'importId' in of ? sql`e.import_id = ${of.importId}` : sql`d.endpoint_id = ${of.endpointId}`}
      ${after ? sql`and (d.event_id, d.endpoint_id) < (${after.eventId}, ${after.endpointId})` : sql``}
    order by d.event_id desc, d.endpoint_id desc limit ${limit}`;
  // Times inside JSON are text.
  for (const { attempts } of rows) for (const attempt of attempts) attempt.at = new Date(attempt.at);
  return rows;
}
