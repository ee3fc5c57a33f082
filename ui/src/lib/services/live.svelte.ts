import type { Import, ImportProgress } from '../client/index.ts';
import { atMostEvery, emptyBar, grow, runBar, type BarState } from '../models/progress.ts';
import { OPEN } from '../models/sentence.ts';
import { watchImport, type Watching } from './events.ts';
import { showImport } from './imports.ts';

/** One import as it is now: read once, then followed by events, drawn at most four times a second. */
export class LiveImport {
  run = $state.raw<Import>() as Import;
  progress = $state.raw<ImportProgress | null>(null);
  bar = $state.raw<BarState>(emptyBar);
  connected = $state(true);
  /** Rises whenever something other than counts may have changed: status, step, plan, what is waited for. */
  turn = $state(0);
  #watching: Watching | undefined;
  #seen = '';
  #attempt = '';
  #closed = false;

  constructor(run: Import) {
    this.run = run;
    this.#attempt = run.startedAt ?? '';
    if (run.status !== 'uploading') this.bar = this.#barOf(run);
    this.#watch();
  }

  /** Takes over what an action answered, without waiting for the next event. */
  set(run: Import): void {
    if (this.#closed) return;
    // Events may have overtaken it, even with the end of the run, after which none would put it right.
    if (Date.parse(run.updatedAt) >= Date.parse(this.run.updatedAt)) this.run = run;
    this.turn += 1;
    if (OPEN.has(run.status)) this.#watch();
  }

  async reload(): Promise<void> {
    this.set(await showImport(this.run.id));
  }

  close(): void {
    this.#closed = true;
    this.#watching?.close();
    this.#watching = undefined;
  }

  #watch(): void {
    if (this.#watching || !OPEN.has(this.run.status)) return;
    const draw = atMostEvery<ImportProgress>(250, (progress) => this.#draw(progress));
    this.#watching = watchImport(this.run.id, {
      progress: draw,
      connected: (connected) => (this.connected = connected),
    });
  }

  #draw(progress: ImportProgress): void {
    if (this.#closed) return;
    this.progress = progress;
    // The events know first. What an action has just answered may be newer still.
    if (Date.parse(progress.updated_at) >= Date.parse(this.run.updatedAt)) {
      const { status, step: phase, waiting_for: waitingFor, updated_at: updatedAt } = progress;
      this.run = {
        ...this.run,
        status,
        phase,
        waitingFor,
        updatedAt,
        accounting: progress.accounting ?? this.run.accounting,
      };
    }
    // A retry is a new attempt: its bar starts where that attempt starts.
    const attempt = progress.started_at ?? '';
    const fresh = attempt !== this.#attempt && this.#attempt !== '' && attempt !== '';
    this.#attempt = attempt;
    this.bar = fresh ? runBar(progress) : grow(this.bar, runBar(progress));
    const seen = [progress.status, progress.step, progress.waiting_for?.what, progress.error?.code].join('|');
    if (seen === this.#seen) return;
    this.#seen = seen;
    void this.#refresh();
  }

  async #refresh(): Promise<void> {
    try {
      const run = await showImport(this.run.id);
      if (this.#closed) return;
      this.run = run;
      this.turn += 1;
      if (!OPEN.has(run.status)) {
        this.bar = this.#barOf(run);
        this.#watching?.close();
        this.#watching = undefined;
      }
    } catch {
      // The event stream says that the connection is lost; the next state that arrives asks again.
      this.#seen = '';
    }
  }

  #barOf(run: Import): BarState {
    return runBar({
      status: run.status,
      step: run.phase,
      rows_total: run.accounting?.input ?? null,
      // How far the present step is, the first event tells.
      rows_parsed: 0,
      bytes_total: run.bytes,
      bytes_read: 0,
      accounting: run.accounting,
    });
  }
}
