import { isUtf8 } from 'node:buffer';
import { unescapeText } from './cell-text.ts';
import { MORE, moreOrUnknown, readHybrid, type RepeatedElement } from './hybrid.ts';
import { StringStore } from './string-store.ts';
import { XmlStream } from './xml.ts';
import {
  decodeReferences,
  NEEDS_DECODING,
  NEEDS_QUOTES,
  NOT_ASCII,
  skipAttributes,
  skipEmptyElement,
  skipSpace,
  skipText,
  startsWith,
  textClasses,
  UNKNOWN,
} from './xml-bytes.ts';

const GT = 0x3e;
const SLASH = 0x2f;
const END = Buffer.from('</si>');

/**
 * The workbook's strings as cells of canonical CSV, quoted where they have to be: a cell that refers to one is a copy of
 * bytes.
 */
export async function readSharedStrings(
  part: AsyncIterable<Buffer>,
  spillPath: string,
  options: { memoryBytes?: number; plain?: boolean; afterChunk?(): void } = {},
): Promise<StringStore> {
  const store = new StringStore(spillPath, options.memoryBytes);
  const add = (text: string) => {
    const cell = csvCell(text);
    const { buffer, offset } = store.room(cell.length * 3);
    store.add(buffer.write(cell, offset));
  };
  const xml = stringsXml(add);
  const element = options.plain === false ? null : plainStrings(store, add);
  await readHybrid(part, xml, element, options.afterChunk);
  store.finish();
  return store;
}

/** Runs of a rich text are one text; what is said above the characters (`rPh`) is not part of it. */
function stringsXml(add: (text: string) => void): XmlStream {
  let text = '';
  let capturing = false;
  const xml = new XmlStream({
    open: (name) => {
      const { path } = xml;
      if (name === 'si' && path.length === 2) text = '';
      else if (name === 't') capturing = path.length === 3 || (path.length === 4 && path[2] === 'r');
    },
    text: (piece) => {
      if (capturing) text += piece;
    },
    close: (name) => {
      capturing = false;
      if (name === 'si' && xml.path.length === 1) add(unescapeText(text));
    },
  });
  return xml;
}

function plainStrings(store: StringStore, add: (text: string) => void): RepeatedElement {
  /** Of the one text that needs no work; where there are several, or work, they are gathered as text. */
  let from = 0;
  let to = 0;
  let classes = 0;
  let gathered: string | null = null;
  let texts = 0;

  /** `<t>` with what is in it; `keep` false for what is only said. */
  const readText = (bytes: Buffer, at: number, keep: boolean): number => {
    at = skipAttributes(bytes, at + 2);
    if (at < 0) return UNKNOWN;
    if (bytes[at] === SLASH) return bytes[at + 1] === GT ? at + 2 : UNKNOWN;
    const start = at + 1;
    const end = skipText(bytes, start);
    if (end < 0 || !startsWith(bytes, end, '</t>')) return UNKNOWN;
    const found = textClasses;
    if (!keep) {
      if (found & NEEDS_DECODING && decodeReferences(bytes.toString('latin1', start, end)) === null)
        return UNKNOWN;
      classes |= found & NOT_ASCII;
      return end + 4;
    }
    texts++;
    if (texts === 1 && !(found & NEEDS_DECODING)) {
      from = start;
      to = end;
    } else {
      const piece = decodeReferences(bytes.toString('utf8', start, end));
      if (piece === null) return UNKNOWN;
      gathered = (gathered ?? bytes.toString('utf8', from, to)) + piece;
    }
    classes |= found;
    return end + 4;
  };

  const readRun = (bytes: Buffer, at: number): number => {
    at = skipSpace(bytes, at + 3);
    if (startsWith(bytes, at, '<rPr>')) {
      at = skipSpace(bytes, at + 5);
      while (!startsWith(bytes, at, '</rPr>')) {
        at = skipEmptyElement(bytes, at);
        if (at < 0) return UNKNOWN;
        at = skipSpace(bytes, at);
      }
      at = skipSpace(bytes, at + 6);
    } else if (startsWith(bytes, at, '<rPr/>')) at = skipSpace(bytes, at + 6);
    if (!isText(bytes, at)) return UNKNOWN;
    at = readText(bytes, at, true);
    if (at < 0) return UNKNOWN;
    at = skipSpace(bytes, at);
    return startsWith(bytes, at, '</r>') ? at + 4 : UNKNOWN;
  };

  const readPhonetic = (bytes: Buffer, at: number): number => {
    at = skipAttributes(bytes, at + 4);
    if (at < 0 || bytes[at] !== GT) return UNKNOWN;
    at = skipSpace(bytes, at + 1);
    if (!isText(bytes, at)) return UNKNOWN;
    at = readText(bytes, at, false);
    if (at < 0) return UNKNOWN;
    at = skipSpace(bytes, at);
    return startsWith(bytes, at, '</rPh>') ? at + 6 : UNKNOWN;
  };

  return {
    parents: ['sst'],
    open: '<si',
    read(bytes, start, end) {
      if (startsWith(bytes, start, '<si/>')) {
        store.add(0);
        return start + 5;
      }
      if (bytes[start + 3] !== GT) return start + 3 >= end ? MORE : UNKNOWN;
      from = to = classes = texts = 0;
      gathered = null;
      let at = skipSpace(bytes, start + 4);
      while (!startsWith(bytes, at, '</si>')) {
        if (isText(bytes, at)) at = readText(bytes, at, true);
        else if (startsWith(bytes, at, '<r>')) at = readRun(bytes, at);
        else if (startsWith(bytes, at, '<rPh ')) at = readPhonetic(bytes, at);
        else at = skipEmptyElement(bytes, at);
        if (at < 0) return moreOrUnknown(bytes, start, end, END);
        at = skipSpace(bytes, at);
      }
      if (classes & NOT_ASCII && !isUtf8(bytes.subarray(start, at))) return UNKNOWN;
      if (gathered !== null) add(unescapeText(gathered));
      else {
        const { buffer, offset } = store.room((to - from) * 2 + 2);
        store.add(copyCell(bytes, from, to, classes, buffer, offset) - offset);
      }
      return at + END.length;
    },
  };
}

function isText(bytes: Buffer, at: number): boolean {
  const next = bytes[at + 2];
  return (
    bytes[at] === 0x3c &&
    bytes[at + 1] === 0x74 &&
    (next === GT || next === SLASH || (next !== undefined && next <= 0x20))
  );
}

/** Copies text that needs no decoding as a cell of canonical CSV; answers the place behind it. */
export function copyCell(
  bytes: Buffer,
  from: number,
  to: number,
  classes: number,
  out: Buffer,
  at: number,
): number {
  if ((classes & NEEDS_QUOTES) === 0) {
    if (to - from > 40) return at + bytes.copy(out, at, from, to);
    while (from < to) out[at++] = bytes[from++]!;
    return at;
  }
  out[at++] = 0x22;
  while (from < to) {
    const byte = bytes[from++]!;
    if (byte === 0x22) out[at++] = 0x22;
    out[at++] = byte;
  }
  out[at++] = 0x22;
  return at;
}

export function csvCell(text: string): string {
  return /[",\r\n]/u.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
