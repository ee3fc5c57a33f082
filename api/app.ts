import express, { type ErrorRequestHandler, type Express, type RequestHandler } from 'express';
import helmet from 'helmet';
import { serveConsole } from './console.ts';
import type { ApiDeps } from './deps.ts';
import { ApiError, asApiError, internalError, sendProblem } from './problem.ts';
import { registerAccess } from './routes/access.ts';
import { registerActions } from './routes/actions.ts';
import { registerDatasets } from './routes/datasets.ts';
import { registerDeliveries } from './routes/deliveries.ts';
import { registerImports } from './routes/imports.ts';
import { registerIntake } from './routes/intake.ts';
import { registerLineage } from './routes/lineage.ts';
import { registerMapping } from './routes/mapping.ts';
import { registerProfiles } from './routes/profiles.ts';
import { registerReverts } from './routes/reverts.ts';
import { registerService } from './routes/service.ts';
import { registerQuarantine } from './routes/quarantine.ts';
import { registerSyncs } from './routes/syncs.ts';
import { registerWebhooks } from './routes/webhooks.ts';

/** A list of 10,000 parts with their ETags fits. */
const BODY_LIMIT = '1mb';

/** Nothing inline and nothing from elsewhere; the console sends files straight to the object store. */
const securityHeaders = (storeOrigin: string): RequestHandler =>
  helmet({
    contentSecurityPolicy: {
      useDefaults: false,
      directives: {
        defaultSrc: ["'none'"],
        // The hash of an upload is computed by WebAssembly.
        scriptSrc: ["'self'", "'wasm-unsafe-eval'"],
        styleSrc: ["'self'"],
        imgSrc: ["'self'", 'data:'],
        fontSrc: ["'self'"],
        connectSrc: ["'self'", storeOrigin],
        workerSrc: ["'self'"],
        manifestSrc: ["'self'"],
        baseUri: ["'none'"],
        formAction: ["'self'"],
        frameAncestors: ["'none'"],
      },
    },
    // Downloads from the console and fetches by other programs need no embedding either.
    crossOriginResourcePolicy: { policy: 'same-origin' },
    referrerPolicy: { policy: 'no-referrer' },
  });

/** The HTTP application: security headers, the routes by family, the console, and one place for what goes wrong. */
export function createApp(deps: ApiDeps): Express {
  const app = express();
  app.disable('x-powered-by');
  // A proxy on the same host or a private network may say how the client came (https, address).
  app.set('trust proxy', 'loopback, linklocal, uniquelocal');
  app.use(securityHeaders(deps.store.publicOrigin));
  app.use(express.json({ limit: BODY_LIMIT, strict: true, type: 'application/json' }));

  const router = express.Router();
  registerService(router, deps);
  registerAccess(router, deps);
  registerIntake(router, deps);
  registerImports(router, deps);
  registerActions(router, deps);
  registerReverts(router, deps);
  registerLineage(router, deps);
  registerMapping(router, deps);
  registerDatasets(router, deps);
  registerProfiles(router, deps);
  registerWebhooks(router, deps);
  registerDeliveries(router, deps);
  registerSyncs(router, deps);
  registerQuarantine(router, deps);
  app.use(router);

  if (deps.config.consoleDir) app.use(...serveConsole(deps.config.consoleDir));

  app.use(() => {
    throw new ApiError(
      404,
      'unknown_address',
      'There is nothing at this address. GET /api/openapi.json lists what there is.',
    );
  });
  app.use(problems(deps));
  return app;
}

function problems({ log }: ApiDeps): ErrorRequestHandler {
  return (error: unknown, req, res, _next) => {
    const known = asApiError(error);
    if (!known) log.error({ err: error, method: req.method, path: req.path }, 'request failed');
    else if (known.status >= 500) log.warn({ err: error, method: req.method, path: req.path }, known.code);
    if (res.headersSent) res.destroy();
    else sendProblem(res, known ?? internalError());
  };
}
