import { spawn } from 'node:child_process';
import { closeSync, existsSync, openSync, readFileSync, renameSync, rmSync, statSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { endProcess, identify, readPidFile, writePidFile, type ProcessIdentity } from './processes.ts';

/** What lived shorter than this is not restarted at once but after a pause, which doubles each time. */
const SHORT_LIFE_MS = 2_000;
const LONGEST_PAUSE_MS = 10_000;
const LARGEST_LOG = 20 * 1024 * 1024;

export interface ProcessSpec {
  name: string;
  command: string;
  args: string[];
  env: NodeJS.ProcessEnv;
  cwd: string;
  uid?: number;
  gid?: number;
  logFile: string;
  pidFile: string;
  stopSignal: NodeJS.Signals;
  graceMs: number;
  /** Clears what a killed predecessor left in the way; runs before every start. */
  prepare?: () => Promise<void>;
}

export interface Supervised {
  readonly name: string;
  /** Null between a death and the restart. */
  readonly pid: number | null;
  /** From now on a death is answered by a restart; `onRestart` hears of each new pid. */
  keepAlive(onRestart: (pid: number) => void): void;
  /** Ends the process and whatever restart is under way; safe to call twice. */
  stop(): Promise<void>;
  /** Resolves when `probe` is true; rejects with the end of the log if the process dies first or time is up. */
  ready(probe: () => Promise<boolean>, timeoutMs: number): Promise<void>;
}

/** A process that died before it was ready. The reason may stand far above the end of what it wrote. */
export class EndedEarly extends Error {
  readonly output: string;
  constructor(message: string, output: string) {
    super(message);
    this.name = 'EndedEarly';
    this.output = output;
  }
}

/** Stops what a killed supervisor left running under this pid file, if it is still the same process. */
export async function stopLeftover(
  pidFile: string,
  { stopSignal, graceMs }: Pick<ProcessSpec, 'stopSignal' | 'graceMs'>,
): Promise<boolean> {
  const left = readPidFile(pidFile);
  const running = left !== null && identify(left.pid)?.started === left.started;
  if (running) await endProcess(left, { signal: stopSignal, graceMs });
  rmSync(pidFile, { force: true });
  return running;
}

/** Starts a process in a group of its own, its output in a log file, and looks after it. */
export async function supervise(spec: ProcessSpec, log: (line: string) => void): Promise<Supervised> {
  await stopLeftover(spec.pidFile, spec);
  if (existsSync(spec.logFile) && statSync(spec.logFile).size > LARGEST_LOG) {
    renameSync(spec.logFile, `${spec.logFile}.1`);
  }
  const logStart = existsSync(spec.logFile) ? statSync(spec.logFile).size : 0;

  let current: ProcessIdentity | null = null;
  let dead = Promise.withResolvers<string>();
  let onRestart: ((pid: number) => void) | null = null;
  const stopping = new AbortController();
  let restarting: Promise<void> = Promise.resolve();
  let pause = 0;

  const start = async (): Promise<void> => {
    await spec.prepare?.();
    if (stopping.signal.aborted) return;
    const output = openSync(spec.logFile, 'a', 0o600);
    const child = spawn(spec.command, spec.args, {
      cwd: spec.cwd,
      env: spec.env,
      uid: spec.uid,
      gid: spec.gid,
      detached: true,
      stdio: ['ignore', output, output],
    });
    closeSync(output);
    dead = Promise.withResolvers<string>();
    const { resolve: died } = dead;
    const born = Date.now();
    if (child.pid !== undefined) {
      writePidFile(spec.pidFile, child.pid);
      current = readPidFile(spec.pidFile);
    }
    let ended = false;
    const end = (how: string): void => {
      if (ended) return;
      ended = true;
      current = null;
      rmSync(spec.pidFile, { force: true });
      died(how);
      if (!onRestart || stopping.signal.aborted) return;
      const lived = Date.now() - born;
      pause = lived >= SHORT_LIFE_MS ? 0 : Math.min(Math.max(250, pause * 2), LONGEST_PAUSE_MS);
      log(
        `${spec.name} ended (${how}) after ${(lived / 1000).toFixed(1)} s; starting it again` +
          (pause > 0 ? ` in ${pause / 1000} s. Its log: ${spec.logFile}` : '.'),
      );
      restarting = restart();
    };
    child.once('error', (error) => end(error.message));
    child.once('exit', (code, signal) => end(signal ?? `exit code ${code}`));
  };

  const restart = async (): Promise<void> => {
    try {
      if (pause > 0) await delay(pause, undefined, { signal: stopping.signal });
      await start();
      if (current) onRestart?.(current.pid);
    } catch (error) {
      if (stopping.signal.aborted) return;
      log(`${spec.name} could not be started: ${(error as Error).message}`);
      pause = Math.min(Math.max(250, pause * 2), LONGEST_PAUSE_MS);
      restarting = restart();
    }
  };

  const output = (): string =>
    existsSync(spec.logFile) ? readFileSync(spec.logFile).subarray(logStart).toString().trim() : '';
  const tail = (): string => output().split('\n').slice(-15).join('\n');

  await start();
  return {
    name: spec.name,
    get pid() {
      return current?.pid ?? null;
    },
    keepAlive(listener) {
      onRestart = listener;
    },
    async ready(probe, timeoutMs) {
      const deadline = Date.now() + timeoutMs;
      const death = dead.promise;
      let how: string | null = null;
      void death.then((reason) => (how = reason));
      while (!(await probe())) {
        if (how !== null && onRestart === null) {
          throw new EndedEarly(
            `${spec.name} ended (${how}) before it was ready. Its log says:\n${tail()}`,
            output(),
          );
        }
        if (Date.now() > deadline) {
          throw new Error(
            `${spec.name} was not ready after ${timeoutMs / 1000} s. Its log (${spec.logFile}) says:\n${tail()}`,
          );
        }
        await Promise.race([delay(60), ...(how === null ? [death] : [])]);
      }
    },
    async stop() {
      stopping.abort();
      await restarting;
      if (!current) return;
      const ended = dead.promise;
      await endProcess(current, { signal: spec.stopSignal, graceMs: spec.graceMs });
      await ended;
    },
  };
}
