import { isAscii, isUtf8 } from 'node:buffer';
import { createReadStream } from 'node:fs';
import { guessEncoding } from './encoding-guess.ts';
import { FileError, type FileWarning } from './types.ts';

export interface EncodingFound {
  /** A WHATWG label. */
  encoding: string;
  bom: boolean;
  /** 1 where it is certain. */
  confidence: number;
  /** Some of its lines are UTF-8 all the same: they are rejected, not read as something else. */
  mixed?: boolean;
}

const READ_BYTES = 256 * 1024;
/** So many sequences of UTF-8 do not stand in other text by chance. */
const PROVEN = 8;
const EVIDENCE_BYTES = 128 * 1024;

/** What a byte order mark, or zeros in every second byte, say; null where the bytes may be UTF-8 or anything else. */
export function encodingOfHead(head: Buffer): EncodingFound | null {
  const hex = head.subarray(0, 4).toString('hex');
  if (hex === 'fffe0000' || hex === '0000feff') {
    throw new FileError(
      'utf_32',
      'This file is UTF-32 text, which is not read. Save it as UTF-8 and import that.',
    );
  }
  if (hex.startsWith('efbbbf')) return { encoding: 'utf-8', bom: true, confidence: 1 };
  if (hex.startsWith('fffe')) return { encoding: 'utf-16le', bom: true, confidence: 1 };
  if (hex.startsWith('feff')) return { encoding: 'utf-16be', bom: true, confidence: 1 };
  const sample = head.subarray(0, 8192);
  const half = sample.length >> 1;
  if (half < 2) return null;
  let even = 0;
  let odd = 0;
  for (let i = 0; i + 1 < sample.length; i += 2) {
    if (sample[i] === 0) even++;
    if (sample[i + 1] === 0) odd++;
  }
  // Text in any script has its delimiters, digits and line ends in ASCII: every one of them leaves a zero.
  for (const [encoding, zeros, others] of [
    ['utf-16le', odd, even],
    ['utf-16be', even, odd],
  ] as const) {
    if (zeros > half * 0.02 && others <= zeros * 0.02 && plausible(sample.subarray(0, half * 2), encoding))
      return { encoding, bom: false, confidence: 0.95 };
  }
  return null;
}

/** Text in UTF-16, and not UTF-8 with zeros strewn in: it has line ends or delimiters, and few characters are strange. */
function plausible(sample: Buffer, encoding: string): boolean {
  const text = new TextDecoder(encoding).decode(sample);
  const strange = text.match(/[\p{Co}\p{Cn}\uFFFD\0]/gu)?.length ?? 0;
  return strange <= text.length * 0.02 && /[\r\n,;\t|]/u.test(text);
}

/**
 * Watches bytes as they pass for the escape sequences of seven-bit Japanese, which looks like ASCII but for them, however
 * far behind the beginning the first one stands.
 */
export class EscapeWatch {
  found = false;
  private tail: Buffer = NOTHING;

  write(chunk: Buffer): void {
    if (this.found) return;
    const bytes = this.tail.length > 0 ? Buffer.concat([this.tail, chunk]) : chunk;
    const from = bytes.indexOf(0x1b);
    this.found = from >= 0 && ESCAPES.test(bytes.toString('latin1', from));
    const cut = from < 0 ? -1 : bytes.indexOf(0x1b, Math.max(from, bytes.length - 3));
    this.tail = cut < 0 ? NOTHING : Buffer.from(bytes.subarray(cut));
  }
}

