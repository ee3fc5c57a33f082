import { createReadStream, statSync } from 'node:fs';
import { mkdir, open, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { constants, createGunzip } from 'node:zlib';
import { datePattern } from './date-pattern.ts';
import { parseDate, parseTimestamp, type DateOrder } from './dates.ts';
import { readHead } from './dialect.ts';
import { encodingOfHead, transcode } from './encoding.ts';
import { inspectFile } from './inspect.ts';
import { normaliseNumber } from './numbers.ts';
import type { CompareRule } from './rules/types.ts';
import { parseSegment, scanSegment } from './parse-segment.ts';
import { recordTexts } from './scan.ts';
import {
  STAGED_COLUMNS,
  type ColumnFormat,
  type FieldRule,
  type FileOptions,
  type Issue,
  type Manifest,
  type Segment,
} from './types.ts';

/** So much of a file is read for a preview: 200 rows of 2 KB, or thousands of ordinary ones. */
export const PREVIEW_BYTES = 512 * 1024;
const UNPACKED_BYTES = 4 * PREVIEW_BYTES;
const NEAR_LINES = 20;
const NEAR_CHARACTERS = 500;
const NEAR_BYTES = 64 * 1024;

/** The beginning of a file, read in one way. */
export interface Reading {
  /** Of a beginning, `rows` and `rejected` count what was read. */
  manifest: Manifest;
  /** Canonical bytes on this host, as far as they were read. */
  path: string;
}

export interface Beginning {
  head: Buffer;
  /** `head` is the whole object. */
  whole: boolean;
  /** Made if it is not there; the caller's to remove. */
  folder: string;
}

/** The beginning of a text file as the inspection of the whole found it to be. */
export async function asInspected(input: Beginning & { manifest: Manifest }): Promise<Reading> {
  const { manifest } = input;
  const { rawPath } = await spoolBeginning(input, manifest.encoding);
  if (manifest.encoding === 'utf-8') return { manifest, path: rawPath };
  const path = join(input.folder, 'canonical');
  const raw = createReadStream(rawPath) as AsyncIterable<Buffer>;
  await writeFile(path, transcode(raw, manifest.encoding, manifest.mixedEncoding));
  return { manifest, path };
}

/**
 * Reads the beginning of a text file as if it were all of it: encoding, dialect, header and types as the options say,
 * the rest detected.
 */
export async function readBeginning(
  input: Beginning & { fileName: string; options: FileOptions },
): Promise<Reading> {
  const { fileName, options } = input;
  const { rawPath, text, packed } = await spoolBeginning(input, options.encoding);
  const canonicalPath = join(input.folder, 'canonical');
  const manifest = await inspectFile({
    source: only(text),
    spool: { rawPath, canonicalPath, rawIsSource: true },
    fileName,
    options,
  });
  return {
    manifest: { ...manifest, compression: packed ? 'gzip' : null },
    path: manifest.canonical === 'raw' ? rawPath : canonicalPath,
  };
}

async function spoolBeginning(
  { head, whole, folder }: Beginning,
  encoding: string | undefined,
): Promise<{ rawPath: string; text: Buffer; packed: boolean }> {
  const packed = head[0] === 0x1f && head[1] === 0x8b;
  const content = packed ? await unpackBeginning(head) : head;
  const text = whole && content.length < UNPACKED_BYTES ? content : wholeLines(content, encoding);
  await mkdir(folder, { recursive: true });
  const rawPath = join(folder, 'raw');
  await writeFile(rawPath, text);
  return { rawPath, text, packed };
}

async function* only(bytes: Buffer): AsyncGenerator<Buffer> {
  yield bytes;
}

/** What comes out of the beginning of a gzip file; its missing end is no error. */
async function unpackBeginning(packed: Buffer): Promise<Buffer> {
  const unpacked = createGunzip({ finishFlush: constants.Z_SYNC_FLUSH });
  unpacked.end(packed);
  const parts: Buffer[] = [];
  let bytes = 0;
  for await (const part of unpacked as AsyncIterable<Buffer>) {
    parts.push(part);
    bytes += part.length;
    if (bytes >= UNPACKED_BYTES) break;
  }
  return Buffer.concat(parts).subarray(0, UNPACKED_BYTES);
}

/** Up to the last line end, so that no record looks broken only because the reading stops in it. */
function wholeLines(bytes: Buffer, encoding: string | undefined): Buffer {
  const wide = (encoding ?? encodingOfHead(bytes)?.encoding) === 'utf-16le';
  const last = Math.max(bytes.lastIndexOf(10), bytes.indexOf(10) < 0 ? bytes.lastIndexOf(13) : -1);
  return last < 0 ? bytes : bytes.subarray(0, last + (wide ? 2 : 1));
}

export interface PreviewRow {
  record: number;
  line: number;
  cells: string[];
  /** In the order of the rules; null for a row that would not be written. A null among them is an empty value. */
  values: (string | null)[] | null;
  issues: Issue[];
}

/**
 * The records of a beginning as they stand in the file and as they would be written: by the reader that stages them.
 * It blocks: some 10 ms for the beginning of an ordinary file.
 */
export function previewRows(
  reading: Reading,
  rules: FieldRule[],
  comparisons: CompareRule[] = [],
  most = 20_000,
): PreviewRow[] {
  const { manifest, path } = reading;
  const [first] = manifest.segments;
  if (!first) return [];
  const { canonicalDialect: dialect, columns, maxRecordBytes } = manifest;
  const job = { path, dialect, columns, maxRecordBytes };
  const found: { line: number; cells: string[] }[] = [];
  const there: Segment = { ...first, end: Math.min(first.end, statSync(path).size) };
  let end = first.start;
  for (const scanner of scanSegment({ ...job, segment: there })) {
    found.push({ line: scanner.line, cells: recordTexts(scanner, dialect) });
    end = scanner.nextOffset;
    if (found.length === most) break;
  }
  const staged: Buffer[] = [];
  for (const chunk of parseSegment({ ...job, segment: { ...there, end }, rules, comparisons }))
    staged.push(chunk);
  const rows = Buffer.concat(staged).toString('utf8').split('\n').slice(0, -1);
  return rows.map((row, index) => {
    const cells = row.split('\t').map(fromCopy);
    const blocked = cells[STAGED_COLUMNS.indexOf('_blocked')];
    const issues = cells[STAGED_COLUMNS.indexOf('_issues')];
    const values = cells.slice(STAGED_COLUMNS.length);
    return {
      record: first.firstRecord + index,
      ...found[index]!,
      values: blocked === 't' ? null : values,
      issues: issues ? (JSON.parse(issues) as Issue[]) : [],
    };
  });
}

const ESCAPES: Record<string, string> = { t: '\t', n: '\n', r: '\r', b: '\b', f: '\f', v: '\v' };

/** A value of COPY text. */
export function fromCopy(text: string): string | null {
  if (text === '\\N') return null;
  return text.includes('\\') ? text.replace(/\\(.)/gsu, (_, c: string) => ESCAPES[c] ?? c) : text;
}

/** Lines that stand above the table, as text. */
export async function linesAbove({ manifest, path }: Reading): Promise<string[]> {
  if (manifest.preambleRows === 0) return [];
  const file = await open(path, 'r');
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(NEAR_BYTES), 0, NEAR_BYTES, 0);
    const head = buffer.subarray(0, bytesRead);
    const dialect = manifest.canonicalDialect;
    const lines = dialect.rows
      ? readHead(head, true, dialect, NEAR_LINES).map(({ cells }) => cells.filter(Boolean).join('   '))
      : head
          .toString('utf8')
          .replace(/^\uFEFF/u, '')
          .split(/\r\n|\n|\r/u);
    return lines
      .slice(0, Math.min(manifest.preambleRows, NEAR_LINES))
      .map((line) => line.slice(0, NEAR_CHARACTERS));
  } finally {
    await file.close();
  }
}

