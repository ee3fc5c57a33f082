import * as z from 'zod';
import {
  Accounting,
  ImportId,
  importParams,
  Message,
  Mode,
  Name,
  pageOf,
  pageQuery,
  PhaseName,
  Policy,
  route,
  Status,
  Time,
} from './common.ts';
import { Mapping } from './mapping.ts';

const WaitingFor = z
  .looseObject({
    what: z.string().meta({
      description:
        'Of a person: `mapping`, `review`, `guard` ..., `resume` (paused). Of a thing: `turn`, `slot`, `database`, `store`, `worker` ...',
    }),
    since: z.string().optional(),
    nextTryAt: z.string().nullable().optional(),
  })
  .meta({ id: 'WaitingFor' });

const Phase = z.object({ name: PhaseName, startedAt: Time, finishedAt: Time.nullable() });

const summaryFields = {
  id: ImportId,
  dataset: Name,
  fileName: z.string(),
  status: Status,
  phase: PhaseName.nullable().meta({ description: 'Null once the run has ended.' }),
  waitingFor: WaitingFor.nullable(),
  accounting: Accounting.nullable().meta({ description: 'So far, while the run is open.' }),
  bytes: z.int().nullable(),
  policy: Policy,
  mode: Mode,
  allOr: z.enum(['nothing', 'undone']).nullable().meta({
    description:
      'It goes in as a whole: `nothing`, in one transaction; `undone`, by batches, and undone if it does not get through. Null: each row by itself.',
  }),
  createdBy: z.string(),
  createdAt: Time,
  startedAt: Time.nullable(),
  finishedAt: Time.nullable(),
  updatedAt: Time,
  error: Message.extend({ importId: z.string().optional() }).nullable(),
};
export const ImportSummary = z.object(summaryFields).meta({ id: 'ImportSummary' });
export const Import = z
  .object({
    ...summaryFields,
    profile: z.object({ name: z.string(), version: z.int() }).nullable(),
    sha256: z.string().nullable(),
    contentSha256: z.string().nullable(),
    phases: z.array(Phase),
    plan: z
      .object({ version: z.int(), digest: z.string() })
      .nullable()
      .meta({ description: 'What approve has to name.' }),
    planCounts: z
      .record(z.string(), z.int())
      .nullable()
      .meta({ description: 'Rows by decision: create, update, unchanged, duplicate, blocked, skipped.' }),
    guard: z.unknown().nullable().meta({ description: 'What the guard saw and said, where it was asked.' }),
    issues: z.object({ errors: z.int(), warnings: z.int() }),
    errorReportUrl: z.string().nullable(),
    proofUrl: z.string().nullable(),
    workflowUrl: z.string().nullable().meta({ description: 'The run in the Temporal Web UI.' }),
    actions: z
      .array(
        z.enum(['pause', 'resume', 'cancel', 'retry', 'approve', 'discard', 'confirm-mapping', 'revert']),
      )
      .meta({ description: 'What can be asked of the run as it stands.' }),
  })
  .meta({ id: 'Import' });

