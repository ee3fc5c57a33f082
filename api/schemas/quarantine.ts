import * as z from 'zod';
import { Cursor, importParams, pageOf, route, Time } from './common.ts';

const QuarantinedFile = z
  .object({
    importId: z.string(),
    fileName: z.string(),
    dataset: z.string(),
    bytes: z.int().nullable(),
    signature: z.string().meta({ description: "The scanner's name for what it found." }),
    scanner: z.string(),
    objectKey: z.string().meta({ description: 'Where the file is now, in the bucket of the deployment.' }),
    foundAt: Time,
  })
  .meta({ id: 'QuarantinedFile' });

export const listQuarantine = route({
  id: 'listQuarantine',
  method: 'get',
  path: '/api/quarantine',
  tag: 'imports',
  summary: 'Files in which the virus scanner found something',
  role: 'admin',
  query: z.object({
    cursor: Cursor.optional(),
    limit: z.coerce.number().int().min(1).max(100).default(50),
  }),
  answer: {
    status: 200,
    description: 'The newest first.',
    schema: pageOf(QuarantinedFile).meta({ id: 'QuarantinePage' }),
  },
});

export const removeQuarantined = route({
  id: 'removeQuarantined',
  method: 'delete',
  path: '/api/quarantine/{id}',
  tag: 'imports',
  summary: 'Delete a file from quarantine for good; what its import was stays on its page',
  role: 'admin',
  params: importParams,
  answer: { status: 204, description: 'Deleted.' },
  problems: [404, 503],
});

export const quarantineRoutes = [listQuarantine, removeQuarantined];
