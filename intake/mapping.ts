import { assign } from './assignment.ts';
import { asOfReport, reportColumns, withoutReport } from './error-report.ts';
import { contentOf, type ColumnContent } from './mapping/content.ts';
import { alikeNames, knownField, match, type Match } from './mapping/match.ts';
import { headerDrift } from './profile/drift.ts';
import { settledBefore, type Settled } from './profile/settled-before.ts';
import { unmappedTally } from './profile/unmapped-values.ts';
import type {
  FieldRule,
  FieldSpec,
  FieldType,
  Manifest,
  ManifestColumn,
  MappedField,
  Mapping,
  MappingCandidate,
} from './types.ts';

/** What a proposal has to reach to be a fact. */
const THRESHOLD = 0.8;

/** The deployment's own, from `WAYBILL_MAPPING_THRESHOLD`: 0.5 to 1. Above 0.98 only the fields' very names are facts. */
export function thresholdFrom(env: Record<string, string | undefined>): number {
  const text = env['WAYBILL_MAPPING_THRESHOLD'] ?? String(THRESHOLD);
  const threshold = Number(text);
  if (text.trim() === '' || !(threshold >= 0.5 && threshold <= 1))
    throw new Error(`WAYBILL_MAPPING_THRESHOLD has to be a number from 0.5 to 1; "${text}" is none.`);
  return threshold;
}

/** Below this two names are not even proposed for each other; an optional field needs more than one that must be found. */
const LEAST = { required: 0.55, optional: 0.65 };
/** A second choice is only taken where nothing else comes near. */
const LEAST_RIVAL = 0.5;
const CANDIDATES = 5;
const LEAST_CANDIDATE = 0.3;
/** More cells than this that are not understood are no slips: somebody has to say what they mean. */
const UNKNOWN_WORDS = 0.1;

/** Everything that is known of the columns of a file before a field looks at them. */
interface Known {
  columns: ManifestColumn[];
  contents: ColumnContent[];
  sample: string[][];
}

/**
 * Which column feeds which field: what was confirmed before, then the field's names, what they mean, how they are
 * spelt, and what the cells look like; each field gets at most one column and each column at most one field, the best
 * in total. What is less sure than the threshold, or has an equal, is a question.
 */
export function proposeMapping(
  manifest: Manifest,
  fields: FieldSpec[],
  remembered?: Mapping | null,
  threshold = THRESHOLD,
): Mapping {
  // A corrected error report maps as the file that it is of: what the report has added says nothing of a record.
  const added = reportColumns(manifest.columns);
  if (added === 0) return propose(manifest, fields, remembered, threshold);
  return asOfReport(propose(withoutReport(manifest, added), fields, remembered, threshold), added);
}

