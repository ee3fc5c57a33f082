import type { Request, Response } from 'express';
import type postgres from 'postgres';
import { findSession, findToken, type Caller, type Role } from '../db/access.ts';
import { ApiError } from './problem.ts';

const SESSION_COOKIE = 'waybill_session';
const RANK: Record<Role, number> = { viewer: 0, operator: 1, approver: 2, admin: 3 };

/** The session's secret, as the cookie carries it. */
export function sessionSecret(req: Request): string | null {
  for (const part of (req.headers.cookie ?? '').split(';')) {
    const [name, value] = part.split('=', 2);
    if (name?.trim() === SESSION_COOKIE && value) return value.trim();
  }
  return null;
}

/** Sets the session cookie; null ends it. */
export function setSessionCookie(
  req: Request,
  res: Response,
  session: { secret: string; seconds: number } | null,
): void {
  res.cookie(SESSION_COOKIE, session?.secret ?? '', {
    httpOnly: true,
    sameSite: 'strict',
    secure: req.secure,
    path: '/',
    maxAge: (session?.seconds ?? 0) * 1000,
  });
}

const SAFE = new Set(['GET', 'HEAD']);

/**
 * SameSite=Strict keeps other sites' requests without the cookie. A page of another port or subdomain is the same
 * site, so what changes something has to come from this very origin.
 */
function refuseForeignOrigin(req: Request): void {
  if (SAFE.has(req.method)) return;
  const site = req.get('sec-fetch-site');
  const origin = req.get('origin');
  if (
    site !== undefined
      ? site === 'same-origin'
      : origin !== undefined && URL.parse(origin)?.host === req.get('host')
  ) {
    return;
  }
  throw new ApiError(
    403,
    'foreign_origin',
    'This request did not come from the console itself. Reload the console and try again.',
  );
}

/** Who calls. A bearer token is preferred to a cookie; a wrong one is not saved by a cookie. */
export async function authenticate(sql: postgres.Sql, req: Request): Promise<Caller> {
  const header = req.get('authorization');
  if (header !== undefined) {
    const token = /^Bearer +([A-Za-z0-9_-]{1,200})$/i.exec(header)?.[1];
    const caller = token ? await findToken(sql, token) : null;
    if (!caller) {
      throw new ApiError(
        401,
        'invalid_token',
        'The token is unknown, expired or revoked. Get another from an administrator.',
        {
          headers: { 'www-authenticate': 'Bearer error="invalid_token"' },
        },
      );
    }
    return caller;
  }
  const secret = sessionSecret(req);
  const caller = secret ? await findSession(sql, secret) : null;
  if (!caller) {
    throw new ApiError(
      401,
      secret ? 'session_over' : 'not_signed_in',
      secret ? 'The session is over. Sign in again.' : 'Sign in, or send a bearer token.',
      { headers: { 'www-authenticate': 'Bearer' } },
    );
  }
  refuseForeignOrigin(req);
  return caller;
}

/** The one place where roles are compared. */
export function requireRole(caller: Caller, role: Role): void {
  if (RANK[caller.role] < RANK[role]) {
    throw new ApiError(
      403,
      'role_too_low',
      `This needs the role ${role}; yours is ${caller.role}. Ask an administrator.`,
    );
  }
}
