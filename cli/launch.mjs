// Plain JavaScript that any Node from 20 on can run: it finds Node 24 and hands over to it.
import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import module from 'node:module';
import { constants } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

/** The one major version that runs TypeScript as it is and that Temporal's SDK is tested on. */
const NODE_MAJOR = '24';

/**
 * Installs the locked dependencies when there are none or, where `whenStale` is set, when they are not the
 * lock file's. The stamp holds the hash of the lock: times say nothing after a clone or a checkout.
 */
export function install(root, { whenStale }) {
  const stamp = join(root, 'node_modules', '.waybill-lock');
  const lock = createHash('sha256')
    .update(readFileSync(join(root, 'package-lock.json')))
    .digest('hex');
  const installed = existsSync(join(root, 'node_modules', '.bin', 'node'));
  if (installed && !whenStale) return;
  if (installed && existsSync(stamp) && readFileSync(stamp, 'utf8') === lock) return;
  console.error('Installing dependencies (npm ci) ...');
  const quiet = ['--no-audit', '--no-fund', '--loglevel=error'];
  const options = { cwd: root, stdio: ['ignore', 2, 'pipe'], encoding: 'utf8' };
  let npm = spawnSync('npm', ['ci', ...quiet], options);
  if (/code EUSAGE/.test(npm.stderr ?? '')) {
    // A registry without the packages of other platforms makes npm leave them out of the lock file, and
    // npm ci refuses such a lock; what is in it still is installed exactly as locked.
    npm = spawnSync('npm', ['install', '--no-save', ...quiet], options);
  }
  if (npm.status !== 0) {
    const why = npm.error?.message ?? npm.stderr;
    console.error(
      `${why}\nThe dependencies could not be installed. See above, then run the same command again.`,
    );
    process.exit(1);
  }
  writeFileSync(stamp, lock);
}

/** Runs a TypeScript entry on Node 24: in this process if it is one, else in a child, signals and exit code passed on. */
export async function launch(root, entry, args) {
  const node = join(root, 'node_modules', '.bin', 'node');
  // Keeps stripped and compiled modules: without it each start of the command spends 60 ms on them.
  const cache = join(root, 'node_modules', '.cache', 'compiled');
  if (process.versions.node.split('.')[0] === NODE_MAJOR) {
    module.enableCompileCache(cache);
    process.argv = [process.argv[0], entry, ...args];
    await import(pathToFileURL(entry).href);
    return;
  }
  const env = { NODE_COMPILE_CACHE: cache, ...process.env };
  const child = spawn(node, [entry, ...args], { stdio: 'inherit', env });
  // A terminal sends Ctrl-C to both of us; what reaches only this process has to be passed on.
  for (const signal of ['SIGTERM', 'SIGHUP', 'SIGINT', 'SIGQUIT']) {
    process.on(signal, () => {
      if (signal !== 'SIGINT' || !process.stdin.isTTY) child.kill(signal);
    });
  }
  child.on('error', (error) => {
    console.error(`Node 24 could not be started from ${node}: ${error.message}. Run "npm ci" and try again.`);
    process.exit(1);
  });
  child.on('exit', (code, signal) => process.exit(code ?? 128 + (constants.signals[signal] ?? 0)));
}
