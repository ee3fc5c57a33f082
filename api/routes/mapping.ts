import type { Router } from 'express';
import type * as z from 'zod';
import { readerRules } from '../../datasets/reader-rules.ts';
import { findDataset } from '../../db/datasets.ts';
import type { Dataset } from '../../datasets/types.ts';
import { findMapping, type StoredImport } from '../../db/imports.ts';
import { confirmedMapping, fileOptionsOf, findProfile, headerDigest, readingOf } from '../../db/profiles.ts';
import { describeTarget, TargetRefused } from '../../db/target.ts';
import { reportColumns } from '../../intake/error-report.ts';
import { checkMapping, proposeMapping, rulesFrom, thresholdFrom, withHeaders } from '../../intake/mapping.ts';
import { moveMapping } from '../../intake/moved-mapping.ts';
import { differentReadings, linesAbove, previewRows, type PreviewRow } from '../../intake/preview.ts';
import {
  FileError,
  type FileOptions,
  type FieldRule,
  type Issue,
  type Manifest,
  type ManifestColumn,
  type Mapping,
} from '../../intake/types.ts';
import type { Reading } from '../../intake/preview.ts';
import type { ApiDeps } from '../deps.ts';
import { importJson } from '../import-json.ts';
import { ApiError } from '../problem.ts';
import { createReadings } from '../readings.ts';
import { confirmMapping } from '../schemas/actions.ts';
import type { FileReading, SettledMapping } from '../schemas/mapping.ts';
import { tryMapping } from '../schemas/preview.ts';
import { serve } from '../serve.ts';
import { readyFor } from './actions.ts';
import { importOf } from './imports.ts';

type FileReadingJson = z.output<typeof FileReading>;
type Settled = z.output<typeof SettledMapping>;

const SHOWN_ROWS = 200;
const MOST_UNKNOWN = 200;
/** A cell that a field with a fixed set of words does not know. */
const UNKNOWN_WORD = new Set(['not_boolean', 'not_in_list', 'unmapped_value']);
/** Fields that are compared with each other, row by row. */
const comparisonsOf = (dataset: Dataset) => (dataset.rules ?? []).filter((rule) => rule.kind === 'compare');

/** What was said of how to read the file, in the API's names. */
const jsonOf = ({ headerRow, keepFooter, ...options }: FileOptions): FileReadingJson => ({
  ...options,
  ...(headerRow !== undefined && { header_row: headerRow }),
  ...(keepFooter !== undefined && { keep_footer: keepFooter }),
});

const same = (a: object, b: object): boolean =>
  JSON.stringify(Object.entries(a).toSorted()) === JSON.stringify(Object.entries(b).toSorted());

