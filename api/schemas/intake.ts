import * as z from 'zod';
import { GuardLimits, Missing } from '../../datasets/missing-schema.ts';
import { ColumnTypes } from '../../datasets/profile.ts';
import { IdempotencyKey, ImportId, importParams, Mode, Name, Policy, route, Status } from './common.ts';

const FileName = z
  .string()
  .min(1)
  .max(255)
  .meta({ description: 'Shown to people, never used as a path; the extension is checked.' });
const ETag = z.string().min(1).max(200);
const PartNumber = z.int().min(1).max(10_000);

export const PartUrl = z
  .object({
    part_number: PartNumber,
    url: z.string().meta({ description: 'PUT the bytes here; the answer carries the ETag.' }),
    size: z.int().nonnegative().nullable().meta({ description: 'Null where the size was not declared.' }),
  })
  .meta({ id: 'PartUrl' });

export const ImportOptions = z
  .strictObject({
    policy: Policy.optional().meta({ description: 'Default `auto`.' }),
    profile: Name.optional(),
    mode: Mode.optional().meta({ description: 'Default `upsert`.' }),
    allow_duplicate: z.boolean().optional(),
    missing: Missing.optional(),
    guard: GuardLimits.optional().meta({
      description: 'Limits of the policy `guard` for this import, instead of those of its profile.',
    }),
    atomic: z.boolean().optional().meta({
      description:
        'All rows or none: one transaction, refused if a row is blocked. Above WAYBILL_ATOMIC_ROWS rows (a million) it goes in by batches and is undone if it does not get through. Default: what the profile says.',
    }),
    ask: z.boolean().optional().meta({
      description:
        'Somebody is there: the run asks which of several sheets is meant instead of taking the first.',
    }),
    sheet: z.string().min(1).max(100).optional(),
    encoding: z.string().min(1).max(40).optional().meta({ description: 'A WHATWG encoding label.' }),
    delimiter: z.string().min(1).max(8).optional(),
    quote: z.string().max(1).optional().meta({ description: "One character, or '' for no quoting." }),
    types: ColumnTypes.optional().meta({
      description: 'Types of columns, by their names; the others are found in the cells.',
    }),
    keep_footer: z.boolean().optional().meta({
      description: 'The last lines are records even where they look like totals or notes.',
    }),
    header_row: z.int().min(0).max(1_000_000).optional().meta({
      description: '1-based physical line (row of the sheet); 0 says that the file has no header.',
    }),
  })
  .meta({ id: 'ImportOptions' });

export const initiateImport = route({
  id: 'initiateImport',
  method: 'post',
  path: '/api/imports/initiate',
  tag: 'intake',
  summary: 'Begin an upload: checks name, type, dataset and size, and signs addresses for the parts',
  role: 'operator',
  idempotent: true,
  body: z.strictObject({
    file_name: FileName,
    content_type: z
      .string()
      .max(200)
      .regex(/^([\w!#$&^.+-]+\/[\w!#$&^.+-]+(;[\x20-\x7e]*)?)?$/)
      .optional()
      .meta({ description: 'As the browser says it; may be empty.' }),
    expected_schema: Name.meta({ description: 'The dataset.' }),
    file_size: z.int().nonnegative().optional().meta({ description: 'Bytes that will be stored.' }),
    idempotency_key: IdempotencyKey.optional(),
  }),
  answer: {
    status: 201,
    description: 'PUT the file to `presigned_url`, or its parts to `part_urls`, then complete.',
    schema: z
      .object({
        upload_id: ImportId,
        presigned_url: z.string().nullable().meta({
          description: 'For the whole file; null where the file is larger than `max_part_size`.',
        }),
        part_urls: z.array(PartUrl),
        file_key: z.string(),
        max_part_size: z.int().positive(),
        content_md5: z.string().nullable(),
        expires_in_seconds: z.int().positive(),
        idempotency_key: IdempotencyKey.meta({ description: 'To be sent with complete.' }),
      })
      .meta({ id: 'Upload' }),
  },
  problems: [409, 413, 415, 422, 429, 503],
});

export const signParts = route({
  id: 'signParts',
  method: 'post',
  path: '/api/imports/{id}/parts',
  tag: 'intake',
  summary: 'What has arrived of an upload, and addresses signed anew for what is missing',
  role: 'operator',
  params: importParams,
  body: z.strictObject({
    part_numbers: z.array(PartNumber).max(1000).optional().meta({
      description: 'Sign these even if they have arrived (to upload them again).',
    }),
  }),
  answer: {
    status: 200,
    description: 'Parts that the object store has, and the others.',
    schema: z
      .object({
        upload_id: ImportId,
        arrived: z.array(z.object({ part_number: PartNumber, etag: ETag, size: z.int() })),
        missing: z.array(PartUrl),
        max_part_size: z.int().positive(),
        expires_in_seconds: z.int().positive(),
      })
      .meta({ id: 'UploadParts' }),
  },
  problems: [404, 409, 410, 503],
});

export const completeImport = route({
  id: 'completeImport',
  method: 'post',
  path: '/api/imports/complete',
  tag: 'intake',
  summary: 'The file is there: check it, pin it, start the import',
  role: 'operator',
  idempotent: true,
  body: z.strictObject({
    upload_id: ImportId,
    file_key: z.string().min(1).max(500),
    file_size: z.int().nonnegative().optional(),
    file_sha256: z
      .string()
      .regex(/^[0-9a-fA-F]{64}$/)
      .optional()
      .meta({ description: "Of the stored object's bytes; a wrong one fails the run with nothing staged." }),
    parts: z
      .array(z.object({ part_number: PartNumber, etag: ETag }))
      .max(10_000)
      .optional()
      .meta({ description: 'In order. May be left out after a PUT to `presigned_url`.' }),
    idempotency_key: IdempotencyKey.optional(),
    options: ImportOptions.default({}),
  }),
  answer: {
    status: 200,
    description: 'The job; a second complete gets the same answer and starts nothing new.',
    schema: z.object({ job_id: ImportId, status: Status }).meta({ id: 'Job' }),
  },
  problems: [404, 409, 410, 413, 422, 503],
});

export const intakeRoutes = [initiateImport, signParts, completeImport];
