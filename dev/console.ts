import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, globSync, openSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';

/** What building makes itself; everything else under ui/ is a source. */
const MADE = ['build', '.svelte-kit', 'node_modules', 'src/lib/paraglide', 'src/lib/client'];

function hashSources(ui: string): string {
  const hash = createHash('sha256');
  const made = MADE.map((folder) => join(ui, folder));
  const files = globSync('**/*', { cwd: ui, exclude: (name) => made.includes(join(ui, name)) })
    .map((name) => join(ui, name))
    .concat(join(ui, '..', 'package-lock.json'))
    .filter((path) => statSync(path).isFile())
    .sort();
  for (const path of files) hash.update(relative(ui, path)).update('\0').update(readFileSync(path));
  return hash.digest('hex');
}

/** Builds the console if its sources are not those that the last build was made of. */
export async function buildConsole(
  root: string,
  logFile: string,
  log: (line: string) => void,
): Promise<void> {
  const ui = join(root, 'ui');
  const stamp = join(ui, 'build', '.sources');
  if (!existsSync(join(ui, 'vite.config.ts'))) {
    log('There is no console to build yet (no ui/vite.config.ts): going on without it.');
    return;
  }
  const sources = hashSources(ui);
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === sources) return;
  log('Building the console ...');
  const output = openSync(logFile, 'w', 0o600);
  const code = await new Promise<number | null>((resolve, reject) => {
    const vite = join(root, 'node_modules', 'vite', 'bin', 'vite.js');
    const child = spawn(process.execPath, [vite, 'build'], { cwd: ui, stdio: ['ignore', output, output] });
    child.once('error', reject);
    child.once('close', resolve);
  });
  if (code !== 0) {
    const tail = readFileSync(logFile, 'utf8').trim().split('\n').slice(-20).join('\n');
    throw new Error(`The console could not be built (${logFile}):\n${tail}`);
  }
  writeFileSync(stamp, sources);
  log('The console is built.');
}
