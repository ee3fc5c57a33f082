import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import type { FieldRule, Manifest } from '../types.ts';
import { replay, type ReplaySide } from './replay.ts';

const folder = mkdtempSync(join(tmpdir(), 'intake-replay-'));
afterAll(() => rmSync(folder, { recursive: true }));

const field = (name: string, column: number, more: Partial<FieldRule> = {}): FieldRule => ({
  name,
  column,
  type: 'text',
  required: false,
  empty: 'keep',
  aliases: [],
  key: false,
  ...more,
});

function side(lines: string[], rules: FieldRule[], cut = Infinity): ReplaySide {
  const path = join(folder, `${lines.length}`);
  writeFileSync(path, lines.map((line) => `${line}\n`).join(''));
  const parts = cut === Infinity ? [lines] : [lines.slice(0, cut), lines.slice(cut)];
  let start = 0;
  let first = 1;
  const segments = parts.map((part, index) => {
    const bytes = Buffer.byteLength(part.join('')) + part.length;
    const segment = {
      index,
      start,
      end: start + bytes,
      firstRecord: first,
      firstLine: first,
      accepted: part.length,
      rejected: 0,
    };
    start += bytes;
    first += part.length;
    return segment;
  });
  const manifest = {
    columns: ['a', 'b'].map((name) => ({ name, original: name, type: 'text' as const })),
    canonicalDialect: { delimiter: ',', quote: '"', escape: '"' },
    maxRecordBytes: 1e6,
    segments,
  } as Partial<Manifest> as Manifest;
  return { manifest, path, rules };
}

it('two versions that say the same come to the same, however the file is cut', () => {
  const lines = Array.from({ length: 20_000 }, (_, n) => `k${n},"tab\t, quote "" and \\${n}"`);
  const rules = [field('sku', 0), field('name', 1)];
  const result = replay(side(lines, rules), side(lines, rules, 777));
  expect(result).toMatchObject({
    changed: 0,
    differences: [],
    before: { accepted: 20_000 },
    after: { accepted: 20_000 },
  });
});

it('what comes out differently is said, with values, reasons and exact counts', () => {
  const lines = ['1,A', '2,B', '3,maybe', '4,A', 'only one cell'];
  const before = side(lines, [field('sku', 0), field('active', 1, { type: 'boolean' })]);
  const after = side(lines, [
    field('sku', 0),
    field('active', 1, { type: 'boolean', values: { A: 'true', B: 'false' } }),
  ]);
  const result = replay(before, after, 2);
  expect(result.before).toEqual({
    accepted: 0,
    blocked: 4,
    rejected: 1,
    issues: { not_boolean: 4, too_few_columns: 1 },
  });
  expect(result.after).toEqual({
    accepted: 3,
    blocked: 1,
    rejected: 1,
    issues: { not_boolean: 1, too_few_columns: 1 },
  });
  expect(result.changed).toBe(3);
  expect(result.differences).toMatchObject([
    {
      record: 1,
      line: 1,
      fields: [
        { field: 'sku', before: null, after: '1' },
        { field: 'active', before: null, after: 't' },
      ],
      before: [{ code: 'not_boolean' }],
      after: [],
    },
    { record: 2, line: 2 },
  ]);
});

it('fields that one version writes and the other leaves alone are differences too', () => {
  const lines = ['1,x'];
  const result = replay(side(lines, [field('sku', 0)]), side(lines, [field('sku', 0), field('name', 1)]));
  expect(result.differences).toMatchObject([{ fields: [{ field: 'name', before: null, after: 'x' }] }]);
});
