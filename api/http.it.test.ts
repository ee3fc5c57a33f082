import { request } from 'node:http';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestApp, type TestApp } from '../test/api.ts';

let app: TestApp;
const dir = mkdtempSync(join(tmpdir(), 'waybill-console-'));
beforeAll(async () => {
  mkdirSync(join(dir, '_app/immutable'), { recursive: true });
  writeFileSync(join(dir, 'index.html'), '<!doctype html><title>Waybill</title>');
  writeFileSync(join(dir, '_app/immutable/app.js'), 'export {};');
  writeFileSync(join(dir, '_app/immutable/app.js.br'), 'compressed');
  app = await startTestApp({ consoleDir: dir });
});
afterAll(async () => {
  await app.close();
  rmSync(dir, { recursive: true });
});

const post = (body: string, type = 'application/json') =>
  app.call('POST', '/api/imports/initiate', { body, headers: { 'content-type': type } });

describe('a request that cannot be right', () => {
  const deep = `${'['.repeat(50_000)}${']'.repeat(50_000)}`;
  it.each([
    ['malformed', '{"file_name":', 400, 'malformed_json'],
    ['no object', '"text"', 400, 'malformed_json'],
    ['an array', '[]', 400, 'invalid_request'],
    ['deep', deep, 400, 'invalid_request'],
    ['deep inside', `{"file_name":"a.csv","expected_schema":${deep}}`, 400, 'invalid_request'],
    ['huge', JSON.stringify({ file_name: 'x'.repeat(2_000_000) }), 413, 'body_too_large'],
    [
      'with __proto__',
      '{"__proto__":{"role":"admin"},"file_name":"a.csv","expected_schema":"products"}',
      400,
      'invalid_request',
    ],
    [
      'with a constructor',
      '{"constructor":{"prototype":{}},"file_name":"a.csv","expected_schema":"products"}',
      400,
      'invalid_request',
    ],
    ['with a NUL', '{"file_name":"a\\u0000.csv","expected_schema":"products"}', 422, 'invalid_file_name'],
    [
      'with a lone surrogate',
      '{"file_name":"\\ud800.csv","expected_schema":"products"}',
      422,
      'invalid_file_name',
    ],
    [
      'with a lone surrogate as type',
      '{"file_name":"a.csv","expected_schema":"products","content_type":"\\ud800"}',
      400,
      'invalid_request',
    ],
  ])('%s: refused, never a 500', async (_name, body, status, code) => {
    const reply = await post(body);
    expect(reply.status).toBeLessThan(500);
    expect(reply).toMatchObject({ status, body: { code } });
  });

  it('of another content type is told so', async () => {
    for (const type of [
      'text/plain',
      'application/x-www-form-urlencoded',
      'multipart/form-data; boundary=x',
    ]) {
      expect(await post('a=b', type)).toMatchObject({ status: 415, body: { code: 'not_json' } });
    }
    expect((await post('{}', 'application/json; charset=nonsense')).status).toBe(415);
  });

  it('to nowhere is told where to look', async () => {
    expect(await app.call('GET', '/api/nothing')).toMatchObject({
      status: 404,
      body: { code: 'unknown_address' },
    });
    expect(await app.call('PUT', '/api/imports')).toMatchObject({ status: 404 });
    expect((await app.call('GET', '/api/imports/%E0%A4%A')).status).toBe(400);
    expect((await app.call('GET', `/api/imports/${'x'.repeat(500)}`)).status).toBe(400);
    expect((await app.call('GET', `/api/imports?q=${encodeURIComponent('\u0000')}`)).status).toBe(400);
  });
});

describe('the console', () => {
  const page = (path: string, headers: Record<string, string> = {}) =>
    app.call('GET', path, { token: null, headers: { accept: 'text/html', ...headers } });

  it('answers every page with its one document, under a strict policy', async () => {
    for (const path of ['/', '/imports/123', '/sign-in']) {
      const reply = await page(path);
      expect(reply.status).toBe(200);
      expect(reply.body).toContain('<title>Waybill');
      expect(reply.headers.get('cache-control')).toBe('no-cache');
      const policy = reply.headers.get('content-security-policy')!;
      expect(policy).not.toContain('unsafe-inline');
      expect(policy).toContain(`connect-src 'self' ${app.deps.store.publicOrigin}`);
      expect(reply.headers.get('x-content-type-options')).toBe('nosniff');
      expect(reply.headers.get('x-powered-by')).toBeNull();
    }
  });

  it('keeps what has a hash in its name, and does not answer a missing script with a page', async () => {
    const script = await page('/_app/immutable/app.js', { 'accept-encoding': 'identity' });
    expect(script.body).toBe('export {};');
    expect(script.headers.get('cache-control')).toContain('immutable');
    expect((await page('/_app/immutable/gone.js')).status).toBe(404);
    expect((await page('/../package.json')).body).not.toContain('dependencies');
  });

  it('sends the compressed copy to those who take it', async () => {
    const url = new URL('/_app/immutable/app.js', app.url);
    const got = await new Promise<{ encoding: string | undefined; type: string | undefined; body: string }>(
      (resolve, reject) => {
        request(url, { headers: { 'accept-encoding': 'gzip, br' } }, (res) => {
          let body = '';
          res.on('data', (chunk) => (body += chunk));
          res.on('end', () =>
            resolve({ encoding: res.headers['content-encoding'], type: res.headers['content-type'], body }),
          );
        })
          .on('error', reject)
          .end();
      },
    );
    expect(got).toMatchObject({ encoding: 'br', body: 'compressed' });
    expect(got.type).toMatch(/javascript/);
  });
});

describe('readiness', () => {
  it('says in words what is missing', async () => {
    const reply = await app.call('GET', '/readyz', { token: null });
    const { checks } = reply.body;
    expect(checks).toMatchObject({ database: { ok: true }, temporal: { ok: true }, store: { ok: true } });
    expect(reply.status).toBe(checks.worker.ok ? 200 : 503);
    if (!checks.worker.ok)
      expect(checks.worker.message).toBe('No worker polls: none has asked for work within the last minute.');
  });

  it('is not health', async () => {
    expect(await app.call('GET', '/healthz', { token: null })).toMatchObject({
      status: 200,
      body: { ok: true },
    });
  });
});
