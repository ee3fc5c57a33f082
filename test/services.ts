import { randomBytes } from 'node:crypto';
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import type { TestProject } from 'vitest/node';
import { lockDataFolder } from '../dev/lock.ts';
import type { S3Settings } from '../dev/object-store.ts';
import { removeCluster } from '../dev/postgres.ts';
import { startServices, type Services } from '../dev/services.ts';
import { ensureRoles, migrate } from '../db/migrate.ts';

/** What integration tests get by `inject('services')`. */
export interface TestServices {
  /** Owner's address of a database that no test uses itself: databases are made beside it. */
  adminUrl: string;
  /** Name of the migrated database that each test's own is copied from. */
  template: string;
  /** Addresses of the template under the restricted roles that the processes use. */
  apiUrl: string;
  workerUrl: string;
  temporalAddress: string;
  temporalNamespace: string;
  s3: S3Settings;
}

declare module 'vitest' {
  interface ProvidedContext {
    services: TestServices;
  }
}

async function asAdmin<T>(url: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}

/** Roles belong to the whole server, so runs that share one make them one after the other. */
const ROLES_LOCK = 7_295_002;

/** A running set that engineers share while they work, or one of this run's own. */
async function startOrShare(): Promise<{ services: Services; stop: () => Promise<void> }> {
  const shared = process.env['WAYBILL_TEST_SERVICES'];
  if (shared) {
    if (!existsSync(shared)) {
      throw new Error(
        `WAYBILL_TEST_SERVICES names ${shared}, which does not exist: start dev/services-main.ts.`,
      );
    }
    return {
      services: JSON.parse(readFileSync(shared, 'utf8')) as Services,
      stop: () => Promise.resolve(),
    };
  }
  const dataDir = mkdtempSync(join(tmpdir(), 'waybill-test-'));
  // mkdtemp's mode would keep PostgreSQL's account out of it.
  chmodSync(dataDir, 0o711);
  lockDataFolder(dataDir);
  const services = await startServices({ dataDir, usualPorts: false, log: (line) => console.log(line) });
  return {
    services,
    async stop() {
      await services.stop();
      removeCluster(dataDir);
      rmSync(dataDir, { recursive: true, force: true });
    },
  };
}

/** vitest's globalSetup of the integration tests: real services once a run, and a migrated template database. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const { services, stop } = await startOrShare();
  const template = `template_${randomBytes(4).toString('hex')}`;
  const { databaseUrl: adminUrl, temporalAddress, temporalNamespace, s3 } = services;
  const templateUrl = new URL(adminUrl);
  templateUrl.pathname = `/${template}`;
  try {
    const { apiUrl, workerUrl } = await asAdmin(adminUrl, async (client) => {
      await client.query('select pg_advisory_lock($1)', [ROLES_LOCK]);
      await client.query(`create database ${template} template template0`);
      await migrate(templateUrl.href);
      return ensureRoles(templateUrl.href);
    });
    const provided = { adminUrl, template, apiUrl, workerUrl, temporalAddress, temporalNamespace, s3 };
    project.provide('services', provided);
  } catch (error) {
    await stop();
    throw error;
  }
  return async () => {
    await asAdmin(adminUrl, (client) => client.query(`drop database if exists ${template} with (force)`));
    await stop();
  };
}
