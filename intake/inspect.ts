import { rename, rm } from 'node:fs/promises';
import { nameWarning, refuseBinary } from './container.ts';
import {
  canonicalLabel,
  detectEncoding,
  encodingOfHead,
  encodingWarning,
  transcode,
  type EncodingFound,
} from './encoding.ts';
import { inspectJson } from './json/inspect.ts';
import {
  LIMITS,
  receive,
  SpoolFile,
  type InspectInput,
  type InspectLimits,
  type Received,
} from './receive.ts';
import { readChunks } from './read-chunks.ts';
import { TextAnalysis } from './text-analysis.ts';
import { readWorkbook } from './xlsx/workbook.ts';
import type { Dialect, Manifest } from './types.ts';

/**
 * One streaming read of a file: hashes, unpacks, spools and counts as the bytes pass. A text that proves not to be
 * UTF-8 is read once more, from the spool.
 */
export async function inspectFile(input: InspectInput): Promise<Manifest> {
  const limits = { ...LIMITS, ...input.limits };
  const { options } = input;
  const asked = options.encoding === undefined ? null : canonicalLabel(options.encoding);
  const hopeful = asked === null || asked === 'utf-8' ? new TextAnalysis(options, limits) : null;
  const received = await receive(input, limits, hopeful);
  input.signal?.throwIfAborted();
  if (received.container === 'zip') return inspectWorkbook(input, limits, received);
  if (received.json) return inspectJson(input, limits, received);

  const certain = encodingOfHead(received.head);
  if (asked === null && certain === null) refuseBinary(received.head);
  let found: EncodingFound | null = asked
    ? { encoding: asked, bom: certain?.encoding === asked && certain.bom, confidence: 1 }
    : certain;
  const first = hopeful && (found === null || found.encoding === 'utf-8') ? hopeful.end() : null;
  if (found === null && received.escapes) found = { encoding: 'iso-2022-jp', bom: false, confidence: 0.99 };
  if (found === null && hopeful?.notUtf8) found = await detectEncoding(received.contentPath);
  found ??= { encoding: 'utf-8', bom: false, confidence: 1 };
  const usable = first !== null && found.encoding === 'utf-8' && !received.gaveUp;
  let again = usable ? null : await readAgain(input, limits, received, found);
  const otherDialect = (again?.analysis ?? hopeful!).otherDialect;
  if (otherDialect) {
    const { contentPath, contentBytes } = again?.canonical ?? received;
    const canonical = { ...received, contentPath, contentBytes };
    again = await readAgain(input, limits, canonical, { ...found, encoding: 'utf-8' }, otherDialect);
  }
  const result = again?.result ?? first!;
  const analysis = again?.analysis ?? hopeful!;

  const warnings = [
    nameWarning(input.fileName, 'csv', received.compression),
    encodingWarning(found),
    ...analysis.warnings,
  ];
  const { canonicalDialect, ...rest } = result;
  return {
    version: 1,
    fileName: input.fileName,
    type: 'csv',
    compression: received.compression,
    encoding: found.encoding,
    bom: found.bom,
    encodingConfidence: found.confidence,
    ...(found.mixed ? { mixedEncoding: true } : {}),
    dialect: canonicalDialect,
    ...rest,
    sheets: null,
    sheet: null,
    sha256: received.sha256,
    contentSha256: received.contentSha256,
    bytes: received.bytes,
    contentBytes: received.contentBytes,
    canonical: received.compression || found.encoding !== 'utf-8' ? 'copy' : 'raw',
    canonicalDialect,
    canonicalBytes: again?.canonical.contentBytes ?? received.contentBytes,
    maxRecordBytes: limits.maxRecordBytes,
    warnings: warnings.filter((warning) => warning !== null),
  };
}

interface ReadAgain {
  analysis: TextAnalysis;
  result: ReturnType<TextAnalysis['end']>;
  /** The UTF-8 bytes that were read. */
  canonical: { contentPath: string; contentBytes: number };
}

/** The second reading, from the spool: as what the whole file proved to be, made UTF-8 on the way where it is not. */
async function readAgain(
  input: InspectInput,
  limits: Required<InspectLimits>,
  received: Received,
  found: EncodingFound,
  dialect: Dialect | null = null,
): Promise<ReadAgain> {
  const { canonicalPath } = input.spool;
  const analysis = new TextAnalysis({ ...input.options, encoding: found.encoding }, limits, dialect);
  const utf8 = found.encoding === 'utf-8';
  let content = received.contentPath;
  if (!utf8 && content === canonicalPath) {
    content = `${canonicalPath}.unpacked`;
    await rename(canonicalPath, content);
  }
  const bytes = readChunks(content);
  const copy = utf8 ? null : await SpoolFile.create(canonicalPath);
  try {
    for await (const chunk of utf8 ? bytes : transcode(bytes, found.encoding, found.mixed)) {
      input.signal?.throwIfAborted();
      await copy?.write(chunk);
      analysis.write(chunk);
    }
  } finally {
    await copy?.close();
    if (content !== received.contentPath) await rm(content, { force: true });
  }
  const contentPath = copy ? canonicalPath : received.contentPath;
  const canonical = { contentPath, contentBytes: copy?.bytes ?? received.contentBytes };
  return { analysis, result: analysis.end(), canonical };
}

/** The dialect of the copy that is made from a sheet. */
const SHEET_DIALECT: Dialect = { delimiter: ',', quote: '"', escape: '"', rows: true };

async function inspectWorkbook(
  input: InspectInput,
  limits: Required<InspectLimits>,
  received: Received,
): Promise<Manifest> {
  const { spool, options, signal } = input;
  const book = await readWorkbook({
    path: spool.rawPath,
    canonicalPath: spool.canonicalPath,
    sheet: options.sheet ?? null,
    maxUnpackedBytes: limits.maxUnpackedBytes,
    signal,
    onRows: (records) => input.onProgress?.({ bytesRead: received.bytes, records }),
  });
  const analysis = new TextAnalysis(
    { headerRow: options.headerRow, keepFooter: options.keepFooter, encoding: 'utf-8' },
    limits,
    SHEET_DIALECT,
  );
  let canonicalBytes = 0;
  for await (const chunk of readChunks(spool.canonicalPath)) {
    signal?.throwIfAborted();
    canonicalBytes += chunk.length;
    analysis.write(chunk);
  }
  const result = analysis.end();
  return {
    version: 1,
    fileName: input.fileName,
    type: 'xlsx',
    compression: null,
    encoding: 'utf-8',
    bom: false,
    dialect: null,
    ...result,
    lineEnding: null,
    sheets: book.sheets,
    sheet: book.sheet,
    sha256: received.sha256,
    contentSha256: received.contentSha256,
    bytes: received.bytes,
    contentBytes: received.contentBytes,
    canonical: 'copy',
    canonicalBytes,
    maxRecordBytes: limits.maxRecordBytes,
    warnings: [nameWarning(input.fileName, 'xlsx', null), ...book.warnings, ...analysis.warnings].filter(
      (warning) => warning !== null,
    ),
  };
}
