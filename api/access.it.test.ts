import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { mintSignInLink, mintToken, type Role } from '../db/access.ts';
import { allRoutes } from './openapi.ts';
import { ROLES, type RouteSpec } from './schemas/common.ts';
import { startTestApp, type Reply, type TestApp } from '../test/api.ts';

let app: TestApp;
beforeAll(async () => {
  app = await startTestApp();
});
afterAll(() => app.close());

const methodOf = (spec: RouteSpec): string => spec.method.toUpperCase();
/** The route's address with ids that are nobody's. */
const addressOf = (spec: RouteSpec): string =>
  spec.path
    .replace('{id}', spec.path.includes('/tokens/') ? '0123456789abcdef' : randomUUID())
    .replace('{name}', 'products')
    .replace('{key}', 'a')
    .replace('{record}', '1')
    .replace('{kind}', 'failed');
/** Passes every schema's shape as far as authorisation is concerned: roles are looked at before bodies. */
const ask = (spec: RouteSpec, token: string | null): Promise<Reply> =>
  app.call(methodOf(spec), addressOf(spec), { token, ...(spec.body && { body: {} }) });

describe('every route of the OpenAPI document', () => {
  const guarded = allRoutes.filter((spec) => spec.role !== 'anyone' && spec.id !== 'importEvents');

  it('is served', async () => {
    const document = (await app.call('GET', '/api/openapi.json', { token: null })).body;
    const documented = Object.entries(
      document.paths as Record<string, Record<string, { operationId: string }>>,
    ).flatMap(([path, operations]) =>
      Object.entries(operations).map(([method, { operationId }]) => ({ path, method, id: operationId })),
    );
    expect(documented).toHaveLength(allRoutes.length);
    for (const { path, method, id } of documented) {
      const spec = allRoutes.find((one) => one.id === id)!;
      expect({ path: spec.path, method: spec.method }).toEqual({ path, method });
      const reply = await ask(spec, null);
      expect(reply.body?.code, `${method} ${path}`).not.toBe('unknown_address');
    }
  });

  it('without a credential is open only where it says so', () => {
    const open = allRoutes.filter((spec) => spec.role === 'anyone').map((spec) => spec.id);
    expect(open.toSorted()).toEqual(['createSession', 'showHealth', 'showOpenApi', 'showReadiness']);
  });

  it.each(guarded)('$id needs a credential that is in force', async (spec) => {
    expect((await ask(spec, null)).status).toBe(401);
    expect((await ask(spec, 'wb_nonsense')).status).toBe(401);
  });

  it.each(guarded)('$id is for $role and above', async (spec) => {
    for (const role of ROLES) {
      const reply = await ask(spec, app.tokens[role]);
      const enough = ROLES.indexOf(role) >= ROLES.indexOf(spec.role as Role);
      if (enough) expect([401, 403], `${role} of ${spec.role}`).not.toContain(reply.status);
      else
        expect(reply, `${role} of ${spec.role}`).toMatchObject({
          status: 403,
          body: { code: 'role_too_low' },
        });
      expect(reply.status).toBeLessThan(500);
    }
  });

  const ofImport = allRoutes.filter((spec) => spec.path.startsWith('/api/imports/{id}'));
  it.each(ofImport)("$id answers for another tenant's import as for an unknown one", async (spec) => {
    const id = await app.makeImport({ status: 'waiting', waiting_for: app.owner.json({ what: 'approval' }) });
    const bodies: Record<string, unknown> = {
      approveImport: { plan: { version: 1, digest: 'x' } },
      confirmMapping: { fields: [] },
    };
    const at = (importId: string) =>
      app.call(methodOf(spec), addressOf({ ...spec, path: spec.path.replace('{id}', importId) }), {
        token: app.foreign.admin,
        ...(spec.body && { body: bodies[spec.id] ?? {} }),
      });
    const [foreign, unknown] = await Promise.all([at(id), at(randomUUID())]);
    expect(foreign.status).toBe(404);
    expect(foreign.body).toEqual(unknown.body);
  });
});

