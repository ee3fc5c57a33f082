import * as z from 'zod';
import { patternFault } from '../intake/date-pattern.ts';
import type { MappedField, Mapping, ProfileRules } from '../intake/types.ts';
import { missingFaults } from '../intake/missing.ts';
import { GuardLimits, Missing } from './missing-schema.ts';
import { keyedFields } from './reader-rules.ts';
import type { Dataset } from './types.ts';

/** How one column's numbers and dates are written. */
export const ColumnFormat = z.strictObject({
  decimal: z.enum(['.', ',']).optional().meta({ description: 'The decimal mark.' }),
  date: z.enum(['YMD', 'DMY', 'MDY']).optional().meta({ description: 'The order of year, month and day.' }),
  pattern: z
    .string()
    .min(1)
    .max(60)
    .superRefine((pattern, context) => {
      const fault = patternFault(pattern);
      if (fault !== null) context.addIssue({ code: 'custom', message: fault });
    })
    .optional()
    .meta({
      description:
        "Dates are written in this way and in no other: yyyy yy, MM M MMM, dd d, EEE, HH H or hh h with a, mm, ss, SSS, XXX; other letters in quotes. `dd.MM.yyyy`, `yyyy/MM/dd HH:mm`, `yyyy-MM-dd'T'HH:mm:ssXXX`.",
      examples: ['dd.MM.yyyy', 'yyyy/MM/dd HH:mm'],
    }),
});

/** Types of columns, by their names. */
export const ColumnTypes = z.record(
  z.string().max(4000),
  z.enum(['text', 'integer', 'decimal', 'boolean', 'date', 'timestamp', 'email', 'url', 'phone']),
);

const words = z.array(z.string().max(200)).max(200);

/** What can be said of one field's cells beside the column they stand in; the order is that of intake/types.ts. */
export const cellRules = {
  format: ColumnFormat.optional(),
  values: z.record(z.string().max(1000), z.string().max(1000)).optional().meta({
    description: 'From the text in the cell to the text to read instead. "" as a result empties it.',
  }),
  default: z.string().max(10_000).optional().meta({ description: 'What an empty cell gets.' }),
  empty: z
    .enum(['keep', 'clear', 'block'])
    .optional()
    .meta({ description: 'What an empty cell means, instead of what the dataset says.' }),
  nullWords: words.optional().meta({ description: 'Cells that mean "empty", whatever their case.' }),
  trim: z.enum(['both', 'all']).optional().meta({
    description: 'No space around the text; `all`: and no more than one in a row inside it.',
  }),
  case: z.enum(['upper', 'lower']).optional(),
  split: z
    .strictObject({
      separator: z.string().min(1).max(20),
      part: z
        .int()
        .min(-20)
        .max(20)
        .refine((part) => part !== 0, 'Parts count from 1, or from -1 backwards.'),
    })
    .optional()
    .meta({ description: 'Only one part of the cell: 1 is the first, -1 the last.' }),
};

const Column = z.string().min(1).max(4000);
const Constant = z.string().max(10_000);
const FieldName = z.string().min(1).max(63);

const ProfileField = z
  .strictObject({
    column: Column.optional().meta({ description: 'Header of the column.' }),
    constant: Constant.optional().meta({ description: 'The same value for every row, instead of a column.' }),
    ...cellRules,
    join: z
      .strictObject({ columns: z.array(Column).min(1).max(20), separator: z.string().max(20) })
      .optional()
      .meta({ description: "Columns whose cells stand behind this one's." }),
  })
  .refine((field) => field.column === undefined || field.constant === undefined, {
    message: 'A field has a column or a constant, not both.',
  })
  .refine((field) => field.join === undefined || field.column !== undefined, {
    message: 'Columns can only be joined to a column.',
  });

