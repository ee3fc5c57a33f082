import { open } from 'node:fs/promises';

export const READ_BYTES = 256 * 1024;

/**
 * A file's bytes in order. A chunk is good until the next one is asked for: two buffers take turns, one being filled while
 * the other is used. A new buffer for each chunk costs as much as its SHA-256 does (both 1,500 MB/s: fresh pages),, and
 * then they have to be collected.
 */
export async function* readChunks(path: string): AsyncGenerator<Buffer> {
  const file = await open(path);
  let [filling, used] = [Buffer.allocUnsafeSlow(READ_BYTES), Buffer.allocUnsafeSlow(READ_BYTES)];
  let filled = file.read(filling, 0, READ_BYTES, null);
  try {
    for (;;) {
      const { bytesRead } = await filled;
      if (bytesRead === 0) return;
      [filling, used] = [used, filling];
      filled = file.read(filling, 0, READ_BYTES, null);
      // Whoever stops early hears nothing of what comes after.
      filled.catch(() => {});
      yield used.subarray(0, bytesRead);
    }
  } finally {
    await filled.catch(() => {});
    await file.close();
  }
}
