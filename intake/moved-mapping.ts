import { findColumn } from './profile/drift.ts';
import type { ManifestColumn, MappedField, Mapping } from './types.ts';

/**
 * The same mapping for a file, or another reading of it: its columns are found by name, and formats that it leaves open
 * are those that the file's cells settle. Null where a column is not there.
 */
export function moveMapping(mapping: Mapping, columns: ManifestColumn[]): Mapping | null {
  const place = (header: string | undefined, column: number): number =>
    header === undefined ? (column < columns.length ? column : -1) : findColumn(columns, header);
  const used = new Set<number>();
  const fields: MappedField[] = [];
  for (const mapped of mapping.fields) {
    const fed = mapped.column !== null || mapped.header !== undefined;
    const column = fed ? place(mapped.header, mapped.column ?? columns.length) : null;
    const joined = mapped.join?.columns.map((other, index) => place(mapped.join!.headers?.[index], other));
    for (const one of [...(column === null ? [] : [column]), ...(joined ?? [])]) {
      if (one < 0) return null;
      used.add(one);
    }
    const format = mapped.format ?? (column === null ? undefined : columns[column]!.format);
    fields.push({
      ...mapped,
      column,
      ...(format && { format }),
      ...(joined && { join: { ...mapped.join!, columns: joined } }),
    });
  }
  const unmappedColumns = columns.map((_, index) => index).filter((index) => !used.has(index));
  return { ...mapping, fields, unmappedColumns };
}
