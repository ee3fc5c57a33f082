import * as z from 'zod';
import { ColumnFormat } from '../../datasets/profile.ts';
import { importParams, Message, route } from './common.ts';
import { FileReading, Mapping, SettledMapping } from './mapping.ts';

const Cells = z.array(z.string());
const count = z.int().nonnegative();

const Issue = z.object({
  field: z.string().nullable(),
  column: count.nullable().meta({ description: 'Index of the column; null where it is of the whole row.' }),
  code: z.string(),
  severity: z.enum(['error', 'warning']),
  message: z.string(),
  suggestion: z.string().optional(),
});

export const tryMapping = route({
  id: 'tryMapping',
  method: 'post',
  path: '/api/imports/{id}/preview',
  tag: 'imports',
  summary: 'How the beginning of the file looks, read and mapped in this way; nothing of the run is changed',
  role: 'viewer',
  params: importParams,
  body: z.strictObject({
    options: FileReading.optional().meta({ description: 'Absent: as it was inspected.' }),
    fields: SettledMapping.shape.fields.optional().meta({ description: 'Absent: as it is proposed.' }),
    rules: SettledMapping.shape.rules,
  }),
  answer: {
    status: 200,
    description: 'Up to 200 rows as they stand in the file and as they would be written.',
    schema: z
      .object({
        file: z.object({
          type: z.string(),
          compression: z.string().nullable(),
          encoding: z.string(),
          encodingConfidence: z.number().meta({ description: '1 where it is certain, or was said.' }),
          bom: z.boolean(),
          delimiter: z.string().nullable(),
          quote: z.string().nullable(),
          escape: z.string().nullable(),
          lineEnding: z.string().nullable(),
          headerRow: z.int().nullable(),
          preambleRows: count,
          footerRow: z.int().nullable(),
          footerRows: count.meta({ description: 'Lines below the table that are no records.' }),
          sheet: z.string().nullable(),
          sheets: z.array(z.object({ name: z.string(), state: z.string(), rows: count })).nullable(),
          warnings: z.array(Message),
        }),
        options: FileReading.meta({
          description: 'What was said of how to read it, by whoever started it or here.',
        }),
        above: Cells.meta({ description: 'Lines above the table, at most 20.' }),
        columns: z.array(
          z.object({
            name: z.string(),
            original: z.string(),
            type: z.string(),
            format: ColumnFormat.optional(),
          }),
        ),
        mapping: Mapping,
        fields: z.array(z.string()).meta({ description: 'The fields of `values`, in their order.' }),
        rows: z.array(
          z.object({
            record: z.int(),
            line: z.int(),
            cells: Cells,
            values: z
              .array(z.string().nullable())
              .nullable()
              .meta({ description: 'As they would be written; null for a row that would not be.' }),
            issues: z.array(Issue),
          }),
        ),
        looked: z
          .object({ rows: count, blocked: count })
          .meta({ description: 'Rows of the beginning that were read, and those among them with an error.' }),
        unknown: z
          .array(
            z.object({
              field: z.string(),
              values: z.array(z.object({ value: z.string(), count, suggestion: z.string().optional() })),
            }),
          )
          .meta({
            description:
              'Words that a field with a fixed set of them does not know, the most frequent first.',
          }),
        readings: z
          .array(
            z.object({
              field: z.string(),
              text: z.string(),
              readings: z.array(z.object({ format: ColumnFormat, value: z.string() })),
            }),
          )
          .meta({ description: 'A cell of each column that means different things in different formats.' }),
      })
      .meta({ id: 'MappingPreview' }),
  },
  problems: [404, 409, 422, 503],
});

export const previewRoutes = [tryMapping];
