import type { FileOptions, Manifest, Mapping } from './types.ts';

/** Asked where somebody is there to answer: which of several sheets with rows is meant. */
export function sheetQuestion(manifest: Manifest, said: FileOptions): Mapping['questions'][number] | null {
  if (said.sheet !== undefined || manifest.sheets === null) return null;
  const others = manifest.sheets.filter(
    ({ name, state, rows }) => state === 'visible' && rows > 0 && name !== manifest.sheet,
  );
  if (others.length === 0) return null;
  return {
    field: '',
    code: 'sheet',
    message: `The workbook has ${others.length + 1} sheets with rows. "${manifest.sheet}" was read; confirm it or choose another.`,
  };
}
