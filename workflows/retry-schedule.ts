const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

/** Milliseconds after the first attempt at which the others are due; Standard Webhooks' schedule, cut at a day. */
export const RETRY_OFFSETS_MS = [
  0,
  5_000,
  5 * MINUTE,
  30 * MINUTE,
  2 * HOUR,
  5 * HOUR,
  10 * HOUR,
  14 * HOUR,
  20 * HOUR,
  24 * HOUR,
];

/**
 * How long to wait after attempt `made` (from 1) until the next, or null when it is time to give up. What the
 * receiver asked for by Retry-After is the least; jitter spreads out what failed together.
 */
export function delayBefore(
  offsets: number[],
  made: number,
  elapsedMs: number,
  retryAfterMs: number | null,
  random: number,
): number | null {
  const last = offsets.at(-1) ?? 0;
  const offset = offsets[made];
  if (offset === undefined) return null;
  const step = offset - (offsets[made - 1] ?? 0);
  const due = Math.max(0, offset - elapsedMs) + step * 0.2 * random;
  const wait = Math.max(due, retryAfterMs ?? 0);
  return retryAfterMs !== null && elapsedMs + retryAfterMs > last ? null : wait;
}
