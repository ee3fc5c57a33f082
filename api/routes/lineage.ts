import { once } from 'node:events';
import type { Response, Router } from 'express';
import * as z from 'zod';
import type { Dataset } from '../../datasets/types.ts';
import { findDataset } from '../../db/datasets.ts';
import type { StoredImport } from '../../db/imports.ts';
import type { Fate } from '../../db/ledger.ts';
import { findRow, recordHistory, type RowOutcome } from '../../db/lineage.ts';
import { proofChecks, runProof } from '../../db/proof.ts';
import { hasLedger, hasMissing, missingRecords, resultRows, type ResultKind } from '../../db/results.ts';
import { describeTarget, turnOf } from '../../db/target.ts';
import { csvLine } from '../../intake/csv-line.ts';
import { openOriginal } from '../canonical.ts';
import { readCursor, writeCursor } from '../cursor.ts';
import type { ApiDeps } from '../deps.ts';
import { ApiError, notFound } from '../problem.ts';
import * as routes from '../schemas/lineage.ts';
import { answered, serve } from '../serve.ts';
import { importOf } from './imports.ts';

const CHANGES: Fate[] = ['created', 'updated', 'deactivated', 'deleted'];
const NumberPlace = z.number();
type Values = Record<string, string | null>;

export function registerLineage(router: Router, deps: ApiDeps): void {
  const { pool } = deps;

  serve(router, deps, routes.recordHistory, async ({ params: { name, key }, query, caller }) => {
    const { tenantId } = caller;
    const dataset = await findDataset(pool, tenantId, name);
    if (!dataset) throw notFound('dataset');
    const { schema, table } = dataset.target;
    const target = await describeTarget(pool, schema, table, dataset.key.index, tenantId);
    const list = ['history', name, key, query.changes];
    const page = await recordHistory(pool, {
      tenantId,
      turn: turnOf(target, tenantId),
      target,
      key: keyOf(dataset, key),
      fates: query.changes === 'true' ? CHANGES : undefined,
      before: readCursor(list, query.cursor, NumberPlace),
      limit: query.limit,
    });
    const byField = fieldsOf(dataset);
    const known: Values = page.record ?? {};
    // Rows that come after these have been met on the page before: only the first page knows what is there now.
    const newest = query.cursor === undefined ? page.record : null;
    return {
      dataset: name,
      record: page.record && byField(known),
      items: page.entries.map((entry, n) => ({
        ...outcomeJson(entry, byField),
        fileName: entry.fileName,
        createdBy: entry.createdBy,
        changedSince: changedSince(entry, page.entries.slice(0, n), newest, byField),
      })),
      nextCursor: page.next === null ? null : writeCursor(list, page.next),
    };
  });

  serve(router, deps, routes.showRow, async ({ params: { id, record }, caller }) => {
    const stored = await importOf(deps, caller, id);
    const row = await findRow(pool, stored.lockKey, record);
    if (!row) throw notFound('row');
    const dataset = await findDataset(pool, caller.tenantId, stored.dataset, stored.datasetVersion);
    return {
      ...outcomeJson(row, dataset ? fieldsOf(dataset) : (values) => values),
      dataset: stored.dataset,
      issues: row.issues,
      ...(await originalOf(deps, stored, row)),
    };
  });

  serve(router, deps, routes.downloadResults, async ({ params: { id, kind }, caller, res }) => {
    const stored = await importOf(deps, caller, id);
    if (kind === 'missing') {
      const dataset = await findDataset(pool, caller.tenantId, stored.dataset, stored.datasetVersion);
      if (!dataset || !(await hasMissing(pool, stored.lockKey)))
        throw new ApiError(
          409,
          'no_missing',
          'This import did not look for records that its file does not have, or what it found is no longer kept.',
          { importId: id },
        );
      return sendMissing(deps, stored, dataset, res);
    }
    if (!(await hasLedger(pool, stored.lockKey))) {
      throw new ApiError(
        409,
        'no_ledger',
        'No row of this import was decided, or its ledger is no longer kept. The file itself has all its rows.',
        { importId: id },
      );
    }
    return sendResults(deps, stored, kind, res);
  });

  serve(router, deps, routes.checkProof, async ({ params: { id }, caller }) => {
    const stored = await importOf(deps, caller, id);
    if (!stored.accounting || !stored.finishedAt)
      throw new ApiError(409, 'not_ended', 'A run is proven when it has ended.', { importId: id });
    const checks = await proofChecks(pool, {
      importId: id,
      lockKey: stored.lockKey,
      accounting: stored.accounting,
    });
    return runProof(pool, checks);
  });
}

/** The key of the address, by column. */
function keyOf(dataset: Dataset, key: string): Values {
  const { fields } = dataset.key;
  let values: unknown = [key];
  if (fields.length > 1 || key.startsWith('[')) {
    try {
      values = JSON.parse(key);
    } catch {
      values = null;
    }
  }
  const parsed = z.array(z.string().max(2000)).length(fields.length).safeParse(values);
  if (!parsed.success) {
    throw new ApiError(
      422,
      'invalid_key',
      fields.length > 1
        ? `The key of ${dataset.name} has ${fields.length} fields: give them as a JSON array (${fields.join(', ')}).`
        : 'The key is one value, or a JSON array with one.',
    );
  }
  return Object.fromEntries(
    fields.map((name, n) => [dataset.fields.find((field) => field.name === name)!.column, parsed.data[n]!]),
  );
}

