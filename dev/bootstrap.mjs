// What every npm script starts with: node dev/bootstrap.mjs ENTRY.ts [arguments]
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { install, launch } from '../cli/launch.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const [entry, ...args] = process.argv.slice(2);
if (!entry) {
  console.error('Usage: node dev/bootstrap.mjs ENTRY.ts [arguments]');
  process.exit(2);
}
install(root, { whenStale: true });
await launch(root, resolve(join(root, entry)), args);
