import { fork } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { FileError } from '../types.ts';
import type { Converted } from './convert.ts';
import type { ZipLimits } from './zip.ts';

export interface WorkbookTask {
  path: string;
  canonicalPath: string;
  sheet: string | null;
  onlySheet: boolean;
  limits: ZipLimits;
}

export type WorkbookReport =
  | { kind: 'progress'; rows: number; residentBytes: number }
  | ({ kind: 'done' } & Converted)
  | { kind: 'failed'; code: string; message: string };

export interface WorkbookInput {
  path: string;
  canonicalPath: string;
  /** null: the first visible one that holds anything. */
  sheet: string | null;
  /** The rows of other sheets need not be counted. */
  onlySheet?: boolean;
  maxUnpackedBytes: number;
  signal?: AbortSignal;
  onRows?(rows: number): void;
  watch?: Partial<Watch>;
}

interface Watch {
  maxResidentBytes: number;
  /** Without a sign of life for so long, the reader is stuck. */
  stuckAfterMs: number;
  everyMs: number;
}
const WATCH: Watch = { maxResidentBytes: 384 * 1024 * 1024, stuckAfterMs: 60_000, everyMs: 250 };
const LIMITS = { maxEntries: 10_000, maxRatio: 100 };
/** Kept small: the reader makes next to no objects, and one that does is on its way to the limit. */
const NODE_FLAGS = ['--max-semi-space-size=1', '--max-old-space-size=256', '--v8-pool-size=1'];
/** Code that is compiled already saves the compiler, a third of the process. */
const ENVIRONMENT = {
  NODE_COMPILE_CACHE: fileURLToPath(new URL('../../node_modules/.cache/compiled', import.meta.url)),
  MALLOC_ARENA_MAX: '1',
};

/**
 * Turns one sheet of a workbook into canonical CSV, in a process of its own: one that eats memory or never settles is
 * ended, and costs this import an error and the worker nothing.
 */
export function readWorkbook(input: WorkbookInput): Promise<Converted> {
  const watch = { ...WATCH, ...input.watch };
  const child = fork(fileURLToPath(new URL('./child.ts', import.meta.url)), [], {
    execArgv: NODE_FLAGS,
    stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
    env: ENVIRONMENT,
  });
  return new Promise((resolve, reject) => {
    let lastSign = Date.now();
    let failure: unknown = null;
    let result: Extract<WorkbookReport, { kind: 'done' }> | null = null;
    const kill = (error: unknown) => {
      failure ??= error;
      child.kill('SIGKILL');
    };
    const onAbort = () => kill(input.signal!.reason);
    const tooComplex = () =>
      new FileError(
        'workbook_too_complex',
        `Reading the workbook took more memory than it may (${Math.round(watch.maxResidentBytes / 1e6)} MB). Save the sheet as .csv and import that.`,
      );
    const timer = setInterval(() => {
      if (residentBytes(child.pid!) > watch.maxResidentBytes) kill(tooComplex());
      else if (Date.now() - lastSign > watch.stuckAfterMs) {
        kill(
          new FileError(
            'workbook_stuck',
            'Reading the workbook did not come to an end. Save the sheet as .csv and import that.',
          ),
        );
      }
    }, watch.everyMs);
    child.on('message', (report: WorkbookReport) => {
      lastSign = Date.now();
      if (report.kind === 'progress') {
        if (report.residentBytes > watch.maxResidentBytes) kill(tooComplex());
        else input.onRows?.(report.rows);
      } else if (report.kind === 'done') result = report;
      else failure ??= new FileError(report.code, report.message);
    });
    child.on('error', (error) => (failure ??= error));
    child.on('close', (code, by) => {
      clearInterval(timer);
      input.signal?.removeEventListener('abort', onAbort);
      if (failure) reject(failure as Error);
      else if (result) resolve({ sheets: result.sheets, sheet: result.sheet, warnings: result.warnings });
      // How Node ends where its heap is full.
      else if (by === 'SIGABRT') reject(tooComplex());
      else
        reject(
          new FileError(
            'workbook_crashed',
            `The workbook made its reader fail (${by ?? `exit code ${code}`}). Save the sheet as .csv and import that.`,
          ),
        );
    });
    if (input.signal?.aborted) return onAbort();
    input.signal?.addEventListener('abort', onAbort, { once: true });
    child.send({
      path: input.path,
      canonicalPath: input.canonicalPath,
      sheet: input.sheet,
      onlySheet: input.onlySheet ?? false,
      limits: { ...LIMITS, maxUnpackedBytes: input.maxUnpackedBytes },
    } satisfies WorkbookTask);
  });
}

/** Where the system does not tell (only Linux does), what the reader says of itself has to do. */
function residentBytes(pid: number): number {
  try {
    return (
      Number(/^VmRSS:\s+(\d+) kB/mu.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1] ?? 0) * 1024
    );
  } catch {
    return 0;
  }
}