const rows = z.int().nonnegative();
export const ImportProgress = z
  .object({
    job_id: ImportId,
    status: Status,
    phase: z.enum(['uploading', 'parsing', 'validating', 'writing', 'done', 'failed']),
    step: PhaseName.nullable().meta({
      description: 'The phase of the design, null before and after the run.',
    }),
    activity: z.string().nullable().meta({
      description:
        'What the step is at, e.g. `planning`; `prepared`: rows are written and not committed (all or nothing).',
    }),
    rows_total: rows.nullable().meta({ description: 'Null until inspection has counted them.' }),
    rows_parsed: rows,
    rows_valid: rows,
    rows_written: rows.meta({ description: 'created + updated' }),
    rows_prepared: rows.meta({ description: 'Written and not committed yet, where it is all or nothing.' }),
    rows_failed: rows.meta({ description: 'blocked + stale + failed' }),
    duplicates_skipped: rows,
    bytes_total: rows.nullable(),
    bytes_read: rows.meta({ description: 'While the file is downloaded or inspected.' }),
    throughput_rps: z.number().nullable().meta({ description: 'Rows a second of what moves now.' }),
    eta_seconds: z
      .number()
      .nullable()
      .meta({ description: 'Until the run has ended; null where it cannot be known.' }),
    fraction: z
      .number()
      .min(0)
      .max(1)
      .nullable()
      .meta({ description: 'How much of the expected time has passed.' }),
    accounting: Accounting.nullable(),
    waiting_for: WaitingFor.nullable(),
    revert: z
      .object({
        revert: z.int(),
        state: z.enum(['running', 'paused', 'done', 'cancelled', 'failed', 'unproven']),
        records: rows.nullable().meta({ description: 'In all; null until it is known.' }),
        done: rows,
      })
      .nullable()
      .meta({ description: 'While the import is being undone.' }),
    error: Message.extend({ importId: z.string().optional() }).nullable(),
    started_at: Time.nullable(),
    updated_at: Time,
    finished_at: Time.nullable(),
    summary_url: z.string(),
  })
  .meta({ id: 'ImportProgress' });

export const listImports = route({
  id: 'listImports',
  method: 'get',
  path: '/api/imports',
  tag: 'imports',
  summary: 'Imports, the newest first',
  role: 'viewer',
  query: z.object({
    ...pageQuery,
    status: z
      .string()
      .regex(/^[a-z_]+(,[a-z_]+)*$/)
      .transform((list) => list.split(','))
      .pipe(z.array(Status))
      .optional()
      .meta({
        description: 'One or more statuses, separated by commas.',
        override: { type: 'string' },
      }),
    dataset: Name.optional(),
    q: z.string().min(1).max(200).optional().meta({ description: 'Part of the file name, or an id.' }),
    waiting_first: z
      .enum(['true', 'false'])
      .optional()
      .meta({ description: 'What waits for a person before all others.' }),
  }),
  answer: {
    status: 200,
    description: 'A page of imports.',
    schema: pageOf(ImportSummary)
      .extend({
        counts: z
          .array(z.object({ status: Status, count: z.int().nonnegative() }))
          .meta({ description: 'By status, whatever `status` was asked for.' }),
      })
      .meta({ id: 'ImportPage' }),
  },
});

export const showImport = route({
  id: 'showImport',
  method: 'get',
  path: '/api/imports/{id}',
  tag: 'imports',
  summary: 'One import',
  role: 'viewer',
  params: importParams,
  answer: { status: 200, description: 'The import.', schema: Import },
  problems: [404],
});

export const importStatus = route({
  id: 'importStatus',
  method: 'get',
  path: '/api/imports/{id}/status',
  tag: 'imports',
  summary: 'How far an import is',
  role: 'viewer',
  params: importParams,
  answer: { status: 200, description: 'Progress.', schema: ImportProgress },
  problems: [404],
});

export const importEvents = route({
  id: 'importEvents',
  method: 'get',
  path: '/api/imports/{id}/events',
  tag: 'imports',
  summary: 'How far an import is, as it goes (server-sent events)',
  role: 'viewer',
  params: importParams,
  answer: {
    status: 200,
    description:
      'First an event `status` with an ImportProgress, then at most four a second `delta` with those of its fields that changed. A comment each 15 s keeps the connection alive. A reconnection begins with `status` again: this is state, not a log.',
    contentType: 'text/event-stream',
    schema: z.string(),
  },
  problems: [404],
});