/** What a profile says of the whole file. */
export const profileRules = {
  unknownColumns: z
    .union([z.enum(['ignore', 'refuse']), z.strictObject({ keepIn: FieldName })])
    .optional()
    .meta({
      description:
        'Columns that feed no field: left out (the default), a reason to stop, or kept as JSON in a text field.',
    }),
  nullWords: words
    .optional()
    .meta({ description: 'Cells of any field that mean "empty", whatever their case.' }),
  duplicates: z.enum(['last', 'first', 'refuse']).optional().meta({
    description: 'Which record of a key counts; `refuse` blocks all of them. Absent: what the dataset says.',
  }),
  atomic: z.boolean().optional().meta({
    description:
      'All rows of a file or none of them, where the import itself does not say: one transaction, refused if a row is blocked.',
  }),
  provisionalKey: z.array(FieldName).min(1).max(5).optional().meta({
    description:
      'A row without key takes that of the one record of the target that is equal in these fields, with a warning.',
  }),
  suggest: z
    .array(z.strictObject({ field: FieldName, from: FieldName }))
    .max(100)
    .optional()
    .meta({
      description: "What is proposed where `field` is empty: the row's own `from`. Never applied by itself.",
    }),
  missing: Missing.optional(),
  guard: GuardLimits.optional().meta({
    description: 'Limits of the policy `guard` for this source, where the import itself does not say.',
  }),
  reading: z
    .strictObject({
      sheet: z.string().max(200).optional(),
      encoding: z.string().max(40).optional(),
      delimiter: z.string().min(1).max(4).optional(),
      quote: z.string().max(1).optional(),
      headerRow: z.int().min(0).max(1_000_000).optional(),
      keepFooter: z.boolean().optional(),
      types: ColumnTypes.optional(),
    })
    .optional()
    .meta({ description: 'How its files are read, where the import itself does not say.' }),
};

/** A profile as a document: what is exported, imported, and kept beside the code of whoever sends the files. */
export const ProfileDocument = z
  .strictObject({
    $schema: z.string().optional(),
    waybillProfile: z.literal(1).meta({ description: 'Version of this format.' }),
    dataset: z.string().regex(/^[a-z0-9][a-z0-9_-]{0,62}$/),
    name: z.string().regex(/^[a-z0-9][a-z0-9_-]{0,62}$/),
    version: z
      .int()
      .positive()
      .optional()
      .meta({ description: 'As exported; an import makes the next one.' }),
    headers: z.array(z.string().max(4000)).max(20_000).optional().meta({
      description: 'All columns of the file it was made for, in order: drift is measured against them.',
    }),
    fields: z.record(FieldName, ProfileField.nullable()).meta({
      description:
        'By name of the field. null: not imported, whatever the header looks like. Absent: to be proposed.',
    }),
    ...profileRules,
  })
  .meta({ id: 'Profile', title: 'Waybill profile: how one source looks' });
export type ProfileDocument = z.infer<typeof ProfileDocument>;

const RULES = Object.keys(profileRules) as (keyof ProfileRules)[];
const CELL_RULES = Object.keys(cellRules) as (keyof typeof cellRules)[];

const picked = <T extends object, K extends keyof T>(from: T, names: readonly K[]): Pick<T, K> =>
  Object.fromEntries(
    names.filter((name) => from[name] !== undefined).map((name) => [name, from[name]]),
  ) as Pick<T, K>;

/** A settled mapping as a document; scores and questions stay behind. */
export function profileDocument(of: {
  dataset: string;
  name: string;
  version?: number;
  mapping: Mapping;
}): ProfileDocument {
  const { mapping } = of;
  const fields = mapping.fields.map((mapped): [string, ProfileDocument['fields'][string]] => {
    if (mapped.column === null && mapped.header === undefined) {
      return [mapped.field, mapped.constant === undefined ? null : { constant: mapped.constant }];
    }
    const { join } = mapped;
    return [
      mapped.field,
      {
        column: mapped.header ?? `column_${mapped.column! + 1}`,
        ...picked(mapped, CELL_RULES),
        ...(join && {
          join: {
            columns: join.headers ?? join.columns.map((column) => `column_${column + 1}`),
            separator: join.separator,
          },
        }),
      },
    ];
  });
  return {
    waybillProfile: 1,
    dataset: of.dataset,
    name: of.name,
    ...(of.version === undefined ? {} : { version: of.version }),
    ...(mapping.headers ? { headers: mapping.headers } : {}),
    fields: Object.fromEntries(fields),
    ...(mapping.rules ?? {}),
  };
}

