/**
 * Prepares a database for API and worker, where nothing of `npm start` runs (containers, a cluster): migrates it,
 * makes the restricted roles, and writes api.env and worker.env with their addresses: prepare.ts FOLDER
 * DATABASE_URL is the owner's, which neither process needs. With WAYBILL_URL it prints a one-time sign-in link.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { mintSignInLink } from '../db/access.ts';
import { ensureRoles, migrate } from '../db/migrate.ts';

const folder = process.argv[2];
const ownerUrl = process.env['DATABASE_URL'];
if (!folder || !ownerUrl) {
  console.error('Usage: DATABASE_URL=postgres://owner... node dev/prepare.ts FOLDER');
  process.exit(2);
}
const { applied } = await migrate(ownerUrl);
console.log(applied.length > 0 ? `Migrated: ${applied.join(', ')}.` : 'The database is up to date.');
const { apiUrl, workerUrl } = await ensureRoles(ownerUrl);
mkdirSync(folder, { recursive: true, mode: 0o700 });
for (const [name, url] of Object.entries({ api: apiUrl, worker: workerUrl })) {
  writeFileSync(join(folder, `${name}.env`), `DATABASE_URL=${url}\n`, { mode: 0o600 });
}
const url = process.env['WAYBILL_URL'];
if (url) {
  const secret = await mintSignInLink(ownerUrl, { tenantId: 'default', person: 'admin', role: 'admin' });
  console.log(`Sign in once with ${url}/sign-in?token=${secret}`);
}
