import { closeSync, linkSync, mkdirSync, openSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { identify, isAlive, readPidFile, type ProcessIdentity } from './processes.ts';

/** Takes a data folder for this process. Returns who has it if that is another live one, else null. */
export function lockDataFolder(dataDir: string): ProcessIdentity | null {
  // Others may pass through (PostgreSQL's account has to), but cannot list it, and its secrets have modes of their own.
  mkdirSync(dataDir, { recursive: true, mode: 0o711 });
  mkdirSync(join(dataDir, 'run'), { recursive: true, mode: 0o700 });
  const path = join(dataDir, 'run', 'supervisor.pid');
  const mine = `${path}.${process.pid}`;
  const file = openSync(mine, 'w', 0o600);
  writeSync(file, JSON.stringify(identify(process.pid)));
  closeSync(file);
  try {
    for (;;) {
      try {
        // A link either is the first or fails, and what it names is whole from the start.
        linkSync(mine, path);
        return null;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
      }
      const holder = readPidFile(path);
      if (holder && isAlive(holder)) return holder;
      rmSync(path, { force: true });
    }
  } finally {
    rmSync(mine, { force: true });
  }
}

export function unlockDataFolder(dataDir: string): void {
  rmSync(join(dataDir, 'run', 'supervisor.pid'), { force: true });
}
