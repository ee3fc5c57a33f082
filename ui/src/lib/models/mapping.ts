import type {
  ConfirmMappingData,
  Dataset,
  FileReading,
  MappedField,
  Mapping,
  MappingPreview,
} from '../client/index.ts';

export type ConfirmedField = ConfirmMappingData['body']['fields'][number];

/** What stands for a field now: as proposed, or as the person has changed it. */
export interface Choice extends Omit<
  MappedField,
  'confidence' | 'reason' | 'candidates' | 'unmappedValues' | 'unlistedValues'
> {
  /** Not as it was proposed: by the person. */
  changed: boolean;
}
export type Choices = Record<string, Choice>;

function choiceOf(mapped: MappedField, changed = false): Choice {
  const {
    confidence: _,
    reason: _r,
    candidates: _c,
    unmappedValues: _u,
    unlistedValues: _l,
    why: _w,
    ...choice
  } = mapped;
  return { ...choice, changed };
}

export function proposed(mapping: Mapping): Choices {
  return Object.fromEntries(mapping.fields.map((mapped) => [mapped.field, choiceOf(mapped)]));
}

/**
 * What the person has chosen, for another reading of the same file: a column is found again by its name, and a choice
 * whose column is gone falls back to what is proposed now.
 */
export function carriedOver(
  before: Choices,
  columnsBefore: { name: string }[],
  now: Pick<MappingPreview, 'mapping' | 'columns'>,
): Choices {
  const choices = proposed(now.mapping);
  for (const [field, choice] of Object.entries(before)) {
    if (!choice.changed || !choices[field]) continue;
    if (choice.column === null) {
      choices[field] = choice;
      continue;
    }
    const name = columnsBefore[choice.column]?.name;
    const column = now.columns.findIndex((one) => one.name === name);
    if (column >= 0) choices[field] = { ...choice, column };
  }
  return choices;
}

/** Another column for a field. What was said of the cells of the one before says nothing of this one's. */
export function withColumn(choice: Choice, column: number | null, format?: Choice['format']): Choice {
  return { field: choice.field, column, ...(format && { format }), changed: true };
}

export const withConstant = (choice: Choice, constant: string): Choice => ({
  field: choice.field,
  column: null,
  constant,
  changed: true,
});

export const withFormat = (choice: Choice, format: NonNullable<Choice['format']>): Choice => ({
  ...choice,
  format: { ...choice.format, ...format },
  changed: true,
});

/** The word as it is to be read instead; null takes it back. */
export function withWord(choice: Choice, word: string, meaning: string | null): Choice {
  const values = { ...choice.values };
  if (meaning === null) delete values[word];
  else values[word] = meaning;
  return { ...choice, values, changed: true };
}

/** What fills the column now, if anything does. */
export const fieldOfColumn = (choices: Choices, column: number): string | null =>
  Object.values(choices).find((choice) => choice.column === column || choice.join?.columns.includes(column))
    ?.field ?? null;

export type Fault = { code: 'missing'; field: string } | { code: 'twice'; column: number };

/** Why the choices cannot be confirmed yet: a required field that nothing fills, a column for two fields. */
export function faults(choices: Choices, dataset: Dataset): Fault[] {
  const missing = dataset.fields
    .filter(({ name, required, key }) => {
      const choice = choices[name];
      const filled = choice && (choice.column !== null || (choice.constant ?? '').trim() !== '');
      return (required || key) && !filled;
    })
    .map(({ name }): Fault => ({ code: 'missing', field: name }));
  const seen = new Map<number, number>();
  for (const { column, split } of Object.values(choices))
    // Parts of one column may go to several fields.
    if (column !== null && !split) seen.set(column, (seen.get(column) ?? 0) + 1);
  const twice = [...seen]
    .filter(([, times]) => times > 1)
    .map(([column]): Fault => ({ code: 'twice', column }));
  return [...missing, ...twice];
}

