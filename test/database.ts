import { randomBytes } from 'node:crypto';
import pg from 'pg';
import { inject } from 'vitest';

export interface TestDatabase {
  name: string;
  ownerUrl: string;
  /** Of the restricted roles that the processes use. */
  apiUrl: string;
  workerUrl: string;
  drop(): Promise<void>;
}

async function administer(statement: string): Promise<void> {
  const client = new pg.Client({ connectionString: inject('services').adminUrl });
  await client.connect();
  try {
    await client.query(statement);
  } finally {
    await client.end();
  }
}

/** A migrated database of one's own, a copy of the run's template. One per test file, dropped in afterAll. */
export async function createTestDatabase(): Promise<TestDatabase> {
  const { adminUrl, template, apiUrl, workerUrl } = inject('services');
  const name = `test_${randomBytes(6).toString('hex')}`;
  await administer(`create database ${name} template ${template}`);
  const named = (address: string): string => {
    const url = new URL(address);
    url.pathname = `/${name}`;
    return url.href;
  };
  return {
    name,
    ownerUrl: named(adminUrl),
    apiUrl: named(apiUrl),
    workerUrl: named(workerUrl),
    drop: () => administer(`drop database if exists ${name} with (force)`),
  };
}
