/// <reference lib="webworker" />
import { createSHA256 } from 'hash-wasm';

/** Work on the bytes of a file that would make the page stutter: hashing, compressing, trying out both. */
export type BytesRequest =
  { kind: 'hash'; blob: Blob } | { kind: 'compress'; blob: Blob } | { kind: 'sample'; blob: Blob };
export type BytesAnswer =
  | { kind: 'progress'; done: number }
  | { kind: 'hashed'; sha256: string }
  | { kind: 'compressed'; blob: Blob; sha256: string }
  | { kind: 'sampled'; ratio: number; rate: number }
  | { kind: 'error'; message: string };

const say = (answer: BytesAnswer) => self.postMessage(answer);

async function* chunks(
  stream: ReadableStream<Uint8Array<ArrayBuffer>>,
): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  const reader = stream.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    yield value;
  }
}

const gzip = (blob: Blob) => blob.stream().pipeThrough(new CompressionStream('gzip'));

async function hash(blob: Blob): Promise<void> {
  const hasher = await createSHA256();
  let done = 0;
  for await (const chunk of chunks(blob.stream())) {
    hasher.update(chunk);
    done += chunk.byteLength;
    say({ kind: 'progress', done });
  }
  say({ kind: 'hashed', sha256: hasher.digest() });
}

async function compress(blob: Blob): Promise<void> {
  const hasher = await createSHA256();
  const parts: Blob[] = [];
  let pending: Uint8Array<ArrayBuffer>[] = [];
  let pendingBytes = 0;
  let read = 0;
  const counted = blob.stream().pipeThrough(
    new TransformStream<Uint8Array<ArrayBuffer>, Uint8Array<ArrayBuffer>>({
      transform(chunk, controller) {
        read += chunk.byteLength;
        controller.enqueue(chunk);
      },
    }),
  );
  for await (const chunk of chunks(counted.pipeThrough(new CompressionStream('gzip')))) {
    hasher.update(chunk);
    pending.push(chunk);
    pendingBytes += chunk.byteLength;
    // Handed to the browser as a Blob in pieces, so that it may keep them on disk instead of in memory.
    if (pendingBytes > 4_000_000) {
      parts.push(new Blob(pending));
      pending = [];
      pendingBytes = 0;
    }
    say({ kind: 'progress', done: read });
  }
  say({ kind: 'compressed', blob: new Blob([...parts, ...pending]), sha256: hasher.digest() });
}

async function sample(blob: Blob): Promise<void> {
  const started = performance.now();
  let size = 0;
  for await (const chunk of chunks(gzip(blob))) size += chunk.byteLength;
  const seconds = Math.max(0.001, (performance.now() - started) / 1000);
  say({ kind: 'sampled', ratio: size / Math.max(1, blob.size), rate: blob.size / seconds });
}

self.onmessage = async ({ data }: MessageEvent<BytesRequest>) => {
  try {
    await { hash, compress, sample }[data.kind](data.blob);
  } catch (error) {
    say({ kind: 'error', message: error instanceof Error ? error.message : String(error) });
  }
};