describe('tokens', () => {
  it('are made, listed without secret, and revoked at once', async () => {
    const made = await app.call('POST', '/api/tokens', {
      body: { name: 'nightly', role: 'operator', expiresInDays: 30 },
    });
    expect(made.status).toBe(201);
    expect(made.body).toMatchObject({ name: 'nightly', role: 'operator' });
    const token = made.body.token as string;
    expect((await app.call('GET', '/api/session', { token })).body).toMatchObject({
      name: 'nightly',
      role: 'operator',
      tenant: 'default',
    });
    const listed = (await app.call('GET', '/api/tokens')).body.items;
    expect(JSON.stringify(listed)).not.toContain(token);
    const { id } = listed.find((one: { name: string }) => one.name === 'nightly');
    // Another tenant's administrator does not know it.
    expect((await app.call('DELETE', `/api/tokens/${id}`, { token: app.foreign.admin })).status).toBe(404);
    expect((await app.call('DELETE', `/api/tokens/${id}`)).status).toBe(204);
    expect((await app.call('GET', '/api/session', { token })).status).toBe(401);
  });

  it('of a fixed name replace each other', async () => {
    const mint = () => mintToken(app.ownerUrl, { tenantId: 'default', role: 'admin', name: 'local' });
    const [first, second] = [await mint(), await mint()];
    expect((await app.call('GET', '/api/session', { token: first })).status).toBe(401);
    expect((await app.call('GET', '/api/session', { token: second })).status).toBe(200);
  });

  it('expire', async () => {
    const token = await mintToken(app.ownerUrl, { tenantId: 'default', role: 'viewer', name: 'old' });
    await app.owner`update waybill.tokens set expires_at = now() - interval '1 second' where name = 'old'`;
    expect((await app.call('GET', '/api/session', { token })).status).toBe(401);
  });
});

describe('sessions', () => {
  const signIn = async (role: Role = 'operator') => {
    const secret = await mintSignInLink(app.ownerUrl, { tenantId: 'default', person: 'Aiko', role });
    const reply = await app.call('POST', '/api/session', { token: null, body: { secret } });
    return { secret, reply, cookie: reply.headers.get('set-cookie')?.split(';')[0] ?? '' };
  };

  it('come from a link that works once', async () => {
    const { secret, reply, cookie } = await signIn();
    expect(reply.status).toBe(201);
    expect(reply.body).toMatchObject({ tenant: 'default', name: 'Aiko', role: 'operator' });
    expect(reply.headers.get('set-cookie')).toMatch(/HttpOnly.*SameSite=Strict/);
    expect((await app.call('POST', '/api/session', { token: null, body: { secret } })).body.code).toBe(
      'invalid_link',
    );
    const who = await app.call('GET', '/api/session', { token: null, headers: { cookie } });
    expect(who.body).toMatchObject({ name: 'Aiko' });
  });

  it('are over after signing out', async () => {
    const { cookie } = await signIn();
    const headers = { cookie, 'sec-fetch-site': 'same-origin' };
    expect((await app.call('DELETE', '/api/session', { token: null, headers })).status).toBe(204);
    expect((await app.call('GET', '/api/session', { token: null, headers: { cookie } })).body.code).toBe(
      'session_over',
    );
  });

  it('change nothing for a page of another origin', async () => {
    const { cookie } = await signIn('admin');
    const make = (headers: Record<string, string>) =>
      app.call('POST', '/api/tokens', {
        token: null,
        body: { name: 'x', role: 'viewer' },
        headers: { cookie, ...headers },
      });
    expect((await make({})).body.code).toBe('foreign_origin');
    expect((await make({ 'sec-fetch-site': 'same-site' })).status).toBe(403);
    expect((await make({ 'sec-fetch-site': 'cross-site' })).status).toBe(403);
    expect((await make({ origin: 'http://127.0.0.1:9' })).status).toBe(403);
    expect((await make({ origin: app.url })).status).toBe(201);
    expect((await make({ 'sec-fetch-site': 'same-origin' })).status).toBe(201);
  });

  it('are not given to those who guess', async () => {
    const replies: number[] = [];
    for (let n = 0; n < 15; n++) {
      replies.push(
        (await app.call('POST', '/api/session', { token: null, body: { secret: `guess-${n}` } })).status,
      );
    }
    expect(replies.at(-1)).toBe(429);
  });
});
