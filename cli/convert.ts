import { once } from 'node:events';
import { createReadStream, createWriteStream } from 'node:fs';
import { finished } from 'node:stream/promises';
import type { Writable } from 'node:stream';
import { setFlagsFromString } from 'node:v8';
import { gunzip } from '../intake/container.ts';
import { RecordPositions } from '../intake/json/positions.ts';
import { LIMITS } from '../intake/receive.ts';
import { scanSegment } from '../intake/parse-segment.ts';
import { csvText } from '../intake/csv-line.ts';
import { markOf, rejectionMessage, suggestedCells } from '../intake/rejections.ts';
import { fieldText, OK, REJECT_CODES, visibleText, type RecordScanner } from '../intake/scan.ts';
import { SourceBytes } from '../intake/source-bytes.ts';
import type { Manifest, Segment } from '../intake/types.ts';
import { offline, offlineArguments, withFile, type OfflineFile, type Streams } from './offline.ts';

const CHUNK_CHARACTERS = 64 * 1024;
const RAW_BYTES = 1024;
const LINE_END = '\r\n';

/**
 * `waybill convert FILE [--rejects FILE] [--repair]`: any file as UTF-8 RFC 4180 on stdout; offline, in bounded memory.
 * With `--repair`, rejected records for which there is one certain repair are written repaired.
 */
export function convertCommand(argv: string[], streams: Streams = process): Promise<number> {
  // Cells are gone as soon as they are written: without this V8 makes more and more room for them (31 MB at 200 MB of CSV).
  setFlagsFromString('--max-semi-space-size=2');
  return offline(streams, async () => {
    const args = offlineArguments(argv, 'convert');
    await withFile(args, async (file) => {
      const out = new Pacer(streams.stdout);
      const rejects = args.rejects === null ? null : new Pacer(createWriteStream(args.rejects));
      const repaired = await convert(file, out, rejects, args.repair);
      await out.flush();
      if (rejects) await rejects.close();
      if (args.repair) {
        streams.stderr.write(
          `waybill: ${repaired === 1 ? '1 row was' : `${repaired} rows were`} repaired${rejects ? '; --rejects marks them' : ''}.\n`,
        );
      }
      const rejected = file.manifest.rejected - repaired;
      if (rejected > 0 && !rejects) {
        streams.stderr.write(
          `waybill: ${rejected === 1 ? '1 row could not be read and was' : `${rejected} rows could not be read and were`} left out; --rejects FILE lists them.\n`,
        );
      }
    });
  });
}

/** Answers how many rejected records were written as they should have been. */
async function convert(
  file: OfflineFile,
  out: Pacer,
  rejects: Pacer | null,
  repair: boolean,
): Promise<number> {
  const { manifest } = file;
  const dialect = manifest.canonicalDialect;
  const path = manifest.canonical === 'raw' ? file.path : file.canonicalPath;
  const width = manifest.columns.length;
  const source = rejects ? sourceOf(file) : null;
  let repaired = 0;
  if (manifest.headerRow !== null)
    await out.write(recordLine(manifest.columns.map(({ original }) => original)));
  for (const segment of stretches(manifest.segments)) {
    for (const scanner of scanSegment({
      path,
      segment,
      dialect,
      columns: manifest.columns,
      maxRecordBytes: manifest.maxRecordBytes,
    })) {
      if (scanner.status === OK) {
        const cells: string[] = [];
        for (let field = 0; field < width; field++) cells.push(fieldText(scanner, field, dialect));
        // Nearly always there is nothing to wait for, and waiting for nothing takes its time too.
        const flushed = out.write(recordLine(cells));
        if (flushed) await flushed;
        continue;
      }
      const suggestion = repair || rejects ? suggestedCells(scanner, manifest.columns, dialect) : null;
      const applied = repair && suggestion !== null;
      if (applied) {
        repaired++;
        await out.write(recordLine(suggestion));
      }
      if (rejects) {
        const entry = { ...(await rejectionOf(scanner, manifest, source)), suggestion };
        await rejects.write(`${JSON.stringify(applied ? { ...entry, repaired: true } : entry)}\n`);
      }
    }
  }
  return repaired;
}

