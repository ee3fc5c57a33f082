import { rmSync } from 'node:fs';

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

const paths = new Set<string>();

/**
 * Has a file or folder removed however the process ends (kill -9 aside): Ctrl-C, `process.exit`, an error nobody caught.
 * Answers what removes it now.
 */
export function removedAtEnd(path: string): () => void {
  if (paths.size === 0) {
    process.on('exit', removeAll);
    for (const signal of SIGNALS) process.on(signal, endBy);
  }
  paths.add(path);
  return () => {
    paths.delete(path);
    if (paths.size === 0) ignoreEnd();
    remove(path);
  };
}

function endBy(signal: NodeJS.Signals): void {
  removeAll();
  ignoreEnd();
  process.kill(process.pid, signal);
}

function ignoreEnd(): void {
  process.off('exit', removeAll);
  for (const signal of SIGNALS) process.off(signal, endBy);
}

function removeAll(): void {
  for (const path of paths) remove(path);
}

// A workbook's own process may still be writing while its folder is emptied.
function remove(path: string): void {
  rmSync(path, { recursive: true, force: true, maxRetries: 3 });
}