/** A word that a field does not know, or did not before the person said what it means. */
export interface Word {
  value: string;
  count: number;
  suggestion?: string;
}

/** Words that were not understood stay in the list when the person has said what they mean. */
export function wordsSeen(
  before: Record<string, Word[]>,
  { unknown, mapping }: Pick<MappingPreview, 'unknown' | 'mapping'>,
): Record<string, Word[]> {
  const words = { ...before };
  const add = (field: string, found: Word[]) => {
    const known = new Map((words[field] ?? []).map((word) => [word.value, word]));
    // What was counted in the whole file stands against what its beginning shows.
    for (const word of found)
      if (!((known.get(word.value)?.count ?? 0) > word.count)) known.set(word.value, word);
    words[field] = [...known.values()];
  };
  for (const { field, values } of unknown) add(field, values);
  // Counted over the whole file, where that was done.
  if (mapping.valuesOf === 'file')
    for (const { field, unmappedValues } of mapping.fields) if (unmappedValues) add(field, unmappedValues);
  return words;
}

/** Lines that could hold the column names: what stands above the table, its header, and the first rows. */
export function headerLines(
  shown: Pick<MappingPreview, 'above' | 'file' | 'columns' | 'rows'>,
): { line: number; text: string }[] {
  const { headerRow } = shown.file;
  const found = shown.above.map((text, index) => ({ line: index + 1, text }));
  if (headerRow !== null)
    found.push({ line: headerRow, text: shown.columns.map(({ original }) => original).join(' · ') });
  for (const { line, cells } of shown.rows.slice(0, 4)) found.push({ line, text: cells.join(' · ') });
  return found.filter(({ line }, index) => found.findIndex((other) => other.line === line) === index);
}

/** The workbook has several sheets with rows, and nobody has said which one is meant. */
export const asksForSheet = (shown: Pick<MappingPreview, 'mapping'>, options: FileReading): boolean =>
  options.sheet === undefined && shown.mapping.questions.some(({ code }) => code === 'sheet');

/** What is still open about a field. The first three must be settled before anything can go on. */
export type Ask =
  | { code: 'missing' }
  | { code: 'twice'; column: number }
  | { code: 'ambiguous'; reading: MappingPreview['readings'][number] }
  | { code: 'doubtful'; column: number; confidence: number }
  | { code: 'several' }
  | { code: 'words'; open: number };

export const blocks = ({ code }: Ask): boolean =>
  code === 'missing' || code === 'twice' || code === 'ambiguous';

/** What a person has to settle or to look at, by field; fields without a question are not in it. */
export function asksOf(
  shown: Pick<MappingPreview, 'mapping' | 'readings'>,
  choices: Choices,
  words: Record<string, Word[]>,
  dataset: Dataset,
): Map<string, Ask[]> {
  const asks = new Map<string, Ask[]>();
  const ask = (field: string, what: Ask) => asks.set(field, [...(asks.get(field) ?? []), what]);
  for (const fault of faults(choices, dataset)) {
    if (fault.code === 'missing') ask(fault.field, { code: 'missing' });
    else
      for (const { field, column, split } of Object.values(choices))
        if (column === fault.column && !split) ask(field, fault);
  }
  for (const { field, code } of shown.mapping.questions) {
    const choice = choices[field];
    if (!choice || choice.changed || choice.column === null) continue;
    const confidence = shown.mapping.fields.find((mapped) => mapped.field === field)?.confidence ?? 0;
    if (code === 'doubtful') ask(field, { code, column: choice.column, confidence });
    if (code === 'several') ask(field, { code });
  }
  for (const reading of shown.readings) {
    const format = choices[reading.field]?.format;
    const kinds = Object.keys(reading.readings[0]?.format ?? {}) as (keyof NonNullable<typeof format>)[];
    // A pattern says which of its numbers is the day.
    const said = kinds.some((kind) => format?.[kind] !== undefined) || Boolean(format?.pattern?.trim());
    if (!said) ask(reading.field, { code: 'ambiguous', reading });
  }
  for (const [field, seen] of Object.entries(words)) {
    const choice = choices[field];
    const open = seen.filter(({ value }) => choice?.values?.[value] === undefined).length;
    if (choice && choice.column !== null && open > 0) ask(field, { code: 'words', open });
  }
  return asks;
}

