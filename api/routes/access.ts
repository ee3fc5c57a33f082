import { RateLimiterMemory, RateLimiterRes } from 'rate-limiter-flexible';
import type { Router } from 'express';
import {
  createToken,
  endSession,
  listTokens,
  redeemSignInLink,
  revokeToken,
  type Caller,
  type Token,
} from '../../db/access.ts';
import { sessionSecret, setSessionCookie } from '../access.ts';
import type { ApiDeps } from '../deps.ts';
import { ApiError, notFound } from '../problem.ts';
import * as routes from '../schemas/access.ts';
import { serve } from '../serve.ts';

const sessionJson = (caller: Caller) => ({
  tenant: caller.tenantId,
  name: caller.name,
  role: caller.role,
  expiresAt: caller.expiresAt?.toISOString() ?? null,
});

const tokenJson = ({ id, name, role, createdAt, expiresAt, lastUsedAt }: Token) => ({
  id,
  name,
  role,
  createdAt: createdAt.toISOString(),
  expiresAt: expiresAt?.toISOString() ?? null,
  lastUsedAt: lastUsedAt?.toISOString() ?? null,
});

export function registerAccess(router: Router, deps: ApiDeps): void {
  const { sql } = deps;
  const signIns = new RateLimiterMemory({ points: 10, duration: 60 });

  serve(router, deps, routes.createSession, async ({ body, req, res }) => {
    try {
      await signIns.consume(req.ip ?? 'unknown');
    } catch (error) {
      if (!(error instanceof RateLimiterRes)) throw error;
      throw new ApiError(
        429,
        'too_many_tries',
        'Too many sign-ins from here. Wait a minute, then try again.',
        {
          headers: { 'retry-after': String(Math.ceil(error.msBeforeNext / 1000)) },
        },
      );
    }
    const redeemed = await redeemSignInLink(sql, body.secret);
    if (!redeemed) {
      throw new ApiError(
        401,
        'invalid_link',
        'The sign-in link was used before or is older than 15 minutes. Get a new one.',
      );
    }
    setSessionCookie(req, res, { secret: redeemed.session, seconds: redeemed.seconds });
    return sessionJson(redeemed.caller);
  });

  serve(router, deps, routes.showSession, async ({ caller }) => sessionJson(caller));

  serve(router, deps, routes.endSession, async ({ req, res }) => {
    const secret = sessionSecret(req);
    if (secret) await endSession(sql, secret);
    setSessionCookie(req, res, null);
  });

  serve(router, deps, routes.createToken, async ({ body, caller }) => {
    const made = await createToken(sql, { ...body, tenantId: caller.tenantId, actor: caller.name });
    return { ...tokenJson(made), token: made.token };
  });

  serve(router, deps, routes.listTokens, async ({ caller }) => ({
    items: (await listTokens(sql, caller.tenantId)).map(tokenJson),
  }));

  serve(router, deps, routes.revokeToken, async ({ params, caller }) => {
    if (!(await revokeToken(sql, { tenantId: caller.tenantId, id: params.id, actor: caller.name })))
      throw notFound('token');
  });
}
