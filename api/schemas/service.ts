import * as z from 'zod';
import { route } from './common.ts';

export const showLimits = route({
  id: 'showLimits',
  method: 'get',
  path: '/api/limits',
  tag: 'service',
  summary: 'What may be uploaded, and where the Temporal Web UI is',
  role: 'viewer',
  answer: {
    status: 200,
    description: 'Limits; sizes in bytes.',
    schema: z
      .object({
        maxFileBytes: z.int(),
        partBytes: z.int(),
        uploadExpiresSeconds: z.int(),
        extensions: z.array(z.string()),
        temporalUi: z.string().nullable(),
      })
      .meta({ id: 'Limits' }),
  },
});

export const showOpenApi = route({
  id: 'showOpenApi',
  method: 'get',
  path: '/api/openapi.json',
  tag: 'service',
  summary: 'This document',
  role: 'anyone',
  answer: { status: 200, description: 'OpenAPI 3.1.', schema: z.looseObject({}) },
});

export const showHealth = route({
  id: 'showHealth',
  method: 'get',
  path: '/healthz',
  tag: 'service',
  summary: 'The process answers',
  role: 'anyone',
  answer: { status: 200, description: 'It does.', schema: z.object({ ok: z.literal(true) }) },
});

const Check = z.object({ ok: z.boolean(), message: z.string() });
export const Readiness = z
  .object({
    ready: z.boolean(),
    checks: z.object({ database: Check, temporal: Check, store: Check, worker: Check }),
  })
  .meta({ id: 'Readiness' });

export const showReadiness = route({
  id: 'showReadiness',
  method: 'get',
  path: '/readyz',
  tag: 'service',
  summary: 'Whether imports can run, and if not, why',
  role: 'anyone',
  answer: {
    status: 200,
    description:
      'Database, Temporal and object store answer and a worker polls. 503 with the same body if not.',
    schema: Readiness,
  },
});

export const serviceRoutes = [showLimits, showOpenApi, showHealth, showReadiness];
