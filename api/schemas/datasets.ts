import * as z from 'zod';
import { LIMIT_CODES } from '../../intake/rules/types.ts';
import { Cursor, Name, route } from './common.ts';

const Title = z.object({ en: z.string().min(1).max(200), ja: z.string().min(1).max(200) });
const FieldName = z.string().min(1).max(200);
const SqlName = z.string().min(1).max(63);
const FieldType = z.enum(['text', 'integer', 'decimal', 'boolean', 'date', 'timestamp', 'email', 'phone']);
const Bound = z.string().min(1).max(100);

/** What a field is; `key` follows from the dataset's key. */
const fieldShape = {
  name: FieldName,
  column: SqlName.meta({ description: 'Column of the target table.' }),
  title: Title,
  type: FieldType,
  required: z.boolean(),
  empty: z.enum(['keep', 'clear', 'block']).meta({ description: 'What an empty cell means.' }),
  aliases: z.array(z.string().max(200)).max(500),
  seconds: z
    .array(z.string().max(200))
    .max(500)
    .optional()
    .meta({ description: 'Names that mean it where no column has a better one.' }),
  hints: z
    .array(z.string().max(200))
    .max(500)
    .optional()
    .meta({ description: 'Names that may mean it: a question, unless the cells settle it.' }),
  minLength: z.int().min(0).optional(),
  maxLength: z.int().min(0).optional(),
  precision: z.int().min(1).optional().meta({ description: 'Digits of a decimal in all.' }),
  scale: z.int().min(0).optional().meta({ description: 'Digits after the point; nothing is rounded.' }),
  min: Bound.optional().meta({ description: 'A number, or a date: 2026-01-31, today, today-30.' }),
  max: Bound.optional(),
  above: Bound.optional().meta({ description: 'More than this.' }),
  below: Bound.optional().meta({ description: 'Less than this.' }),
  pattern: z.string().max(2000).optional().meta({ description: 'A regular expression for the whole value.' }),
  enum: z.array(z.string().max(1000)).max(1000).optional(),
  normalise: z.boolean().optional().meta({ description: 'E-mail and phone: written in one way.' }),
  country: z
    .string()
    .regex(/^[A-Z]{2}$/)
    .optional()
    .meta({ description: 'Of phone numbers without a country code (ISO 3166).' }),
  warn: z.array(z.enum(LIMIT_CODES)).optional().meta({ description: 'Limits that only warn.' }),
};
const DatasetField = z.object({
  ...fieldShape,
  key: z.boolean().meta({ description: 'Part of the natural key.' }),
});

const severity = z.enum(['error', 'warning']).optional();
const names = z.array(FieldName).min(1).max(32);
const Rule = z
  .discriminatedUnion('kind', [
    z.strictObject({
      kind: z.literal('compare'),
      left: FieldName,
      operator: z.enum(['<', '<=', '=', '<>', '>=', '>']),
      right: FieldName,
      severity,
    }),
    z.strictObject({ kind: z.literal('unique'), fields: names, index: SqlName.optional(), severity }),
    z.strictObject({
      kind: z.literal('reference'),
      fields: names,
      to: z.union([
        z.strictObject({
          schema: SqlName,
          table: SqlName,
          columns: z.array(SqlName).min(1).max(32),
          tenantColumn: SqlName.optional(),
        }),
        z.strictObject({ dataset: Name }),
      ]),
      severity,
    }),
    z.strictObject({ kind: z.literal('type'), field: FieldName, type: z.string().min(1).max(200) }),
  ])
  .meta({ id: 'DatasetRule', description: 'What is about more than one cell.' });

const shape = {
  title: Title,
  target: z.object({ schema: SqlName, table: SqlName }),
  key: names.meta({ description: 'Fields of the natural key.' }),
  keyIndex: SqlName.meta({ description: 'The full unique index of the target that makes it one.' }),
  duplicates: z
    .enum(['last', 'first', 'refuse'])
    .meta({ description: 'Which record of a key counts in one file; `refuse` blocks them all.' }),
  rules: z.array(Rule).max(200),
};
export const Dataset = z
  .object({
    name: Name,
    version: z.int(),
    builtIn: z.boolean(),
    ...shape,
    fields: z.array(DatasetField),
  })
  .meta({ id: 'Dataset' });

