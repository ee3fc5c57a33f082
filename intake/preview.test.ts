import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { differentReadings, readBeginning, type PreviewRow } from './preview.ts';
import type { FieldRule } from './types.ts';

const folder = mkdtempSync(join(tmpdir(), 'intake-preview-'));
afterAll(() => rmSync(folder, { recursive: true }));

describe('a cell that can be read in several ways', () => {
  const readings = (type: FieldRule['type'], cells: string[]) => {
    const rule: FieldRule = {
      name: 'day',
      column: 0,
      type,
      required: false,
      empty: 'keep',
      aliases: [],
      key: false,
    };
    const rows: PreviewRow[] = cells.map((cell, at) => ({
      record: at + 1,
      line: at + 2,
      cells: [cell],
      values: null,
      issues: [],
    }));
    return differentReadings([rule], rows);
  };

  it('is the one that tells the ways apart best', () => {
    expect(readings('date', ['01/01/24', '02/01/24'])).toEqual([
      {
        field: 'day',
        text: '02/01/24',
        readings: [
          { format: { date: 'DMY' }, value: '2024-01-02' },
          { format: { date: 'MDY' }, value: '2024-02-01' },
          { format: { pattern: 'yy/M/d' }, value: '2002-01-24' },
        ],
      },
    ]);
    expect(readings('decimal', ['5', '1,234', '2,5'])).toMatchObject([{ text: '1,234' }]);
  });

  it('is none where all ways come to the same', () => {
    expect(readings('date', ['2024-01-31', '03/03/2024'])).toEqual([]);
    expect(readings('text', ['01/02/24'])).toEqual([]);
  });

  it('may have a time behind a year that stands first', () => {
    expect(readings('timestamp', ['24/01/31 9:20', '24/02/15 09:00'])).toMatchObject([
      {
        readings: [
          { format: { date: 'DMY' }, value: '2031-01-24T09:20:00' },
          { format: { pattern: 'yy/M/d H:mm' }, value: '2024-01-31T09:20:00' },
        ],
      },
    ]);
    expect(readings('timestamp', ['24-01-31 09:20:30'])).toMatchObject([
      { readings: [{}, { format: { pattern: 'yy-M-d H:mm:ss' }, value: '2024-01-31T09:20:30' }] },
    ]);
  });
});

describe('the beginning of a file in UTF-16', () => {
  // U+4E0A and U+010A have the byte of a line end in them.
  const text = `a,b\r\n${Array.from({ length: 500 }, (_, n) => `${n},\u4E0A\u010A\u4E0A\u010A\r\n`).join('')}`;
  const little = Buffer.from(`\uFEFF${text}`, 'utf16le');
  const big = Buffer.from(little).swap16();
  it.each<[string, Buffer, string | undefined]>([
    ['as it is found', little, undefined],
    ['as utf-16', little, 'utf-16'],
    ['as UTF-16LE', little, 'UTF-16LE'],
    ['big-endian', big, undefined],
    ['as UTF-16BE', big, 'UTF-16BE'],
  ])('ends with a whole line: %s', async (_, bytes, encoding) => {
    for (let cut = 0; cut < 24; cut += 2) {
      const head = bytes.subarray(0, 4000 + cut);
      const options = encoding === undefined ? {} : { encoding };
      const { manifest } = await readBeginning({ head, whole: false, folder, fileName: 'a.csv', options });
      expect([manifest.rejected, manifest.columns.length]).toEqual([0, 2]);
      expect(manifest.rows).toBeGreaterThan(100);
    }
  });
});
