import type { Router } from 'express';
import type { ApiDeps } from '../deps.ts';
import { EXTENSIONS } from '../intake.ts';
import { openApiDocument } from '../openapi.ts';
import * as routes from '../schemas/service.ts';
import { answered, serve } from '../serve.ts';

export function registerService(router: Router, deps: ApiDeps): void {
  const { config } = deps;
  const document = openApiDocument() as unknown as Record<string, unknown>;

  serve(router, deps, routes.showLimits, async () => ({
    maxFileBytes: config.maxFileBytes,
    partBytes: config.partBytes,
    uploadExpiresSeconds: config.uploadSeconds,
    extensions: EXTENSIONS,
    temporalUi: config.temporalUi,
  }));

  serve(router, deps, routes.showOpenApi, async () => document);

  serve(router, deps, routes.showHealth, async () => ({ ok: true }) as const);

  serve(router, deps, routes.showReadiness, async ({ res }) => {
    const readiness = await deps.readiness();
    if (readiness.ready) return readiness;
    res.status(503).set('cache-control', 'no-store').json(readiness);
    return answered;
  });
}
