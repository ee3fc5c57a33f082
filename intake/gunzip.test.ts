import { gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { gunzip } from './container.ts';

const [first, second] = [gzipSync('a,b\n1,2\n'), gzipSync('3,4\n')];
const zeros = Buffer.alloc(20);

async function unpack(parts: Buffer[], size: number): Promise<string> {
  const packed = Buffer.concat(parts);
  async function* chunks() {
    for (let at = 0; at < packed.length; at += size) yield packed.subarray(at, at + size);
  }
  const found: Buffer[] = [];
  for await (const chunk of gunzip(chunks(), { maxUnpackedBytes: 1e6, maxRatio: 1e6 }))
    found.push(Buffer.from(chunk));
  return Buffer.concat(found).toString();
}

describe.each([1, 7, 100_000])('gzip in chunks of %i bytes', (size) => {
  it('is unpacked with all its members, and padding behind them', async () => {
    expect(await unpack([first, second], size)).toBe('a,b\n1,2\n3,4\n');
    expect(await unpack([first, second, zeros], size)).toBe('a,b\n1,2\n3,4\n');
  });

  it('is refused with a member behind padding, with what is not packed, and cut', async () => {
    await expect(unpack([first, zeros, second], size)).rejects.toThrow(
      'goes on behind its end, after 28 bytes',
    );
    await expect(unpack([first, Buffer.from('hello')], size)).rejects.toThrow('damaged');
    await expect(unpack([first.subarray(0, -3)], size)).rejects.toThrow('ends in the middle');
  });
});