export function registerMapping(router: Router, deps: ApiDeps): void {
  const { sql, pool, runs } = deps;
  const threshold = thresholdFrom(process.env);
  const readings = createReadings(deps.store);

  async function read(stored: StoredImport, options: FileReadingJson | null): Promise<Reading> {
    if (stored.manifestKey === null) {
      throw new ApiError(
        409,
        'not_inspected',
        'The file has not been inspected yet. Ask again when the phase inspect is over.',
      );
    }
    try {
      return await readings.read(stored, options && fileOptionsOf(options));
    } catch (error) {
      if (error instanceof FileError) throw new ApiError(422, error.code, error.message);
      throw error;
    }
  }

  /** What would be proposed for this reading of the file. */
  async function propose(stored: StoredImport, dataset: Dataset, manifest: Manifest): Promise<Mapping> {
    const named = stored.options['profile'] as string | undefined;
    const chosen = named && (await findProfile(pool, stored.tenantId, dataset.name, named));
    const remembered = chosen
      ? chosen.mapping
      : await confirmedMapping(
          pool,
          stored.tenantId,
          dataset.name,
          headerDigest(manifest),
          reportColumns(manifest.columns) > 0,
        );
    return proposeMapping(manifest, dataset.fields, remembered, threshold);
  }

  /** As the run will judge the cells: the limits of the target's columns included. */
  async function rulesOf(stored: StoredImport, dataset: Dataset, mapping: Mapping): Promise<FieldRule[]> {
    const { target, key } = dataset;
    const found = await describeTarget(pool, target.schema, target.table, key.index, stored.tenantId).catch(
      (error: unknown) => {
        throw error instanceof TargetRefused ? new ApiError(422, error.code, error.message) : error;
      },
    );
    const limitsOf = ({ name }: FieldRule) => {
      const { column } = dataset.fields.find((field) => field.name === name)!;
      return found.columns.find((one) => one.name === column)?.shape.limits ?? {};
    };
    const today = stored.createdAt.toISOString().slice(0, 10);
    return readerRules(rulesFrom(mapping, dataset.fields, key.fields), limitsOf, today);
  }

  serve(router, deps, tryMapping, async ({ params, body, caller }) => {
    const stored = await importOf(deps, caller, params.id);
    const dataset = await datasetOf(deps, stored);
    const before = jsonOf(await readingOf(pool, stored));
    const options = body.options ?? before;
    const anew = body.options !== undefined && !same(body.options, before);
    const reading = await read(stored, anew ? body.options! : null);
    const { manifest } = reading;
    const kept = anew ? null : await findMapping(sql, stored.id);
    // What is pinned stands as its profile has it: its columns are found by name.
    const found = kept?.confirmed ? moveMapping(kept.mapping, manifest.columns) : kept?.mapping;
    const proposed = found ?? (await propose(stored, dataset, manifest));
    const mapping = body.fields
      ? settle(proposed, dataset, manifest.columns, { ...body, fields: body.fields })
      : proposed;
    const rules = await rulesOf(stored, dataset, mapping);
    const rows = previewRows(reading, rules, comparisonsOf(dataset));
    const said = options.encoding !== undefined;
    return {
      file: {
        type: manifest.type,
        compression: manifest.compression,
        encoding: manifest.encoding,
        encodingConfidence: said ? 1 : (manifest.encodingConfidence ?? 1),
        bom: manifest.bom,
        delimiter: manifest.dialect?.delimiter ?? null,
        quote: manifest.dialect?.quote ?? null,
        escape: manifest.dialect?.escape ?? null,
        lineEnding: manifest.lineEnding,
        headerRow: manifest.headerRow,
        preambleRows: manifest.preambleRows,
        footerRow: manifest.footerRow,
        footerRows: manifest.footerRows,
        sheet: manifest.sheet,
        sheets: manifest.sheets,
        warnings: manifest.warnings,
      },
      options,
      above: await linesAbove(reading),
      columns: manifest.columns.map(({ name, original, type, format }) => ({
        name,
        original,
        type,
        ...(format && { format }),
      })),
      mapping,
      fields: rules.map(({ name }) => name),
      rows: rows.slice(0, SHOWN_ROWS).map((row) => ({
        ...row,
        issues: row.issues.map((issue) => issueJson(issue, manifest.columns)),
      })),
      looked: {
        rows: rows.length,
        blocked: rows.filter(({ values }) => values === null).length,
      },
      unknown: unknownWords(rules, rows),
      readings: differentReadings(rules, rows),
    };
  });

  serve(router, deps, confirmMapping, async ({ params: { id }, body, caller }) => {
    const stored = await readyFor(deps, caller, id, 'confirm-mapping');
    const dataset = await datasetOf(deps, stored);
    const before = jsonOf(await readingOf(pool, stored));
    const anew = body.options !== undefined && !same(body.options, before);
    const proposed = (await findMapping(sql, id))?.mapping;
    if (!proposed) throw new ApiError(409, 'not_waiting', 'The import does not wait for a mapping.');
    const { columns } = anew ? (await read(stored, body.options!)).manifest : await readings.manifest(stored);
    const said = body.options ?? before;
    const mapping = settle(proposed, dataset, columns, {
      fields: body.fields,
      rules: {
        ...(body.rules ?? proposed.rules),
        // Whoever uses the profile next time need not say it again.
        ...(Object.keys(said).length > 0 && { reading: fileOptionsOf(said) }),
      },
    });
    const wrong = checkMapping(mapping, dataset.fields, columns.length);
    if (wrong.length > 0) {
      throw new ApiError(422, 'mapping_refused', wrong.map((issue) => issue.message).join(' '), {
        importId: id,
        errors: wrong.map((issue) => ({ path: issue.field ?? '', message: issue.message })),
      });
    }
    await runs.confirmMapping(id, {
      mapping: anew ? withHeaders(mapping, columns) : mapping,
      actor: caller.name,
      ...(body.saveAs !== undefined && { saveAs: body.saveAs }),
      ...(anew && { options: body.options }),
    });
    return importJson(deps, await importOf(deps, caller, id));
  });
}

