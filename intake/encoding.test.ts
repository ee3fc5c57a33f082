import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { encodeAs } from '../test/encode.ts';
import { ENCODED_TEXTS } from '../test/encoded-texts.ts';
import { detectEncoding, encodingOfHead, EscapeWatch, transcode } from './encoding.ts';

const folder = mkdtempSync(join(tmpdir(), 'intake-encoding-'));
afterAll(() => rmSync(folder, { recursive: true }));
const path = join(folder, 'file');

async function* chunks(bytes: Buffer, size: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}
async function collect(source: AsyncIterable<Buffer>): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const part of source) parts.push(part);
  return Buffer.concat(parts);
}

describe('what is not UTF-8 is read as what it is', () => {
  it.each(ENCODED_TEXTS)('%s: %j', async (encoding, text) => {
    const bytes = encodeAs(text, encoding);
    writeFileSync(path, bytes);
    const found = await detectEncoding(path);
    expect(new TextDecoder(found.encoding).decode(bytes)).toBe(text);
    expect(found.confidence).toBeGreaterThan(0.3);
    expect(found.confidence).toBeLessThan(1);
  });
});

describe('without a byte order mark', () => {
  const texts = ['id,name\n1,bolt\n2,nut\n', '商品,名前\n日本語,能力表示\n上,下\n', 'код;имя\nболт;гайка\n'];
  it.each(['utf-16le', 'utf-16be'])('%s shows by its zeros', (encoding) => {
    for (const text of texts)
      expect(encodingOfHead(encodeAs(text.repeat(20), encoding))).toMatchObject({ encoding, bom: false });
  });

  it('zeros strewn over other text are no sign of it', () => {
    expect(encodingOfHead(Buffer.from('id,name\n1,bo\0lt\n2,nut\0\n'.repeat(20)))).toBeNull();
    expect(encodingOfHead(Buffer.from(`id,name\n${'1,x\0\0\0\0\0\0\n'.repeat(50)}`))).toBeNull();
  });

  it('UTF-32 is refused', () => {
    expect(() => encodingOfHead(Buffer.from('fffe000061000000', 'hex'))).toThrow(/UTF-32/u);
  });
});

describe('seven-bit Japanese', () => {
  it.each([1, 2, 3, 100])('shows by its escapes wherever chunks of %i bytes divide them', async (size) => {
    const watch = new EscapeWatch();
    for await (const chunk of chunks(Buffer.from(`${'x'.repeat(200)}\x1B$B%3\x1B(B`), size))
      watch.write(chunk);
    expect(watch.found).toBe(true);
  });

  it('colours of a terminal are something else', () => {
    const watch = new EscapeWatch();
    watch.write(Buffer.from('\x1B[31mred\x1B[0m,\x1B(B'));
    expect(watch.found).toBe(false);
  });
});

describe('a file in two encodings', () => {
  const utf8 = Buffer.from('x,日本語の名前\n');
  const cp932 = encodeAs('a,能力\nb,株式会社\nc,ソフト\n', 'shift_jis');

  it('is what most of its lines are, and the others are marked', async () => {
    const bytes = Buffer.concat([Buffer.from('id,name\n'), cp932, utf8, cp932]);
    writeFileSync(path, bytes);
    const found = await detectEncoding(path);
    expect(found).toMatchObject({ encoding: 'shift_jis', mixed: true });
    for (const size of [1, 5, 1000]) {
      const lines = (await collect(transcode(chunks(bytes, size), 'shift_jis', true)))
        .toString('latin1')
        .split('\n');
      expect(lines.map((line) => line.startsWith('\xFF'))).toEqual([
        ...[false, false, false, false],
        true,
        ...[false, false, false, false],
      ]);
    }
  });

  it('half-width kana that may be UTF-8 by chance stays what it is', async () => {
    const bytes = encodeAs('ﾃｱ\nﾔﾏﾀﾞ ﾀﾛｳ\nﾂｷﾞ\n', 'shift_jis');
    expect((await collect(transcode(chunks(bytes, 3), 'shift_jis', true))).toString()).toBe(
      'ﾃｱ\nﾔﾏﾀﾞ ﾀﾛｳ\nﾂｷﾞ\n',
    );
  });
});
