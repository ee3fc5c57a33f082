import { createReadStream } from 'node:fs';
import { transcode } from '../encoding.ts';
import { FileError } from '../types.ts';
import { JsonElements, type JsonShape, type RecordArray } from './elements.ts';
import { Flattener } from './flatten.ts';

const READ_BYTES = 256 * 1024;
/** Rows are taken away after so much of the file: a record of few names may make a row of thousands of columns. */
const STEP_BYTES = 32 * 1024;
const OPEN_OBJECT = 123;

export interface JsonInput {
  /** The unpacked file. */
  contentPath: string;
  encoding: string;
  mixed?: boolean;
  /** Of a file that is an object: dotted path of the array whose elements are the records; null takes the first. */
  array: string | null;
  maxRecordBytes: number;
  signal?: AbortSignal;
  /** Takes the canonical copy, front to back; what it took before `restart` is to be forgotten. */
  write(bytes: Buffer): Promise<void>;
  restart(): Promise<void>;
  onRecords?(records: number): void;
}

export interface JsonCopy {
  type: 'json' | 'ndjson';
  columns: string[];
  arrays: RecordArray[] | null;
  array: string | null;
  records: number;
  /** Records held bytes that are no UTF-8. */
  invalid: number;
}

/**
 * Writes the records of a JSON file as canonical CSV (`rows`, without a header line), in bounded memory. Read once where
 * the first record names every column, twice where later ones bring more. The same file gives the same copy.
 */
export async function copyJson(input: JsonInput): Promise<JsonCopy> {
  let shape: JsonShape = (await isLines(input)) ? 'lines' : 'document';
  let flattener = new Flattener(input.maxRecordBytes);
  for (;;) {
    const elements = await readThrough(input, shape, flattener);
    if (shape === 'document' && (elements.several || (elements.arrays.length === 0 && elements.isObject))) {
      // A line each where the first lines were too few, or too long, to show it: a broken one costs itself alone.
      shape = elements.several && elements.onLines ? 'lines' : 'sequence';
      flattener = new Flattener(input.maxRecordBytes);
    } else if (flattener.grew) flattener.again();
    else return resultOf(input, shape, elements, flattener);
    await input.restart();
  }
}

function resultOf(
  input: JsonInput,
  shape: JsonShape,
  elements: JsonElements,
  { columns, invalid }: Flattener,
): JsonCopy {
  const { arrays, chosen, records } = elements;
  if (input.array !== null && chosen === null) {
    const has = arrays.length > 0 ? ` It has: ${arrays.map(({ path }) => path).join(', ')}.` : '';
    throw new FileError('no_sheet', `The file has no array of records "${input.array}".${has}`);
  }
  if (chosen !== null && arrays.filter(({ path }) => path === chosen).length > 1) {
    throw new FileError(
      'json_array_twice',
      `The file has two arrays of the name "${chosen}", and nobody knows whether both are meant. Give each a name of its own, or put their records into one.`,
    );
  }
  // Where all of it is no UTF-8, it is read again as what it is.
  if (columns.length === 0 && records > 0 && invalid === 0) {
    throw new FileError(
      'json_not_objects',
      'This JSON holds no objects with names and values, so that nothing in it is a record. Export it as an array of objects, or as .csv.',
    );
  }
  return {
    type: shape === 'lines' ? 'ndjson' : 'json',
    columns,
    arrays: arrays.length > 0 ? arrays : null,
    array: chosen,
    records,
    invalid,
  };
}

async function readThrough(input: JsonInput, shape: JsonShape, flattener: Flattener): Promise<JsonElements> {
  const elements = new JsonElements(shape, { max: input.maxRecordBytes, wanted: input.array }, (element) =>
    flattener.add(element),
  );
  for await (const chunk of textOf(input)) {
    input.signal?.throwIfAborted();
    for (let at = 0; at < chunk.length && !elements.several; at += STEP_BYTES) {
      elements.push(chunk.subarray(at, at + STEP_BYTES));
      await flush(input, flattener);
    }
    input.onRecords?.(elements.records);
    if (elements.several) return elements;
  }
  elements.finish();
  await flush(input, flattener);
  return elements;
}

async function flush(input: JsonInput, flattener: Flattener): Promise<void> {
  if (flattener.grew) return;
  const bytes = flattener.take();
  if (bytes) await input.write(bytes);
}

/** The file as UTF-8, without a byte order mark. */
export async function* textOf({
  contentPath,
  encoding,
  mixed,
}: Pick<JsonInput, 'contentPath' | 'encoding' | 'mixed'>): AsyncGenerator<Buffer> {
  const stored = createReadStream(contentPath, { highWaterMark: READ_BYTES }) as AsyncIterable<Buffer>;
  let first = true;
  for await (const chunk of encoding === 'utf-8' ? stored : transcode(stored, encoding, mixed)) {
    const marked = first && chunk[0] === 0xef && chunk[1] === 0xbb && chunk[2] === 0xbf;
    first = false;
    yield marked ? chunk.subarray(3) : chunk;
  }
}

/** `{"a":1}{"a":2}`: whoever writes so divides the records by nothing, and a line end means nothing. */
function holdsSeveral(line: string): boolean {
  let objects = 0;
  const elements = new JsonElements('sequence', { max: line.length * 3 }, ({ bytes, from }) => {
    if (bytes[from] === OPEN_OBJECT) objects++;
  });
  elements.push(Buffer.from(line));
  return objects > 1;
}

/** Are most of the first lines objects as a whole, one each? One of them may be broken. */
async function isLines(input: JsonInput): Promise<boolean> {
  for await (const chunk of textOf(input)) {
    const lines = chunk
      .toString('utf8')
      .split('\n')
      .map((line) => line.replace(/^\x1E/u, '').trim());
    if (lines.length > 2) lines.pop();
    const filled = lines.filter((line) => line !== '').slice(0, 50);
    const whole = filled.filter((line) => line.startsWith('{') && line.endsWith('}') && !holdsSeveral(line));
    return filled.length > 1 && filled[0]!.startsWith('{') && whole.length > filled.length / 2;
  }
  return false;
}