/** What is saved. What an answer shows beside it may come back and says nothing. */
const definition = {
  ...shape,
  title: Title.optional(),
  duplicates: shape.duplicates.default('last'),
  rules: shape.rules.default([]),
  fields: z
    .array(
      z.strictObject({
        ...fieldShape,
        title: Title.optional(),
        required: z.boolean().default(false),
        empty: fieldShape.empty.default('keep'),
        aliases: fieldShape.aliases.default([]),
        key: z.boolean().optional().meta({ description: 'Not read: `key` of the dataset says it.' }),
      }),
    )
    .min(1)
    .max(1600),
  version: z.int().optional().meta({ description: 'Not read.' }),
  builtIn: z.boolean().optional().meta({ description: 'Not read.' }),
};
const NewDataset = z.strictObject({ name: Name, ...definition }).meta({ id: 'NewDataset' });
const ChangedDataset = z
  .strictObject({ name: Name.optional().meta({ description: 'Not read.' }), ...definition })
  .meta({ id: 'ChangedDataset' });

const params = z.object({ name: Name });

export const listDatasets = route({
  id: 'listDatasets',
  method: 'get',
  path: '/api/datasets',
  tag: 'datasets',
  summary: 'The datasets that files can be imported into',
  role: 'viewer',
  answer: {
    status: 200,
    description: 'All of them.',
    schema: z.object({ items: z.array(Dataset) }).meta({ id: 'DatasetList' }),
  },
});

export const showDataset = route({
  id: 'showDataset',
  method: 'get',
  path: '/api/datasets/{name}',
  tag: 'datasets',
  summary: 'One dataset: its fields, key, rules and target',
  role: 'viewer',
  params,
  answer: { status: 200, description: 'The dataset.', schema: Dataset },
  problems: [404],
});

export const introspectTable = route({
  id: 'introspectTable',
  method: 'post',
  path: '/api/datasets/introspect',
  tag: 'datasets',
  summary: 'Propose a dataset for an existing table; nothing is saved',
  role: 'admin',
  body: z.strictObject({
    schema: SqlName,
    table: SqlName,
    name: Name.optional().meta({ description: "The dataset's name; the table's own unless said otherwise." }),
    key: SqlName.optional().meta({ description: 'Unique index to take as the key.' }),
  }),
  answer: {
    status: 200,
    description: 'What the catalog says, as a dataset; what it leaves to the database, as notes.',
    schema: z
      .object({
        dataset: Dataset,
        keys: z
          .array(z.object({ index: z.string(), columns: z.array(z.string()) }))
          .meta({ description: 'Unique indexes that could be the key, the likeliest first.' }),
        notes: z.array(z.object({ code: z.string(), message: z.string() })),
      })
      .meta({ id: 'Introspection' }),
  },
  problems: [422],
});

export const createDataset = route({
  id: 'createDataset',
  method: 'post',
  path: '/api/datasets',
  tag: 'datasets',
  summary: 'Save a dataset',
  role: 'admin',
  body: NewDataset,
  answer: { status: 201, description: 'The dataset, in its first version.', schema: Dataset },
  problems: [409, 422],
});

export const changeDataset = route({
  id: 'changeDataset',
  method: 'put',
  path: '/api/datasets/{name}',
  tag: 'datasets',
  summary: 'Save the next version of a dataset; imports that run keep theirs',
  role: 'admin',
  params,
  body: ChangedDataset,
  answer: { status: 200, description: 'The dataset as it is now.', schema: Dataset },
  problems: [404, 409, 422],
});

export const removeDataset = route({
  id: 'removeDataset',
  method: 'delete',
  path: '/api/datasets/{name}',
  tag: 'datasets',
  summary: 'Take a dataset out of use; its table and its records stay',
  role: 'admin',
  params,
  answer: { status: 204, description: 'Removed.' },
  problems: [404, 409],
});

export const listRecords = route({
  id: 'listRecords',
  method: 'get',
  path: '/api/datasets/{name}/records',
  tag: 'datasets',
  summary: 'The records of a dataset, in the order of their key',
  role: 'viewer',
  params,
  query: z.object({
    cursor: Cursor.optional(),
    limit: z.coerce.number().int().min(1).max(200).default(50),
    q: z
      .string()
      .min(1)
      .max(200)
      .optional()
      .meta({ description: 'What the first field of the key begins with.' }),
  }),
  answer: {
    status: 200,
    description: 'A page of records; values as text, exactly as the database writes them.',
    schema: z
      .object({
        columns: z.array(z.object({ name: z.string(), title: Title, type: z.string(), key: z.boolean() })),
        items: z.array(z.record(z.string(), z.string().nullable())),
        nextCursor: z.string().nullable(),
      })
      .meta({ id: 'RecordPage' }),
  },
  problems: [404],
});

export const datasetRoutes = [
  listDatasets,
  showDataset,
  introspectTable,
  createDataset,
  changeDataset,
  removeDataset,
  listRecords,
];
