import { rename, rm } from 'node:fs/promises';
import { emptyFile, nameWarning } from '../container.ts';
import {
  canonicalLabel,
  detectEncoding,
  encodingOfHead,
  encodingWarning,
  type EncodingFound,
} from '../encoding.ts';
import { readChunks } from '../read-chunks.ts';
import { SpoolFile, type InspectInput, type InspectLimits, type Received } from '../receive.ts';
import { TextAnalysis } from '../text-analysis.ts';
import { FileError, type Dialect, type FileWarning, type Manifest } from '../types.ts';
import { copyJson, type JsonCopy, type JsonInput } from './copy.ts';

/** The dialect of the copy that is made from JSON. */
const JSON_DIALECT: Dialect = { delimiter: ',', quote: '"', escape: '"', rows: true };

/** Makes the canonical copy of a JSON file that has been received, and inspects it. */
export async function inspectJson(
  input: InspectInput,
  limits: Required<InspectLimits>,
  received: Received,
): Promise<Manifest> {
  const { spool, options, signal } = input;
  const { canonicalPath } = spool;
  let { contentPath } = received;
  if (contentPath === canonicalPath) {
    contentPath = `${canonicalPath}.unpacked`;
    await rename(canonicalPath, contentPath);
  }
  try {
    const certain = encodingOfHead(received.head);
    const asked = options.encoding === undefined ? null : canonicalLabel(options.encoding);
    let found: EncodingFound = asked
      ? { encoding: asked, bom: certain?.encoding === asked && certain.bom, confidence: 1 }
      : (certain ?? { encoding: 'utf-8', bom: false, confidence: 1 });
    const copyAs = ({ encoding, mixed }: EncodingFound) =>
      writeJsonCopy(canonicalPath, {
        contentPath,
        encoding,
        mixed,
        array: options.sheet ?? null,
        maxRecordBytes: limits.maxRecordBytes,
        signal,
        onRecords: (records) => input.onProgress?.({ bytesRead: received.bytes, records }),
      });
    let copy = await copyAs(found);
    if (copy.invalid > 0 && asked === null && certain === null) {
      found = await detectEncoding(contentPath);
      if (found.encoding !== 'utf-8') copy = await copyAs(found);
    }
    return await manifestOf(input, limits, received, found, copy);
  } finally {
    if (contentPath !== received.contentPath) await rm(contentPath, { force: true });
  }
}

async function manifestOf(
  input: InspectInput,
  limits: Required<InspectLimits>,
  received: Received,
  found: EncodingFound,
  copy: JsonCopy,
): Promise<Manifest> {
  if (copy.columns.length === 0 && copy.records > 0) {
    throw new FileError(
      'broken_json',
      `No object of this JSON is text in the encoding ${found.encoding}. Name its encoding, or export it as an array of objects in UTF-8.`,
    );
  }
  if (copy.columns.length === 0) throw emptyFile();
  const analysis = new TextAnalysis({ headerRow: 0, encoding: 'utf-8' }, limits, JSON_DIALECT);
  analysis.names = copy.columns;
  let canonicalBytes = 0;
  for await (const chunk of readChunks(input.spool.canonicalPath)) {
    input.signal?.throwIfAborted();
    canonicalBytes += chunk.length;
    analysis.write(chunk);
  }
  const result = analysis.end();
  return {
    version: 1,
    fileName: input.fileName,
    type: copy.type,
    compression: received.compression,
    encoding: found.encoding,
    bom: found.bom,
    encodingConfidence: found.confidence,
    ...(found.mixed ? { mixedEncoding: true } : {}),
    dialect: null,
    ...result,
    lineEnding: null,
    sheets: copy.arrays?.map(({ path, rows }) => ({ name: path, state: 'visible' as const, rows })) ?? null,
    sheet: copy.array,
    sha256: received.sha256,
    contentSha256: received.contentSha256,
    bytes: received.bytes,
    contentBytes: received.contentBytes,
    canonical: 'copy',
    canonicalBytes,
    maxRecordBytes: limits.maxRecordBytes,
    warnings: [
      nameWarning(input.fileName, copy.type, received.compression),
      encodingWarning(found),
      arrayWarning(copy, input.options.sheet),
      ...analysis.warnings,
    ].filter((warning) => warning !== null),
  };
}

function arrayWarning({ arrays, array }: JsonCopy, asked: string | undefined): FileWarning | null {
  if (!arrays || asked !== undefined) return null;
  const others = arrays.filter(({ path, rows }) => path !== array && rows > 0).map(({ path }) => path);
  const rest = others.length > 0 ? ` Others hold records too: ${others.join(', ')}.` : '';
  return {
    code: 'json_array_inside',
    message: `The file is one object; the elements of its array "${array}" were read as the records, and nothing else in it.${rest}`,
  };
}

/** The canonical copy, written where it should be. */
export async function writeJsonCopy(
  path: string,
  input: Omit<JsonInput, 'write' | 'restart'>,
): Promise<JsonCopy> {
  let file = await SpoolFile.create(path);
  try {
    return await copyJson({
      ...input,
      write: (bytes) => file.write(bytes),
      async restart() {
        await file.close();
        file = await SpoolFile.create(path);
      },
    });
  } finally {
    await file.close();
  }
}
