import type { Response } from 'express';
import { isDatabaseUnavailable } from '../db/errors.ts';
import { TargetRefused } from '../db/target.ts';
import {
  ObjectChanged,
  ObjectMissing,
  PartsRefused,
  StorageError,
  UploadMissing,
} from '../storage/errors.ts';
import { NotRunningError, NoWorkerError, RefusedError } from '../temporal/imports.ts';

interface More {
  importId?: string;
  errors?: { path: string; message: string }[];
  headers?: Record<string, string>;
}

/** A refusal with its HTTP status, a stable code and a sentence that says what to do next. */
export class ApiError extends Error {
  readonly status: number;
  readonly code: string;
  readonly more: More;
  constructor(status: number, code: string, message: string, more: More = {}) {
    super(message);
    this.status = status;
    this.code = code;
    this.more = more;
  }
}

/** One body for what is unknown and for what is another tenant's: nobody learns what others have. */
export const notFound = (what = 'import'): ApiError =>
  new ApiError(
    404,
    `unknown_${what}`,
    `There is no such ${what} here. Check the id; it may also belong to another tenant.`,
  );

const TITLES: Record<number, string> = {
  400: 'Bad request',
  401: 'Not signed in',
  403: 'Not allowed',
  404: 'Not found',
  405: 'Method not allowed',
  409: 'Not possible now',
  410: 'Expired',
  413: 'Too large',
  415: 'Unsupported content',
  422: 'Not accepted',
  429: 'Too many at once',
  500: 'Something went wrong',
  503: 'Not available',
};

const unavailable = (what: string): ApiError =>
  new ApiError(
    503,
    `${what.replaceAll(' ', '_')}_unavailable`,
    `The ${what} does not answer at the moment. Try again in a few seconds.`,
    {
      headers: { 'retry-after': '5' },
    },
  );

const isGrpc = (error: unknown): boolean =>
  error instanceof Error && (error.name === 'ServiceError' || error.constructor.name === 'ServiceError');

/** What the body parser and the router throw: `status` below 500 and, of the parser, a `type`. */
function fromExpress(error: unknown): ApiError | null {
  if (!(error instanceof Error) || !('status' in error)) return null;
  const status = Number(error.status);
  const type = 'type' in error ? String(error.type) : '';
  if (type === 'entity.parse.failed') {
    return new ApiError(400, 'malformed_json', 'The body is not valid JSON. Send one JSON object.');
  }
  if (type === 'entity.too.large') return new ApiError(413, 'body_too_large', 'The body is too large.');
  if (status === 415)
    return new ApiError(415, 'unsupported_encoding', 'Send the body as UTF-8 JSON, uncompressed or gzip.');
  if (status >= 400 && status < 500) return new ApiError(400, 'bad_request', 'The request cannot be read.');
  return null;
}

/** Text that PostgreSQL does not take: NUL, lone surrogates. */
const isBadText = (error: unknown): boolean =>
  error instanceof Error &&
  'code' in error &&
  ['22021', '22P05', '22P02', '22007', '22008', '22003'].includes(String(error.code));

/** From whatever was thrown to what the caller is told; null where it is our own fault. */
export function asApiError(error: unknown): ApiError | null {
  if (error instanceof ApiError) return error;
  if (error instanceof RefusedError) return new ApiError(409, error.code, error.message);
  if (error instanceof NotRunningError) {
    return new ApiError(
      409,
      'not_running',
      'Nothing runs for this import at the moment. Look at its state; retry starts it again.',
    );
  }
  if (error instanceof NoWorkerError) {
    return new ApiError(
      503,
      'no_worker',
      'No worker answered within 5 s. Nothing was decided; try again when a worker runs.',
      {
        headers: { 'retry-after': '5' },
      },
    );
  }
  if (error instanceof TargetRefused) return new ApiError(422, error.code, error.message);
  if (error instanceof ObjectMissing)
    return new ApiError(409, error.code, `${error.message} Upload it again.`);
  if (error instanceof ObjectChanged)
    return new ApiError(409, error.code, `${error.message} Upload it again.`);
  if (error instanceof UploadMissing || error instanceof PartsRefused) {
    return new ApiError(409, error.code, `${error.message} Ask for its parts, or begin again.`);
  }
  if (error instanceof StorageError) return unavailable('object store');
  if (isDatabaseUnavailable(error)) return unavailable('database');
  if (isBadText(error)) {
    return new ApiError(
      400,
      'invalid_text',
      'The request holds text that cannot be stored (NUL characters, for example).',
    );
  }
  if (isGrpc(error)) return unavailable('workflow service');
  return fromExpress(error);
}

/** Answers with application/problem+json. */
export function sendProblem(res: Response, error: ApiError): void {
  const { importId, errors, headers } = error.more;
  if (headers) res.set(headers);
  res
    .status(error.status)
    .type('application/problem+json')
    .send(
      JSON.stringify({
        type: 'about:blank',
        title: TITLES[error.status] ?? 'Error',
        status: error.status,
        code: error.code,
        detail: error.message,
        ...(importId !== undefined && { importId }),
        ...(errors !== undefined && { errors }),
      }),
    );
}

export const internalError = (): ApiError =>
  new ApiError(
    500,
    'internal',
    'Something went wrong on our side. It was logged; try again, and tell your administrator if it stays.',
  );
