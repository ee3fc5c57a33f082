import { describe, expect, it } from 'vitest';
import { detectDialect } from './dialect.ts';
import { SourceBytes } from './source-bytes.ts';

/** Seconds of processor that the work takes. */
async function cpuOf(work: () => unknown): Promise<number> {
  const before = process.threadCpuUsage();
  await work();
  const { user, system } = process.threadCpuUsage(before);
  return (user + system) / 1e6;
}

describe('text that is made to cost', () => {
  const signs = Array.from('!#$%&*+-/:;<=>?@^_`{|}~');
  it.each([
    ['one sign over and over', 'a--'.repeat(21_300)],
    [
      'very many signs',
      signs.flatMap((one) => signs.flatMap((two) => signs.map((three) => `a${one}${two}${three}`))).join(''),
    ],
  ])('%s on one line is counted once', async (_, line) => {
    expect(
      await cpuOf(() => detectDialect([{ bytes: Buffer.from(`${line}\n1,2\n`), whole: true }], {})),
    ).toBeLessThan(2);
  });

  it('a line without end is looked through once, and not held', async () => {
    const chunk = Buffer.alloc(64 * 1024, 0x82);
    let seen = 0;
    const content = async function* () {
      yield Buffer.from('a,b\n');
      for (; seen < 300; seen++) yield chunk;
      yield Buffer.from('\nx,y\n');
    };
    const bytes = new SourceBytes(content(), 'windows-1252', 0);
    const canonical = 4 + 300 * chunk.length * 3 + 1;
    let found;
    const seconds = await cpuOf(async () => (found = await bytes.between(canonical, canonical + 3, 1024)));
    expect(found).toEqual({ offset: 4 + 300 * chunk.length + 1, bytes: Buffer.from('x,y') });
    expect(seconds).toBeLessThan(2);
  });
});
