import { assign } from './assignment.ts';
import { normaliseName, similarity } from './names.ts';
import type {
  ColumnType,
  FieldRule,
  FieldSpec,
  FieldType,
  Manifest,
  ManifestColumn,
  MappedField,
  Mapping,
} from './types.ts';

type Reason = MappedField['reason'];
interface Match {
  confidence: number;
  reason: Reason;
}

/** Below this two names are not even proposed for each other; an optional field needs more than one that must be found. */
const LEAST = { required: 0.55, optional: 0.65 };

/** Types of column that can feed a type of field; text may hold anything. */
const FEEDS: Record<FieldType, ColumnType[]> = {
  text: ['text', 'integer', 'decimal', 'boolean', 'date', 'timestamp', 'email', 'url', 'phone'],
  integer: ['integer', 'decimal', 'text'],
  decimal: ['decimal', 'integer', 'text'],
  boolean: ['boolean', 'integer'],
  date: ['date', 'timestamp', 'integer', 'text'],
  timestamp: ['timestamp', 'date', 'text'],
  email: ['email', 'text'],
  phone: ['phone', 'integer', 'text'],
};

/**
 * Which column feeds which field: what was confirmed before for these names, then aliases, normalised names,
 * similarity, content; each field gets at most one column and each column at most one field, the best in total.
 */
export function proposeMapping(
  manifest: Manifest,
  fields: FieldSpec[],
  remembered?: Mapping | null,
  threshold = 0.8,
): Mapping {
  const { columns } = manifest;
  const empty = columns.map((_, index) =>
    manifest.sample.every((cells) => (cells[index] ?? '').trim() === ''),
  );
  const scores = fields.map((field) => columns.map((column, index) => match(field, column, empty[index]!)));
  const confirmed = new Map<number, { column: number; mapped: MappedField }>();
  for (const mapped of remembered?.fields ?? []) {
    const field = fields.findIndex(({ name }) => name === mapped.field);
    const column =
      mapped.header === undefined
        ? (mapped.column ?? -1)
        : columns.findIndex(({ name }) => name === mapped.header);
    if (field >= 0 && column >= 0 && column < columns.length) confirmed.set(field, { column, mapped });
  }
  for (const [field, { column }] of confirmed)
    scores[field]![column] = { confidence: 1, reason: 'confirmed' };
  const chosen = assign(
    scores.map((row, index) => {
      const least = fields[index]!.required ? LEAST.required : LEAST.optional;
      return row.map((found) => (found && found.confidence >= least ? weight(found) : 0));
    }),
  );

  const questions: Mapping['questions'] = [];
  const mappedFields = fields.map((field, index): MappedField => {
    const column = chosen[index]!;
    const before = remembered?.fields.find((mapped) => mapped.field === field.name);
    if (column < 0) {
      if (before?.constant !== undefined)
        return { ...before, column: null, confidence: 1, reason: 'confirmed' };
      if (field.required) {
        questions.push({
          field: field.name,
          code: 'unmapped',
          message: `No column looks like ${field.name}, which every row needs. Choose one.`,
        });
      }
      return { field: field.name, column: null, confidence: 0, reason: 'unmapped' };
    }
    const found = scores[index]![column]!;
    const kept = confirmed.get(index)?.column === column ? confirmed.get(index)!.mapped : null;
    const format = kept?.format ?? columns[column]!.format;
    if (found.confidence < threshold) {
      questions.push({
        field: field.name,
        code: 'doubtful',
        message: `Column "${columns[column]!.name}" may be ${field.name}, but only ${Math.round(found.confidence * 100)}% of it says so. Confirm it or choose another.`,
      });
    } else if (!format && isAmbiguous(field.type, columns[column]!)) {
      questions.push({
        field: field.name,
        code: 'ambiguous_format',
        message: `The ${field.type === 'date' || field.type === 'timestamp' ? 'dates' : 'numbers'} in "${columns[column]!.name}" can be read in two ways. Say which one is meant.`,
      });
    }
    return {
      field: field.name,
      column,
      header: columns[column]!.name,
      ...(format && usesFormat(field.type) ? { format } : {}),
      ...(kept?.values ? { values: kept.values } : {}),
      confidence: Math.round(found.confidence * 100) / 100,
      reason: found.reason,
    };
  });
  const used = new Set(mappedFields.map(({ column }) => column));
  return {
    fields: mappedFields,
    unmappedColumns: columns.map((_, index) => index).filter((index) => !used.has(index)),
    questions,
  };
}

