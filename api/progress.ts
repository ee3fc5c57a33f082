import type * as z from 'zod';
import type { AppliedRows, StoredProgress } from '../db/progress.ts';
import { estimate, workUnits, type Costs, type Estimate, type PhaseOfRun } from './eta.ts';
import type { ImportProgress } from './schemas/imports.ts';

export type Progress = z.input<typeof ImportProgress>;

/** What a series of looks at one import adds to a single one. */
export interface Watched {
  /** Rows staged a second. */
  stagingRate: number | null;
  /** Records inspected a second. */
  inspectRate: number | null;
  /** When staging was first seen complete, by the database's clock. */
  stagedAt: number | null;
  learned: Costs | null;
}

const MOVING = new Set(['queued', 'running', 'reverting']);
/** A gap between receipts longer than this is a pause or an outage, not a pace. */
const GAP_SECONDS = 2;

const rowsOf = (r: AppliedRows): number => r.created + r.updated + r.unchanged + r.stale + r.failed;

/** Rows and units of work a second, from the receipts since the last standstill; null where there are too few. */
export function applyPace(
  recent: StoredProgress['recent'],
  now: number,
): { rows: number; units: number } | null {
  let from = recent.length;
  for (let after = now; from > 0 && after - recent[from - 1]!.at <= GAP_SECONDS; from--)
    after = recent[from - 1]!.at;
  const run = recent.slice(from);
  const seconds = run.length > 1 ? now - run[0]!.at : 0;
  if (seconds < 0.2) return null;
  // The first receipt's rows were written before its time.
  const counted = run.slice(1);
  return {
    rows: counted.reduce((sum, r) => sum + rowsOf(r), 0) / seconds,
    units: counted.reduce((sum, r) => sum + workUnits(r), 0) / seconds,
  };
}

function apiPhase(status: string, phase: string | null): Progress['phase'] {
  switch (status) {
    case 'uploading':
      return 'uploading';
    case 'completed':
    case 'completed_with_issues':
    case 'reverting':
    case 'reverted':
      return 'done';
    case 'failed':
    case 'unproven':
    case 'cancelled':
      return 'failed';
  }
  switch (phase) {
    case 'map':
    case 'validate':
    case 'review':
      return 'validating';
    case 'apply':
    case 'notify':
      return 'writing';
    default:
      return 'parsing';
  }
}

const number = (value: unknown): number => (typeof value === 'number' && Number.isFinite(value) ? value : 0);

/** Figures of a run as the receipts, the plan and the marks have them now. */
function figures(stored: StoredProgress) {
  const { import: i, plan, receipts, marks } = stored;
  const total = i.inputAccepted === null ? null : i.inputAccepted + (i.inputRejected ?? 0);
  const blocked = plan?.blocked ?? (marks ? marks.rejected + marks.blocked : 0);
  const duplicates = plan?.duplicates ?? 0;
  const accounting =
    i.accounting ??
    (total === null
      ? null
      : {
          input: total,
          created: receipts.created,
          updated: receipts.updated,
          unchanged: receipts.unchanged,
          duplicates,
          blocked,
          stale: receipts.stale,
          skipped: 0,
          failed: receipts.failed,
          notProcessed: Math.max(total - rowsOf(receipts) - duplicates - blocked, 0),
          ...(plan?.missing !== undefined && {
            missing: plan.missing,
            deactivated: receipts.deactivated,
            deleted: receipts.deleted,
            kept: receipts.kept,
          }),
        });
  const valid = plan
    ? plan.creates + plan.updates + plan.unchanged + plan.duplicates
    : marks
      ? marks.accepted - marks.blocked
      : 0;
  return { total, blocked, duplicates, accounting, valid };
}

/** The accounting so far, or as it was in the end; null before the rows have been counted. */
export const accountingOf = (stored: StoredProgress) => figures(stored).accounting as Progress['accounting'];

