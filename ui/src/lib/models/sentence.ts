import type {
  Accounting,
  Dataset,
  Import,
  ImportProgress,
  ImportStatus,
  Preview,
  WaitingFor,
} from '../client/index.ts';
import type { Messages } from '../messages/en.ts';
import { OUTCOMES, type Outcome } from './progress.ts';
import { clock, left, relative, span, took } from './time.ts';

/** A run said in one sentence, and one quieter line beside it. */
export interface Headline {
  text: string;
  detail: string | null;
}

export interface Telling {
  t: Messages;
  locale: string;
  now: number;
}

export const OPEN: ReadonlySet<ImportStatus> = new Set([
  'uploading',
  'queued',
  'running',
  'paused',
  'waiting',
  'reverting',
]);

/** '9,182 created, 412 updated, 100 blocked'; only what there is. */
export function counts(
  accounting: Partial<Record<Outcome, number>>,
  t: Messages,
  order: readonly Outcome[] = [...OUTCOMES, 'notProcessed'],
): string {
  return order
    .filter((outcome) => (accounting[outcome] ?? 0) > 0)
    .map((outcome) => t.run.counted[outcome](accounting[outcome]!))
    .join(t.run.join);
}

/** The plan's decisions in the words of outcomes. */
export function planned(planCounts: Record<string, number> | null): Partial<Record<Outcome, number>> {
  const of = (name: string) => planCounts?.[name] ?? 0;
  return {
    created: of('creates'),
    updated: of('updates'),
    unchanged: of('unchanged'),
    duplicates: of('duplicates'),
    blocked: of('blocked'),
    skipped: of('skipped'),
  };
}

function wait(waiting: WaitingFor, { t, locale, now }: Telling): Headline {
  const what = t.waitsFor[waiting.what] ?? waiting.what;
  const since = waiting.since ? clock(Date.parse(waiting.since), now, locale) : null;
  const text = since ? t.run.headline.waitingFor(what, since) : t.run.headline.waitingForOnly(what);
  if (!waiting.nextTryAt) return { text, detail: null };
  const seconds = (Date.parse(waiting.nextTryAt) - now) / 1000;
  return {
    text,
    detail: seconds > 1 ? t.run.headline.nextTry(span(seconds, t)) : t.run.headline.nextTryNow,
  };
}

function needsPerson(
  run: Import,
  { preview, dataset }: { preview?: Preview | null; dataset?: Dataset | null },
  { t, locale }: Telling,
): Headline {
  const title = (name: string) =>
    dataset?.fields.find((field) => field.name === name)?.title[locale === 'ja' ? 'ja' : 'en'] ?? name;
  const questions = preview?.mapping?.questions ?? [];
  if (run.phase === 'map' || run.waitingFor?.what === 'mapping') {
    const [first] = questions;
    if (first?.code === 'sheet')
      return { text: t.run.headline.needsSheet(preview?.sheet ?? ''), detail: null };
    if (!first || first.field === '') return { text: t.run.headline.needsMappingSome, detail: null };
    if (questions.length > 1)
      return { text: t.run.headline.needsMappingMany(questions.length), detail: null };
    const field = title(first.field);
    const { needsMapping, needsFormat, needsWords, needsMappingSure } = t.run.headline;
    const say = { unmapped: needsMapping, ambiguous_format: needsFormat, unmapped_values: needsWords };
    return { text: (say[first.code as keyof typeof say] ?? needsMappingSure)(field), detail: null };
  }
  const plan = counts(planned(run.planCounts), t);
  return { text: t.run.headline.needsDecision, detail: plan ? t.run.headline.plan(plan) : null };
}

function settledRows(accounting: Accounting): number {
  return accounting.input - accounting.notProcessed;
}

function moving(run: Import, progress: ImportProgress | null, { t }: Telling): Headline {
  const step = run.phase;
  const total = progress?.rows_total ?? null;
  // All rows are staged, and the plan is made: sorting and joining have no rows to count.
  const planning =
    step === 'validate' &&
    progress !== null &&
    total !== null &&
    (progress.activity === 'planning' || progress.rows_parsed >= total);
  const parts: string[] = [];
  if (progress && total !== null && !planning && (step === 'validate' || step === 'apply')) {
    const done =
      step === 'validate'
        ? progress.rows_parsed
        : progress.accounting
          ? settledRows(progress.accounting)
          : progress.rows_written;
    parts.push(
      progress.activity === 'prepared'
        ? t.run.prepared(progress.rows_prepared, total)
        : t.run.headline.runningRows(Math.min(done, total), total),
    );
    if (progress.throughput_rps) parts.push(t.run.headline.rate(Math.round(progress.throughput_rps)));
  }
  if (progress && progress.eta_seconds !== null) {
    parts.push(
      progress.eta_seconds < 1 ? t.run.headline.almost : t.run.headline.left(left(progress.eta_seconds, t)),
    );
  }
  const doing = planning ? t.phaseDoing.planning : step === null ? t.status[run.status] : t.phaseDoing[step];
  return {
    // A run that passes through review by itself does not wait for anybody.
    text: step === 'review' ? t.phaseDoing.planning : doing,
    detail: parts.length > 0 ? parts.join(' · ') : null,
  };
}

function ended(run: Import, { t }: Telling): Headline {
  const accounting = run.accounting;
  const written = accounting ? accounting.created + accounting.updated : 0;
  const duration =
    run.startedAt && run.finishedAt
      ? t.run.headline.took(took(Date.parse(run.finishedAt) - Date.parse(run.startedAt), t))
      : null;
  switch (run.status) {
    case 'failed':
      return {
        text: run.error?.message ?? t.run.headline.failed(written),
        detail: !run.error
          ? duration
          : written > 0
            ? t.run.headline.failed(written)
            : t.run.headline.nothingWritten,
      };
    case 'unproven':
      return { text: t.run.headline.unproven, detail: run.error?.message ?? duration };
    case 'cancelled':
      return { text: t.run.headline.cancelled(written), detail: run.error?.message ?? duration };
    case 'reverted':
      return { text: t.run.headline.reverted, detail: duration };
  }
  if (!accounting || accounting.input === 0) return { text: t.run.headline.emptyFile, detail: duration };
  if (accounting.unchanged === accounting.input) {
    return { text: t.run.headline.nothingChanged(accounting.input), detail: duration };
  }
  return { text: counts(accounting, t), detail: duration };
}

export function headline(
  run: Import,
  progress: ImportProgress | null,
  telling: Telling,
  about: { preview?: Preview | null; dataset?: Dataset | null } = {},
): Headline {
  const { t, now } = telling;
  const waiting = run.waitingFor;
  switch (run.status) {
    case 'uploading':
      return { text: t.run.headline.uploading, detail: null };
    case 'queued':
      return waiting ? wait(waiting, telling) : { text: t.run.headline.queued, detail: null };
    case 'paused': {
      const total = progress?.rows_total ?? run.accounting?.input ?? 0;
      const accounting = progress?.accounting ?? run.accounting;
      const since = Date.parse(waiting?.since ?? run.updatedAt);
      const by = waiting?.['by'];
      return {
        text: t.run.headline.paused(typeof by === 'string' ? by : null, relative(since, now, t)),
        detail: accounting && total > 0 ? t.run.headline.pausedRows(settledRows(accounting), total) : null,
      };
    }
    case 'waiting':
      return needsPerson(run, about, telling);
    case 'reverting':
      return { text: t.run.headline.reverting, detail: null };
    case 'running':
      return waiting ? wait(waiting, telling) : moving(run, progress, telling);
    default:
      return ended(run, telling);
  }
}