function propose(
  manifest: Manifest,
  fields: FieldSpec[],
  remembered: Mapping | null | undefined,
  threshold: number,
): Mapping {
  const { columns, sample } = manifest;
  const known: Known = { columns, sample, contents: columns.map((_, index) => contentOf(sample, index)) };
  const scores = scoreAll(fields, known);
  const settled = settledBefore(remembered, columns);
  const drift = remembered
    ? headerDrift(remembered, columns, (header, column, field) => {
        const suits = scores[fields.findIndex(({ name }) => name === field)]?.[column]?.confidence ?? 0;
        return Math.max(alikeNames(header, columns[column]!.name), suits);
      })
    : [];
  const stopped = new Map(
    drift.filter(({ stops, field }) => stops && field !== null).map((one) => [one.field!, one]),
  );
  fields.forEach(({ name }, index) => {
    const column = settled.get(name)?.column;
    if (column === undefined || stopped.has(name)) return;
    // What a person has said is not weighed again; nor is what they left out proposed again.
    scores[index] = columns.map((_, other) => (other === column ? CONFIRMED : null));
  });
  const chosen = choose(fields, scores, settled);

  const questions: Mapping['questions'] = [];
  const mappedFields = fields.map((field, index): MappedField => {
    const column = chosen[index]!;
    const before = settled.get(field.name);
    const found = column < 0 ? null : scores[index]![column]!;
    const kept = before && !stopped.has(field.name) ? before : null;
    const mapped: MappedField = {
      ...(kept ? kept.rules : {}),
      field: field.name,
      column: column < 0 ? null : column,
      ...(found ? { header: columns[column]!.name } : {}),
      confidence: found ? Math.round(found.confidence * 100) / 100 : 0,
      reason: found?.reason ?? 'unmapped',
      ...(found ? { why: found.why } : {}),
    };
    if (!found && kept?.constant !== undefined)
      return { field: field.name, column: null, constant: kept.constant, confidence: 1, reason: 'constant' };
    const candidates = candidatesOf(scores[index]!, columns);
    if (candidates.length > 0) mapped.candidates = candidates;
    if (found && usesFormat(field.type)) {
      const format = mapped.format ?? columns[column]!.format;
      if (format) mapped.format = format;
    }
    if (found) {
      const unknown = unmappedTally({ ...field, ...mapped, empty: field.empty });
      for (const cells of known.sample)
        unknown?.add(
          cells[column] ?? '',
          mapped.join?.columns.map((other) => cells[other] ?? ''),
        );
      const words = unknown?.result() ?? [];
      if (words.length > 0) mapped.unmappedValues = words;
      const asked = ask(field, mapped, found, { known, scores: scores[index]!, chosen, threshold });
      const share = words.reduce((sum, { count }) => sum + count, 0) / Math.max(1, unknown?.filled() ?? 0);
      if (asked && !kept) questions.push({ field: field.name, ...asked });
      else if (asked?.code === 'ambiguous_format') questions.push({ field: field.name, ...asked });
      else if (share > UNKNOWN_WORDS) {
        const shown = words.slice(0, 3).map(({ value }) => `"${value}"`);
        questions.push({
          field: field.name,
          code: 'unmapped_values',
          message: `Say what ${shown.join(', ')}${words.length > 3 ? ` and ${words.length - 3} more` : ''} in "${mapped.header}" mean for ${field.name}.`,
        });
      }
    } else if (field.required && !stopped.has(field.name)) {
      questions.push({
        field: field.name,
        code: 'unmapped',
        message: `No column looks like ${field.name}, which every row needs. Choose one.`,
      });
    }
    return mapped;
  });
  for (const { field, message, stops } of drift)
    if (stops)
      questions.push({ field: field ?? '', code: field === null ? 'unknown_column' : 'drift', message });
  const used = new Set(mappedFields.flatMap(({ column, join }) => [column, ...(join?.columns ?? [])]));
  return {
    fields: mappedFields,
    unmappedColumns: columns.map((_, index) => index).filter((index) => !used.has(index)),
    questions,
    ...(remembered?.rules ? { rules: remembered.rules } : {}),
    ...(drift.length > 0 ? { drift } : {}),
    valuesOf: 'sample',
    threshold,
  };
}

const CONFIRMED: Match = { confidence: 1, reason: 'confirmed', tier: 2, why: 'A person has confirmed it.' };

function scoreAll(fields: FieldSpec[], { columns, contents }: Known): (Match | null)[][] {
  const all = fields.map(knownField);
  return all.map((field) =>
    columns.map((column, index) =>
      match(
        field,
        column,
        contents[index]!,
        (name) =>
          !all.some(
            (other) =>
              other !== field &&
              other.spec.type === field.spec.type &&
              other.kind === field.kind &&
              other.mayBe(name),
          ),
      ),
    ),
  );
}

/** One to one, the best in total. Fields that only take a part of a cell may share a column. */
function choose(fields: FieldSpec[], scores: (Match | null)[][], settled: Map<string, Settled>): number[] {
  const shared = fields.map(({ name }) => settled.get(name)?.rules.split !== undefined);
  const chosen = assign(
    scores.map((row, index) => {
      const least = fields[index]!.required ? LEAST.required : LEAST.optional;
      return row.map((found) => (found && !shared[index] && found.confidence >= least ? weight(found) : 0));
    }),
  );
  return chosen.map((column, index) => (shared[index] ? settled.get(fields[index]!.name)!.column : column));
}

