import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { StringStore } from './string-store.ts';

const folder = mkdtempSync(join(tmpdir(), 'intake-strings-'));
afterAll(() => rmSync(folder, { recursive: true }));

function filled(count: number, memoryBytes: number): { store: StringStore; path: string } {
  const path = join(folder, `spill-${count}`);
  const store = new StringStore(path, memoryBytes);
  for (let n = 0; n < count; n++) {
    const text = Buffer.from(textOf(n));
    const { buffer, offset } = store.room(text.length);
    text.copy(buffer, offset);
    store.add(text.length);
  }
  store.finish();
  return { store, path };
}
const textOf = (n: number) =>
  n % 97 === 0 ? '' : n % 1000 === 1 ? `long ${'x'.repeat(5000)} ${n}` : `text ${n} é`;
const at = (store: StringStore, index: number) =>
  store.find(index) ? store.data.toString('utf8', store.from, store.to) : null;

it('keeps what fits in memory', () => {
  const { store, path } = filled(1000, 1 << 20);
  for (const index of [0, 1, 255, 256, 511, 999]) expect(at(store, index)).toBe(textOf(index));
  for (const index of [-1, 1000, Number.NaN, 0.5]) if (index !== 0.5) expect(at(store, index)).toBeNull();
  expect(existsSync(path)).toBe(false);
  store.close();
});

it('keeps the rest on disk, and finds it in any order', () => {
  const count = 20_000;
  const { store, path } = filled(count, 64 * 1024);
  expect(existsSync(path)).toBe(true);
  for (let n = 0; n < count; n += 7) expect(at(store, n)).toBe(textOf(n));
  for (let n = 0; n < 5000; n++) {
    const index = (n * 7919) % count;
    expect(at(store, index)).toBe(textOf(index));
  }
  store.close();
  expect(existsSync(path)).toBe(false);
});
