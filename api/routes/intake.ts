import type { Router } from 'express';
import type { ApiDeps } from '../deps.ts';
import { beginUpload, completeUpload, resumeUpload } from '../intake.ts';
import * as routes from '../schemas/intake.ts';
import type { Status } from '../schemas/common.ts';
import { serve } from '../serve.ts';
import type * as z from 'zod';

export function registerIntake(router: Router, deps: ApiDeps): void {
  serve(router, deps, routes.initiateImport, ({ body, caller }) => beginUpload(deps, caller, body));

  serve(router, deps, routes.signParts, ({ params, body, caller }) =>
    resumeUpload(deps, caller, params.id, body.part_numbers),
  );

  serve(router, deps, routes.completeImport, async ({ body, caller }) => {
    const stored = await completeUpload(deps, caller, body);
    return { job_id: stored.id, status: stored.status as z.input<typeof Status> };
  });
}
