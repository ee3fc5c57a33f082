import type { ImportDocument, Progress } from './follow.ts';

const count = new Intl.NumberFormat('en');
export const rows = (n: number): string => count.format(n);

export function bytes(n: number): string {
  if (n < 1000) return `${n} B`;
  const units = ['kB', 'MB', 'GB', 'TB'];
  let value = n;
  let unit = -1;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} ${units[unit]}`;
}

export function duration(seconds: number): string {
  if (seconds < 60) return `${Math.ceil(seconds)} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`;
  return `${Math.floor(seconds / 3600)} h ${Math.round((seconds % 3600) / 60)} min`;
}

/** Control characters and direction overrides of a file's or a server's text must not steer the terminal. */
export function plain(text: string): string {
  return text.replace(/[\u0000-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g, '\ufffd');
}

const WIDTH = 24;

/** `[########----------------]  33%  upload  31 MB of 95 MB` */
export function bar(fraction: number | null, label: string): string {
  const known = fraction === null ? 0 : Math.min(Math.max(fraction, 0), 1);
  const filled = Math.floor(known * WIDTH);
  const percent = fraction === null ? '    ' : `${String(Math.floor(known * 100)).padStart(3)}%`;
  return `[${'#'.repeat(filled)}${'-'.repeat(WIDTH - filled)}] ${percent}  ${label}`;
}

export function progressLine(progress: Progress): string {
  const step = progress.step ?? progress.phase ?? '';
  const total = progress.rows_total ?? null;
  const done =
    progress.phase === 'writing' || progress.phase === 'done'
      ? total === null || !progress.accounting
        ? (progress.rows_written ?? 0) + (progress.rows_failed ?? 0)
        : total - (progress.accounting['notProcessed'] ?? 0)
      : (progress.rows_parsed ?? 0);
  const moving = progress.status === undefined || progress.status === 'running';
  const parts: string[] = [moving ? step : `${progress.status}${step && `, ${step}`}`];
  if (progress.activity) parts.push(progress.activity);
  if (total) parts.push(`${rows(done)} of ${rows(total)} rows`);
  if (progress.throughput_rps) parts.push(`${rows(Math.round(progress.throughput_rps))} rows/s`);
  if (progress.eta_seconds) parts.push(`${duration(progress.eta_seconds)} left`);
  return bar(progress.fraction ?? (total ? done / total : null), plain(parts.join('  ')));
}

/** One line on a terminal, drawn over itself at most ten times a second; one line a step where there is none. */
export class ProgressLine {
  #terminal: boolean;
  #quiet: boolean;
  #drawnAt = 0;
  #step = '';
  #drawn = false;

  constructor(quiet: boolean) {
    this.#terminal = process.stderr.isTTY === true;
    this.#quiet = quiet && !this.#terminal;
  }

  show(line: string, step: string): void {
    if (this.#quiet) return;
    if (!this.#terminal) {
      if (step !== this.#step) process.stderr.write(`${step}\n`);
      this.#step = step;
      return;
    }
    const now = Date.now();
    if (now - this.#drawnAt < 100 && step === this.#step) return;
    this.#drawnAt = now;
    this.#step = step;
    this.#drawn = true;
    process.stderr.write(`\r\u001b[K${line.slice(0, (process.stderr.columns ?? 100) - 1)}`);
  }

  clear(): void {
    if (this.#drawn) process.stderr.write('\r\u001b[K');
    this.#drawn = false;
  }
}

const COUNTED: [string, string][] = [
  ['created', 'created'],
  ['updated', 'updated'],
  ['unchanged', 'unchanged'],
  ['duplicates', 'duplicates in the file'],
  ['blocked', 'blocked'],
  ['stale', 'changed by somebody else meanwhile'],
  ['skipped', 'skipped'],
  ['failed', 'refused by the table'],
  ['notProcessed', 'not processed'],
];

const MISSING: [string, string][] = [
  ['missing', 'not in the file'],
  ['deactivated', 'deactivated'],
  ['deleted', 'deleted'],
  ['kept', 'of them left alone'],
];

/** What a person reads at the end of a run. */
export function summary(doc: ImportDocument): string {
  const lines = [`Import ${doc.id} into ${plain(doc.dataset)}: ${doc.status.replaceAll('_', ' ')}`];
  const { accounting } = doc;
  if (accounting) {
    const counted = COUNTED.filter(([name]) => (accounting[name] ?? 0) > 0);
    const said = counted.map(([name, words]) => `${rows(accounting[name]!)} ${words}`).join(', ');
    lines.push(`  ${rows(accounting['input'] ?? 0)} records${said ? `: ${said}` : ''}`);
    const missing = MISSING.filter(([name]) => (accounting[name] ?? 0) > 0);
    if (missing.length > 0)
      lines.push(
        `  Beside them: ${missing.map(([name, words]) => `${rows(accounting[name]!)} ${words}`).join(', ')}`,
      );
  }
  if (doc.error) lines.push(`  ${plain(doc.error.message)}`);
  if (doc.status === 'waiting') lines.push(...waitingLines(doc));
  if (doc.errorReportUrl) lines.push(`  Rows to correct: waybill errors ${doc.id} --csv`);
  return `${lines.join('\n')}\n`;
}

interface GuardExample {
  kind: string;
  key: string | null;
  field: string | null;
  before: string | null;
  after: string | null;
  message: string | null;
}

/** Why a run waits, as the workflow has put it: a sentence, the guard's reasons, or questions about the mapping. */
function waitingLines({ id, waitingFor, plan, guard }: ImportDocument): string[] {
  const said = (name: string) => (Array.isArray(waitingFor?.[name]) ? (waitingFor[name] as unknown[]) : []);
  const reasons = [
    ...(typeof waitingFor?.['message'] === 'string' ? [waitingFor['message']] : []),
    ...said('reasons').filter((reason) => typeof reason === 'string'),
    ...said('questions').map((question) => String((question as { message?: unknown }).message ?? '')),
  ].filter((reason) => reason !== '');
  if (reasons.length === 0) reasons.push(`It waits for a person (${waitingFor?.what ?? 'review'}).`);
  const lines = reasons.map((reason) => `  ${plain(reason)}`);
  const examples = (guard as { examples?: GuardExample[] } | null | undefined)?.examples ?? [];
  for (const { kind, key, field, before, after, message } of examples)
    lines.push(
      `    ${kind}: ${plain(key ?? '(no key)')}${field === null ? '' : `, ${plain(field)} ${plain(before ?? 'empty')} -> ${plain(after ?? 'empty')}`}${message === null ? '' : `, ${plain(message)}`}`,
    );
  if (plan) lines.push(`  waybill apply ${id}   or   waybill discard ${id}`);
  return lines;
}
