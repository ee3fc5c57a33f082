import { createReadStream, statSync } from 'node:fs';
import { mkdir, open, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { constants, createGunzip } from 'node:zlib';
import { datePattern } from './date-pattern.ts';
import { parseDate, parseTimestamp, type DateOrder } from './dates.ts';
import { readHead } from './dialect.ts';
import { canonicalLabel, encodingOfHead, transcode } from './encoding.ts';
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
const COMPARED_CELLS = 200;

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
function wholeLines(bytes: Buffer, label: string | undefined): Buffer {
  const encoding = label === undefined ? encodingOfHead(bytes)?.encoding : canonicalLabel(label);
  return bytes.subarray(0, behindLast(bytes, 10, encoding) || behindLast(bytes, 13, encoding) || undefined);
}

/** Where the last sign of that code ends; 0 where there is none. In UTF-16 its byte may be half of another sign. */
function behindLast(bytes: Buffer, code: number, encoding: string | undefined): number {
  const low = encoding === 'utf-16le' ? 0 : encoding === 'utf-16be' ? 1 : null;
  if (low === null) return bytes.lastIndexOf(code) + 1;
  for (let end = bytes.length & ~1; end > 0; end -= 2)
    if (bytes[end - 2 + low] === code && bytes[end - 1 - low] === 0) return end;
  return 0;
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
 * The cell of each date or number column that means the most different things in different formats, so that a person can
 * say which one is meant.
 */
export function differentReadings(rules: FieldRule[], rows: PreviewRow[]): TwoReadings[] {
  return rules.flatMap((rule) => {
    const { column } = rule;
    const ways = column === null ? [] : waysToRead(rule);
    if (ways.length === 0) return [];
    let found: TwoReadings | null = null;
    let most = 1;
    const seen = new Set<string>();
    for (const { cells } of rows) {
      const text = (cells[column!] ?? '').trim();
      if (text === '' || seen.has(text)) continue;
      seen.add(text);
      const readings = ways.flatMap(({ format, read }) => {
        const value = read(text);
        return value === null ? [] : [{ format, value }];
      });
      const different = new Set(readings.map(({ value }) => value)).size;
      if (different > most) [found, most] = [{ field: rule.name, text, readings }, different];
      // Where a cell is found none may be better; where none is, every one may be the first.
      if (most === ways.length || (found !== null && seen.size >= COMPARED_CELLS)) break;
    }
    return found === null ? [] : [found];
  });
}

/** A year of two digits in front has no order that could be named: `31.01.24` would be read so too. */
const YEAR_FIRST = ['yy/M/d', 'yy-M-d', 'yy.M.d'];
const YEAR_FIRST_WAYS = {
  date: YEAR_FIRST.map((pattern) => wayOf(pattern, parseDate)),
  timestamp: YEAR_FIRST.flatMap((pattern) =>
    ['', ' H:mm', ' H:mm:ss'].map((time) => wayOf(`${pattern}${time}`, parseTimestamp)),
  ),
};

interface WayToRead {
  format: ColumnFormat;
  read: (text: string) => string | null;
}

function wayOf(pattern: string, parse: (text: string) => string | null): WayToRead {
  const read = datePattern(pattern);
  return {
    format: { pattern },
    read(text) {
      const found = read(text);
      return found && parse(found.time === null ? found.date : `${found.date}T${found.time}`);
    },
  };
}

function waysToRead(rule: FieldRule): WayToRead[] {
  if (rule.type === 'date' || rule.type === 'timestamp') {
    if (rule.format?.pattern !== undefined) return [];
    const parse = rule.type === 'date' ? parseDate : parseTimestamp;
    const orders = (['YMD', 'DMY', 'MDY'] as const).map((date: DateOrder) => ({
      format: { date },
      read: (text: string) => parse(text, date),
    }));
    return [...orders, ...YEAR_FIRST_WAYS[rule.type]];
  }
  if (rule.type === 'decimal' || rule.type === 'integer') {
    return (['.', ','] as const).map((decimal) => ({
      format: { decimal },
      read: (text) => normaliseNumber(text, decimal),
    }));
  }
  return [];
}
