import { pipeline } from 'node:stream/promises';
import { json } from 'node:stream/consumers';
import type { Response, Router } from 'express';
import * as z from 'zod';
import type { Caller } from '../../db/access.ts';
import {
  countImports,
  findMapping,
  findStoredImport,
  listActivity,
  listImports,
  listPhases,
  type StoredImport,
} from '../../db/imports.ts';
import { countIssues, listIssues } from '../../db/issues.ts';
import { shownFileName } from '../../intake/file-name.ts';
import type { Manifest } from '../../intake/types.ts';
import { readCursor, writeCursor } from '../cursor.ts';
import type { ApiDeps } from '../deps.ts';
import { streamEvents } from '../events.ts';
import { importJson, phaseJson, summaryOf } from '../import-json.ts';
import { ApiError, notFound } from '../problem.ts';
import type { Status } from '../schemas/common.ts';
import * as routes from '../schemas/imports.ts';
import { answered, serve } from '../serve.ts';

const ImportPlace = z.object({ waiting: z.boolean(), createdAt: z.string(), id: z.string() });
const NumberPlace = z.number();

/** The caller's import; another tenant's is as unknown as one that never was. */
export async function importOf(deps: ApiDeps, caller: Caller, importId: string): Promise<StoredImport> {
  const stored = await findStoredImport(deps.sql, caller.tenantId, importId);
  if (!stored) throw notFound();
  return stored;
}

async function sendObject(
  deps: ApiDeps,
  res: Response,
  key: string,
  headers: Record<string, string>,
): Promise<typeof answered> {
  const closed = new AbortController();
  res.on('close', () => closed.abort());
  const content = await deps.store.read(key, { signal: closed.signal });
  res.status(200).set({ 'cache-control': 'no-store', ...headers });
  try {
    await pipeline(content, res);
  } catch (error) {
    // Too late for another status: the connection is cut, which a client sees.
    if (!closed.signal.aborted) deps.log.warn({ err: error, key }, 'download broken off');
    res.destroy();
  }
  return answered;
}

export function registerImports(router: Router, deps: ApiDeps): void {
  const { sql } = deps;

  serve(router, deps, routes.listImports, async ({ query, caller }) => {
    const waitingFirst = query.waiting_first === 'true';
    const { status, dataset, q, limit } = query;
    const list = ['imports', waitingFirst, status ?? null, dataset ?? null, q ?? null];
    const { tenantId } = caller;
    const after = readCursor(list, query.cursor, ImportPlace);
    const [found, counts] = await Promise.all([
      listImports(sql, { tenantId, status, dataset, q, waitingFirst, after, limit: limit + 1 }),
      countImports(sql, { tenantId, dataset, q }),
    ]);
    const items = found.slice(0, limit);
    const last = found.length > limit ? items.at(-1)! : null;
    return {
      items: items.map(summaryOf),
      nextCursor: last && writeCursor(list, last.place),
      counts: counts.map(({ status, count }) => ({
        status: status as z.input<typeof Status>,
        count,
      })),
    };
  });

  serve(router, deps, routes.showImport, async ({ params, caller }) =>
    importJson(deps, await importOf(deps, caller, params.id)),
  );

  serve(router, deps, routes.importStatus, async ({ params, caller }) => {
    await importOf(deps, caller, params.id);
    const progress = await deps.live.look(params.id);
    if (!progress) throw notFound();
    return progress;
  });

  serve(router, deps, routes.importEvents, async ({ params, caller, req, res }) => {
    await importOf(deps, caller, params.id);
    await streamEvents(deps, params.id, req, res);
    return answered;
  });

  serve(router, deps, routes.previewImport, async ({ params, caller }) => {
    const stored = await importOf(deps, caller, params.id);
    if (stored.manifestKey === null) {
      throw new ApiError(
        409,
        'not_inspected',
        'The file has not been inspected yet. Ask again when the phase inspect is over.',
      );
    }
    const [manifest, mapped] = await Promise.all([
      deps.store.read(stored.manifestKey).then((content) => json(content) as Promise<Manifest>),
      findMapping(sql, stored.id),
    ]);
    return {
      fileName: shownFileName(stored.fileName),
      type: manifest.type,
      compression: manifest.compression,
      encoding: manifest.encoding,
      delimiter: manifest.dialect?.delimiter ?? null,
      headerRow: manifest.headerRow,
      sheet: manifest.sheet,
      sheets: manifest.sheets,
      rows: manifest.rows,
      rejected: manifest.rejected,
      columns: manifest.columns,
      sample: manifest.sample,
      warnings: manifest.warnings,
      mapping: mapped && mapped.mapping,
      confirmed: mapped?.confirmed ?? false,
    };
  });

  serve(router, deps, routes.listIssues, async ({ params, query, caller }) => {
    const stored = await importOf(deps, caller, params.id);
    const { code, severity, limit } = query;
    const list = ['issues', stored.id, code ?? null, severity ?? null];
    const after = readCursor(list, query.cursor, NumberPlace) ?? 0;
    const [found, counts] = await Promise.all([
      listIssues(sql, stored.id, { after, limit: limit + 1, code, severity }),
      countIssues(sql, stored.id),
    ]);
    const items = found.slice(0, limit);
    return {
      items,
      counts,
      nextCursor: found.length > limit ? writeCursor(list, items.at(-1)!.ordinal) : null,
    };
  });

  serve(router, deps, routes.downloadIssues, async ({ params, caller, res }) => {
    const stored = await importOf(deps, caller, params.id);
    if (stored.errorReportKey === null) {
      throw stored.finishedAt
        ? new ApiError(404, 'no_report', 'There is no error report: no row of this import was refused.')
        : new ApiError(
            409,
            'not_ready',
            'The error report is written when the run ends. The first 1,000 issues can be listed now.',
          );
    }
    const name = `${shownFileName(stored.fileName).replace(/(\.\w{1,5}){1,2}$/, '')}-errors.csv`;
    return sendObject(deps, res, stored.errorReportKey, {
      'content-type': 'text/csv; charset=utf-8',
      'content-disposition': `attachment; filename="errors.csv"; filename*=UTF-8''${encodeURIComponent(name)}`,
    });
  });

  serve(router, deps, routes.importActivity, async ({ params, query, caller }) => {
    const stored = await importOf(deps, caller, params.id);
    const list = ['activity', stored.id];
    const before = readCursor(list, query.cursor, NumberPlace);
    const [found, phases] = await Promise.all([
      listActivity(sql, stored.id, { before, limit: query.limit + 1 }),
      listPhases(sql, stored.id),
    ]);
    const items = found.slice(0, query.limit);
    return {
      items: items.map((event) => ({ ...event, at: event.at.toISOString() })),
      nextCursor: found.length > query.limit ? writeCursor(list, items.at(-1)!.id) : null,
      phases: phases.map(phaseJson),
    };
  });

  serve(router, deps, routes.importProof, async ({ params, caller, res }) => {
    const stored = await importOf(deps, caller, params.id);
    if (stored.proofKey === null) {
      throw new ApiError(409, 'no_proof', 'The proof is written when a run has gone through to its end.');
    }
    return sendObject(deps, res, stored.proofKey, { 'content-type': 'application/json; charset=utf-8' });
  });
}
