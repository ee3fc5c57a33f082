import type { Router } from 'express';
import * as z from 'zod';
import { findStoredImport } from '../../db/imports.ts';
import { createTestDelivery, findEndpoint, listDeliveries, type Delivery } from '../../db/webhooks.ts';
import { deliverOnce } from '../../temporal/dispatcher.ts';
import { readCursor, writeCursor } from '../cursor.ts';
import type { ApiDeps } from '../deps.ts';
import { notFound } from '../problem.ts';
import * as routes from '../schemas/deliveries.ts';
import { serve } from '../serve.ts';

const deliveryJson = (delivery: Delivery) => ({
  eventId: delivery.eventId,
  endpointId: delivery.endpointId,
  type: delivery.type,
  url: delivery.url,
  state: delivery.state,
  createdAt: delivery.createdAt.toISOString(),
  finishedAt: delivery.finishedAt?.toISOString() ?? null,
  nextAttemptAt: delivery.nextAttemptAt?.toISOString() ?? null,
  attempts: delivery.attempts.map((attempt) => ({ ...attempt, at: attempt.at.toISOString() })),
});

const Place = z.strictObject({ eventId: z.int(), endpointId: z.string() });

export function registerDeliveries(router: Router, deps: ApiDeps): void {
  const { sql, temporal } = deps;

  async function page(
    tenantId: string,
    of: { importId: string } | { endpointId: string },
    query: { cursor?: string; limit: number },
  ) {
    const list = ['deliveries', tenantId, of];
    const after = readCursor(list, query.cursor, Place);
    const items = await listDeliveries(sql, tenantId, of, query.limit + 1, after ?? null);
    const shown = items.slice(0, query.limit);
    const last = items.length > shown.length ? shown.at(-1) : undefined;
    return {
      items: shown.map(deliveryJson),
      nextCursor: last ? writeCursor(list, { eventId: last.eventId, endpointId: last.endpointId }) : null,
    };
  }

  serve(router, deps, routes.listWebhookDeliveries, async ({ params, query, caller }) => {
    if (!(await findEndpoint(sql, caller.tenantId, params.id))) throw notFound('webhook');
    return page(caller.tenantId, { endpointId: params.id }, query);
  });

  serve(router, deps, routes.listImportDeliveries, async ({ params, query, caller }) => {
    if (!(await findStoredImport(sql, caller.tenantId, params.id))) throw notFound();
    return page(caller.tenantId, { importId: params.id }, query);
  });

  serve(router, deps, routes.testWebhook, async ({ params, caller }) => {
    const endpoint = await findEndpoint(sql, caller.tenantId, params.id);
    if (!endpoint) throw notFound('webhook');
    const eventId = await createTestDelivery(sql, endpoint);
    const { outcome, last } = await deliverOnce(temporal, eventId, endpoint.endpointId);
    return {
      ok: outcome === 'delivered',
      status: last.status,
      durationMs: last.durationMs,
      error: last.error,
      responseExcerpt: last.excerpt,
    };
  });
}