/** One text and what each way to read it makes of it. */
export interface TwoReadings {
  field: string;
  text: string;
  readings: { format: ColumnFormat; value: string }[];
}

/**
 * A cell of each date or number column that means different things in different formats, so that a person can say
 * which one is meant.
 */
export function differentReadings(rules: FieldRule[], rows: PreviewRow[]): TwoReadings[] {
  return rules.flatMap((rule) => {
    const { column } = rule;
    if (column === null) return [];
    const ways = waysToRead(rule);
    if (ways.length === 0) return [];
    for (const { cells } of rows) {
      const text = (cells[column] ?? '').trim();
      if (text === '') continue;
      const readings = ways.flatMap(({ format, read }) => {
        const value = read(text);
        return value === null ? [] : [{ format, value }];
      });
      if (new Set(readings.map(({ value }) => value)).size > 1) return [{ field: rule.name, text, readings }];
    }
    return [];
  });
}

function waysToRead(rule: FieldRule): { format: ColumnFormat; read: (text: string) => string | null }[] {
  if (rule.type === 'date' || rule.type === 'timestamp') {
    if (rule.format?.pattern !== undefined) return [];
    const parse = rule.type === 'date' ? parseDate : parseTimestamp;
    const orders = (['YMD', 'DMY', 'MDY'] as const).map((date: DateOrder) => ({
      format: { date },
      read: (text: string) => parse(text, date),
    }));
    // A year of two digits in front has no order that could be named: `31.01.24` would be read so too.
    const yearFirst = ['yy/M/d', 'yy-M-d', 'yy.M.d'].map((pattern) => ({
      format: { pattern },
      read(text: string) {
        const found = datePattern(pattern)(text);
        return found && parse(found.date);
      },
    }));
    return [...orders, ...yearFirst];
  }
  if (rule.type === 'decimal' || rule.type === 'integer') {
    return (['.', ','] as const).map((decimal) => ({
      format: { decimal },
      read: (text) => normaliseNumber(text, decimal),
    }));
  }
  return [];
}
