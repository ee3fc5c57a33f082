import type { Router } from 'express';
import { findDataset } from '../../db/datasets.ts';
import {
  changeEndpoint,
  createEndpoint,
  findEndpoint,
  listEndpoints,
  removeEndpoint,
  type Endpoint,
} from '../../db/webhooks.ts';
import type { ApiDeps } from '../deps.ts';
import { ApiError, notFound } from '../problem.ts';
import * as routes from '../schemas/webhooks.ts';
import { serve } from '../serve.ts';

const webhookJson = (endpoint: Endpoint) => ({
  id: endpoint.endpointId,
  url: endpoint.url,
  description: endpoint.description,
  events: endpoint.events,
  datasets: endpoint.datasets,
  enabled: endpoint.enabled,
  disabledReason: endpoint.disabledReason,
  createdBy: endpoint.createdBy,
  createdAt: endpoint.createdAt.toISOString(),
});

/** What can be said of an address before a delivery looks where it leads. */
async function checkSettings(
  deps: ApiDeps,
  tenantId: string,
  settings: { url?: string; datasets?: string[] | null },
): Promise<void> {
  if (settings.url !== undefined) {
    const url = URL.parse(settings.url);
    if (!url || !['http:', 'https:'].includes(url.protocol) || url.username !== '' || url.password !== '') {
      throw new ApiError(
        422,
        'invalid_url',
        'The address has to be http or https, without user name and password.',
      );
    }
  }
  for (const name of settings.datasets ?? []) {
    if (!(await findDataset(deps.pool, tenantId, name)))
      throw new ApiError(422, 'unknown_dataset', `There is no dataset ${name}.`);
  }
}

export function registerWebhooks(router: Router, deps: ApiDeps): void {
  const { sql } = deps;

  serve(router, deps, routes.listWebhooks, async ({ caller }) => ({
    items: (await listEndpoints(sql, caller.tenantId)).map(webhookJson),
  }));

  serve(router, deps, routes.createWebhook, async ({ body, caller }) => {
    await checkSettings(deps, caller.tenantId, body);
    const settings = { ...body, description: body.description ?? null, datasets: body.datasets ?? null };
    const made = await createEndpoint(sql, caller.tenantId, settings, caller.name);
    return { ...webhookJson(made), secret: made.secret };
  });

  serve(router, deps, routes.showWebhook, async ({ params, caller }) => {
    const found = await findEndpoint(sql, caller.tenantId, params.id);
    if (!found) throw notFound('webhook');
    return webhookJson(found);
  });

  serve(router, deps, routes.changeWebhook, async ({ params, body, caller }) => {
    await checkSettings(deps, caller.tenantId, body);
    const changed = await changeEndpoint(sql, caller.tenantId, params.id, body);
    if (!changed) throw notFound('webhook');
    return webhookJson(changed);
  });

  serve(router, deps, routes.deleteWebhook, async ({ params, caller }) => {
    if (!(await removeEndpoint(sql, caller.tenantId, params.id))) throw notFound('webhook');
  });
}