/** Up to two cells of a column, as they stand and as they would be written. */
export function examples(
  shown: Pick<MappingPreview, 'rows' | 'fields'>,
  field: string,
  column: number,
): { raw: string; value: string | null }[] {
  const place = shown.fields.indexOf(field);
  const found = new Map<string, string | null>();
  for (const { cells, values } of shown.rows) {
    const raw = (cells[column] ?? '').trim();
    if (raw === '' || found.has(raw)) continue;
    found.set(raw, place < 0 ? null : (values?.[place] ?? null));
    if (found.size === 2) break;
  }
  return [...found].map(([raw, value]) => ({ raw, value }));
}

/** The choices as the API takes them. */
export function confirmed(choices: Choices): ConfirmedField[] {
  return Object.values(choices).map(({ changed: _, header: __, constant, format, ...choice }) => ({
    ...choice,
    // A pattern that is still to be typed says nothing yet.
    ...(format && { format: { ...format, pattern: format.pattern?.trim() || undefined } }),
    ...(choice.column === null && constant !== undefined ? { constant } : {}),
  }));
}

/** True where the person has changed anything of the proposal. */
export const anyChanged = (choices: Choices): boolean =>
  Object.values(choices).some(({ changed }) => changed);

export type ReadingOption = keyof FileReading;

/** The options with one changed; undefined leaves it to the detection again. */
export function withOption<K extends ReadingOption>(
  options: FileReading,
  name: K,
  value: FileReading[K] | undefined,
): FileReading {
  const { [name]: _, ...rest } = options;
  return value === undefined ? rest : { ...rest, [name]: value };
}

export const sameReading = (a: FileReading, b: FileReading): boolean =>
  (['sheet', 'encoding', 'delimiter', 'quote', 'header_row', 'keep_footer'] as const).every(
    (name) => a[name] === b[name],
  ) && sameTypes(a.types ?? {}, b.types ?? {});

const sameTypes = (a: NonNullable<FileReading['types']>, b: NonNullable<FileReading['types']>): boolean =>
  [...new Set([...Object.keys(a), ...Object.keys(b)])].every((name) => a[name] === b[name]);

export type ColumnType = NonNullable<FileReading['types']>[string];
export const COLUMN_TYPES: ColumnType[] = [
  'text',
  'integer',
  'decimal',
  'boolean',
  'date',
  'timestamp',
  'email',
  'phone',
  'url',
];

/** The options with the type of one column said; null leaves it to what its cells look like. */
export function withType(options: FileReading, column: string, type: ColumnType | null): FileReading {
  const { [column]: _, ...others } = options.types ?? {};
  const types = type === null ? others : { ...others, [column]: type };
  return withOption(options, 'types', Object.keys(types).length > 0 ? types : undefined);
}

/** A name for the profile, from the file's: what changes from week to week (dates, numbers) left out. */
export function profileNameFrom(fileName: string): string {
  return fileName
    .replace(/(\.\w{1,5}){1,2}$/u, '')
    .normalize('NFKD')
    .replace(/\p{M}/gu, '')
    .toLowerCase()
    .replace(/[^a-z0-9]+/gu, '-')
    .replace(/(^|-)(\d+|jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec|copy|final|v\d+)(?=-|$)/gu, '')
    .replace(/^-+|-+$/gu, '')
    .slice(0, 60);
}

export const PROFILE_NAME = '[a-z0-9][a-z0-9_\\-]{0,62}';
