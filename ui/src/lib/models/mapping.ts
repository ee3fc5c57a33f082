import type { ConfirmMappingData, Dataset, Preview } from '../client/index.ts';

export type Mapping = NonNullable<Preview['mapping']>;
export type ConfirmedField = ConfirmMappingData['body']['fields'][number];

/** What the person has chosen for a field instead of the proposal. */
export interface Choice {
  column: number | null;
  format?: { date?: 'YMD' | 'DMY' | 'MDY'; decimal?: '.' | ',' };
}
export type Choices = Record<string, Choice>;

export function proposed(mapping: Mapping): Choices {
  return Object.fromEntries(
    mapping.fields.map(({ field, column, format }) => [field, { column, ...(format ? { format } : {}) }]),
  );
}

export type Fault = { code: 'missing'; field: string } | { code: 'twice'; column: number };

/** Why the choices cannot be confirmed yet: a required field without a column, a column for two fields. */
export function faults(choices: Choices, mapping: Mapping, dataset: Dataset): Fault[] {
  const constants = new Set(
    mapping.fields.filter(({ constant }) => constant !== undefined).map(({ field }) => field),
  );
  const missing = dataset.fields
    .filter(
      ({ name, required, key }) =>
        (required || key) && (choices[name]?.column ?? null) === null && !constants.has(name),
    )
    .map(({ name }): Fault => ({ code: 'missing', field: name }));
  const seen = new Map<number, number>();
  for (const { column } of Object.values(choices))
    if (column !== null) seen.set(column, (seen.get(column) ?? 0) + 1);
  const twice = [...seen]
    .filter(([, times]) => times > 1)
    .map(([column]): Fault => ({ code: 'twice', column }));
  return [...missing, ...twice];
}

/** The choices as confirm-mapping takes them; what the proposal knew beside the column stays. */
export function confirmed(choices: Choices, mapping: Mapping): ConfirmedField[] {
  return mapping.fields.map((field) => {
    const choice = choices[field.field] ?? { column: field.column };
    const kept = choice.column === field.column;
    const format = choice.format ?? (kept ? field.format : undefined);
    return {
      field: field.field,
      column: choice.column,
      ...(field.constant !== undefined && choice.column === null ? { constant: field.constant } : {}),
      ...(format ? { format } : {}),
      ...(kept && field.values ? { values: field.values } : {}),
    };
  });
}

/** Up to three different values of a column, as examples. */
export function examples(preview: Preview, column: number | null): string[] {
  if (column === null) return [];
  const found = new Set<string>();
  for (const cells of preview.sample) {
    const value = (cells[column] ?? '').trim();
    if (value !== '') found.add(value);
    if (found.size === 3) break;
  }
  return [...found];
}
