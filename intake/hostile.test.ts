import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { detectDialect } from './dialect.ts';
import { copyJson } from './json/copy.ts';
import { JsonElements } from './json/elements.ts';
import { Flattener } from './json/flatten.ts';
import { SourceBytes } from './source-bytes.ts';
import { XmlStream } from './xlsx/xml.ts';

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

  it('elements that nest are refused at once', async () => {
    const xml = new XmlStream({});
    const text = Buffer.from(`<a>${'<b>'.repeat(50_000)}`);
    expect(await cpuOf(() => expect(() => xml.write(text)).toThrow('nest too deeply'))).toBeLessThan(0.5);
  });

  it.each([
    ['brackets that close nothing', `{"a":1}${']'.repeat(500)}`, true],
    ['broken records beside good ones', '{"a":1}{"a":1]}'.repeat(500), false],
  ])('JSON with %s is refused where what is said of them is most of it', (_, text, refused) => {
    const flattener = new Flattener(1000, 10_000);
    const elements = new JsonElements('sequence', { max: 1000 }, (element) => flattener.add(element));
    const read = () => elements.push(Buffer.from(text));
    if (refused) expect(read).toThrow('Hardly anything');
    else expect(read).not.toThrow();
  });

  it('JSON of thousands of names without values is refused before it has filled the disk', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'waybill-hostile-'));
    try {
      const path = join(folder, 'wide.json');
      const names = Array.from({ length: 4096 }, (_, n) => `"n${n}":1`).join(',');
      writeFileSync(path, `[{${names}}${',{"n1":1}'.repeat(12_000)}]`);
      let most = 0;
      let written = 0;
      const copied = copyJson({
        contentPath: path,
        encoding: 'utf-8',
        array: null,
        maxRecordBytes: 1024 * 1024,
        async write(bytes) {
          most = Math.max(most, bytes.length);
          written += bytes.length;
        },
        async restart() {},
      });
      await expect(copied).rejects.toMatchObject({ code: 'unpacks_too_large' });
      expect(written).toBeLessThan(40e6);
      expect(most).toBeLessThan(20e6);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
