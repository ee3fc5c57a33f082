import * as z from 'zod';

export const ROLES = ['viewer', 'operator', 'approver', 'admin'] as const;
export type Role = (typeof ROLES)[number];

/** What one route is: the handlers, the OpenAPI document and the authorization test all read this. */
export interface RouteSpec {
  /** operationId. */
  id: string;
  method: 'get' | 'post' | 'put' | 'patch' | 'delete';
  /** As OpenAPI writes it: `/api/imports/{id}`. */
  path: string;
  tag: string;
  summary: string;
  /** The least role that may call it; `anyone` needs no credential at all. */
  role: Role | 'anyone';
  params?: z.ZodObject;
  query?: z.ZodObject;
  body?: z.ZodType;
  /** Accepts the `Idempotency-Key` header. */
  idempotent?: true;
  answer: {
    status: 200 | 201 | 204;
    description: string;
    /** None for 204. */
    schema?: z.ZodType;
    /** `application/json` unless said otherwise. */
    contentType?: string;
  };
  /** Statuses of problems beyond those that every route may answer with. */
  problems?: number[];
}

/** Keeps the precise types of a route's schemas for its handler. */
export const route = <const T extends RouteSpec>(spec: T): T => spec;

export const Problem = z
  .object({
    type: z.string(),
    title: z.string(),
    status: z.int(),
    code: z.string().meta({ description: 'Stable; for programs.' }),
    detail: z.string().meta({ description: 'A sentence for a person: what is wrong and what to do next.' }),
    importId: z
      .string()
      .optional()
      .meta({ description: 'The import that stands in the way, where one does.' }),
    errors: z
      .array(z.object({ path: z.string(), message: z.string() }))
      .optional()
      .meta({ description: 'Which parts of the request are wrong.' }),
  })
  .meta({ id: 'Problem' });

export const ImportId = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9._:-]{0,127}$/)
  .meta({ description: 'Id of the import; the same as its upload, its job and its workflow.' });
export const importParams = z.object({ id: ImportId });

export const Time = z.iso.datetime({ offset: true });
export const Name = z.string().regex(/^[a-z0-9][a-z0-9_-]{0,62}$/);
export const IdempotencyKey = z.string().min(1).max(255);

export const Cursor = z.string().min(1).max(1000).meta({ description: '`nextCursor` of the page before.' });
export const pageQuery = {
  cursor: Cursor.optional(),
  limit: z.coerce.number().int().min(1).max(200).default(50),
};

/** One page of a list, and how to ask for the next. */
export const pageOf = <T extends z.ZodType>(item: T) =>
  z.object({ items: z.array(item), nextCursor: z.string().nullable() });

export const Policy = z.enum(['auto', 'review', 'guard']);
export const Mode = z.enum(['upsert', 'insert', 'update', 'add']);
export const Status = z
  .enum([
    'uploading',
    'queued',
    'running',
    'paused',
    'waiting',
    'completed',
    'completed_with_issues',
    'unproven',
    'failed',
    'cancelled',
    'reverting',
    'reverted',
  ])
  .meta({ id: 'ImportStatus' });
export const PhaseName = z
  .enum(['download', 'inspect', 'map', 'validate', 'review', 'apply', 'notify'])
  .meta({ id: 'PhaseName' });

const count = z.int().nonnegative();
export const Accounting = z
  .object({
    input: count,
    created: count,
    updated: count,
    unchanged: count,
    duplicates: count,
    blocked: count,
    stale: count,
    skipped: count,
    failed: count,
    notProcessed: count,
    missing: count.optional().meta({ description: 'Records that the file does not have.' }),
    deactivated: count.optional(),
    deleted: count.optional(),
    kept: count.optional().meta({
      description: 'Missing records that were left alone: changed since the plan, referred to, or refused.',
    }),
  })
  .meta({
    id: 'Accounting',
    description:
      '`input` is the sum of all that follow, up to `notProcessed`. The last four are counted beside it, of imports that look for missing records.',
  });

export const Message = z.object({ code: z.string(), message: z.string() });
