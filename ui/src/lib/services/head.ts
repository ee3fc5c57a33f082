/** The first kilobytes of a file as they would be read, decompressed where it is gzipped; null for a workbook. */
export async function headBytes(file: Blob, limit = 65_536): Promise<Uint8Array | null> {
  const magic = new Uint8Array(await file.slice(0, 4).arrayBuffer());
  if (magic[0] === 0x50 && magic[1] === 0x4b) return null;
  if (magic[0] !== 0x1f || magic[1] !== 0x8b) return new Uint8Array(await file.slice(0, limit).arrayBuffer());
  const reader = file
    .slice(0, 4 * limit)
    .stream()
    .pipeThrough(new DecompressionStream('gzip'))
    .getReader();
  const head: number[] = [];
  try {
    while (head.length < limit) {
      const { done, value } = await reader.read();
      if (done) break;
      for (const byte of value.subarray(0, limit - head.length)) head.push(byte);
    }
  } catch {
    // The slice ends in the middle of the stream; what came out before that is enough for a header.
  } finally {
    await reader.cancel().catch(() => undefined);
  }
  return Uint8Array.from(head);
}
