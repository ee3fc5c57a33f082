/** For tests: the API on real services, with a database of its own and a token for every role. */
import { randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Client, Connection } from '@temporalio/client';
import { pino } from 'pino';
import { inject } from 'vitest';
import { mintToken, type Role } from '../db/access.ts';
import { connectPool, connectSql } from '../db/connect.ts';
import { createObjectStore } from '../storage/objects.ts';
import { createImportRuns } from '../temporal/imports.ts';
import { createTestDatabase } from './database.ts';
import { createTestNamespace } from './namespace.ts';
import { createApp } from '../api/app.ts';
import type { ApiConfig, ApiDeps } from '../api/deps.ts';
import { createLiveImports } from '../api/live.ts';
import { createReadiness } from '../api/readiness.ts';
import { ROLES } from '../api/schemas/common.ts';

export interface Reply {
  status: number;
  headers: Headers;
  // Whatever the route answers: tests look at what they expect of it.
  // eslint-disable-next-line @typescript-eslint/no-explicit-any
  body: any;
}

export async function startTestApp(config: Partial<ApiConfig> = {}) {
  const services = inject('services');
  const database = await createTestDatabase();
  const sql = connectSql(database.apiUrl);
  const owner = connectSql(database.ownerUrl, { max: 2 });
  const pool = connectPool(database.apiUrl);
  const locks = connectPool(database.apiUrl);
  const store = createObjectStore(services.s3);
  const own = config.temporalNamespace ? null : await createTestNamespace();
  const namespace = config.temporalNamespace ?? own!.namespace;
  const connection = await Connection.connect({ address: services.temporalAddress });
  const client = new Client({ connection, namespace });
  const log = pino({ level: process.env['WAYBILL_LOG'] ?? 'silent' });
  const live = createLiveImports(sql, log);
  const deps: ApiDeps = {
    config: {
      maxFileBytes: 20 * 1024 * 1024,
      maxQueued: 500,
      partBytes: 8 * 1024 * 1024,
      uploadSeconds: 900,
      temporalUi: 'http://temporal.test',
      temporalNamespace: namespace,
      consoleDir: null,
      ...config,
    },
    log,
    sql,
    pool,
    locks,
    store,
    runs: createImportRuns(client),
    temporal: client,
    live,
    readiness: createReadiness({ sql, client, store }),
  };
  const server = createServer(createApp(deps));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;

  const other = `other-${randomUUID().slice(0, 8)}`;
  await owner`insert into waybill.tenants values (${other}, 'Other')`;
  const tokensOf = async (tenantId: string): Promise<Record<Role, string>> =>
    Object.fromEntries(
      await Promise.all(
        ROLES.map(async (role) => [
          role,
          await mintToken(database.ownerUrl, { tenantId, role, name: `test-${role}` }),
        ]),
      ),
    ) as Record<Role, string>;
  const tokens = await tokensOf('default');
  const foreign = await tokensOf(other);

  async function call(
    method: string,
    path: string,
    options: { token?: string | null; body?: unknown; headers?: Record<string, string> } = {},
  ): Promise<Reply> {
    const { token = tokens.admin, body, headers } = options;
    const answer = await fetch(url + path, {
      method,
      headers: {
        ...(token && { authorization: `Bearer ${token}` }),
        ...(body !== undefined && { 'content-type': 'application/json' }),
        ...headers,
      },
      body: body === undefined ? undefined : typeof body === 'string' ? body : JSON.stringify(body),
      redirect: 'manual',
    });
    const text = await answer.text();
    const isJson = /json/.test(answer.headers.get('content-type') ?? '');
    return { status: answer.status, headers: answer.headers, body: isJson && text ? JSON.parse(text) : text };
  }

  return {
    url,
    deps,
    /** As the database's owner: to make a state that takes a run to come to. */
    owner,
    ownerUrl: database.ownerUrl,
    workerUrl: database.workerUrl,
    namespace,
    client,
    tokens,
    foreign,
    call,
    /** An import in whatever state, made directly in the database. */
    async makeImport(row: Record<string, unknown> = {}): Promise<string> {
      const id = randomUUID();
      const values = {
        import_id: id,
        tenant_id: 'default',
        dataset: 'products',
        dataset_version: 1,
        source: owner.json({ kind: 'upload' }),
        file_name: 'stock.csv',
        object_key: `default/${id}/source`,
        object_etag: 'etag',
        file_size: 1000,
        status: 'queued',
        created_by: 'test',
        ...row,
      };
      await owner`insert into waybill.imports ${owner(values)}`;
      return id;
    },
    async close(): Promise<void> {
      await live.close();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      for (const { id } of await owner<{ id: string }[]>`select import_id as id from waybill.imports`) {
        await client.workflow
          .getHandle(id)
          .terminate('test over')
          .catch(() => {});
        for (const { key } of await store.list(`default/${id}/`)) await store.remove(key);
      }
      await Promise.all([
        sql.end(),
        owner.end(),
        pool.end(),
        locks.end(),
        connection.close(),
        store.close(),
        own?.close(),
      ]);
      await database.drop();
    },
  };
}

export type TestApp = Awaited<ReturnType<typeof startTestApp>>;