/** Certain names weigh more than any number of likely ones. */
function weight({ confidence, reason }: Match): number {
  return confidence ** 3 + (reason === 'confirmed' ? 2 : 0);
}

/** Why a person has to look at a field that has a column; null where nobody has to. */
function ask(
  field: FieldSpec,
  mapped: MappedField,
  found: Match,
  {
    known,
    scores,
    chosen,
    threshold,
  }: { known: Known; scores: (Match | null)[]; chosen: number[]; threshold: number },
): { code: 'doubtful' | 'several' | 'ambiguous_format'; message: string } | null {
  const { columns, contents, sample } = known;
  const column = mapped.column!;
  if (found.confidence < threshold) {
    return {
      code: 'doubtful',
      message: `Column "${mapped.header}" may be ${field.name}, but only ${Math.round(found.confidence * 100)}% of it says so. Confirm it or choose another.`,
    };
  }
  const equal = scores.findIndex(
    (other, index) =>
      index !== column &&
      other !== null &&
      (found.tier === 2
        ? other.confidence >= threshold && other.tier === 2
        : other.confidence >= LEAST_RIVAL) &&
      !chosen.includes(index) &&
      (contents[index]!.cells.length > 0 || contents[column]!.cells.length === 0) &&
      (sample.length === 0 ||
        contents[column]!.cells.length === 0 ||
        sample.some((cells) => (cells[index] ?? '').trim() !== (cells[column] ?? '').trim())),
  );
  if (equal >= 0) {
    return {
      code: 'several',
      message: `Both "${mapped.header}" and "${columns[equal]!.name}" look like ${field.name}. Say which one it is.`,
    };
  }
  if (!mapped.format && isAmbiguous(field.type, columns[column]!)) {
    return {
      code: 'ambiguous_format',
      message: `The ${field.type === 'date' || field.type === 'timestamp' ? 'dates' : 'numbers'} in "${mapped.header}" can be read in two ways. Say which one is meant.`,
    };
  }
  return null;
}

function candidatesOf(scores: (Match | null)[], columns: ManifestColumn[]): MappingCandidate[] {
  return scores
    .flatMap((found, column) =>
      found && found.confidence >= LEAST_CANDIDATE
        ? [
            {
              column,
              header: columns[column]!.name,
              confidence: Math.round(found.confidence * 100) / 100,
              reason: found.reason,
              why: found.why,
            },
          ]
        : [],
    )
    .sort((a, b) => b.confidence - a.confidence)
    .slice(0, CANDIDATES);
}

/** A settled mapping with the names of its columns, so that it can be remembered; what only proposals say is left out. */
export function withHeaders(mapping: Mapping, columns: ManifestColumn[]): Mapping {
  const fields = mapping.fields.map(
    ({
      header: _,
      why: _w,
      candidates: _c,
      unmappedValues: _u,
      unlistedValues: _l,
      ...mapped
    }): MappedField => {
      if (mapped.column === null) return mapped;
      const { join } = mapped;
      return {
        ...mapped,
        header: columns[mapped.column]!.name,
        ...(join && { join: { ...join, headers: join.columns.map((column) => columns[column]!.name) } }),
      };
    },
  );
  const { unmappedColumns, questions, rules } = mapping;
  return {
    fields,
    unmappedColumns,
    questions,
    ...(rules && { rules }),
    headers: columns.slice(reportColumns(columns)).map(({ name }) => name),
  };
}

