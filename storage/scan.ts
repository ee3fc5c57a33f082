import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { open, type FileHandle } from 'node:fs/promises';
import { connect, type NetConnectOpts, type Socket } from 'node:net';
import { isAbsolute } from 'node:path';

export type Verdict = { clean: true } | { clean: false; signature: string };

/** Looks for viruses in files before anything else does. */
export interface Scanner {
  /** As it was configured, for whoever asks who said so. */
  readonly name: string;
  /** What a run does while the scanner gives no answer. A file is never let through without one. */
  readonly whenDown: 'wait' | 'refuse';
  /** @throws ScannerDown, ScanImpossible */
  scan(path: string, signal?: AbortSignal): Promise<Verdict>;
}

/** The scanner gave no answer; later it may. */
export class ScannerDown extends Error {}

/** The scanner will never judge this file. */
export class ScanImpossible extends Error {}

interface Times {
  connectMs: number;
  /** Without a byte taken or given for so long, it is down. */
  silenceMs: number;
}
const TIMES: Times = { connectMs: 5_000, silenceMs: 5 * 60_000 };
/** clamd takes chunks of any size below its limit for a whole stream. */
const CHUNK_BYTES = 64 * 1024;
const ANSWER_BYTES = 64 * 1024;
const SIGNATURE_LENGTH = 200;

/**
 * The scanner that WAYBILL_SCAN names, null where it names none: `clamd://host:port`, `unix:/path` (clamd's socket), or
 * `command:/path`, a program that is called with the file's path and exits with 0 (clean) or 1 (a hit, as clamscan does;
 * it names it on its output). Any other exit, like no answer, means that it is down.
 * @throws Error where a setting cannot be understood: a typing error must not switch the scanner off.
 */
export function openScanner(env: NodeJS.ProcessEnv, times: Times = TIMES): Scanner | null {
  const setting = env['WAYBILL_SCAN'];
  const whenDown = env['WAYBILL_SCAN_DOWN'] || 'wait';
  if (whenDown !== 'wait' && whenDown !== 'refuse')
    throw new Error(`WAYBILL_SCAN_DOWN is "${whenDown}"; it can be "wait" or "refuse".`);
  if (!setting) return null;
  return { name: setting, whenDown, scan: scanBy(setting, times) };
}

function scanBy(setting: string, times: Times): Scanner['scan'] {
  const [, kind, place] = /^(clamd:\/\/|unix:|command:)(.+)$/u.exec(setting) ?? [];
  if (kind === 'clamd://') {
    const [, host, port] = /^(\[[\da-f:.]+\]|[^:/@]+):(\d{1,5})$/iu.exec(place!) ?? [];
    if (host !== undefined && Number(port) > 0 && Number(port) < 65_536)
      return byClamd({ host: host.replace(/^\[|\]$/gu, ''), port: Number(port) }, times);
  } else if (place !== undefined && isAbsolute(place)) {
    return kind === 'unix:' ? byClamd({ path: place }, times) : byCommand(place, times);
  }
  throw new Error(
    `WAYBILL_SCAN is "${setting}"; it can be clamd://host:port, unix:/path/of/a/socket or command:/path/of/a/program.`,
  );
}

/** clamd's INSTREAM: the file in chunks, each with its length before it, and one of length zero; then one line. */
function byClamd(address: NetConnectOpts, times: Times): Scanner['scan'] {
  return async (path, signal) => {
    signal?.throwIfAborted();
    const file = await open(path, 'r');
    const socket = connect(address);
    const onAbort = () => socket.destroy(signal!.reason as Error);
    signal?.addEventListener('abort', onAbort, { once: true });
    try {
      await connected(socket, times);
      const answer = answerOf(socket);
      // It may hang up while the file is still being sent; why is in its answer.
      await Promise.race([send(socket, file).catch(() => answer), answer]);
      return verdictOf(await answer);
    } catch (error) {
      signal?.throwIfAborted();
      if (error instanceof ScanImpossible || error instanceof ScannerDown) throw error;
      const sent = (socket.bytesWritten / 1e6).toFixed(1);
      throw new ScannerDown(
        `The virus scanner does not answer (${(error as Error).message}, after ${sent} MB).`,
      );
    } finally {
      signal?.removeEventListener('abort', onAbort);
      socket.destroy();
      await file.close();
    }
  };
}