function remaining(stored: StoredProgress, watched: Watched, pace: ReturnType<typeof applyPace>): Estimate {
  const { import: i, plan, receipts, marks, noted, now, lastResumeAt } = stored;
  const current = stored.phases.find((phase) => phase.name === i.phase);
  if (i.status !== 'running' || i.waitingFor !== null || !current) return { seconds: null, fraction: null };
  const { total } = figures(stored);
  const since = (at: number): number => Math.max(now - Math.max(at, lastResumeAt ?? 0), 0);
  const staged = marks ? marks.accepted + marks.rejected : 0;
  const whole = total !== null && staged >= total;
  return estimate({
    phase: i.phase as PhaseOfRun,
    phaseSeconds: since(current.startedAt),
    finished: stored.phases.flatMap((phase) =>
      phase.finishedAt !== null && phase.name !== i.phase
        ? [{ name: phase.name, seconds: phase.finishedAt - phase.startedAt }]
        : [],
    ),
    bytes: i.bytes,
    bytesRead: number(noted?.['bytesRead']),
    rows: total,
    staged,
    stagingRate: watched.stagingRate,
    planningSeconds: i.phase === 'validate' && whole ? since(watched.stagedAt ?? now) : null,
    planningFraction: noted?.['step'] === 'sorting' ? number(noted['fraction']) || null : null,
    planned: plan && { created: plan.creates, updated: plan.updates, unchanged: plan.unchanged },
    applied: receipts,
    applyRate: pace?.units ?? null,
    learned: watched.learned,
  });
}

/** What `GET /imports/{id}/status` says. */
export function toProgress(stored: StoredProgress, watched: Watched): Progress {
  const { import: i, plan, receipts, marks, noted, now } = stored;
  const { total, blocked, duplicates, accounting, valid } = figures(stored);
  const ended = i.accounting;
  const pace = i.phase === 'apply' ? applyPace(stored.recent, now) : null;
  const eta = remaining(stored, watched, pace);
  const throughput =
    i.status !== 'running'
      ? null
      : i.phase === 'apply'
        ? (pace?.rows ?? null)
        : i.phase === 'validate' && plan === null
          ? watched.stagingRate
          : i.phase === 'inspect'
            ? watched.inspectRate
            : null;
  const staged = marks ? marks.accepted + marks.rejected : null;
  const phase = apiPhase(i.status, i.phase);
  return {
    job_id: i.id,
    status: i.status as Progress['status'],
    phase,
    step: i.phase as Progress['step'],
    activity: activityOf(stored, staged, total),
    rows_total: total,
    rows_parsed: total ?? (i.phase === 'inspect' ? number(noted?.['records']) : 0),
    rows_valid: ended ? ended['input']! - ended['blocked']! : valid,
    rows_written: ended ? ended['created']! + ended['updated']! : receipts.created + receipts.updated,
    rows_prepared: plan ? Math.round(prepared(stored) * (plan.creates + plan.updates + plan.unchanged)) : 0,
    rows_failed: ended
      ? ended['blocked']! + ended['stale']! + ended['failed']!
      : blocked + receipts.stale + receipts.failed,
    duplicates_skipped: ended ? ended['duplicates']! : duplicates,
    bytes_total: i.bytes,
    bytes_read: total !== null ? (i.bytes ?? 0) : Math.min(number(noted?.['bytesRead']), i.bytes ?? Infinity),
    throughput_rps: throughput === null ? null : Math.round(throughput),
    eta_seconds: eta.seconds === null ? null : Math.round(eta.seconds * 10) / 10,
    fraction: phase === 'done' ? 1 : eta.fraction === null ? null : Math.round(eta.fraction * 1000) / 1000,
    accounting: accounting as Progress['accounting'],
    waiting_for: i.waitingFor,
    revert: stored.revert as Progress['revert'],
    error: i.error,
    started_at: i.startedAt?.toISOString() ?? null,
    updated_at: i.updatedAt.toISOString(),
    finished_at: i.finishedAt?.toISOString() ?? null,
    summary_url: `/api/imports/${encodeURIComponent(i.id)}`,
  };
}

/** The share of the rows that one transaction has written and not committed. */
const prepared = ({ import: i, noted, receipts }: StoredProgress): number =>
  i.status === 'running' && i.phase === 'apply' && noted?.['step'] === 'prepared' && rowsOf(receipts) === 0
    ? number(noted['fraction'])
    : 0;

function activityOf(stored: StoredProgress, staged: number | null, total: number | null): string | null {
  const { import: i, plan, noted } = stored;
  if (prepared(stored) > 0) return 'prepared';
  if (!MOVING.has(i.status) || i.phase !== 'validate') return null;
  if (typeof noted?.['step'] === 'string') return noted['step'];
  if (plan) return null;
  return staged !== null && total !== null && staged >= total ? 'planning' : 'staging';
}
