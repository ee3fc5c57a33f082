import { isAscii, isUtf8 } from 'node:buffer';
import { createReadStream } from 'node:fs';
import { FileError } from './types.ts';

export interface EncodingFound {
  /** A WHATWG label. */
  encoding: string;
  bom: boolean;
  /** 1 where it is certain. */
  confidence: number;
}

const READ_BYTES = 256 * 1024;
const EVIDENCE_BYTES = 128 * 1024;

/** What a byte order mark, or zeros in every second byte, say; null where the bytes may be UTF-8 or anything else. */
export function encodingOfHead(head: Buffer): EncodingFound | null {
  const hex = head.subarray(0, 4).toString('hex');
  if (hex.startsWith('efbbbf')) return { encoding: 'utf-8', bom: true, confidence: 1 };
  if (hex.startsWith('fffe')) return { encoding: 'utf-16le', bom: true, confidence: 1 };
  if (hex.startsWith('feff')) return { encoding: 'utf-16be', bom: true, confidence: 1 };
  const sample = head.subarray(0, 4096);
  const half = sample.length >> 1;
  if (half < 2) return null;
  let even = 0;
  let odd = 0;
  for (let i = 0; i + 1 < sample.length; i += 2) {
    if (sample[i] === 0) even++;
    if (sample[i + 1] === 0) odd++;
  }
  if (odd > half * 0.2 && even < half * 0.02) return { encoding: 'utf-16le', bom: false, confidence: 0.9 };
  if (even > half * 0.2 && odd < half * 0.02) return { encoding: 'utf-16be', bom: false, confidence: 0.9 };
  // Seven-bit Japanese looks like ASCII but for its escape sequences.
  if (/\x1B(?:\$[@B]|\([IJ])/u.test(head.toString('latin1')))
    return { encoding: 'iso-2022-jp', bom: false, confidence: 0.99 };
  return null;
}

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
  for await (const line of linesOutsideAscii(path)) {
    if (isUtf8(line)) utf8++;
    else {
      other++;
      if (bytes < EVIDENCE_BYTES) {
        lines.push(line);
        bytes += line.length;
      }
    }
  }
  if (utf8 >= other) return { encoding: 'utf-8', bom: false, confidence: utf8 / (utf8 + other || 1) };
  return guess(lines);
}

/** Most lines of a Japanese file decode; a few that do not are rejected later, and do not make it a Western one. */
const JAPANESE_LINES = 0.7;

async function guess(lines: Buffer[]): Promise<EncodingFound> {
  // Their tables take 30 MB: only for a file that needs them.
  const [{ default: jschardet }, { default: japanese }] = await Promise.all([
    import('jschardet'),
    import('encoding-japanese'),
  ]);
  const sample = Buffer.concat(lines.flatMap((line) => [line, NEWLINE]));
  const found = jschardet.detect(sample, { minimumThreshold: 0 });
  const confidence = Math.min(0.99, found?.confidence ?? 0);
  const label = (found?.encoding ?? '').toLowerCase();
  const preferred =
    japanese.detect(sample) === 'EUCJP' || label === 'euc-jp'
      ? ['euc-jp', 'shift_jis']
      : ['shift_jis', 'euc-jp'];
  for (const encoding of preferred) {
    const good = lines.filter((line) => decodes(line, encoding));
    if (good.length < lines.length * JAPANESE_LINES) continue;
    if (looksJapanese(Buffer.concat(good), encoding)) {
      return { encoding, bom: false, confidence: Math.max(confidence, (0.95 * good.length) / lines.length) };
    }
  }
  const known = label && !label.startsWith('utf') && !label.startsWith('iso-8859-1') ? label : 'windows-1252';
  const encoding = knownLabel(known);
  if (encoding && encoding !== 'windows-1252' && decodes(sample, encoding))
    return { encoding, bom: false, confidence };
  return {
    encoding: 'windows-1252',
    bom: false,
    confidence: looksWestern(sample) ? Math.max(confidence, 0.8) : Math.min(confidence, 0.3),
  };
}

const NEWLINE = Buffer.from('\n');

/** WHATWG's name for what the detector calls it, if it has one. */
function knownLabel(label: string): string | null {
  try {
    return new TextDecoder(label).encoding;
  } catch {
    return null;
  }
}

function decodes(sample: Buffer, encoding: string): boolean {
  try {
    new TextDecoder(encoding, { fatal: true }).decode(sample);
    return true;
  } catch {
    return false;
  }
}

/** Kana and kanji make up what is not ASCII: Western letters read as Shift_JIS give half-width kana and rare kanji. */
function looksJapanese(sample: Buffer, encoding: string): boolean {
  const text = new TextDecoder(encoding).decode(sample);
  const wide = text.match(/[\u3040-\u30FF\u4E00-\u9FFF\u3000-\u303F\uFF00-\uFF60]/gu)?.length ?? 0;
  const others =
    text.match(/[^\p{ASCII}\u3040-\u30FF\u4E00-\u9FFF\u3000-\u303F\uFF00-\uFF60]/gu)?.length ?? 0;
  return wide > others * 2;
}

/** Letters and common signs make up what is not ASCII. */
function looksWestern(sample: Buffer): boolean {
  const text = new TextDecoder('windows-1252').decode(sample);
  const high = text.match(/\P{ASCII}/gu)?.length ?? 0;
  const usual = text.match(/[À-ÖØ-öø-ÿŒœŠšŽžŸ€£¥°§©®™²³¼½¾µ«»“”„‘’–—…·¡¿ªº±\u00A0]/gu)?.length ?? 0;
  return usual >= high * 0.95;
}

async function* linesOutsideAscii(path: string): AsyncGenerator<Buffer> {
  let rest: Buffer = Buffer.alloc(0);
  for await (const chunk of createReadStream(path, { highWaterMark: READ_BYTES }) as AsyncIterable<Buffer>) {
    const bytes = rest.length > 0 ? Buffer.concat([rest, chunk]) : chunk;
    let from = 0;
    if (!isAscii(bytes)) {
      for (let end = bytes.indexOf(10); end >= 0; end = bytes.indexOf(10, from)) {
        const line = bytes.subarray(from, end);
        if (!isAscii(line)) yield line;
        from = end + 1;
      }
    } else from = bytes.lastIndexOf(10) + 1;
    rest = Buffer.from(bytes.subarray(from));
    if (rest.length > READ_BYTES) {
      if (!isAscii(rest)) yield rest;
      rest = Buffer.alloc(0);
    }
  }
  if (rest.length > 0 && !isAscii(rest)) yield rest;
}

/**
 * UTF-8 made from bytes in another encoding. What cannot be decoded becomes the byte 0xFF, which is never valid UTF-8,
 * so that the reader rejects that record: U+FFFD goes nowhere.
 */
export async function* transcode(chunks: AsyncIterable<Buffer>, encoding: string): AsyncGenerator<Buffer> {
  const decoder = new TextDecoder(encoding);
  for await (const chunk of chunks) {
    const text = decoder.decode(chunk, { stream: true });
    if (text) yield encode(text);
  }
  const last = decoder.decode();
  if (last) yield encode(last);
}

const UNDECODABLE = Buffer.from([0xff]);

function encode(text: string): Buffer {
  if (!text.includes('\uFFFD')) return Buffer.from(text);
  return Buffer.concat(
    text
      .split('\uFFFD')
      .flatMap((part, index) => (index === 0 ? [Buffer.from(part)] : [UNDECODABLE, Buffer.from(part)])),
  );
}
