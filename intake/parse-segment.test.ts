import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { checkCell, compileRule } from './check-cell.ts';
import { inspectFile } from './inspect.ts';
import type { InspectLimits } from './receive.ts';
import { parseSegment, scanSegment } from './parse-segment.ts';
import { readRecord } from './record-values.ts';
import { OK, recordTexts } from './scan.ts';
import { createSegmentPool } from './segment-pool.ts';
import type { FieldRule, FileOptions, Issue, Manifest, SegmentJob, SegmentResult } from './types.ts';

const folder = mkdtempSync(join(tmpdir(), 'intake-parse-'));
afterAll(() => rmSync(folder, { recursive: true }));
const path = join(folder, 'file.csv');
const canonicalPath = join(folder, 'file.canonical');

async function inspect(
  bytes: Buffer,
  options: FileOptions = {},
  limits: InspectLimits = {},
): Promise<Manifest> {
  const source = (async function* () {
    for (let at = 0; at < bytes.length; at += 1000) yield bytes.subarray(at, at + 1000);
  })();
  return inspectFile({
    source,
    spool: { rawPath: path, canonicalPath },
    fileName: 'file.csv',
    options,
    limits,
  });
}

const plain = (name: string, column: number, more: Partial<FieldRule> = {}): FieldRule => ({
  name,
  column,
  type: 'text',
  required: false,
  empty: 'keep',
  aliases: [],
  key: false,
  ...more,
});

function jobs(manifest: Manifest, rules: FieldRule[]): SegmentJob[] {
  return manifest.segments.map((segment) => ({
    path: manifest.canonical === 'raw' ? path : canonicalPath,
    segment,
    dialect: manifest.canonicalDialect,
    columns: manifest.columns,
    rules,
    maxRecordBytes: manifest.maxRecordBytes,
  }));
}

interface Row {
  record: number;
  line: number;
  offset: number;
  bytes: number;
  blocked: boolean;
  issues: Issue[] | null;
  raw: string[] | null;
  fields: (string | null)[];
}

/** COPY's text format, read as PostgreSQL reads it. */
function readCopy(text: string): Row[] {
  expect(text === '' || text.endsWith('\n')).toBe(true);
  return text
    .split('\n')
    .slice(0, -1)
    .map((row) => {
      const cells = row
        .split('\t')
        .map((cell) =>
          cell === '\\N'
            ? null
            : cell.replace(/\\(.)/gu, (_, code: string) => ({ t: '\t', n: '\n', r: '\r' })[code] ?? code),
        );
      const [record, line, offset, bytes, blocked, issues, raw, ...fields] = cells;
      return {
        record: Number(record),
        line: Number(line),
        offset: Number(offset),
        bytes: Number(bytes),
        blocked: blocked === 't',
        issues: issues === null || issues === undefined ? null : (JSON.parse(issues) as Issue[]),
        raw: raw === null || raw === undefined ? null : (JSON.parse(raw) as string[]),
        fields,
      };
    });
}

function run(job: SegmentJob): { rows: Row[]; result: SegmentResult; chunks: Buffer[] } {
  const chunks: Buffer[] = [];
  const parser = parseSegment(job);
  for (;;) {
    const step = parser.next();
    if (step.done) return { rows: readCopy(Buffer.concat(chunks).toString()), result: step.value, chunks };
    chunks.push(step.value);
  }
}

const hostile = fc
  .array(
    fc.constantFrom('a', 'é', '日', ',', ',', '"', '""', '\n', '\n', '\r\n', '\t', '\0', '\\', '\\N', '\xFF'),
    { maxLength: 150 },
  )
  .map((parts) =>
    Buffer.concat([
      Buffer.from('h1,h2\nx,1\n'),
      ...parts.map((part) => (part === '\xFF' ? Buffer.from([0xff]) : Buffer.from(part))),
    ]),
  );

