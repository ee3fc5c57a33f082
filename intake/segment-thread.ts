import { parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import { parseSegment } from './parse-segment.ts';
import type { SegmentJob, SegmentResult } from './types.ts';

/** What the pool asks of its thread; `control` is shared: chunks that may still be sent, and whether to stop. */
export interface ThreadTask {
  id: number;
  job: SegmentJob;
  control: SharedArrayBuffer;
}
export const CREDITS = 0;
export const STOPPED = 1;

/** Shared with the pool, which rings it (adds one) whenever a job may go on, is to stop, or has been added. */
export interface ThreadData {
  bell: SharedArrayBuffer;
}

export type ThreadReport = { id: number } & (
  | { kind: 'chunk'; bytes: ArrayBuffer; length: number }
  | { kind: 'done'; result: SegmentResult }
  | { kind: 'stopped' }
  | { kind: 'failed'; message: string; code: string | null }
);

interface Running {
  id: number;
  chunks: Generator<Buffer, SegmentResult, void>;
  state: Int32Array;
}

const port = parentPort;
const running = new Set<Running>();

const begin = ({ id, job, control }: ThreadTask): void => {
  running.add({ id, chunks: parseSegment(job), state: new Int32Array(control) });
};

/** One step of a job; false where it has to wait until what it sent has been taken. */
function step(job: Running): boolean {
  const { id, chunks, state } = job;
  const report = (message: ThreadReport, transfer: ArrayBuffer[] = []) =>
    port!.postMessage(message, transfer);
  try {
    if (Atomics.load(state, STOPPED) !== 0) {
      running.delete(job);
      chunks.return({ accepted: 0, rejected: 0, blocked: 0, issues: {} });
      report({ id, kind: 'stopped' });
      return true;
    }
    if (Atomics.load(state, CREDITS) <= 0) return false;
    const next = chunks.next();
    if (next.done) {
      running.delete(job);
      report({ id, kind: 'done', result: next.value });
    } else {
      Atomics.sub(state, CREDITS, 1);
      const bytes = next.value.buffer as ArrayBuffer;
      report({ id, kind: 'chunk', bytes, length: next.value.length }, [bytes]);
    }
  } catch (error) {
    running.delete(job);
    const { message, code = null } = error as NodeJS.ErrnoException;
    report({ id, kind: 'failed', message, code });
  }
  return true;
}

/** Goes round the jobs, a chunk each, until none is left. Blocks while all of them wait. */
function work(bell: Int32Array): void {
  while (running.size > 0) {
    const rung = Atomics.load(bell, 0);
    let moved = false;
    for (const job of running) moved = step(job) || moved;
    for (let more = receiveMessageOnPort(port!); more; more = receiveMessageOnPort(port!)) {
      begin(more.message as ThreadTask);
      moved = true;
    }
    if (!moved) Atomics.wait(bell, 0, rung);
  }
}

if (port) {
  const bell = new Int32Array((workerData as ThreadData).bell);
  port.on('message', (task: ThreadTask) => {
    begin(task);
    work(bell);
  });
}
