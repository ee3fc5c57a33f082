import type { ManifestColumn, Mapping } from './types.ts';

/** The same mapping for another reading of the file: its columns are found by name. Null where one is not there. */
export function moveMapping(mapping: Mapping, columns: ManifestColumn[]): Mapping | null {
  const place = (header: string | undefined): number => columns.findIndex(({ name }) => name === header);
  const used = new Set<number>();
  const fields: Mapping['fields'] = [];
  for (const mapped of mapping.fields) {
    const column = mapped.column === null ? null : place(mapped.header);
    const joined = mapped.join?.columns.map((_, index) => place(mapped.join!.headers?.[index]));
    for (const one of [...(column === null ? [] : [column]), ...(joined ?? [])]) {
      if (one < 0) return null;
      used.add(one);
    }
    fields.push({ ...mapped, column, ...(joined && { join: { ...mapped.join!, columns: joined } }) });
  }
  const unmappedColumns = columns.map((_, index) => index).filter((index) => !used.has(index));
  return { ...mapping, fields, unmappedColumns };
}
