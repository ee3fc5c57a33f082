import { UNKNOWN } from './xml-bytes.ts';
import type { XmlStream } from './xml.ts';

/** The elements that a part is mostly made of: where they stand, and how to read one at a glance. */
export interface RepeatedElement {
  /** Names of the elements around it, from the root on. */
  parents: readonly string[];
  /** `<row`, `<si`. */
  open: string;
  /**
   * Reads one element that begins at `at` and has a zero byte somewhere behind it. Answers the place behind it,
   * `MORE` where it is not all there yet, or `UNKNOWN` (with nothing done) for any shape that it does not know.
   */
  read(bytes: Buffer, at: number, end: number): number;
}

/** The element goes on behind the bytes that are there. */
export const MORE = -1;

const WINDOW_BYTES = 512 * 1024;
/** An element that is not whole in so many bytes is left to the parser, which needs no whole ones. */
const MOST_ELEMENT_BYTES = 8 * 1024 * 1024;
const LT = 0x3c;

/**
 * Streams a part through the parser, except for whole repeated elements of a known plain shape, which are read as
 * bytes, many times faster. What the parser sees is the part with those elements cut out between two siblings, so that it
 * judges everything else as if they were not there.
 * @param element null: the parser reads all of it.
 */
export async function readHybrid(
  chunks: AsyncIterable<Buffer>,
  xml: XmlStream,
  element: RepeatedElement | null,
  afterChunk?: () => void,
): Promise<void> {
  if (element === null) {
    for await (const chunk of chunks) {
      xml.write(chunk);
      afterChunk?.();
    }
    return xml.end();
  }
  const marker = Buffer.from(element.open);
  let window = Buffer.alloc(WINDOW_BYTES);
  let from = 0;
  let to = 0;
  let fast = false;
  /** Not to be tried again with fewer bytes: an element much longer than a chunk is not read once a chunk. */
  let enough = 0;

  const room = (bytes: number) => {
    if (window.length - to > bytes) return;
    const kept = to - from;
    if (kept + bytes >= window.length) {
      const larger = Buffer.alloc(Math.max(window.length * 2, kept + bytes + 1));
      window.copy(larger, 0, from, to);
      window = larger;
    } else window.copyWithin(0, from, to);
    from = 0;
    to = kept;
  };

  /** Takes what it can of the window. */
  const advance = (last: boolean) => {
    while (from < to) {
      if (fast) {
        let at = from;
        while (at < to && isBlank(window[at]!)) at++;
        if (to - at < marker.length && !last) {
          from = at;
          return;
        }
        const found = startsAt(window, at, marker) ? element.read(window, at, to) : UNKNOWN;
        if (found >= 0) {
          from = found;
          enough = 0;
          continue;
        }
        if (found === MORE && !last && to - at < MOST_ELEMENT_BYTES) {
          from = at;
          enough = (to - at) * 2;
          return;
        }
        fast = false;
        enough = 0;
        // The parser gets at least this one.
        passTo(at + 1);
      }
      const next = window.subarray(0, to).indexOf(marker, from);
      if (next < 0) {
        passTo(last ? to : Math.max(from, to - marker.length + 1));
        return;
      }
      passTo(next);
      if (xml.isPlain && xml.isBetweenChildrenOf(element.parents)) fast = true;
      else passTo(next + 1);
    }
  };
  const passTo = (end: number) => {
    xml.write(window.subarray(from, end));
    from = end;
  };

  for await (const chunk of chunks) {
    room(chunk.length);
    chunk.copy(window, to);
    to += chunk.length;
    window[to] = 0;
    if (to - from >= enough) advance(false);
    afterChunk?.();
  }
  advance(true);
  xml.end();
}

/** What it means that an element could not be read: its end may be missing, or it may have another shape. */
export function moreOrUnknown(bytes: Buffer, start: number, end: number, closing: Buffer): number {
  const closed = bytes.indexOf(closing, start);
  // Behind the end of what is there lies what was there before.
  return closed < 0 || closed + closing.length > end ? MORE : UNKNOWN;
}

function isBlank(byte: number): boolean {
  return byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09;
}

function startsAt(bytes: Buffer, at: number, marker: Buffer): boolean {
  if (bytes[at] !== LT) return false;
  for (let index = 1; index < marker.length; index++) if (bytes[at + index] !== marker[index]) return false;
  return true;
}