describe('segments', { timeout: 30_000 }, () => {
  it('tile the records, and their parsers agree with what inspection counted', async () => {
    await fc.assert(
      fc.asyncProperty(
        hostile,
        fc.constantFrom(1, 15, 1000),
        fc.constantFrom(20, 1000),
        async (bytes, segmentBytes, maxRecordBytes) => {
          const options = { encoding: 'utf-8', delimiter: ',', quote: '"', headerRow: 1 };
          const manifest = await inspect(bytes, options, { segmentBytes, maxRecordBytes });
          const rules = manifest.columns.map((column, index) => plain(column.name, index));
          let record = 1;
          let end = manifest.segments[0]?.start ?? 0;
          for (const job of jobs(manifest, rules)) {
            const { segment } = job;
            expect([segment.start, segment.firstRecord]).toEqual([end, record]);
            end = segment.end;
            const { rows, result } = run(job);
            expect([result.accepted, result.rejected]).toEqual([segment.accepted, segment.rejected]);
            expect(result.blocked).toBe(0);
            expect(rows[0]!.line).toBe(segment.firstLine);
            for (const row of rows) expect(row.record).toBe(record++);
            let at = 0;
            for (const scanner of scanSegment(job)) {
              const row = rows[at++]!;
              expect([row.offset, row.bytes, row.line, row.blocked]).toEqual([
                scanner.offset,
                scanner.length,
                scanner.line,
                scanner.status !== OK,
              ]);
              if (scanner.status !== OK) {
                expect(row.fields.every((field) => field === null)).toBe(true);
                expect(row.issues).toHaveLength(1);
                expect(row.raw).not.toBeNull();
                continue;
              }
              const cells = recordTexts(scanner, job.dialect);
              expect(row.fields).toEqual(cells.map((cell) => (cell.trim() === '' ? null : cell)));
              expect(
                await readRecord({
                  path: job.path,
                  offset: row.offset,
                  bytes: row.bytes,
                  dialect: job.dialect,
                }),
              ).toEqual(cells);
            }
          }
          expect(record - 1).toBe(manifest.rows + manifest.rejected);
          // What lies below is the footer that is shown, and nothing else.
          if (manifest.segments.length > 0 && manifest.footerRow === null) expect(end).toBe(bytes.length);
          else expect(end).toBeLessThanOrEqual(bytes.length);
        },
      ),
      { numRuns: 200 },
    );
  }, 60_000);

  it('come out of the pool in order, with at most so many chunks ahead', async () => {
    const text = `sku,name\n${Array.from({ length: 60_000 }, (_, index) => `S${index},Name ${index}\n`).join('')}`;
    const manifest = await inspect(Buffer.from(text), {}, { segmentBytes: 300_000 });
    const pool = createSegmentPool({ threads: 2 });
    try {
      const found = await Promise.all(
        jobs(manifest, [plain('sku', 0, { key: true }), plain('name', 1)]).map(async (job) => {
          const chunks: Buffer[] = [];
          let open = 0;
          const result = await pool.run(job, async (chunk) => {
            expect(++open).toBe(1);
            await new Promise(setImmediate);
            open--;
            chunks.push(chunk);
          });
          expect(result).toEqual({ accepted: job.segment.accepted, rejected: 0, blocked: 0, issues: {} });
          return readCopy(Buffer.concat(chunks).toString());
        }),
      );
      expect(found.flat().map(({ fields }) => fields[0])).toEqual(
        Array.from({ length: 60_000 }, (_, index) => `S${index}`),
      );
    } finally {
      await pool.close();
    }
  });

  it('can be stopped, fail alone, and leave the pool working', async () => {
    const manifest = await inspect(Buffer.from(`sku\n${'abcdefghij\n'.repeat(100_000)}`));
    const [job] = jobs(manifest, [plain('sku', 0)]) as [SegmentJob];
    const pool = createSegmentPool({ threads: 1 });
    try {
      const stop = new AbortController();
      const stopped = pool.run(job, () => stop.abort(new Error('stop')), stop.signal);
      const queued = pool.run(job, () => {}, stop.signal);
      const ends = await Promise.allSettled([stopped, queued]);
      expect(ends.map((end) => end.status === 'rejected' && (end.reason as Error).message)).toEqual([
        'stop',
        'stop',
      ]);
      await expect(pool.run(job, () => Promise.reject(new Error('COPY failed')))).rejects.toThrow(
        'COPY failed',
      );
      await expect(pool.run({ ...job, path: join(folder, 'missing') }, () => {})).rejects.toMatchObject({
        code: 'ENOENT',
      });
      expect((await pool.run(job, () => {})).accepted).toBe(manifest.rows);
    } finally {
      await pool.close();
    }
    await expect(pool.run(job, () => {})).rejects.toThrow('closed');
  });

  it('share a thread: one whose chunks nobody takes holds up no other', async () => {
    const manifest = await inspect(Buffer.from(`sku\n${'abcdefghij\n'.repeat(100_000)}`));
    const [job] = jobs(manifest, [plain('sku', 0)]) as [SegmentJob];
    const pool = createSegmentPool({ threads: 1 });
    try {
      let take = () => {};
      const slow = pool.run(job, () => new Promise<void>((resolve) => (take = resolve)));
      expect((await pool.run(job, () => {})).accepted).toBe(manifest.rows);
      const taking = setInterval(() => take(), 1);
      expect((await slow).accepted).toBe(manifest.rows);
      clearInterval(taking);
    } finally {
      await pool.close();
    }
  });

  it('replace a thread that dies or never stops', async () => {
    const manifest = await inspect(Buffer.from(`sku,name\n${`${'a'.repeat(40)}!,b\n`}`));
    const pool = createSegmentPool({ threads: 1 });
    try {
      const [job] = jobs(manifest, [plain('sku', 0, { pattern: '(a+)+' })]) as [SegmentJob];
      const stop = new AbortController();
      const endless = pool.run(job, () => {}, stop.signal);
      setTimeout(() => stop.abort(new Error('enough')), 50);
      await expect(endless).rejects.toThrow('enough');
      expect((await pool.run({ ...job, rules: [plain('sku', 0)] }, () => {})).accepted).toBe(1);
    } finally {
      await pool.close();
    }
  }, 15_000);
});

