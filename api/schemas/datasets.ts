import * as z from 'zod';
import { Cursor, Name, route } from './common.ts';

const Title = z.object({ en: z.string(), ja: z.string() });
const DatasetField = z.object({
  name: z.string(),
  title: Title,
  type: z.enum(['text', 'integer', 'decimal', 'boolean', 'date', 'timestamp', 'email', 'phone']),
  required: z.boolean(),
  key: z.boolean().meta({ description: 'Part of the natural key.' }),
  empty: z.enum(['keep', 'clear', 'block']).meta({ description: 'What an empty cell means.' }),
  aliases: z.array(z.string()),
  maxLength: z.int().optional(),
  min: z.string().optional(),
  max: z.string().optional(),
  enum: z.array(z.string()).optional(),
});
export const Dataset = z
  .object({
    name: Name,
    version: z.int(),
    title: Title,
    target: z.object({ schema: z.string(), table: z.string() }),
    key: z.array(z.string()),
    duplicates: z.enum(['last', 'first']),
    fields: z.array(DatasetField),
  })
  .meta({ id: 'Dataset' });

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
  summary: 'One dataset: its fields, key and target',
  role: 'viewer',
  params,
  answer: { status: 200, description: 'The dataset.', schema: Dataset },
  problems: [404],
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

export const datasetRoutes = [listDatasets, showDataset, listRecords];