/** To a set of kanji, or to half-width kana; and back. */
const ESCAPES = /\x1B(?:\$[@B]|\(I|\$\(D)/u;

/** The label as WHATWG names it, so that `Shift-JIS`, `sjis` and `CP932` are one. */
export function canonicalLabel(label: string): string {
  const alias = { cp932: 'shift_jis', ms932: 'shift_jis', cp1252: 'windows-1252', latin1: 'windows-1252' }[
    label.trim().toLowerCase()
  ];
  try {
    return new TextDecoder(alias ?? label).encoding;
  } catch {
    throw new FileError(
      'unknown_encoding',
      `"${label}" is not an encoding that can be read. Try utf-8, shift_jis, windows-1252 or utf-16le.`,
    );
  }
}

/** Decides for a file that is not UTF-8, from every part of it that is not ASCII. */
export async function detectEncoding(path: string): Promise<EncodingFound> {
  const lines: Buffer[] = [];
  let bytes = 0;
  let utf8 = 0;
  let other = 0;
  let formed = 0;
  let stray = 0;
  for await (const line of linesOutsideAscii(path)) {
    const counts = sequencesIn(line);
    formed += counts.formed;
    stray += counts.stray;
    if (isUtf8(line)) utf8++;
    else {
      other++;
      if (bytes < EVIDENCE_BYTES) {
        lines.push(Buffer.from(line.subarray(0, EVIDENCE_BYTES - bytes)));
        bytes += line.length;
      }
    }
  }
  // Text that was damaged or cut is UTF-8 for the most part, if on no line as a whole.
  if (utf8 >= other || (formed > stray && formed >= PROVEN))
    return { encoding: 'utf-8', bom: false, confidence: Math.min(0.99, formed / (formed + stray || 1)) };
  const found = { ...guessEncoding(lines), bom: false };
  return utf8 > 0 ? { ...found, mixed: true } : found;
}

/**
 * Well-formed sequences of UTF-8 outside ASCII, those of three bytes and more for two, as they hardly come by chance; and
 * bytes that belong to none, the beginning of a sequence that was cut for one. A surrogate is well-formed here: some
 * write characters outside the first plane as two.
 */
function sequencesIn(line: Buffer): { formed: number; stray: number } {
  let formed = 0;
  let stray = 0;
  for (let i = 0; i < line.length;) {
    const lead = line[i]!;
    if (lead < 0x80) {
      i++;
      continue;
    }
    const width =
      lead >= 0xc2 && lead <= 0xdf
        ? 2
        : lead >= 0xe0 && lead <= 0xef
          ? 3
          : lead >= 0xf0 && lead <= 0xf4
            ? 4
            : 1;
    let end = i + 1;
    while (end < i + width && end < line.length && (line[end]! & 0xc0) === 0x80) end++;
    if (width > 1 && end === i + width) formed += width > 2 ? 2 : 1;
    else stray++;
    i = end;
  }
  return { formed, stray };
}

/**
 * Is a line of a file in another encoding UTF-8 after all? Half-width kana and symbols in pairs may look like it by
 * chance; characters of three bytes, or several of two, do not.
 */
export function strayUtf8(line: Buffer, encoding: string): boolean {
  if (isAscii(line) || !isUtf8(line)) return false;
  return MULTI_BYTE.has(encoding) ? line.some((byte) => byte >= 0xe0) : true;
}

const MULTI_BYTE = new Set(['shift_jis', 'euc-jp', 'gbk', 'gb18030', 'big5', 'euc-kr']);

async function* linesOutsideAscii(path: string): AsyncGenerator<Buffer> {
  const bytes = createReadStream(path, { highWaterMark: READ_BYTES }) as AsyncIterable<Buffer>;
  for await (const lines of wholeLines(bytes)) {
    if (isAscii(lines)) continue;
    for (const line of linesIn(lines)) if (!isAscii(line)) yield line;
  }
}

/** Chunks that end with a line; one without any line end for 256 KiB is cut. */
export async function* wholeLines(chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  let rest: Buffer = NOTHING;
  for await (const chunk of chunks) {
    const bytes = rest.length > 0 ? Buffer.concat([rest, chunk]) : chunk;
    const end = Math.max(bytes.lastIndexOf(10), bytes.lastIndexOf(13)) + 1;
    if (end === 0 && bytes.length < READ_BYTES) {
      rest = Buffer.from(bytes);
      continue;
    }
    const cut = end || bytes.length;
    yield bytes.subarray(0, cut);
    rest = Buffer.from(bytes.subarray(cut));
  }
  if (rest.length > 0) yield rest;
}

/** With their ends: LF, CR, or each of a pair. */
export function* linesIn(bytes: Buffer): Generator<Buffer> {
  let from = 0;
  for (let i = 0; i < bytes.length; i++) {
    if (bytes[i] !== 10 && bytes[i] !== 13) continue;
    yield bytes.subarray(from, i + 1);
    from = i + 1;
  }
  if (from < bytes.length) yield bytes.subarray(from);
}

/**
 * UTF-8 made from bytes in another encoding. What cannot be decoded becomes the byte 0xFF, which is never valid UTF-8,
 * so that the reader rejects that record: U+FFFD goes nowhere.
 */
export async function* transcode(
  chunks: AsyncIterable<Buffer>,
  encoding: string,
  mixed = false,
): AsyncGenerator<Buffer> {
  const decoder = new TextDecoder(encoding);
  for await (const chunk of mixed ? wholeLines(chunks) : chunks) {
    if (mixed && !isAscii(chunk)) {
      for (const line of linesIn(chunk)) yield transcodeLine(line, encoding, decoder);
      continue;
    }
    const text = decoder.decode(chunk, { stream: true });
    if (text) yield encode(text);
  }
  const last = decoder.decode();
  if (last) yield encode(last);
}

function transcodeLine(line: Buffer, encoding: string, decoder: InstanceType<typeof TextDecoder>): Buffer {
  const text = encode(decoder.decode(line, { stream: true }));
  return strayUtf8(line, encoding) ? Buffer.concat([UNDECODABLE, text]) : text;
}

const NOTHING: Buffer = Buffer.alloc(0);
const UNDECODABLE = Buffer.from([0xff]);

function encode(text: string): Buffer {
  if (!text.includes('\uFFFD')) return Buffer.from(text);
  return Buffer.concat(
    text
      .split('\uFFFD')
      .flatMap((part, index) => (index === 0 ? [Buffer.from(part)] : [UNDECODABLE, Buffer.from(part)])),
  );
}

/** Says it where nothing proves the encoding. */
export function encodingWarning(found: EncodingFound): FileWarning | null {
  if (found.confidence >= 1) return null;
  return {
    code: 'encoding_guessed',
    message: `The text was read as ${found.encoding} (${Math.round(found.confidence * 100)}% sure). If letters look wrong, name the encoding.`,
  };
}
