import type { ImportOptions } from '../client/index.ts';

/** A range of the file that is stored as one part; `end` is exclusive. */
export interface Part {
  number: number;
  start: number;
  end: number;
}

/** How a file of `size` bytes is cut: equal parts and a shorter last one, numbered from 1. */
export function planParts(size: number, partSize: number): Part[] {
  if (partSize <= 0) throw new RangeError('A part must hold at least one byte.');
  const parts: Part[] = [];
  for (let start = 0; start < size; start += partSize) {
    parts.push({ number: parts.length + 1, start, end: Math.min(size, start + partSize) });
  }
  return parts.length > 0 ? parts : [{ number: 1, start: 0, end: 0 }];
}

/** Parts that the store does not have, or has in another size (an upload broken off, a file that grew). */
export function missingParts(parts: Part[], arrived: { part_number: number; size: number }[]): Part[] {
  const sizes = new Map(arrived.map((part) => [part.part_number, part.size]));
  return parts.filter((part) => sizes.get(part.number) !== part.end - part.start);
}

/** What is remembered of an upload so that a reload can go on with it. */
export interface UploadRecord {
  id: string;
  fileKey: string;
  idempotencyKey: string;
  /** The file as the person chose it. */
  name: string;
  size: number;
  lastModified: number;
  /** The bytes that are stored: the file itself, or what the browser compressed it to. */
  compressed: boolean;
  storedSize: number;
  partSize: number;
  options: ImportOptions;
  startedAt: number;
}

/** Whether the file that was chosen again is the one whose upload broke off. */
export function sameFile(
  record: UploadRecord,
  file: { name: string; size: number; lastModified: number },
): boolean {
  return record.name === file.name && record.size === file.size && record.lastModified === file.lastModified;
}

/** Seconds to wait before the n-th attempt (from 1): doubling, at most 30. */
export function backOff(attempt: number): number {
  return Math.min(30, 2 ** (attempt - 1));
}

export interface Measured {
  /** Compressed bytes for each byte of the sample. */
  ratio: number;
  /** Bytes a second that this machine compresses. */
  compression: number;
  /** Bytes a second that this browser's last uploads went at; null before the first. */
  upload: number | null;
}

/** A guess for the first upload of a browser: 40 Mbit/s, more than most lines carry upwards. */
const UNMEASURED_LINE = 5_000_000;

/** Whether compressing first and sending less is sooner done than sending as it is. */
export function compressionPays(size: number, measured: Measured, loopback: boolean): boolean {
  if (size < 2_000_000) return false;
  // On this machine itself the processor is the line: only a store that is slow for another reason counts.
  if (loopback && (measured.upload === null || measured.upload > UNMEASURED_LINE)) return false;
  const line = measured.upload ?? UNMEASURED_LINE;
  const plain = size / line;
  const compressed = size / measured.compression + (size * measured.ratio) / line;
  // Compressing delays the first byte: it has to win clearly.
  return compressed < plain * 0.8;
}
