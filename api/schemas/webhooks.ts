import * as z from 'zod';
import { Name, route, Time } from './common.ts';

export const EVENT_TYPES = [
  'import.started',
  'import.waiting',
  'import.completed',
  'import.failed',
  'import.cancelled',
  'import.reverted',
] as const;

const Url = z
  .string()
  .max(2000)
  .meta({ description: 'http or https, without a user name. Where it leads is checked at every delivery.' });
const settings = {
  url: Url,
  description: z.string().max(200).nullable(),
  events: z.array(z.enum(EVENT_TYPES)).min(1),
  datasets: z.array(Name).min(1).nullable().meta({ description: 'Null for all.' }),
  enabled: z.boolean(),
};
const webhook = z.object({
  id: z.string(),
  ...settings,
  events: z.array(z.string()),
  disabledReason: z.string().nullable(),
  createdBy: z.string(),
  createdAt: Time,
});
const Webhook = webhook.meta({ id: 'Webhook' });
const params = z.object({ id: z.string().regex(/^[A-Za-z0-9_-]{1,64}$/) });

export const listWebhooks = route({
  id: 'listWebhooks',
  method: 'get',
  path: '/api/webhooks',
  tag: 'webhooks',
  summary: 'Endpoints that are told of events',
  role: 'viewer',
  answer: {
    status: 200,
    description: 'All of them, without their secrets.',
    schema: z.object({ items: z.array(Webhook) }).meta({ id: 'WebhookList' }),
  },
});

export const createWebhook = route({
  id: 'createWebhook',
  method: 'post',
  path: '/api/webhooks',
  tag: 'webhooks',
  summary: 'Add an endpoint; its signing secret is shown this once',
  role: 'admin',
  // Not idempotent by key: the answer holds the secret, and what is kept to be answered again is kept readable.
  body: z.strictObject({
    url: settings.url,
    description: settings.description.optional(),
    events: settings.events,
    datasets: settings.datasets.optional(),
    enabled: settings.enabled.default(true),
  }),
  answer: {
    status: 201,
    description: 'The endpoint.',
    schema: webhook.extend({ secret: z.string() }).meta({ id: 'NewWebhook' }),
  },
  problems: [409, 422],
});

export const showWebhook = route({
  id: 'showWebhook',
  method: 'get',
  path: '/api/webhooks/{id}',
  tag: 'webhooks',
  summary: 'One endpoint',
  role: 'viewer',
  params,
  answer: { status: 200, description: 'The endpoint.', schema: Webhook },
  problems: [404],
});

export const changeWebhook = route({
  id: 'changeWebhook',
  method: 'patch',
  path: '/api/webhooks/{id}',
  tag: 'webhooks',
  summary: 'Change an endpoint',
  role: 'admin',
  params,
  body: z.strictObject(settings).partial(),
  answer: { status: 200, description: 'The endpoint.', schema: Webhook },
  problems: [404, 422],
});

export const deleteWebhook = route({
  id: 'deleteWebhook',
  method: 'delete',
  path: '/api/webhooks/{id}',
  tag: 'webhooks',
  summary: 'Remove an endpoint and its list of deliveries',
  role: 'admin',
  params,
  answer: { status: 204, description: 'Removed.' },
  problems: [404],
});

export const webhookRoutes = [listWebhooks, createWebhook, showWebhook, changeWebhook, deleteWebhook];
