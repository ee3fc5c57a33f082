import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Refusal } from './refusal.ts';

/** Where the API is and what lets us in. */
export interface Instance {
  url: string;
  token: string;
  /** Found by run.json; its token changes when the supervisor starts anew, so it is looked up again. */
  local: boolean;
}

function alive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // EPERM: somebody else's process, but a living one.
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** The instance that the environment names, else the one that run.json describes. */
export function findInstance(env: NodeJS.ProcessEnv = process.env): Instance {
  if (env['WAYBILL_URL']) {
    const url = env['WAYBILL_URL'].replace(/\/+$/, '');
    if (!/^https?:\/\/[^/]/.test(url)) {
      throw new Refusal('bad_url', `WAYBILL_URL must be an http or https address; "${url}" is not.`);
    }
    if (!env['WAYBILL_TOKEN']) {
      throw new Refusal(
        'no_token',
        'WAYBILL_URL is set but WAYBILL_TOKEN is not: set it to a token of that instance.',
      );
    }
    return { url, token: env['WAYBILL_TOKEN'], local: false };
  }
  const path = join(env['WAYBILL_DATA'] ?? '.waybill', 'run.json');
  const notRunning = (why: string) =>
    new Refusal(
      'not_running',
      `Waybill is not running (${why}). Start it with "npm start", or set WAYBILL_URL and WAYBILL_TOKEN.`,
    );
  let text;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') throw notRunning(`there is no ${path}`);
    throw new Refusal('not_readable', `${path} cannot be read: ${(error as Error).message}.`);
  }
  let run: { url?: unknown; token?: unknown; pids?: { supervisor?: unknown } };
  try {
    run = JSON.parse(text);
  } catch {
    throw notRunning(`${path} is not JSON`);
  }
  if (typeof run?.url !== 'string' || typeof run.token !== 'string')
    throw notRunning(`${path} names no address`);
  const supervisor = run.pids?.supervisor;
  if (typeof supervisor !== 'number' || !alive(supervisor)) {
    throw notRunning(`the process that ${path} names is gone`);
  }
  return { url: run.url.replace(/\/+$/, ''), token: run.token, local: true };
}