export const previewImport = route({
  id: 'previewImport',
  method: 'get',
  path: '/api/imports/{id}/preview',
  tag: 'imports',
  summary: 'What inspection found: columns, up to 200 rows, and the mapping with its questions',
  role: 'viewer',
  params: importParams,
  answer: {
    status: 200,
    description: 'Sample and mapping.',
    schema: z
      .object({
        fileName: z.string(),
        type: z.string(),
        compression: z.string().nullable(),
        encoding: z.string(),
        delimiter: z.string().nullable(),
        headerRow: z.int().nullable(),
        sheet: z.string().nullable(),
        sheets: z.array(z.object({ name: z.string(), state: z.string(), rows: z.int() })).nullable(),
        rows: z.int(),
        rejected: z.int(),
        columns: z.array(z.object({ name: z.string(), original: z.string(), type: z.string() })),
        sample: z.array(z.array(z.string())),
        warnings: z.array(Message),
        mapping: Mapping.nullable().meta({ description: 'Null until the map phase has proposed one.' }),
        confirmed: z.boolean().meta({ description: 'The mapping is pinned to the import.' }),
      })
      .meta({ id: 'Preview' }),
  },
  problems: [404, 409, 503],
});

export const IssueItem = z
  .object({
    ordinal: z.int(),
    record: z.int().meta({ description: 'Number of the record, from 1; header and preamble not counted.' }),
    line: z.int().meta({ description: 'Physical line of the file (row of the sheet).' }),
    column: z.string().nullable(),
    field: z.string().nullable(),
    code: z.string(),
    severity: z.enum(['error', 'warning']),
    value: z.string().nullable(),
    message: z.string(),
    suggestion: z.string().nullable(),
  })
  .meta({ id: 'Issue' });

export const listIssues = route({
  id: 'listIssues',
  method: 'get',
  path: '/api/imports/{id}/issues',
  tag: 'imports',
  summary: 'The first 1,000 issues, page by page, and exact counts of all',
  role: 'viewer',
  params: importParams,
  query: z.object({
    ...pageQuery,
    code: z.string().max(60).optional(),
    severity: z.enum(['error', 'warning']).optional(),
  }),
  answer: {
    status: 200,
    description: 'A page of issues.',
    schema: pageOf(IssueItem)
      .extend({
        counts: z.array(
          z.object({ code: z.string(), severity: z.enum(['error', 'warning']), count: z.int() }),
        ),
      })
      .meta({ id: 'IssuePage' }),
  },
  problems: [404],
});

export const downloadIssues = route({
  id: 'downloadIssues',
  method: 'get',
  path: '/api/imports/{id}/issues.csv',
  tag: 'imports',
  summary: 'The whole error report as CSV; text that a spreadsheet would run is made harmless',
  role: 'viewer',
  params: importParams,
  answer: { status: 200, description: 'The report.', contentType: 'text/csv', schema: z.string() },
  problems: [404, 409, 503],
});

export const importActivity = route({
  id: 'importActivity',
  method: 'get',
  path: '/api/imports/{id}/phases/activity',
  tag: 'imports',
  summary: 'Who did what to an import, and when its phases began and ended',
  role: 'viewer',
  params: importParams,
  query: z.object(pageQuery),
  answer: {
    status: 200,
    description: 'Audit events, the newest first.',
    schema: pageOf(
      z.object({
        id: z.int(),
        at: Time,
        actor: z.string(),
        action: z.string(),
        reason: z.string().nullable(),
        detail: z.unknown().nullable(),
      }),
    )
      .extend({ phases: z.array(Phase) })
      .meta({ id: 'ActivityPage' }),
  },
  problems: [404],
});

export const importProof = route({
  id: 'importProof',
  method: 'get',
  path: '/api/imports/{id}/proof',
  tag: 'imports',
  summary: 'The proof file of a run: hashes, plan, receipts, accounting and the checks that were made',
  role: 'viewer',
  params: importParams,
  answer: { status: 200, description: 'The proof.', schema: z.looseObject({}) },
  problems: [404, 409, 503],
});

export const importRoutes = [
  listImports,
  showImport,
  importStatus,
  importEvents,
  previewImport,
  listIssues,
  downloadIssues,
  importActivity,
  importProof,
];