/** Rules for the reader: of the fields that the file carries or a constant fills; the others are left alone. */
export function rulesFrom(mapping: Mapping, fields: FieldSpec[], keyFields: string[]): FieldRule[] {
  const { unknownColumns, nullWords, suggest, provisionalKey } = mapping.rules ?? {};
  const keepIn = typeof unknownColumns === 'object' ? unknownColumns.keepIn : null;
  const found = mapping.fields.flatMap((mapped): FieldRule[] => {
    const field = fields.find(({ name }) => name === mapped.field);
    if (!field) return [];
    const key = keyFields.includes(field.name);
    const {
      column,
      constant,
      empty,
      confidence: _,
      reason: _r,
      why: _w,
      candidates: _c,
      unmappedValues: _u,
      unlistedValues: _l,
      field: _f,
      header: _h,
      ...rules
    } = mapped;
    if (column === null && constant === undefined) return [];
    if (column === null) return [{ ...field, column, constant: constant!, key }];
    const words = [...(nullWords ?? []), ...(rules.nullWords ?? [])];
    const from = suggest?.find((one) => one.field === field.name)?.from;
    return [
      {
        ...field,
        ...rules,
        column,
        ...(empty ? { empty } : {}),
        ...(words.length > 0 ? { nullWords: words } : {}),
        ...(from === undefined ? {} : { suggestFrom: from }),
        key,
        // Only one field can be found by others.
        ...(key && keyFields.length === 1 && provisionalKey ? { provisional: true as const } : {}),
      },
    ];
  });
  const extras = fields.find(({ name }) => name === keepIn && !found.some((rule) => rule.name === name));
  if (extras) found.push({ ...extras, column: null, extras: mapping.unmappedColumns, key: false });
  return found;
}

export interface MappingIssue {
  field: string | null;
  code: 'unknown_field' | 'field_twice' | 'unknown_column' | 'column_twice' | 'required_unmapped';
  message: string;
}

/** What is wrong with a mapping that a person has settled; nothing, if it can be used. */
export function checkMapping(
  mapping: Pick<Mapping, 'fields'>,
  fields: FieldSpec[],
  columnCount: number,
): MappingIssue[] {
  const issues: MappingIssue[] = [];
  const feeding = new Map<number, { field: string; shares: boolean }>();
  const seen = new Set<string>();
  for (const { field, column, join, split } of mapping.fields) {
    if (!fields.some(({ name }) => name === field)) {
      issues.push({ field, code: 'unknown_field', message: `There is no field "${field}" in this dataset.` });
    }
    if (seen.has(field))
      issues.push({ field, code: 'field_twice', message: `${field} is mapped twice. Keep one of the two.` });
    seen.add(field);
    if (column === null) continue;
    for (const one of new Set([column, ...(join?.columns ?? [])])) {
      if (!Number.isInteger(one) || one < 0 || one >= columnCount) {
        issues.push({
          field,
          code: 'unknown_column',
          message: `${field} is mapped to a column that the file does not have (the file has ${columnCount}).`,
        });
        continue;
      }
      const other = feeding.get(one);
      const shares = split !== undefined;
      if (other !== undefined && !(shares && other.shares)) {
        issues.push({
          field,
          code: 'column_twice',
          message: `Column ${one + 1} is mapped to both ${other.field} and ${field}. One column can feed one field, unless both take a part of it.`,
        });
      }
      feeding.set(one, { field, shares });
    }
  }
  for (const field of fields) {
    const mapped = mapping.fields.find(({ field: name }) => name === field.name);
    if (field.required && (!mapped || (mapped.column === null && !mapped.constant?.trim()))) {
      issues.push({
        field: field.name,
        code: 'required_unmapped',
        message: `${field.name} is required. Map a column to it, or give it a fixed value.`,
      });
    }
  }
  return issues;
}

function usesFormat(type: FieldType): boolean {
  return type === 'decimal' || type === 'integer' || type === 'date' || type === 'timestamp';
}

function isAmbiguous(type: FieldType, column: ManifestColumn): boolean {
  const cells = column.mostly ?? column.type;
  if (type === 'date' || type === 'timestamp') return cells === 'date' || cells === 'timestamp';
  return (type === 'decimal' || type === 'integer') && (cells === 'decimal' || cells === 'integer');
}
