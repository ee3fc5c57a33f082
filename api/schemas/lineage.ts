import * as z from 'zod';
import { Cursor, ImportId, importParams, Name, route, Time } from './common.ts';

const count = z.int().nonnegative();
const Values = z.record(z.string(), z.string().nullable()).meta({
  description: 'By field; text as the database writes it.',
});
const Outcome = z.enum([
  'created',
  'updated',
  'unchanged',
  'duplicate',
  'blocked',
  'stale',
  'skipped',
  'failed',
  'notProcessed',
  // Of records that a full catalogue did not have.
  'deactivated',
  'deleted',
  'gone',
  'kept',
]);

const row = {
  importId: ImportId,
  record: z.int().meta({
    description: 'Number of the row in its file; below zero for a record that was missing in it.',
  }),
  line: count.nullable().meta({ description: 'Null for a record that was missing in the file.' }),
  outcome: Outcome,
  at: Time.nullable().meta({ description: 'When its batch was committed.' }),
  key: z.array(z.string().nullable()).meta({ description: "As the table's key index has it." }),
  values: Values.nullable().meta({
    description: 'What the row said; null where that is no longer kept.',
  }),
  before: Values.nullable(),
  after: Values.nullable(),
  code: z.string().nullable(),
  message: z.string().nullable(),
  winner: count.nullable().meta({ description: 'Of a duplicate: the row that counts instead.' }),
  reverts: z.array(
    z.object({
      revert: count,
      at: Time,
      outcome: z.enum(['removed', 'restored', 'gone', 'skipped', 'failed']),
    }),
  ),
};

export const recordHistory = route({
  id: 'recordHistory',
  method: 'get',
  path: '/api/datasets/{name}/records/{key}/history',
  tag: 'lineage',
  summary:
    'Every row of an import that met this record, the newest import first, and what others did in between',
  role: 'viewer',
  params: z.object({
    name: Name,
    key: z.string().min(1).max(2000).meta({
      description: 'Value of the key; where it has several fields, a JSON array of them in their order.',
    }),
  }),
  query: z.object({
    cursor: Cursor.optional(),
    limit: z.coerce.number().int().min(1).max(50).default(20),
    changes: z
      .enum(['true', 'false'])
      .default('false')
      .meta({ description: 'Only rows that changed the record.' }),
  }),
  answer: {
    status: 200,
    description: 'A page; values as text, exactly as the database writes them.',
    schema: z
      .object({
        dataset: Name,
        record: Values.nullable().meta({ description: 'As it is now; null where there is none.' }),
        items: z.array(
          z.object({
            ...row,
            fileName: z.string(),
            createdBy: z.string(),
            changedSince: z
              .record(z.string(), z.object({ left: z.string().nullable(), found: z.string().nullable() }))
              .nullable()
              .meta({
                description:
                  'What others made of the fields that this row wrote, until the next row of an import met them or until now.',
              }),
          }),
        ),
        nextCursor: z.string().nullable(),
      })
      .meta({ id: 'RecordHistory' }),
  },
  problems: [404, 409, 422],
});

export const showRow = route({
  id: 'showRow',
  method: 'get',
  path: '/api/imports/{id}/rows/{record}',
  tag: 'lineage',
  summary: 'A row of an import: as it stands in the file, what came of it, and the record before and after',
  role: 'viewer',
  params: importParams.extend({ record: z.coerce.number().int().positive() }),
  answer: {
    status: 200,
    description: 'The row.',
    schema: z
      .object({
        ...row,
        dataset: Name,
        issues: z.array(
          z.object({
            code: z.string(),
            message: z.string(),
            field: z.string().nullable(),
            column: z.string().nullable(),
          }),
        ),
        original: z
          .object({
            columns: z.array(z.string()),
            cells: z.array(z.string()),
            text: z.string().nullable().meta({ description: 'The line itself, of a text file.' }),
            offset: count.meta({ description: 'Byte where it begins.' }),
            bytes: count,
            of: z.enum(['object', 'copy']).meta({
              description: 'What the offset refers to: the stored object, or the text that was made from it.',
            }),
          })
          .nullable(),
        originalMissing: z.string().nullable().meta({ description: 'Why the original cannot be shown.' }),
      })
      .meta({ id: 'ImportRow' }),
  },
  problems: [404, 409, 503],
});

export const downloadResults = route({
  id: 'downloadResults',
  method: 'get',
  path: '/api/imports/{id}/results/{kind}',
  tag: 'imports',
  summary:
    'Rows of the file that were written, failed or were not processed: in its own columns, to be imported again',
  role: 'viewer',
  params: importParams.extend({
    kind: z.enum(['written', 'failed', 'not-processed', 'unchanged', 'duplicate', 'missing']).meta({
      description:
        '`missing`: records that the file did not have, in the fields of the dataset, with what became of each.',
    }),
  }),
  answer: {
    status: 200,
    description:
      'CSV (UTF-8 with BOM). What a spreadsheet would take for a formula has an apostrophe in front.',
    schema: z.string(),
    contentType: 'text/csv',
  },
  problems: [404, 409, 503],
});

export const checkProof = route({
  id: 'checkProof',
  method: 'get',
  path: '/api/imports/{id}/proof/checks',
  tag: 'imports',
  summary: 'The proof of a run, checked against the database now',
  role: 'viewer',
  params: importParams,
  answer: {
    status: 200,
    description: 'Each check with its SQL, what was found and what it has to be.',
    schema: z
      .object({
        ok: z.boolean(),
        checks: z.array(
          z.object({
            name: z.string(),
            sql: z.string(),
            expected: z.number(),
            found: z.number().nullable(),
            ok: z.boolean(),
            error: z.string().nullable(),
          }),
        ),
      })
      .meta({ id: 'CheckedProof' }),
  },
  problems: [404, 409, 503],
});

export const lineageRoutes = [recordHistory, showRow, downloadResults, checkProof];
