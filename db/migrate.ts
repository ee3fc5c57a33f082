import { createHmac } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import pg from 'pg';
import { quoteName, quoteText } from './connect.ts';

const directory = new URL('./migrations/', import.meta.url);
/** Any number will do as long as it stays: two starts at once migrate one after the other. */
const MIGRATION_LOCK = 7_295_001;

/** Brings the database up to date: each numbered file once, in one transaction, under an advisory lock. */
export async function migrate(ownerUrl: string): Promise<{ applied: string[] }> {
  const files = (await readdir(directory)).filter((name) => /^\d{4}_.*\.sql$/.test(name)).sort();
  const client = new pg.Client({ connectionString: ownerUrl });
  await client.connect();
  try {
    const version = Number((await client.query('show server_version_num')).rows[0].server_version_num);
    if (version < 160000) throw new Error(`Waybill needs PostgreSQL 16 or later; this is ${version}.`);
    await client.query('select pg_advisory_lock($1)', [MIGRATION_LOCK]);
    await client.query(
      `create table if not exists public.waybill_migrations
         (name text primary key, applied_at timestamptz not null default now())`,
    );
    const done = new Set(
      (await client.query<{ name: string }>('select name from public.waybill_migrations')).rows.map(
        (r) => r.name,
      ),
    );
    const applied: string[] = [];
    for (const name of files) {
      if (done.has(name)) continue;
      const sql = await readFile(new URL(name, directory), 'utf8');
      await client.query('begin');
      await client.query(sql);
      await client.query('insert into public.waybill_migrations (name) values ($1)', [name]);
      await client.query('commit');
      applied.push(name);
    }
    return { applied };
  } finally {
    await client.end();
  }
}

/**
 * The two restricted roles that the processes run under, and their addresses. The passwords are derived from the
 * owner's, so that several hosts agree on them without a place to keep them.
 */
export async function ensureRoles(ownerUrl: string): Promise<{ apiUrl: string; workerUrl: string }> {
  const client = new pg.Client({ connectionString: ownerUrl });
  await client.connect();
  try {
    await client.query('select pg_advisory_lock($1)', [MIGRATION_LOCK]);
    const address = (role: string) => {
      const url = new URL(ownerUrl);
      const password = createHmac('sha256', decodeURIComponent(url.password)).update(role).digest('hex');
      url.username = role;
      url.password = password;
      return { url: url.href, password };
    };
    const urls: Record<string, string> = {};
    for (const role of ['waybill_api', 'waybill_worker']) {
      const { url, password } = address(role);
      urls[role] = url;
      const exists = (await client.query('select from pg_roles where rolname = $1', [role])).rowCount;
      await client.query(
        `${exists ? 'alter' : 'create'} role ${quoteName(role)} login nosuperuser nocreatedb nocreaterole
         password ${quoteText(password)}`,
      );
      // Pause ends a batch that will not let go (control.ts); cancelling a statement of planning needs it too.
      await client.query(`grant pg_signal_backend to ${quoteName(role)}`);
    }
    await client.query(await readFile(new URL('grants.sql', directory), 'utf8'));
    return { apiUrl: urls['waybill_api']!, workerUrl: urls['waybill_worker']! };
  } finally {
    await client.end();
  }
}
