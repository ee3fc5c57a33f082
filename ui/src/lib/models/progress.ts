import type { Accounting, ImportProgress } from '../client/index.ts';

/** What a row can come to, in the order in which the bar and every table show it. */
export const OUTCOMES = [
  'created',
  'updated',
  'unchanged',
  'duplicates',
  'skipped',
  'stale',
  'blocked',
  'failed',
] as const;
export type Outcome = (typeof OUTCOMES)[number] | 'notProcessed';

/** The part of the bar that upload and reading take before the first row is checked. */
const UPLOADED = 0.4;
const READ = 0.55;

export interface BarState {
  /** 0..1: how far the file has come towards being checked in full; drawn pale. */
  prepared: number;
  /** 0..1: how much of the file has its final outcome; drawn in the outcomes' colours over the pale part. */
  settled: number;
  /** Shares of the whole bar, in order; their sum is `settled`. */
  segments: { outcome: Outcome; count: number; share: number }[];
}

export const emptyBar: BarState = { prepared: 0, settled: 0, segments: [] };

type Facts = Pick<
  ImportProgress,
  'status' | 'step' | 'rows_total' | 'rows_parsed' | 'bytes_total' | 'bytes_read' | 'accounting'
>;

function ratio(part: number, whole: number | null): number {
  return whole && whole > 0 ? Math.min(1, part / whole) : 0;
}

function prepared(facts: Facts): number {
  if (facts.status === 'uploading') return 0;
  switch (facts.step) {
    case 'download':
    case 'inspect':
      return UPLOADED + (READ - UPLOADED) * ratio(facts.bytes_read, facts.bytes_total);
    case 'map':
      return READ;
    case 'validate':
      return READ + (1 - READ) * ratio(facts.rows_parsed, facts.rows_total);
    case 'review':
    case 'apply':
    case 'notify':
      return 1;
    default:
      return facts.status === 'queued' ? UPLOADED : 0;
  }
}

/** Where the bar of a run stands when its own browser is still uploading `sent` of `total` bytes. */
export function uploadBar(sent: number, total: number): BarState {
  return { ...emptyBar, prepared: UPLOADED * ratio(sent, total) };
}

export function runBar(facts: Facts): BarState {
  const counts: Partial<Accounting> = facts.accounting ?? {};
  const total = facts.rows_total ?? counts.input ?? 0;
  const ended = facts.step === null && facts.status !== 'uploading' && facts.status !== 'queued';
  const shown: Outcome[] = ended ? [...OUTCOMES, 'notProcessed'] : [...OUTCOMES];
  // Blocked rows and duplicates are known before the first row is written; they count once rows are being settled.
  const settling = ended || facts.step === 'apply' || facts.step === 'notify';
  const segments = settling
    ? shown
        .map((outcome) => ({
          outcome,
          count: counts[outcome] ?? 0,
          share: ratio(counts[outcome] ?? 0, total),
        }))
        .filter((segment) => segment.count > 0)
    : [];
  const sum = (among: typeof segments) =>
    Math.min(
      1,
      among.reduce((total, segment) => total + segment.share, 0),
    );
  const done = sum(segments.filter(({ outcome }) => outcome !== 'notProcessed'));
  return { prepared: ended ? done : prepared(facts), settled: done, segments };
}

/**
 * The next state to draw: never less than the last. A plan made anew after a pause may count fewer settled rows for
 * a moment; the bar then waits instead of shrinking, and the figures beside it say what is true.
 */
export function grow(last: BarState, next: BarState): BarState {
  const settled = Math.max(last.settled, next.settled);
  const prepared = Math.max(last.prepared, next.prepared, settled);
  const segments = next.settled >= last.settled || next.segments.length === 0 ? next.segments : last.segments;
  return { prepared, settled, segments: segments.length === 0 && settled > 0 ? last.segments : segments };
}

/** One whole number for the bar's label and for a screen reader. */
export function processed(bar: BarState): number {
  const checking = (Math.max(bar.prepared, UPLOADED) - UPLOADED) / (1 - UPLOADED);
  const value = Math.floor((checking * 0.5 + bar.settled * 0.5) * 100);
  return Math.min(100, value);
}

/** At most one call each `interval` ms, always with the latest value, and never losing the last one. */
export function atMostEvery<T>(interval: number, draw: (value: T) => void): (value: T) => void {
  let timer: ReturnType<typeof setTimeout> | undefined;
  let drawnAt = -Infinity;
  let waiting: { value: T } | undefined;
  const flush = () => {
    timer = undefined;
    if (!waiting) return;
    const { value } = waiting;
    waiting = undefined;
    drawnAt = performance.now();
    draw(value);
  };
  return (value) => {
    waiting = { value };
    if (timer !== undefined) return;
    const wait = drawnAt + interval - performance.now();
    if (wait <= 0) flush();
    else timer = setTimeout(flush, wait);
  };
}
