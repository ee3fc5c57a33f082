import * as z from 'zod';
import { Cursor, importParams, pageOf, route, Time } from './common.ts';

const Attempt = z.object({
  attempt: z.int(),
  at: Time,
  durationMs: z.int(),
  status: z.int().nullable().meta({ description: 'Null where there was no answer.' }),
  error: z.string().nullable(),
  responseExcerpt: z.string().nullable(),
});
const Delivery = z
  .object({
    eventId: z.int().meta({ description: 'The `webhook-id` of every attempt is `evt_` and this number.' }),
    endpointId: z.string(),
    type: z.string(),
    url: z.string(),
    state: z.enum(['pending', 'delivered', 'given_up']),
    createdAt: Time,
    finishedAt: Time.nullable(),
    nextAttemptAt: Time.nullable(),
    attempts: z.array(Attempt),
  })
  .meta({ id: 'Delivery' });

const query = z.object({
  cursor: Cursor.optional(),
  limit: z.coerce.number().int().min(1).max(100).default(50),
});
const answer = {
  status: 200 as const,
  description: 'The newest first, each with its attempts.',
  schema: pageOf(Delivery).meta({ id: 'DeliveryPage' }),
};
const params = z.object({ id: z.string().regex(/^[A-Za-z0-9_-]{1,64}$/) });

export const listWebhookDeliveries = route({
  id: 'listWebhookDeliveries',
  method: 'get',
  path: '/api/webhooks/{id}/deliveries',
  tag: 'webhooks',
  summary: 'What an endpoint was told, and how that went',
  role: 'viewer',
  params,
  query,
  answer,
  problems: [404],
});

export const listImportDeliveries = route({
  id: 'listImportDeliveries',
  method: 'get',
  path: '/api/imports/{id}/deliveries',
  tag: 'imports',
  summary: 'Who was told of an import, and how that went',
  role: 'viewer',
  params: importParams,
  query,
  answer,
  problems: [404],
});

export const testWebhook = route({
  id: 'testWebhook',
  method: 'post',
  path: '/api/webhooks/{id}/test',
  tag: 'webhooks',
  summary: 'Send a test event, once, and say what came back',
  role: 'admin',
  params,
  body: z.strictObject({}),
  answer: {
    status: 200,
    description: 'What the endpoint answered.',
    schema: z
      .object({
        ok: z.boolean(),
        status: z.int().nullable(),
        durationMs: z.int(),
        error: z.string().nullable(),
        responseExcerpt: z.string().nullable(),
      })
      .meta({ id: 'WebhookTest' }),
  },
  problems: [404, 503],
});

export const deliveryRoutes = [testWebhook, listWebhookDeliveries, listImportDeliveries];
