import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { inspectFile } from './inspect.ts';
import { scanSegment } from './parse-segment.ts';
import { OK, recordTexts, REJECT_CODES } from './scan.ts';
import type { Manifest } from './types.ts';

/** Files that are easily read as something else without anything being said. */
const folder = mkdtempSync(join(tmpdir(), 'intake-misread-'));
afterAll(() => rmSync(folder, { recursive: true }));
const spool = { rawPath: join(folder, 'raw'), canonicalPath: join(folder, 'canonical') };

interface Read {
  manifest: Manifest;
  names: string[] | null;
  rows: string[][];
  rejects: [line: number, code: string][];
  codes: string[];
}

async function read(bytes: Buffer | string, fileName = 'file.csv'): Promise<Read> {
  for (const path of Object.values(spool)) rmSync(path, { force: true });
  const source = (async function* () {
    yield Buffer.from(bytes);
  })();
  const manifest = await inspectFile({ source, spool, fileName, options: {} });
  const rows: string[][] = [];
  const rejects: Read['rejects'] = [];
  const path = manifest.canonical === 'raw' ? spool.rawPath : spool.canonicalPath;
  const dialect = manifest.canonicalDialect;
  for (const segment of manifest.segments)
    for (const scanner of scanSegment({ path, ...manifest, dialect, segment })) {
      if (scanner.status === OK) rows.push(recordTexts(scanner, dialect));
      else rejects.push([scanner.line, REJECT_CODES[scanner.status]!]);
    }
  return {
    manifest,
    names: manifest.headerRow === null ? null : manifest.columns.map(({ original }) => original),
    rows,
    rejects,
    codes: manifest.warnings.map(({ code }) => code),
  };
}

const lines = (count: number, line: (n: number) => string) =>
  Array.from({ length: count }, (_, n) => `${line(n + 1)}\n`).join('');

describe('the first record is never a part of the names', () => {
  const priced = lines(3000, (n) => `Item ${n},${n}.50,note ${n % 7}`);
  it.each<[string, string, string[]]>([
    [
      'words for a price',
      'name,price\nApple pie,call us\nBanana,12.5\nCherry tart,3.20\nDate,4\n',
      ['Apple pie', 'call us'],
    ],
    ['in 3,000 rows', `name,price,note\nApple pie,call,ask us\n${priced}`, ['Apple pie', 'call', 'ask us']],
    [
      'words for a date',
      'kunde;datum;menge\nMeier;offen;viele\nKunz;2026-01-02;4\nHinz;2026-01-03;5\n',
      ['Meier', 'offen', 'viele'],
    ],
    ['Japanese', '商品名,単価\nりんご,時価\nみかん,120\nぶどう,300\n', ['りんご', '時価']],
  ])('%s', async (_, text, first) => {
    const found = await read(text);
    expect(found.manifest.headerRows).toBe(1);
    expect(found.rows[0]).toEqual(first);
  });

  it.each<[string, string, string[]]>([
    [
      'units',
      'name,weight,price\n,(kg),(EUR)\nBolt,1.5,2\nNut,2.5,3\nPin,1,1\n',
      ['name', 'weight (kg)', 'price (EUR)'],
    ],
    [
      'bare units',
      'name,weight,price\n,kg,€\nBolt,1.5,2\nNut,2.5,3\nPin,1,1\n',
      ['name', 'weight kg', 'price €'],
    ],
    [
      'groups',
      'Item,Item,Stock,Stock\nCode,Name,Qty,Price\nA1,Bolt,5,1.5\nA2,Nut,7,2.5\nA3,Pin,8,0.1\n',
      ['Item Code', 'Item Name', 'Stock Qty', 'Stock Price'],
    ],
  ])('%s below the names are', async (_, text, names) => {
    const found = await read(text);
    expect(found.names).toEqual(names);
    expect(found.codes).not.toContain('header_guessed');
  });

  it('a line below names with a blank is joined with doubt', async () => {
    const found = await read(
      'name,,price\nApple pie,see note,call us\nBanana,y-2,12.5\nCherry,z,3.20\nDate,w 3 4,4\n',
    );
    expect(found.codes).toContain('header_guessed');
  });
});
