import * as z from 'zod';
import { cellRules, profileRules } from '../../datasets/profile.ts';
import { Name } from './common.ts';
import { ImportOptions } from './intake.ts';

const column = z.int().nonnegative();
const index = column.nullable().meta({ description: 'Index into `columns` of the preview.' });
const rules = {
  ...cellRules,
  join: z
    .strictObject({
      columns: z.array(column).min(1).max(20),
      headers: z.array(z.string()).optional(),
      separator: z.string().max(20),
    })
    .optional()
    .meta({ description: "Columns whose cells stand behind this one's." }),
};
const Reason = z.enum([
  'exact',
  'alias',
  'normalised',
  'similar',
  'content',
  'confirmed',
  'constant',
  'unmapped',
]);

const MappedField = z
  .object({
    field: z.string(),
    column: index,
    header: z.string().optional(),
    constant: z.string().optional(),
    ...rules,
    confidence: z.number().meta({ description: '0 to 1; below the threshold it is a question.' }),
    reason: Reason,
    why: z.string().optional().meta({ description: 'A sentence for a person.' }),
    candidates: z
      .array(
        z.object({
          column,
          header: z.string(),
          confidence: z.number(),
          reason: Reason,
          why: z.string(),
        }),
      )
      .optional()
      .meta({ description: 'Columns that could feed the field, the best first.' }),
    unmappedValues: z
      .array(z.object({ value: z.string(), count: z.int(), suggestion: z.string().optional() }))
      .optional()
      .meta({ description: 'Words in its cells that are not understood yet; map them with `values`.' }),
    unlistedValues: z
      .int()
      .optional()
      .meta({ description: 'Cells with more such words than are listed (the first 1,000).' }),
  })
  .meta({ id: 'MappedField' });

/** The proposal of the map phase, or what is pinned to the import. */
export const Mapping = z
  .object({
    fields: z.array(MappedField),
    unmappedColumns: z.array(z.int()),
    questions: z.array(
      z.object({
        field: z.string().meta({ description: 'Empty where the question is of the whole file.' }),
        code: z.enum([
          'unmapped',
          'doubtful',
          'several',
          'ambiguous_format',
          'unmapped_values',
          'drift',
          'unknown_column',
          'sheet',
        ]),
        message: z.string(),
      }),
    ),
    rules: z.object(profileRules).optional(),
    headers: z.array(z.string()).optional(),
    drift: z
      .array(
        z.object({
          kind: z.enum(['gone', 'new', 'renamed', 'moved']),
          header: z.string(),
          now: z.string().optional(),
          field: z.string().nullable(),
          stops: z.boolean(),
          message: z.string(),
        }),
      )
      .optional()
      .meta({ description: 'How the header differs from the one that the profile was made for.' }),
    valuesOf: z.enum(['sample', 'file']).optional(),
    threshold: z.number().optional(),
  })
  .meta({ id: 'Mapping' });

/** How the file is to be read; what is absent is detected. */
export const FileReading = ImportOptions.pick({
  sheet: true,
  encoding: true,
  delimiter: true,
  quote: true,
  header_row: true,
  keep_footer: true,
  types: true,
}).meta({ id: 'FileReading' });

/** What a person settles: of every field its column, constant or nothing, and what is said of its cells. */
export const SettledMapping = z.strictObject({
  fields: z
    .array(
      z.strictObject({
        field: z.string().min(1).max(63),
        column: index,
        constant: z.string().max(10_000).optional(),
        ...rules,
      }),
    )
    .max(500),
  rules: z.strictObject(profileRules).optional().meta({ description: 'Absent: those of the proposal stay.' }),
  options: FileReading.optional().meta({
    description: 'The file is read anew in this way first; the columns are those of its preview.',
  }),
  saveAs: Name.optional().meta({
    description: 'Name of the profile to keep it as; without it, it is remembered for this header only.',
  }),
});
