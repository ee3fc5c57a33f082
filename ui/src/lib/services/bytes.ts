import type { BytesAnswer, BytesRequest } from './bytes.worker.ts';

/** The file cannot be read any more: it was changed, moved or its disk is gone. */
export class FileChanged extends Error {
  override name = 'FileChanged';
}

function work<K extends BytesAnswer['kind']>(
  request: BytesRequest,
  until: K,
  options: { signal?: AbortSignal; progress?: (done: number) => void },
): Promise<Extract<BytesAnswer, { kind: K }>> {
  const worker = new Worker(new URL('./bytes.worker.ts', import.meta.url), { type: 'module' });
  return new Promise<Extract<BytesAnswer, { kind: K }>>((resolve, reject) => {
    options.signal?.addEventListener('abort', () => reject(options.signal!.reason), { once: true });
    worker.onerror = (event) => reject(new Error(event.message || 'The worker could not be started.'));
    worker.onmessage = ({ data }: MessageEvent<BytesAnswer>) => {
      if (data.kind === 'progress') options.progress?.(data.done);
      else if (data.kind === 'error') reject(new FileChanged(data.message));
      else if (data.kind === until) resolve(data as Extract<BytesAnswer, { kind: K }>);
    };
    worker.postMessage(request);
  }).finally(() => worker.terminate());
}

type Options = { signal?: AbortSignal; progress?: (done: number) => void };

export const sha256 = async (blob: Blob, options: Options = {}) =>
  (await work({ kind: 'hash', blob }, 'hashed', options)).sha256;

export const compress = (blob: Blob, options: Options = {}) =>
  work({ kind: 'compress', blob }, 'compressed', options);

/** How well and how fast the first megabyte compresses here. */
export const trySample = (blob: Blob, options: Options = {}) =>
  work({ kind: 'sample', blob: blob.slice(0, 1_000_000) }, 'sampled', options);