/** Values by field instead of by column; columns that are no field are left out. */
const fieldsOf =
  (dataset: Dataset) =>
  (values: Values): Values =>
    Object.fromEntries(
      dataset.fields.flatMap(({ name, column }) => (column in values ? [[name, values[column]!]] : [])),
    );

function outcomeJson(row: RowOutcome, byField: (values: Values) => Values) {
  const named = (values: Values | null) => values && byField(values);
  return {
    importId: row.importId,
    record: row.record,
    line: row.line,
    outcome: row.fate,
    at: row.at?.toISOString() ?? null,
    key: row.key,
    values: named(row.values),
    before: named(row.before),
    after: named(row.after),
    code: row.code,
    message: row.message,
    winner: row.winner,
    reverts: row.reverts.map((one) => ({ ...one, at: one.at.toISOString() })),
  };
}

/** What became of the fields that a row wrote, before the next row of an import met them: somebody else's doing. */
function changedSince(
  entry: RowOutcome,
  newer: RowOutcome[],
  record: Values | null,
  byField: (values: Values) => Values,
): Record<string, { left: string | null; found: string | null }> | null {
  if (!entry.after || entry.reverts.some(({ outcome }) => outcome === 'removed' || outcome === 'restored'))
    return null;
  const next = newer.findLast(({ fate }) => CHANGES.includes(fate));
  const found = next ? next.before : record;
  if (!found) return null;
  const left = byField(entry.after);
  const there = byField(found);
  const differing = Object.keys(left).filter(
    (name) => name in there && left[name] !== null && left[name] !== there[name],
  );
  return differing.length === 0
    ? null
    : Object.fromEntries(differing.map((name) => [name, { left: left[name]!, found: there[name]! }]));
}

type RowJson = z.input<typeof routes.showRow.answer.schema>;

/** The row as it stands in the file, read again by its position. */
async function originalOf(
  deps: ApiDeps,
  stored: StoredImport,
  row: RowOutcome,
): Promise<Pick<RowJson, 'original' | 'originalMissing'>> {
  try {
    const file = await openOriginal(deps, stored);
    try {
      const { manifest } = file;
      const position = { offset: row.offset, bytes: row.bytes };
      // A rejected record is what it is: its text says more than any reading of it.
      const cells = row.raw ?? (await file.records([position]))[0]!;
      return {
        original: {
          columns: manifest.columns.map((column) => column.original || column.name),
          cells,
          text: manifest.canonicalDialect.rows ? null : await file.text(position),
          ...position,
          of: manifest.canonical === 'raw' ? 'object' : 'copy',
        },
        originalMissing: null,
      };
    } finally {
      await file.close();
    }
  } catch (error) {
    deps.log.warn(
      { err: error, import: stored.id, record: row.record },
      'the original row could not be read',
    );
    return {
      original: null,
      originalMissing:
        'The file of this import cannot be read again: it was removed or changed, or the object store does not answer.',
    };
  }
}

async function sendMissing(
  deps: ApiDeps,
  stored: StoredImport,
  dataset: Dataset,
  res: Response,
): Promise<typeof answered> {
  const columns = ['outcome', 'message', ...dataset.fields.map(({ name }) => name)];
  async function* pages() {
    for await (const page of missingRecords(deps.pool, { importId: stored.id, lockKey: stored.lockKey }))
      yield page.map(({ fate, message, before }) => [
        fate,
        message ?? '',
        ...dataset.fields.map(({ column }) => before[column] ?? ''),
      ]);
  }
  return sendFile(deps, stored, 'missing', columns, pages(), res);
}

async function sendResults(
  deps: ApiDeps,
  stored: StoredImport,
  kind: ResultKind,
  res: Response,
): Promise<typeof answered> {
  const closed = new AbortController();
  res.on('close', () => closed.abort());
  const file = await openOriginal(deps, stored, closed.signal);
  const columns = file.manifest.columns.map((column) => column.original || column.name);
  async function* pages() {
    for await (const page of resultRows(deps.pool, { importId: stored.id, lockKey: stored.lockKey }, kind)) {
      const read = await file.records(page.filter(({ raw }) => raw === null));
      let next = 0;
      yield page.map(({ raw }) => raw ?? read[next++]!);
    }
  }
  try {
    return await sendFile(deps, stored, kind, columns, pages(), res);
  } finally {
    await file.close();
  }
}

/** Rows as CSV, page by page, as fast as they are taken. */
async function sendFile(
  { log }: ApiDeps,
  stored: StoredImport,
  kind: string,
  columns: string[],
  pages: AsyncIterable<string[][]>,
  res: Response,
): Promise<typeof answered> {
  const closed = new AbortController();
  res.on('close', () => closed.abort());
  const name = `${stored.fileName.replace(/(\.\w{1,5}){1,2}$/, '')}-${kind}.csv`;
  try {
    res.status(200).set({
      'cache-control': 'no-store',
      'content-type': 'text/csv; charset=utf-8',
      'content-disposition': `attachment; filename="${kind}.csv"; filename*=UTF-8''${encodeURIComponent(name)}`,
    });
    res.write('\ufeff' + csvLine(columns));
    for await (const page of pages)
      if (!res.write(page.map(csvLine).join(''))) await once(res, 'drain', { signal: closed.signal });
    res.end();
  } catch (error) {
    // Too late for another status: the connection is cut, which a client sees.
    if (!closed.signal.aborted) log.warn({ err: error, import: stored.id }, 'result file broken off');
    res.destroy();
  }
  return answered;
}
