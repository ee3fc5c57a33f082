import { writeFileSync } from 'node:fs';
import * as z from 'zod';
import { createDocument, type ZodOpenApiOperationObject, type ZodOpenApiPathsObject } from 'zod-openapi';
import { actionRoutes } from './schemas/actions.ts';
import { accessRoutes } from './schemas/access.ts';
import { IdempotencyKey, Problem, type RouteSpec } from './schemas/common.ts';
import { datasetRoutes } from './schemas/datasets.ts';
import { importRoutes } from './schemas/imports.ts';
import { intakeRoutes } from './schemas/intake.ts';
import { previewRoutes } from './schemas/preview.ts';
import { profileRoutes } from './schemas/profiles.ts';
import { lineageRoutes } from './schemas/lineage.ts';
import { revertRoutes } from './schemas/reverts.ts';
import { serviceRoutes } from './schemas/service.ts';
import { deliveryRoutes } from './schemas/deliveries.ts';
import { quarantineRoutes } from './schemas/quarantine.ts';
import { syncRoutes } from './schemas/syncs.ts';
import { webhookRoutes } from './schemas/webhooks.ts';

/** Every route that there is: one that is not here is not served. */
export const allRoutes: RouteSpec[] = [
  ...intakeRoutes,
  ...importRoutes,
  ...actionRoutes,
  ...revertRoutes,
  ...lineageRoutes,
  ...previewRoutes,
  ...datasetRoutes,
  ...profileRoutes,
  ...accessRoutes,
  ...webhookRoutes,
  ...deliveryRoutes,
  ...syncRoutes,
  ...quarantineRoutes,
  ...serviceRoutes,
];

const WHAT_PROBLEMS_MEAN = {
  400: 'The request cannot be read as it is.',
  401: 'No credential, or one that is not valid (any more).',
  403: 'The credential is valid and its role is not enough.',
  404: 'Unknown here.',
  409: 'Not possible as things stand.',
  410: 'Too late: it has expired.',
  413: 'Larger than allowed.',
  415: 'Not a kind of content that is taken.',
  422: 'Understood, and wrong.',
  429: 'Too many at once; wait as long as Retry-After says.',
  503: 'Something that this needs does not answer.',
};
const PROBLEMS = Object.fromEntries(
  Object.entries(WHAT_PROBLEMS_MEAN).map(([status, description]) => [
    status,
    { id: `Problem${status}`, description, content: { 'application/problem+json': { schema: Problem } } },
  ]),
);

function problemsOf(spec: RouteSpec): number[] {
  const own = spec.problems ?? [];
  const read = spec.params || spec.query || spec.body ? [400] : [];
  const body = spec.body ? [413, 415] : [];
  const access = spec.role === 'anyone' ? (spec.id === 'createSession' ? [401] : []) : [401, 403];
  return [...new Set([...read, ...access, ...body, ...own])].sort();
}

function operationOf(spec: RouteSpec): ZodOpenApiOperationObject {
  const { answer } = spec;
  const requestParams = {
    ...(spec.params && { path: spec.params }),
    ...(spec.query && { query: spec.query }),
    ...(spec.idempotent && { header: z.object({ 'idempotency-key': IdempotencyKey.optional() }) }),
  };
  return {
    operationId: spec.id,
    summary: spec.summary,
    tags: [spec.tag],
    security: spec.role === 'anyone' ? [] : [{ bearer: [] }, { session: [] }],
    'x-role': spec.role,
    ...(Object.keys(requestParams).length > 0 && { requestParams }),
    ...(spec.body && {
      requestBody: { required: true, content: { 'application/json': { schema: spec.body } } },
    }),
    responses: {
      [`${answer.status}`]: {
        description: answer.description,
        ...(answer.schema && {
          content: { [answer.contentType ?? 'application/json']: { schema: answer.schema } },
        }),
      },
      ...Object.fromEntries(problemsOf(spec).map((status) => [`${status}`, PROBLEMS[status]!])),
    },
  };
}

/** The OpenAPI document, made from the schemas that the handlers check requests against. */
export function openApiDocument(): ReturnType<typeof createDocument> {
  const paths: ZodOpenApiPathsObject = {};
  for (const spec of allRoutes) (paths[spec.path] ??= {})[spec.method] = operationOf(spec);
  return createDocument({
    openapi: '3.1.0',
    info: {
      title: 'Waybill',
      version: '0.1.0',
      description: 'Durable file imports into PostgreSQL. Times are ISO 8601, sizes bytes.',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url: '/' }],
    paths,
    components: {
      securitySchemes: {
        bearer: { type: 'http', scheme: 'bearer' },
        session: { type: 'apiKey', in: 'cookie', name: 'waybill_session' },
      },
    },
  });
}

// `node api/openapi.ts` writes the file that the console and the command line are made from.
if (import.meta.main) {
  writeFileSync(new URL('openapi.json', import.meta.url), `${JSON.stringify(openApiDocument(), null, 2)}\n`);
}