/** A settled mapping with the names of its columns, so that it can be remembered. */
export function withHeaders(mapping: Mapping, columns: ManifestColumn[]): Mapping {
  const fields = mapping.fields.map(({ header: _, ...mapped }) =>
    mapped.column === null ? mapped : { ...mapped, header: columns[mapped.column]!.name },
  );
  return { ...mapping, fields };
}

/** Rules for the reader: of the fields that the file carries or a constant fills; the others are left alone. */
export function rulesFrom(mapping: Mapping, fields: FieldSpec[], keyFields: string[]): FieldRule[] {
  return mapping.fields.flatMap((mapped) => {
    const field = fields.find(({ name }) => name === mapped.field);
    if (!field || (mapped.column === null && mapped.constant === undefined)) return [];
    const { column, constant, format, values } = mapped;
    return [
      {
        ...field,
        column,
        ...(constant !== undefined && column === null ? { constant } : {}),
        ...(format ? { format } : {}),
        ...(values ? { values } : {}),
        key: keyFields.includes(field.name),
      },
    ];
  });
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
  const columnOf = new Map<number, string>();
  const seen = new Set<string>();
  for (const { field, column } of mapping.fields) {
    if (!fields.some(({ name }) => name === field)) {
      issues.push({ field, code: 'unknown_field', message: `There is no field "${field}" in this dataset.` });
    }
    if (seen.has(field))
      issues.push({ field, code: 'field_twice', message: `${field} is mapped twice. Keep one of the two.` });
    seen.add(field);
    if (column === null) continue;
    if (!Number.isInteger(column) || column < 0 || column >= columnCount) {
      issues.push({
        field,
        code: 'unknown_column',
        message: `${field} is mapped to a column that the file does not have (the file has ${columnCount}).`,
      });
      continue;
    }
    const other = columnOf.get(column);
    if (other !== undefined) {
      issues.push({
        field,
        code: 'column_twice',
        message: `Column ${column + 1} is mapped to both ${other} and ${field}. One column can feed one field.`,
      });
    }
    columnOf.set(column, field);
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

function match(field: FieldSpec, column: ManifestColumn, empty: boolean): Match | null {
  const name = column.original.trim();
  const byContent =
    (field.type === 'email' && column.type === 'email') ||
    (field.type === 'phone' && column.type === 'phone');
  const named = name === '' ? null : matchName(field, name);
  if (!named) return byContent ? { confidence: 0.7, reason: 'content' } : null;
  // A column that cannot hold what its name claims is asked about; only the field's own name stands all the same.
  const own = named.reason === 'exact' || named.reason === 'normalised';
  if (!own && !empty && !FEEDS[field.type].includes(column.type))
    return { ...named, confidence: named.confidence * 0.6 };
  if (named.confidence < 0.7 && byContent) return { confidence: 0.7, reason: 'content' };
  return named;
}

function matchName(field: FieldSpec, name: string): Match | null {
  if (name === field.name) return { confidence: 1, reason: 'exact' };
  const normal = normaliseName(name);
  if (normal === normaliseName(field.name)) return { confidence: 0.98, reason: 'normalised' };
  if (field.aliases.includes(name)) return { confidence: 0.98, reason: 'alias' };
  if (normal !== '' && field.aliases.some((alias) => normaliseName(alias) === normal))
    return { confidence: 0.96, reason: 'alias' };
  const best = Math.max(0, ...[field.name, ...field.aliases].map((known) => similarity(name, known)));
  return best > 0 ? { confidence: best, reason: 'similar' } : null;
}

/** Certain names weigh more than any number of likely ones. */
function weight({ confidence, reason }: Match): number {
  return confidence ** 3 + (reason === 'confirmed' ? 2 : 0);
}

function usesFormat(type: FieldType): boolean {
  return type === 'decimal' || type === 'integer' || type === 'date' || type === 'timestamp';
}

function isAmbiguous(type: FieldType, column: ManifestColumn): boolean {
  if (type === 'date' || type === 'timestamp') return column.type === 'date' || column.type === 'timestamp';
  return (
    (type === 'decimal' || type === 'integer') && (column.type === 'decimal' || column.type === 'integer')
  );
}
