import { createHash, randomUUID } from 'node:crypto';
import { mkdirSync, readFileSync, realpathSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';

/** Remembers an upload under way, so that the same command after a crash goes on with it. */
export interface UploadNote {
  /** Sent with initiate and complete: the same key finds the same upload. */
  key: string;
  /** A note of an earlier run was found. */
  resumed: boolean;
  forget(): void;
}

function running(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/**
 * One note per instance, dataset and state of a file. A note whose command still runs is left alone: two
 * commands at once are two imports.
 */
export function noteUpload(
  url: string,
  dataset: string,
  path: string,
  env: NodeJS.ProcessEnv = process.env,
): UploadNote {
  const key = randomUUID();
  const stat = statSync(path, { throwIfNoEntry: false });
  if (!stat) return { key, resumed: false, forget: () => {} };
  const folder = join(env['XDG_STATE_HOME'] ?? join(homedir(), '.local', 'state'), 'waybill', 'uploads');
  const identity = JSON.stringify([url, dataset, realpathSync(path), stat.size, stat.mtimeMs]);
  const note = join(folder, `${createHash('sha256').update(identity).digest('hex').slice(0, 32)}.json`);
  const forget = () => rmSync(note, { force: true });
  try {
    const found = JSON.parse(readFileSync(note, 'utf8')) as { key?: unknown; pid?: unknown };
    if (typeof found.key === 'string' && typeof found.pid === 'number') {
      if (running(found.pid)) return { key, resumed: false, forget: () => {} };
      writeFileSync(note, JSON.stringify({ key: found.key, pid: process.pid }));
      return { key: found.key, resumed: true, forget };
    }
  } catch {
    // No note, or one that was cut off: begin anew.
  }
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    writeFileSync(note, JSON.stringify({ key, pid: process.pid }), { mode: 0o600 });
  } catch {
    // A home that cannot be written costs the resumption, not the import.
  }
  return { key, resumed: false, forget };
}
