import type { Manifest, ManifestColumn, MappedField, Mapping } from './types.ts';

/** What stands before the file's own columns in an error report. A report is itself a file to import, once corrected. */
export const REPORT_COLUMNS = ['line', 'codes', 'messages'];

/** How many columns of a file are those that an error report of ours has added: three or none. */
export function reportColumns(columns: Pick<ManifestColumn, 'original'>[]): number {
  const added = REPORT_COLUMNS.length;
  return columns.length > added && REPORT_COLUMNS.every((name, n) => columns[n]!.original === name)
    ? added
    : 0;
}

/** The file as it would be without them. */
export function withoutReport(manifest: Manifest, added: number): Manifest {
  return {
    ...manifest,
    columns: manifest.columns.slice(added),
    sample: manifest.sample.map((cells) => cells.slice(added)),
  };
}

/** A mapping of that file as one of the report: its columns stand further to the right. */
export function asOfReport(mapping: Mapping, added: number): Mapping {
  const move = (column: number): number => column + added;
  return {
    ...mapping,
    fields: mapping.fields.map((field): MappedField => ({
      ...field,
      column: field.column === null ? null : move(field.column),
      ...(field.join && { join: { ...field.join, columns: field.join.columns.map(move) } }),
      ...(field.candidates && {
        candidates: field.candidates.map((one) => ({ ...one, column: move(one.column) })),
      }),
    })),
    unmappedColumns: mapping.unmappedColumns.map(move),
  };
}
