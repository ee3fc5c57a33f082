import * as z from 'zod';
import { ROLES, route, Time } from './common.ts';

const RoleName = z.enum(ROLES);
const Session = z
  .object({
    tenant: z.string(),
    name: z.string().meta({ description: 'The person, or the name of the token.' }),
    role: RoleName,
    expiresAt: Time.nullable(),
  })
  .meta({ id: 'Session' });

export const createSession = route({
  id: 'createSession',
  method: 'post',
  path: '/api/session',
  tag: 'access',
  summary: 'Exchange the secret of a sign-in link for a session cookie; works once',
  role: 'anyone',
  body: z.strictObject({ secret: z.string().min(1).max(200) }),
  answer: {
    status: 201,
    description: 'Signed in; the cookie is HttpOnly and SameSite=Strict.',
    schema: Session,
  },
  problems: [429],
});

export const showSession = route({
  id: 'showSession',
  method: 'get',
  path: '/api/session',
  tag: 'access',
  summary: 'Who is calling',
  role: 'viewer',
  answer: { status: 200, description: 'Tenant, name and role.', schema: Session },
});

export const endSession = route({
  id: 'endSession',
  method: 'delete',
  path: '/api/session',
  tag: 'access',
  summary: 'Sign out',
  role: 'viewer',
  answer: { status: 204, description: 'Signed out.' },
});

const TokenName = z
  .string()
  .regex(/^[\p{L}\p{N}][\p{L}\p{N} ._@-]{0,99}$/u)
  .meta({ override: { type: 'string', maxLength: 100 } });
const Token = z.object({
  id: z.string(),
  name: z.string(),
  role: RoleName,
  createdAt: Time,
  expiresAt: Time.nullable(),
  lastUsedAt: Time.nullable(),
});

export const createToken = route({
  id: 'createToken',
  method: 'post',
  path: '/api/tokens',
  tag: 'access',
  summary: 'Make a bearer token; its secret is shown this once',
  role: 'admin',
  body: z.strictObject({
    name: TokenName,
    role: RoleName,
    expiresInDays: z.int().min(1).max(3650).optional(),
  }),
  answer: {
    status: 201,
    description: 'The token.',
    schema: Token.extend({ token: z.string() }).meta({ id: 'NewToken' }),
  },
});

export const listTokens = route({
  id: 'listTokens',
  method: 'get',
  path: '/api/tokens',
  tag: 'access',
  summary: 'Tokens in force',
  role: 'admin',
  answer: {
    status: 200,
    description: 'Without their secrets.',
    schema: z.object({ items: z.array(Token) }).meta({ id: 'TokenList' }),
  },
});

export const revokeToken = route({
  id: 'revokeToken',
  method: 'delete',
  path: '/api/tokens/{id}',
  tag: 'access',
  summary: 'Revoke a token at once',
  role: 'admin',
  params: z.object({ id: z.string().regex(/^[0-9a-f]{16}$/) }),
  answer: { status: 204, description: 'Revoked.' },
  problems: [404],
});

export const accessRoutes = [createSession, showSession, endSession, createToken, listTokens, revokeToken];