async function connected(socket: Socket, { connectMs, silenceMs }: Times): Promise<void> {
  socket.setTimeout(connectMs, () => socket.destroy(new Error('no answer in time')));
  await once(socket, 'connect');
  socket.setTimeout(silenceMs);
}

async function send(socket: Socket, file: FileHandle): Promise<void> {
  socket.write('zINSTREAM\0');
  for (;;) {
    const chunk = Buffer.allocUnsafe(4 + CHUNK_BYTES);
    const { bytesRead } = await file.read(chunk, 4, CHUNK_BYTES);
    chunk.writeUInt32BE(bytesRead);
    if (!socket.writable) return;
    if (!socket.write(chunk.subarray(0, 4 + bytesRead)))
      await Promise.race([once(socket, 'drain'), once(socket, 'close')]);
    if (bytesRead === 0) return;
  }
}

function answerOf(socket: Socket): Promise<string> {
  const answer = new Promise<string>((resolve, reject) => {
    let text = '';
    let failure: Error | null = null;
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString('latin1');
      if (text.includes('\0')) resolve(text.slice(0, text.indexOf('\0')));
      else if (text.length > ANSWER_BYTES) reject(new Error('an endless answer'));
    });
    socket.on('error', (error) => (failure = error));
    socket.on('close', () => reject(failure ?? new Error('it hung up without an answer')));
  });
  // It may come while the file is still being sent.
  answer.catch(() => {});
  return answer;
}

function verdictOf(answer: string): Verdict {
  if (answer === 'stream: OK') return { clean: true };
  const hit = /^stream: (.+) FOUND$/u.exec(answer);
  if (hit) return { clean: false, signature: shortened(hit[1]!) };
  if (answer.includes('size limit exceeded')) {
    throw new ScanImpossible(
      'The file is larger than what the virus scanner takes, so it cannot be judged. Raise its limit (StreamMaxLength of clamd), or import smaller files.',
    );
  }
  throw new ScannerDown(`The virus scanner answered "${shortened(answer)}".`);
}

function byCommand(program: string, times: Times): Scanner['scan'] {
  return async (path, signal) => {
    signal?.throwIfAborted();
    const child = spawn(program, [path], {
      stdio: ['ignore', 'pipe', 'ignore'],
      // It has no business with our credentials.
      env: { PATH: process.env['PATH'] },
      timeout: times.silenceMs,
      killSignal: 'SIGKILL',
      signal,
    });
    let output = '';
    child.stdout.on('data', (chunk: Buffer) => {
      if (output.length < ANSWER_BYTES) output += chunk.toString('utf8');
    });
    const ended = new Promise<number | null>((resolve, reject) => {
      child.once('error', reject);
      child.once('close', resolve);
    });
    let code: number | null;
    try {
      code = await ended;
    } catch (error) {
      signal?.throwIfAborted();
      throw new ScannerDown(`The virus scanner cannot be started (${(error as Error).message}).`);
    }
    signal?.throwIfAborted();
    if (code === 0) return { clean: true };
    if (code !== 1)
      throw new ScannerDown(
        `The virus scanner ended without a verdict (${code === null ? 'it took too long' : `exit code ${code}`}).`,
      );
    const named = /: (.+) FOUND$/mu.exec(output)?.[1] ?? output.trim().split('\n')[0];
    return { clean: false, signature: shortened(named || 'not named') };
  };
}

function shortened(text: string): string {
  // It comes from outside and is shown to people.
  return text.replace(/[^\x20-\x7e]/gu, '?').slice(0, SIGNATURE_LENGTH);
}