describe('rows', () => {
  it('block what a rule refuses, with every issue and the cells as they were', async () => {
    const manifest = await inspect(
      Buffer.from('sku,price,active\nA-1,12.50,yes\n,x,maybe\nA-3,1,2,3\nA-4,,\n'),
      { headerRow: 1 },
    );
    const [job] = jobs(manifest, [
      plain('sku', 0, { key: true, required: true }),
      plain('price', 1, { type: 'decimal', precision: 18, scale: 4 }),
      plain('active', 2, { type: 'boolean' }),
    ]) as [SegmentJob];
    const { rows, result } = run(job);
    expect(result).toEqual({
      accepted: 3,
      rejected: 1,
      blocked: 1,
      issues: { key_missing: 1, not_decimal: 1, not_boolean: 1, too_many_columns: 1 },
    });
    expect(rows.map(({ fields }) => fields)).toEqual([
      ['A-1', '12.50', 't'],
      [null, null, null],
      [null, null, null],
      ['A-4', null, null],
    ]);
    expect(rows[1]!.raw).toEqual(['', 'x', 'maybe']);
    expect(rows[1]!.issues!.map(({ line, column, code, value }) => [line, column, code, value])).toEqual([
      [3, 'sku', 'key_missing', ''],
      [3, 'price', 'not_decimal', 'x'],
      [3, 'active', 'not_boolean', 'maybe'],
    ]);
    expect(rows[2]!.raw).toEqual(['A-3', '1', '2', '3']);
  });

  it('cap what is kept of a large rejected record', async () => {
    const manifest = await inspect(Buffer.from(`a,b\n1,2\n"${'\u{1F600}x\\'.repeat(60_000)}",2,3\n`));
    const [job] = jobs(manifest, [plain('a', 0)]) as [SegmentJob];
    const { rows } = run(job);
    expect(Buffer.byteLength(JSON.stringify(rows[1]!.raw))).toBeLessThanOrEqual(64 * 1024);
    expect(rows[1]!.raw).toHaveLength(3);
  });

  it('take the short way and the long way to the same value', async () => {
    const cell = fc.oneof(
      fc.string({
        unit: fc.constantFrom('0', '1', '9', '.', ',', '-', '+', ' ', 'e', '(', ')', '%', '$'),
        maxLength: 9,
      }),
      fc.string({ unit: fc.constantFrom('a', 'B', '@', '.', '-', '_', ' ', 'é', '日'), maxLength: 9 }),
      fc.date({ noInvalidDate: true }).map((date) => date.toISOString().slice(0, 10)),
      fc.constantFrom(
        'true',
        'FALSE',
        't',
        'N',
        'yes',
        '1',
        '0',
        '2024-02-30',
        '2024-02-29',
        '0000-01-01',
        'a@b.c',
        '9223372036854775808',
        '-0',
        '007',
        '\\N',
        'NaN',
        '\u00a0',
        '\u3000 ',
        '\ufeff日',
        '、b',
      ),
    );
    const kinds: Partial<FieldRule>[] = [
      { type: 'text', maxLength: 4 },
      { type: 'integer' },
      { type: 'decimal', precision: 6, scale: 2 },
      { type: 'decimal' },
      { type: 'boolean' },
      { type: 'date' },
      { type: 'email' },
      { type: 'text', required: true },
      { type: 'date', format: { date: 'DMY' } },
      { type: 'integer', min: '-32768', max: '32767' },
      { type: 'integer', min: '0', max: '1' },
      { type: 'integer', above: '0', below: '100' },
      { type: 'decimal', precision: 6, scale: 2, min: '0' },
      { type: 'decimal', above: '-1.5', max: '99.9' },
      { type: 'decimal', max: '-1' },
      { type: 'text', minLength: 2 },
      { type: 'date', min: '2000-01-01', below: '2024-06-01' },
      { type: 'email', normalise: true },
      { type: 'text', values: { a: 'x\ty', 日: 'z' }, nullWords: ['N', '1'] },
      { type: 'text', enum: ['a', '日'], warn: ['not_in_list'] },
      { type: 'boolean', required: true, values: { é: 'yes' } },
    ];
    await fc.assert(
      fc.asyncProperty(fc.array(cell, { minLength: 1, maxLength: 20 }), async (cells) => {
        // Twice: cells that come again are known.
        cells = [...cells, ...cells];
        const text = cells.map((value) => `"${value}","."\n`).join('');
        const manifest = await inspect(Buffer.from(`first,second\n${text}`), {
          headerRow: 1,
          delimiter: ',',
          quote: '"',
        });
        const rules = kinds.map((kind, index) => plain(`f${index}`, 0, kind));
        const [job] = jobs(manifest, rules) as [SegmentJob];
        rules.forEach((rule) => {
          const { rows } = run({ ...job, rules: [rule] });
          cells.forEach((value, index) => {
            const expected = checkCell(compileRule(rule, 'first'), value);
            const row = rows[index]!;
            expect([row.issues?.[0]?.code, row.fields[0]]).toEqual(
              'code' in expected ? [expected.code, null] : [expected.warning?.code, expected.value],
            );
          });
        });
      }),
      { numRuns: 80 },
    );
  }, 60_000);

  it('come out as they are, whatever has to be escaped near them', async () => {
    const text = fc
      .string({ unit: fc.constantFrom('a', 'b', '日', '\t', '\\', '\n', '\r'), maxLength: 12 })
      .map((cell) => `x${cell}`);
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(',', '\t'),
        fc.array(fc.tuple(text, text), { minLength: 1, maxLength: 12 }),
        async (delimiter, records) => {
          const quoted = (cell: string) => (/[\t\n\r]/u.test(cell) ? `"${cell}"` : cell);
          const lines = records.map((cells) => cells.map(quoted).join(delimiter));
          const bytes = Buffer.from(`first${delimiter}second\n${lines.join('\n')}\n`);
          const manifest = await inspect(bytes, { delimiter, quote: '"', headerRow: 1, keepFooter: true });
          const rows = jobs(manifest, [plain('first', 0), plain('second', 1)]).flatMap((job) =>
            readCopy(Buffer.concat([...parseSegment(job)]).toString()),
          );
          expect(rows.map(({ fields }) => fields)).toEqual(records);
        },
      ),
      { numRuns: 60 },
    );
  });

  it('hold values much longer than their cells', async () => {
    const long = 'L'.repeat(200_000);
    const manifest = await inspect(Buffer.from('sku,state\nA,x\nB,y\n'), { headerRow: 1 });
    const [job] = jobs(manifest, [
      plain('sku', 0),
      plain('state', 1, { values: { x: long, y: 'short' } }),
      plain('note', -1, { column: null, constant: long }),
      plain('again', 0),
    ]) as [SegmentJob];
    expect(run(job).rows.map(({ fields }) => fields.map((value) => value!.length))).toEqual([
      [1, 200_000, 200_000, 1],
      [1, 5, 200_000, 1],
    ]);
  });

  it('fill constants and read value maps', async () => {
    const manifest = await inspect(Buffer.from('sku,state\nA,有効\nB,x\n'), { headerRow: 1 });
    const [job] = jobs(manifest, [
      plain('sku', 0),
      plain('active', 1, { type: 'boolean', values: { x: 'no' } }),
      plain('note', -1, { column: null, constant: 'a\tb' }),
    ]) as [SegmentJob];
    expect(run(job).rows.map(({ fields }) => fields)).toEqual([
      ['A', 't', 'a\tb'],
      ['B', 'f', 'a\tb'],
    ]);
  });
});
