import { Worker } from 'node:worker_threads';
import { CREDITS, STOPPED, type ThreadReport, type ThreadTask } from './segment-thread.ts';
import type { SegmentJob, SegmentResult } from './types.ts';

/** Chunks of one job on their way and not yet taken. */
const CHUNKS_AHEAD = 3;
/** A thread that has not stopped by then (a pattern that never ends) is ended. */
const STOP_WITHIN_MS = 2000;

type OnChunk = (chunk: Buffer) => Promise<void> | void;

export interface SegmentPool {
  /**
   * Parses a segment in a thread. `onChunk` gets the COPY text in order, one chunk at a time; the next ones wait while
   * its promise is open. What it throws ends the job.
   */
  run(job: SegmentJob, onChunk: OnChunk, signal?: AbortSignal): Promise<SegmentResult>;
  close(): Promise<void>;
}

interface Waiting {
  start(thread: Worker): void;
  fail(error: unknown): void;
}

export function createSegmentPool({ threads }: { threads: number }): SegmentPool {
  const idle: Worker[] = [];
  const living = new Set<Worker>();
  const queue: Waiting[] = [];
  let closed = false;

  const spawn = (): Worker => {
    const thread = new Worker(new URL('./segment-thread.ts', import.meta.url), {
      execArgv: [],
      // A young generation of 2 MB instead of 48: a thread makes few objects, and they die at once.
      resourceLimits: { maxYoungGenerationSizeMb: 2, maxOldGenerationSizeMb: 256 },
    });
    living.add(thread);
    // Between jobs nobody else listens: without this a thread that dies idle would end the process.
    thread.on('error', () => {});
    thread.on('exit', () => {
      living.delete(thread);
      const at = idle.indexOf(thread);
      if (at >= 0) idle.splice(at, 1);
      serve();
    });
    return thread;
  };

  const serve = (): void => {
    while (!closed && queue.length > 0 && (idle.length > 0 || living.size < threads)) {
      queue.shift()!.start(idle.pop() ?? spawn());
    }
  };

  const run: SegmentPool['run'] = (job, onChunk, signal) =>
    new Promise((resolve, reject) => {
      if (closed) return reject(new Error('The segment pool is closed.'));
      if (signal?.aborted) return reject(signal.reason);
      const waiting: Waiting = {
        start: (thread) => {
          signal?.removeEventListener('abort', leave);
          runOn(thread, job, onChunk, signal)
            .then(resolve, reject)
            .finally(() => {
              if (living.has(thread)) idle.push(thread);
              serve();
            });
        },
        fail: reject,
      };
      const leave = () => {
        queue.splice(queue.indexOf(waiting), 1);
        reject(signal!.reason);
      };
      signal?.addEventListener('abort', leave, { once: true });
      queue.push(waiting);
      serve();
    });

  const close = async (): Promise<void> => {
    closed = true;
    for (const waiting of queue.splice(0)) waiting.fail(new Error('The segment pool is closed.'));
    await Promise.all([...living].map((thread) => thread.terminate()));
  };

  return { run, close };
}

function runOn(
  thread: Worker,
  job: SegmentJob,
  onChunk: OnChunk,
  signal?: AbortSignal,
): Promise<SegmentResult> {
  const control = new SharedArrayBuffer(8);
  const state = new Int32Array(control);
  state[CREDITS] = CHUNKS_AHEAD;
  return new Promise((resolve, reject) => {
    let taken: Promise<void> = Promise.resolve();
    let failure: { error: unknown } | null = null;
    let deadline: NodeJS.Timeout | undefined;

    const stop = (error: unknown) => {
      if (failure) return;
      failure = { error };
      Atomics.store(state, STOPPED, 1);
      // A credit as well, so that a thread that waits for one wakes up.
      Atomics.add(state, CREDITS, 1);
      Atomics.notify(state, CREDITS);
      deadline = setTimeout(() => void thread.terminate(), STOP_WITHIN_MS);
    };
    const end = (settle: () => void) => {
      clearTimeout(deadline);
      signal?.removeEventListener('abort', onAbort);
      thread.off('message', onMessage);
      thread.off('error', onError);
      thread.off('exit', onExit);
      void taken.then(() => (failure ? reject(failure.error) : settle()));
    };
    const onAbort = () => stop(signal!.reason);
    const onError = (error: unknown) => {
      failure ??= { error };
    };
    const onExit = (code: number) =>
      end(() => reject(new Error(`The thread that parsed a segment ended (exit code ${code}).`)));
    const onMessage = (report: ThreadReport) => {
      if (report.kind === 'done') return end(() => resolve(report.result));
      if (report.kind === 'stopped') return end(() => reject(new Error('The segment was stopped.')));
      if (report.kind === 'failed') {
        return end(() =>
          reject(Object.assign(new Error(report.message), report.code === null ? {} : { code: report.code })),
        );
      }
      const chunk = Buffer.from(report.bytes, 0, report.length);
      taken = taken.then(async () => {
        if (failure) return;
        try {
          await onChunk(chunk);
          Atomics.add(state, CREDITS, 1);
          Atomics.notify(state, CREDITS);
        } catch (error) {
          stop(error);
        }
      });
    };

    signal?.addEventListener('abort', onAbort, { once: true });
    thread.on('message', onMessage);
    thread.on('error', onError);
    thread.on('exit', onExit);
    thread.postMessage({ job, control } satisfies ThreadTask);
  });
}
