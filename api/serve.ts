import type { Request, Response, Router } from 'express';
import type * as z from 'zod';
import type { Caller } from '../db/access.ts';
import { once } from '../db/idempotency.ts';
import { authenticate, requireRole } from './access.ts';
import type { ApiDeps } from './deps.ts';
import { ApiError } from './problem.ts';
import type { RouteSpec } from './schemas/common.ts';

type Read<T> = T extends z.ZodType ? z.output<T> : undefined;

/** A request that was authenticated, authorised and checked against the route's schemas. */
export interface Call<T extends RouteSpec> {
  params: Read<T['params']>;
  query: Read<T['query']>;
  body: Read<T['body']>;
  caller: T['role'] extends 'anyone' ? null : Caller;
  req: Request;
  res: Response;
}

type Answer<T extends RouteSpec> = T['answer'] extends { schema: infer S extends z.ZodType }
  ? z.input<S>
  : void;

/** Returned by a handler that has answered by itself: a stream, another status. */
export const answered = Symbol('answered');

function check<T>(schema: z.ZodType | undefined, value: unknown, what: string): T {
  if (!schema) return undefined as T;
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data as T;
  const errors = parsed.error.issues
    .slice(0, 20)
    .map((issue) => ({ path: issue.path.join('.'), message: issue.message }));
  const first = errors[0]!;
  const where = first.path === '' ? what : `${what}, ${first.path}`;
  throw new ApiError(
    400,
    'invalid_request',
    `The request is not as it should be (${where}: ${first.message}).`,
    { errors },
  );
}

function bodyOf(req: Request): unknown {
  const hasBody =
    req.headers['transfer-encoding'] !== undefined || Number(req.headers['content-length'] ?? 0) > 0;
  if (!hasBody) return {};
  if (!req.is('application/json')) {
    throw new ApiError(415, 'not_json', 'Send the body as application/json.');
  }
  return req.body as unknown;
}

/** True where an own `__proto__` member is anywhere in it: nobody sends that by accident. */
function hasProto(value: unknown): boolean {
  const stack = [value];
  for (let at = stack.pop(); at !== undefined; at = stack.pop()) {
    if (at === null || typeof at !== 'object') continue;
    if (Object.hasOwn(at, '__proto__')) return true;
    for (const member of Object.values(at))
      if (member !== null && typeof member === 'object') stack.push(member);
  }
  return false;
}

/**
 * Serves one route: who calls, whether they may, whether the request is right, all from the route's declaration.
 * A handler translates; whatever it throws becomes a problem in one place (app.ts).
 */
export function serve<T extends RouteSpec>(
  router: Router,
  deps: ApiDeps,
  spec: T,
  handler: (call: Call<T>) => Promise<Answer<T> | typeof answered>,
): void {
  router[spec.method](spec.path.replaceAll(/\{(\w+)\}/g, ':$1'), async (req, res) => {
    let caller: Caller | null = null;
    if (spec.role !== 'anyone') {
      caller = await authenticate(deps.sql, req);
      requireRole(caller, spec.role);
    }
    const raw = spec.body ? bodyOf(req) : undefined;
    if (raw !== undefined && hasProto(raw))
      throw new ApiError(400, 'invalid_request', 'The body must not have a member __proto__.');
    const call = {
      params: check(spec.params, req.params, 'path'),
      query: check(spec.query, req.query, 'query'),
      body: check(spec.body, raw, 'body'),
      caller,
      req,
      res,
    } as Call<T>;
    const { status } = spec.answer;

    const key = spec.idempotent ? keyOf(req, call.body) : null;
    if (key === null || caller === null) {
      const answer = await handler(call);
      if (answer !== answered) send(res, status, answer);
      return;
    }
    const request = { tenantId: caller.tenantId, route: spec.id, key, body: call.body };
    const outcome = await once(deps.locks, request, async () => ({
      status,
      body: (await handler(call)) as unknown,
    }));
    if (outcome.kind === 'busy') {
      throw new ApiError(
        409,
        'in_progress',
        'The same request is being answered at this moment. Wait for that answer, or send it again in a second.',
      );
    }
    if (outcome.kind === 'mismatch') {
      throw new ApiError(
        422,
        'key_reused',
        'This idempotency key was used with another body. Use a new key for a new request.',
      );
    }
    if (outcome.repeated) res.set('idempotent-replayed', 'true');
    send(res, outcome.status, outcome.body);
  });
}

function send(res: Response, status: number, answer: unknown): void {
  res.set('cache-control', 'no-store').status(status);
  if (answer === undefined) res.end();
  else res.json(answer);
}

function keyOf(req: Request, body: unknown): string | null {
  const header = req.get('idempotency-key');
  const member = (body as { idempotency_key?: string } | undefined)?.idempotency_key;
  if (header !== undefined && (header.length === 0 || header.length > 255)) {
    throw new ApiError(400, 'invalid_request', 'Idempotency-Key has to be 1 to 255 characters long.');
  }
  if (header !== undefined && member !== undefined && header !== member) {
    throw new ApiError(400, 'invalid_request', 'Idempotency-Key and idempotency_key are not the same.');
  }
  return header ?? member ?? null;
}
