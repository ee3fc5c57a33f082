/**
 * `npm run grant -- SCHEMA.TABLE [TENANT] [--revoke]`: gives a table to a tenant as a target of imports, as the
 * database's owner (DATABASE_URL, or the instance that runs here).
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import pg from 'pg';

function ownerUrl(): string {
  if (process.env['DATABASE_URL']) return process.env['DATABASE_URL'];
  const path = join(process.env['WAYBILL_DATA'] ?? '.waybill', 'run.json');
  try {
    return (JSON.parse(readFileSync(path, 'utf8')) as { databaseUrl: string }).databaseUrl;
  } catch {
    throw new Error(`Set DATABASE_URL, or start Waybill first: there is no ${path}.`);
  }
}

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: { revoke: { type: 'boolean' } },
});
const [table, tenant = 'default'] = positionals;
if (!table) throw new Error('Say which table: npm run grant -- SCHEMA.TABLE [TENANT] [--revoke]');
const client = new pg.Client({ connectionString: ownerUrl() });
await client.connect();
try {
  const act = values.revoke ? 'revoke_target' : 'grant_target';
  await client.query(`select waybill.${act}($1, $2::regclass)`, [tenant, table]);
  console.log(
    values.revoke
      ? `Tenant ${tenant} may no longer load into ${table}.`
      : `Tenant ${tenant} may load into ${table} now. Next: waybill datasets introspect ${table}`,
  );
} finally {
  await client.end();
}
