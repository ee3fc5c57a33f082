import { Worker } from 'node:worker_threads';
import { CREDITS, STOPPED, type ThreadData, type ThreadReport, type ThreadTask } from './segment-thread.ts';
import type { SegmentJob, SegmentResult } from './types.ts';

/** Chunks of one job on their way and not yet taken. */
const CHUNKS_AHEAD = 3;
/**
 * Jobs of one thread, in turns: two connections are kept busy by one parser, which is far faster than they are, and a
 * thread takes 17 MB.
 */
const JOBS_A_THREAD = 2;
/** A thread that has not stopped by then (a pattern that never ends) is ended. */
const STOP_WITHIN_MS = 2000;

/**
 * The young generation is collected after so many bytes of chunks, where the process lets us (`--expose-gc`). By itself it
 * is when objects fill it, and a chunk is a small object with 128 KiB elsewhere: 20 MB of them lay about.
 */
const COLLECT_BYTES = 2 * 1024 * 1024;
const { gc } = globalThis as { gc?: (options: { type: 'minor' }) => void };

type OnChunk = (chunk: Buffer) => Promise<void> | void;

export interface SegmentPool {
  /**
   * Parses a segment in a thread. `onChunk` gets the COPY text in order, one chunk at a time; the next ones wait while
   * its promise is open. What it throws ends the job.
   */
  run(job: SegmentJob, onChunk: OnChunk, signal?: AbortSignal): Promise<SegmentResult>;
  close(): Promise<void>;
}

interface Seat {
  thread: Worker;
  bell: Int32Array;
  jobs: number;
  /** Jobs that were told to stop: if they do not, the thread is ended, so it gets no others meanwhile. */
  stopping: number;
}

interface Waiting {
  start(seat: Seat): void;
  fail(error: unknown): void;
}

export function createSegmentPool({ threads }: { threads: number }): SegmentPool {
  const seats = new Set<Seat>();
  const queue: Waiting[] = [];
  let closed = false;
  let made = 0;
  let taken = 0;
  const onTaken = (bytes: number): void => {
    taken += bytes;
    if (taken < COLLECT_BYTES) return;
    taken = 0;
    gc?.({ type: 'minor' });
  };

  const spawn = (): Seat => {
    const bell = new SharedArrayBuffer(4);
    const thread = new Worker(new URL('./segment-thread.ts', import.meta.url), {
      execArgv: [],
      workerData: { bell } satisfies ThreadData,
      // A young generation of 2 MB instead of 48: a thread makes few objects, and they die at once.
      resourceLimits: { maxYoungGenerationSizeMb: 2, maxOldGenerationSizeMb: 256 },
    });
    const seat: Seat = { thread, bell: new Int32Array(bell), jobs: 0, stopping: 0 };
    thread.setMaxListeners(4 * JOBS_A_THREAD + 4);
    seats.add(seat);
    // Between jobs nobody else listens: without this a thread that dies idle would end the process.
    thread.on('error', () => {});
    thread.on('exit', () => {
      seats.delete(seat);
      serve();
    });
    return seat;
  };

  /** The least busy thread: an idle one, a new one, or one that has room beside what it does. */
  const freeSeat = (): Seat | null => {
    const [least] = [...seats].sort((a, b) => a.jobs - b.jobs);
    if (least?.jobs === 0) return least;
    if (seats.size < threads) return spawn();
    return least && least.jobs < JOBS_A_THREAD && least.stopping === 0 ? least : null;
  };

  const serve = (): void => {
    while (!closed && queue.length > 0) {
      const seat = freeSeat();
      if (!seat) return;
      seat.jobs++;
      queue.shift()!.start(seat);
    }
  };

  const run: SegmentPool['run'] = (job, onChunk, signal) =>
    new Promise((resolve, reject) => {
      if (closed) return reject(new Error('The segment pool is closed.'));
      if (signal?.aborted) return reject(signal.reason);
      const waiting: Waiting = {
        start: (seat) => {
          signal?.removeEventListener('abort', leave);
          runOn(seat, { id: ++made, job, onChunk, onTaken, signal })
            .then(resolve, reject)
            .finally(() => {
              seat.jobs--;
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
    await Promise.all([...seats].map(({ thread }) => thread.terminate()));
  };

  return { run, close };
}

function runOn(
  seat: Seat,
  {
    id,
    job,
    onChunk,
    onTaken,
    signal,
  }: {
    id: number;
    job: SegmentJob;
    onChunk: OnChunk;
    onTaken: (bytes: number) => void;
    signal: AbortSignal | undefined;
  },
): Promise<SegmentResult> {
  const control = new SharedArrayBuffer(8);
  const state = new Int32Array(control);
  state[CREDITS] = CHUNKS_AHEAD;
  const { thread, bell } = seat;
  const ring = () => {
    Atomics.add(bell, 0, 1);
    Atomics.notify(bell, 0);
  };
  return new Promise((resolve, reject) => {
    let taken: Promise<void> = Promise.resolve();
    let failure: { error: unknown } | null = null;
    let deadline: NodeJS.Timeout | undefined;
    let stopping = false;

    const stop = (error: unknown) => {
      if (failure) return;
      failure = { error };
      seat.stopping++;
      stopping = true;
      Atomics.store(state, STOPPED, 1);
      ring();
      deadline = setTimeout(() => void thread.terminate(), STOP_WITHIN_MS);
    };
    const end = (settle: () => void) => {
      clearTimeout(deadline);
      if (stopping) seat.stopping--;
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
      if (report.id !== id) return;
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
          onTaken(report.bytes.byteLength);
          Atomics.add(state, CREDITS, 1);
          ring();
        } catch (error) {
          stop(error);
        }
      });
    };

    signal?.addEventListener('abort', onAbort, { once: true });
    thread.on('message', onMessage);
    thread.on('error', onError);
    thread.on('exit', onExit);
    thread.postMessage({ id, job, control } satisfies ThreadTask);
    ring();
  });
}