/** Segments that follow each other as one: a scanner of its own for each would leave its buffers behind for a while. */
function stretches(segments: Segment[]): Segment[] {
  const joined: Segment[] = [];
  for (const segment of segments) {
    const last = joined.at(-1);
    if (last && last.end === segment.start && last.secondTable === segment.secondTable)
      last.end = segment.end;
    else joined.push({ ...segment });
  }
  return joined;
}

function recordLine(cells: string[]): string {
  // A record of one empty cell would be a blank line, which readers skip.
  if (cells.length === 1 && cells[0] === '') return `""${LINE_END}`;
  return `${csvText(cells)}${LINE_END}`;
}

async function rejectionOf(
  scanner: RecordScanner,
  manifest: Manifest,
  source: SourceBytes | RecordPositions | null,
) {
  const { line, offset, length } = scanner;
  const copied = scanner.head ?? scanner.window.subarray(scanner.start, scanner.end);
  const found =
    source instanceof SourceBytes
      ? await source.between(offset, offset + length, RAW_BYTES)
      : await source?.at(line);
  const code = REJECT_CODES[scanner.status]!;
  const json = manifest.type === 'json' || manifest.type === 'ndjson';
  const isText = code !== 'invalid_bytes' && (code !== 'nul_byte' || json);
  const held = json
    ? (found?.bytes ?? markOf(scanner)?.raw ?? copied)
    : !isText && found
      ? found.bytes
      : copied;
  const bytes = held.subarray(0, RAW_BYTES);
  return {
    line,
    byteOffset: found?.offset ?? (manifest.canonical === 'copy' && manifest.type !== 'csv' ? null : offset),
    code,
    message: rejectionMessage(scanner, manifest.columns.length),
    raw: isText ? wholeCharacters(bytes) : null,
    ...(isText ? {} : { rawBase64: bytes.toString('base64') }),
  };
}

/** Without the character that the cut at 1 KiB divided. */
function wholeCharacters(bytes: Buffer): string {
  if (bytes.length < RAW_BYTES) return visibleText(bytes);
  let end = bytes.length;
  while (end > 0 && (bytes[end - 1]! & 0xc0) === 0x80) end--;
  return visibleText(bytes.subarray(0, bytes[end - 1]! >= 0xc0 ? end - 1 : bytes.length));
}

/** Where the canonical bytes were made from others, positions are looked up in those. */
function sourceOf({ path, manifest }: OfflineFile): SourceBytes | RecordPositions | null {
  const { type, encoding, compression } = manifest;
  const json = type === 'json' || type === 'ndjson';
  if (type === 'xlsx' || json !== (encoding === 'utf-8')) return null;
  const stored = createReadStream(path) as AsyncIterable<Buffer>;
  const content = compression ? gunzip(stored, LIMITS) : stored;
  if (json) return new RecordPositions(content, manifest, RAW_BYTES);
  return new SourceBytes(content, encoding, manifest.bom ? 2 : 0, manifest.mixedEncoding);
}

/** Gathers small writes, and waits while the stream is full. */
class Pacer {
  private readonly stream: Writable;
  private readonly parts: string[] = [];
  private characters = 0;
  private failure: unknown = null;

  constructor(stream: Writable) {
    this.stream = stream;
    stream.on('error', (error) => (this.failure ??= error));
  }

  write(text: string): Promise<void> | undefined {
    this.parts.push(text);
    this.characters += text.length;
    return this.characters < CHUNK_CHARACTERS ? undefined : this.flush();
  }

  async flush(): Promise<void> {
    const text = this.parts.splice(0).join('');
    this.characters = 0;
    if (this.failure) throw this.failure;
    if (text && !this.stream.write(text)) await once(this.stream, 'drain');
    if (this.failure) throw this.failure;
  }

  async close(): Promise<void> {
    await this.flush();
    this.stream.end();
    await finished(this.stream);
  }
}
