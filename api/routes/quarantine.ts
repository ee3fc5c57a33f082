import type { Router } from 'express';
import * as z from 'zod';
import { findQuarantined, listQuarantine, noteRemoved } from '../../db/quarantine.ts';
import { readCursor, writeCursor } from '../cursor.ts';
import type { ApiDeps } from '../deps.ts';
import { notFound } from '../problem.ts';
import * as routes from '../schemas/quarantine.ts';
import { serve } from '../serve.ts';

const Place = z.strictObject({ foundAt: z.string(), id: z.string() });

export function registerQuarantine(router: Router, deps: ApiDeps): void {
  serve(router, deps, routes.listQuarantine, async ({ query, caller }) => {
    const list = ['quarantine', caller.tenantId];
    const after = readCursor(list, query.cursor, Place);
    const items = await listQuarantine(deps.sql, caller.tenantId, query.limit + 1, after ?? null);
    const shown = items.slice(0, query.limit);
    const last = items.length > shown.length ? shown.at(-1) : undefined;
    return {
      items: shown.map(({ place: _, foundAt, ...file }) => ({ ...file, foundAt: foundAt.toISOString() })),
      nextCursor: last ? writeCursor(list, last.place) : null,
    };
  });

  serve(router, deps, routes.removeQuarantined, async ({ params: { id }, caller }) => {
    const found = await findQuarantined(deps.pool, id);
    if (!found || found.removed || found.tenantId !== caller.tenantId) throw notFound('file');
    // The file first: broken off in between, it stays listed and can be deleted again.
    await deps.store.remove(found.objectKey);
    await noteRemoved(deps.pool, { importId: id, tenantId: caller.tenantId, actor: caller.name });
  });
}