/** The mapping that a document stands for. Columns are found by their names: their indexes are those of `headers`. */
export function profileMapping(document: ProfileDocument): Mapping {
  const headers = document.headers ?? [];
  const fields = Object.entries(document.fields).map(([field, said]): MappedField => {
    if (said?.column === undefined) {
      return said?.constant === undefined
        ? { field, column: null, confidence: 1, reason: 'unmapped' }
        : { field, column: null, constant: said.constant, confidence: 1, reason: 'constant' };
    }
    const { column, join } = said;
    const at = headers.indexOf(column);
    return {
      field,
      column: at < 0 ? null : at,
      header: column,
      ...picked(said, CELL_RULES),
      ...(join && {
        join: {
          columns: join.columns.map((name) => headers.indexOf(name)),
          headers: join.columns,
          separator: join.separator,
        },
      }),
      confidence: 1,
      reason: 'confirmed',
    };
  });
  const used = new Set(fields.flatMap(({ column, join }) => [column, ...(join?.columns ?? [])]));
  return {
    fields,
    unmappedColumns: headers.map((_, index) => index).filter((index) => !used.has(index)),
    questions: [],
    rules: picked(document as ProfileRules, RULES),
    ...(document.headers ? { headers: document.headers } : {}),
  };
}

export interface ProfileFault {
  path: string;
  message: string;
}

/** What in a profile cannot be meant for this dataset; nothing, if it can be used. */
export function profileFaults(document: ProfileDocument, dataset: Dataset): ProfileFault[] {
  const faults: ProfileFault[] = [];
  const say = (path: string, message: string) => faults.push({ path, message });
  const field = (name: string) => dataset.fields.find((one) => one.name === name);
  if (document.dataset !== dataset.name)
    say('dataset', `The profile is for ${document.dataset}, not for ${dataset.name}.`);
  const fed = new Map<string, string>();
  for (const [name, said] of Object.entries(document.fields)) {
    const path = `fields.${name}`;
    const known = field(name);
    if (!known) say(path, `There is no field "${name}" in ${dataset.name}.`);
    if (known && said?.format?.pattern !== undefined && known.type !== 'date' && known.type !== 'timestamp')
      say(path, `${name} is no date, so that a pattern of dates says nothing about it.`);
    if (!said) {
      if (known?.required) say(path, `${name} is required: it needs a column or a constant.`);
      continue;
    }
    if (said.column === undefined && said.constant === undefined)
      say(path, `${name} has neither a column nor a constant. Write null to leave it out.`);
    for (const column of [said.column, ...(said.join?.columns ?? [])]) {
      if (column === undefined) continue;
      const other = fed.get(column);
      if (other !== undefined && !(said.split && document.fields[other]?.split))
        say(
          path,
          `"${column}" feeds both ${other} and ${name}. One column can feed one field, unless both take a part of it.`,
        );
      fed.set(column, name);
      if (document.headers && !document.headers.includes(column))
        say(path, `"${column}" is not among the headers of the profile.`);
    }
  }
  const { unknownColumns, provisionalKey = [], suggest = [] } = document;
  const keepIn = typeof unknownColumns === 'object' ? unknownColumns.keepIn : null;
  if (keepIn !== null && (field(keepIn)?.type !== 'text' || document.fields[keepIn]))
    say(
      'unknownColumns',
      `Unknown columns can be kept in a text field that nothing else feeds; ${keepIn} is none.`,
    );
  if (provisionalKey.length > 0 && dataset.key.fields.length !== 1)
    say(
      'provisionalKey',
      `Only a key of one field can be found by others; that of ${dataset.name} has ${dataset.key.fields.length}.`,
    );
  for (const name of [...provisionalKey, ...suggest.flatMap((one) => [one.field, one.from])])
    if (!field(name))
      say(
        provisionalKey.includes(name) ? 'provisionalKey' : 'suggest',
        `There is no field "${name}" in ${dataset.name}.`,
      );
  for (const fault of document.missing ? missingFaults(document.missing, keyedFields(dataset)) : [])
    say('missing', fault);
  return faults;
}
