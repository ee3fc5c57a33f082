import { spawnSync } from 'node:child_process';
import { closeSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';

/**
 * Which process a pid meant when it was written down. A pid alone is reused by the system sooner or later,
 * and only what we started ourselves may be stopped.
 */
export interface ProcessIdentity {
  pid: number;
  /** As the system tells it: clock ticks since boot with the boot's id on Linux, a date elsewhere. */
  started: string;
  command: string;
}

/** The process that has this pid now, or null if there is none (a zombie is none). */
export function identify(pid: number): ProcessIdentity | null {
  if (process.platform === 'linux') {
    try {
      const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
      // The second field is the name in brackets, which may itself hold spaces and brackets.
      const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
      if (fields[0] === 'Z' || fields[0] === 'X') return null;
      const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
      const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim();
      return { pid, started: `${boot}/${fields[19]}`, command };
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'ENOENT' || code === 'ESRCH') return null;
      throw error;
    }
  }
  const ps = spawnSync('ps', ['-o', 'stat=', '-o', 'lstart=', '-o', 'command=', '-p', String(pid)], {
    encoding: 'utf8',
    env: { ...process.env, LC_ALL: 'C' },
  });
  const found = /^(\S+)\s+(\w+ +\w+ +\d+ [\d:]+ \d+)\s+(.*)$/m.exec(ps.stdout);
  if (!found || found[1]!.startsWith('Z')) return null;
  return { pid, started: found[2]!, command: found[3]! };
}

/** Whether the process that was written down is still running under its pid. */
export function isAlive(identity: ProcessIdentity): boolean {
  const now = identify(identity.pid);
  // A process that has just been started may show its parent's command line until it has called exec.
  return now !== null && now.started === identity.started;
}

/** Writes who runs as `pid`; done in one go right after the start, so that a killed supervisor leaves a trace. */
export function writePidFile(path: string, pid: number): void {
  const identity = identify(pid);
  rmSync(path, { force: true });
  if (!identity) return;
  const file = openSync(path, 'wx', 0o600);
  writeSync(file, JSON.stringify(identity));
  closeSync(file);
}

export function readPidFile(path: string): ProcessIdentity | null {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as ProcessIdentity;
  } catch (error) {
    // An empty or torn file is what a kill in the middle of writing leaves: it names nobody.
    if (error instanceof SyntaxError || (error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
}

/** Signals a whole process group led by `pid`; false if it is gone. */
function signalGroup(pid: number, signal: NodeJS.Signals): boolean {
  try {
    process.kill(-pid, signal);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false;
    throw error;
  }
}

/**
 * Ends a process that leads its own group: `signal` first, SIGKILL to the group after `graceMs`.
 * Does nothing if the pid has come to mean another process.
 */
export async function endProcess(
  identity: ProcessIdentity,
  { signal, graceMs }: { signal: NodeJS.Signals; graceMs: number },
): Promise<void> {
  if (!isAlive(identity)) return;
  try {
    process.kill(identity.pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
  const deadline = Date.now() + graceMs;
  while (isAlive(identity) && Date.now() < deadline) await delay(20);
  if (isAlive(identity)) signalGroup(identity.pid, 'SIGKILL');
  while (isAlive(identity)) await delay(20);
}
