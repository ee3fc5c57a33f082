import type { ColumnType, Manifest } from './types.ts';

/** Columns whose type a person has said; how their numbers and dates are written is then no longer known. */
export function withSaidTypes(manifest: Manifest, types: Record<string, ColumnType> | undefined): Manifest {
  if (!types) return manifest;
  const columns = manifest.columns.map((column) => {
    const type = Object.hasOwn(types, column.name) ? types[column.name]! : column.type;
    return type === column.type ? column : { name: column.name, original: column.original, type };
  });
  return { ...manifest, columns };
}
