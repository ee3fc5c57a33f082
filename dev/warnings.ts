import { closeSync, existsSync, openSync, readSync, statSync } from 'node:fs';
import { StringDecoder } from 'node:string_decoder';

const EVERY_MS = 500;
const WARNING = 40;
const LINES_AT_ONCE = 12;

/** A line of a process's log as the terminal shall see it, or null for one that belongs in the file only. */
function worthShowing(line: string): string | null {
  if (!line.startsWith('{')) return line.trim() === '' ? null : line;
  try {
    const { level, msg, err } = JSON.parse(line) as {
      level?: number;
      msg?: string;
      err?: { message?: string };
    };
    if ((level ?? 0) < WARNING) return null;
    return [msg, err?.message].filter(Boolean).join(': ');
  } catch {
    return line;
  }
}

/**
 * Shows what a log file gets from now on if it is a warning. Processes write to the file themselves and not
 * through us, so that they outlive a killed supervisor.
 */
export function showWarnings(name: string, path: string, log: (line: string) => void): () => void {
  let position = existsSync(path) ? statSync(path).size : 0;
  let rest = '';
  const decoder = new StringDecoder('utf8');
  const look = (): void => {
    if (!existsSync(path)) return;
    const { size } = statSync(path);
    if (size < position) position = 0;
    if (size === position) return;
    const file = openSync(path, 'r');
    const bytes = Buffer.alloc(Math.min(size - position, 1024 * 1024));
    position += readSync(file, bytes, 0, bytes.length, position);
    closeSync(file);
    const lines = (rest + decoder.write(bytes)).split('\n');
    rest = lines.pop()!;
    const shown = lines.map(worthShowing).filter((line) => line !== null);
    for (const line of shown.slice(0, LINES_AT_ONCE)) log(`${name}: ${line}`);
    if (shown.length > LINES_AT_ONCE) {
      log(`${name}: ... and ${shown.length - LINES_AT_ONCE} more lines in ${path}`);
    }
  };
  const timer = setInterval(look, EVERY_MS);
  return () => {
    clearInterval(timer);
    look();
  };
}