async function datasetOf(deps: ApiDeps, stored: StoredImport): Promise<Dataset> {
  const dataset = await findDataset(deps.pool, stored.tenantId, stored.dataset, stored.datasetVersion);
  if (!dataset)
    throw new ApiError(409, 'unknown_dataset', `There is no dataset ${stored.dataset} (any more).`);
  return dataset;
}

/** What a person chose, as a whole mapping: fields that they did not name are left empty. */
function settle(
  proposed: Mapping,
  dataset: Dataset,
  columns: ManifestColumn[],
  chosen: Pick<Settled, 'fields' | 'rules'>,
): Mapping {
  const named = new Set(chosen.fields.map((field) => field.field));
  const left = dataset.fields.filter(({ name }) => !named.has(name));
  const rules = chosen.rules ?? proposed.rules;
  const fields: Mapping['fields'] = [
    ...chosen.fields.map((field): Mapping['fields'][number] => ({
      ...field,
      confidence: 1,
      reason: field.column !== null ? 'confirmed' : field.constant === undefined ? 'unmapped' : 'constant',
    })),
    ...left.map(({ name }) => ({ field: name, column: null, confidence: 1, reason: 'unmapped' as const })),
  ];
  const used = new Set(fields.flatMap((field) => [field.column, ...(field.join?.columns ?? [])]));
  return {
    fields,
    unmappedColumns: columns.map((_, index) => index).filter((index) => !used.has(index)),
    questions: [],
    ...(rules && { rules }),
  };
}

function issueJson(issue: Issue, columns: ManifestColumn[]) {
  const { field, code, severity, message, suggestion } = issue;
  const column = issue.column === null ? -1 : columns.findIndex(({ name }) => name === issue.column);
  return {
    field,
    column: column < 0 ? null : column,
    code,
    severity,
    message,
    ...(suggestion !== undefined && { suggestion }),
  };
}

function unknownWords(rules: FieldRule[], rows: PreviewRow[]) {
  const counts = new Map<string, Map<string, { count: number; suggestion?: string }>>();
  for (const { issues } of rows) {
    for (const { field, code, value, suggestion } of issues) {
      if (field === null || value === null || !UNKNOWN_WORD.has(code)) continue;
      const words = counts.get(field) ?? new Map<string, { count: number; suggestion?: string }>();
      counts.set(field, words);
      const word = words.get(value.trim());
      if (word) word.count++;
      else if (words.size < MOST_UNKNOWN)
        words.set(value.trim(), { count: 1, ...(suggestion !== undefined && { suggestion }) });
    }
  }
  return rules
    .filter(({ name }) => counts.has(name))
    .map(({ name }) => ({
      field: name,
      values: [...counts.get(name)!]
        .map(([value, found]) => ({ value, ...found }))
        .toSorted((a, b) => b.count - a.count),
    }));
}
