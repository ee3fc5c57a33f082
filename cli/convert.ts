import { createReadStream } from 'node:fs';
import { gunzip } from '../intake/container.ts';
import { RecordPositions } from '../intake/json/positions.ts';
import { LIMITS } from '../intake/receive.ts';
import { scanSegment } from '../intake/parse-segment.ts';
import { markOf, rejectionMessage, suggestedCells } from '../intake/rejections.ts';
import { OK, REJECT_CODES, visibleText, type RecordScanner } from '../intake/scan.ts';
import { SourceBytes } from '../intake/source-bytes.ts';
import type { Manifest, Segment } from '../intake/types.ts';
import {
  assertReadable,
  offline,
  offlineArguments,
  withFile,
  type OfflineFile,
  type Streams,
} from './offline.ts';
import { PacedOutput } from './paced-output.ts';
import { RejectsFile } from './rejects-file.ts';

const RAW_BYTES = 1024;

/**
 * `waybill convert FILE [--rejects FILE] [--repair]`: any file as UTF-8 RFC 4180 on stdout; offline, in bounded memory.
 * With `--repair`, rejected records for which there is one certain repair are written repaired.
 */
export function convertCommand(argv: string[], streams: Streams = process): Promise<number> {
  return offline(streams, async () => {
    const args = offlineArguments(argv, 'convert');
    await assertReadable(args.path);
    const rejects =
      args.rejects === null ? null : await RejectsFile.open(args.rejects, args.path, streams.stdout);
    try {
      await withFile(args, async (file) => {
        const out = new PacedOutput(streams.stdout, 'stdout');
        const repaired = await convert(file, out, rejects?.out ?? null, args.repair);
        await out.flush();
        await rejects?.finish();
        say(streams, file.manifest.rejected, args.repair ? repaired : null, rejects !== null);
      });
    } finally {
      rejects?.close();
    }
  });
}

function say({ stderr }: Streams, rejected: number, repaired: number | null, listed: boolean): void {
  if (repaired !== null) {
    stderr.write(
      `waybill: ${repaired === 1 ? '1 row was' : `${repaired} rows were`} repaired${listed ? '; --rejects marks them' : ''}.\n`,
    );
  }
  const out = rejected - (repaired ?? 0);
  if (out > 0 && !listed) {
    stderr.write(
      `waybill: ${out === 1 ? '1 row could not be read and was' : `${out} rows could not be read and were`} left out; --rejects FILE lists them.\n`,
    );
  }
}

/** Answers how many rejected records were written as they should have been. */
async function convert(
  file: OfflineFile,
  out: PacedOutput,
  rejects: PacedOutput | null,
  repair: boolean,
): Promise<number> {
  const { manifest } = file;
  const dialect = manifest.canonicalDialect;
  const path = manifest.canonical === 'raw' ? file.path : file.canonicalPath;
  const width = manifest.columns.length;
  const source = rejects ? sourceOf(file) : null;
  let repaired = 0;
  const named = manifest.headerRow !== null || manifest.type === 'json' || manifest.type === 'ndjson';
  if (named) await out.cells(manifest.columns.map(({ original }) => original));
  for (const segment of stretches(manifest.segments)) {
    for (const scanner of scanSegment({
      path,
      segment,
      dialect,
      columns: manifest.columns,
      maxRecordBytes: manifest.maxRecordBytes,
    })) {
      if (scanner.status === OK) {
        if (!out.hasRoom(scanner, width)) await out.makeRoomFor(scanner, width);
        out.record(scanner, width, dialect);
        continue;
      }
      const suggestion = repair || rejects ? suggestedCells(scanner, manifest.columns, dialect) : null;
      const applied = repair && suggestion !== null;
      if (applied) {
        repaired++;
        await out.cells(suggestion);
      }
      if (rejects) {
        const entry = { ...(await rejectionOf(scanner, manifest, source)), suggestion };
        await rejects.line(`${JSON.stringify(applied ? { ...entry, repaired: true } : entry)}\n`);
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
