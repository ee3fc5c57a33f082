import { parentPort } from 'node:worker_threads';
import { parseSegment } from './parse-segment.ts';
import type { SegmentJob, SegmentResult } from './types.ts';

/** What the pool asks of its thread; `control` is shared: chunks that may still be sent, and whether to stop. */
export interface ThreadTask {
  job: SegmentJob;
  control: SharedArrayBuffer;
}
export const CREDITS = 0;
export const STOPPED = 1;

export type ThreadReport =
  | { kind: 'chunk'; bytes: ArrayBuffer; length: number }
  | { kind: 'done'; result: SegmentResult }
  | { kind: 'stopped' }
  | { kind: 'failed'; message: string; code: string | null };

parentPort?.on('message', ({ job, control }: ThreadTask) => {
  const port = parentPort!;
  const state = new Int32Array(control);
  try {
    const chunks = parseSegment(job);
    for (;;) {
      const step = chunks.next();
      if (step.done) {
        port.postMessage({ kind: 'done', result: step.value } satisfies ThreadReport);
        return;
      }
      while (Atomics.load(state, CREDITS) <= 0) Atomics.wait(state, CREDITS, 0);
      if (Atomics.load(state, STOPPED) !== 0) {
        chunks.return({ accepted: 0, rejected: 0, blocked: 0, issues: {} });
        port.postMessage({ kind: 'stopped' } satisfies ThreadReport);
        return;
      }
      Atomics.sub(state, CREDITS, 1);
      const bytes = step.value.buffer as ArrayBuffer;
      port.postMessage({ kind: 'chunk', bytes, length: step.value.length } satisfies ThreadReport, [bytes]);
    }
  } catch (error) {
    const { message, code = null } = error as NodeJS.ErrnoException;
    port.postMessage({ kind: 'failed', message, code } satisfies ThreadReport);
  }
});
