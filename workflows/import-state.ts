import { defineSearchAttributeKey } from '@temporalio/common';
import * as wf from '@temporalio/workflow';
import type { Claimed } from '../activities/control.ts';
import type { RunInput } from '../activities/run.ts';
import { control, unavailableWhat } from './import-activities.ts';
import type { Asked, Progress } from './messages.ts';

export interface Refusal {
  code: string;
  message: string;
}

interface Stop extends Asked {
  what: 'pause' | 'cancel';
  actor: string;
}

type Resume = Asked & { actor: string };

/** The run was stopped from outside: what the database says decides what comes next. */
export class Interrupted extends Error {}

/** How long an outage is waited out before the run gives up and fails with a way back (`retry`). */
const GIVE_UP_AFTER_MS = 24 * 60 * 60 * 1000;

/** Four attempts each: a file that kills every worker that touches it ends its own run, not the others'. */
const MOST_DEATHS = 10;

const states = defineSearchAttributeKey('WaybillState', 'KEYWORD');
const phases = defineSearchAttributeKey('WaybillPhase', 'KEYWORD');

/** What one run of the workflow knows, and what it shows: query, details and search attributes follow it. */
export class RunState {
  readonly importId: string;
  epoch = 0;
  phase: string | null = null;
  /** Phases entered since the claim. */
  private nth = 0;
  status = 'queued';
  waitingFor: Progress['waitingFor'] = null;
  stopWanted: Stop | null = null;
  resumeWanted: Resume | null = null;
  turnFreed = false;
  /** Somebody started the import again while this run was ending. */
  restartWanted = false;
  heavy = false;
  confirmed = false;
  /** With the confirmation came another way to read the file. */
  readAnew = false;
  approved = false;
  plan: { version: number; digest: string } | null = null;
  private scope: wf.CancellationScope | null = null;
  private facts: string[] = [];
  private headline = '';
  private shown = '';

  constructor(importId: string) {
    this.importId = importId;
  }

  begin(claimed: Claimed): void {
    this.epoch = claimed.epoch;
    this.nth = 0;
    // What was asked before the claim has had its effect.
    this.resumeWanted = null;
    if (this.stopWanted && this.hasPassed(this.stopWanted)) this.stopWanted = null;
    this.restartWanted = false;
    this.heavy = claimed.heavy;
    this.status = claimed.status;
    this.waitingFor = null;
    this.approved = claimed.approvedWave !== null;
    this.headline = `**${claimed.fileName}** into **${claimed.dataset}** (tenant ${claimed.tenantId}, policy ${claimed.policy})`;
    this.show();
  }

  /** What every activity of the run is called with. */
  at(): RunInput {
    const { importId, epoch, phase, nth } = this;
    return { importId, epoch, ...(phase !== null && nth > 0 && { phase: { name: phase, nth } }) };
  }

  progress(): Progress {
    return { status: this.status, phase: this.phase, waitingFor: this.waitingFor };
  }

  /** The next activity tells the database. One that did only that took 40 ms of every phase. */
  enter(phase: string): void {
    this.nth++;
    this.phase = phase;
    this.status = 'running';
    this.waitingFor = null;
    this.show();
  }

  /** Runs the phases so that a pause or cancel ends what is under way at once. */
  async interruptible<T>(work: () => Promise<T>): Promise<T> {
    if (this.stopWanted) throw new Interrupted();
    this.scope = new wf.CancellationScope({ cancellable: true });
    try {
      return await this.scope.run(work);
    } catch (error) {
      // A lane that lives on would come back later, in an epoch that is not its own.
      this.scope.cancel();
      if (this.stopWanted && wf.isCancellation(error)) throw new Interrupted();
      throw error;
    } finally {
      this.scope = null;
    }
  }

  wantStop(stop: Stop): void {
    if (this.hasPassed(stop)) return;
    // A cancel that the database does not know of yet must not be forgotten over a pause that it does know of.
    const { stopWanted } = this;
    if (!(stopWanted?.what === 'cancel' && stopWanted.epoch === undefined)) this.stopWanted = stop;
    this.resumeWanted = null;
    this.scope?.cancel();
  }

  wantResume(resume: Resume): void {
    if (this.hasPassed(resume)) return;
    if (this.stopWanted?.what === 'pause') this.stopWanted = null;
    this.resumeWanted = resume;
  }

  /** Asked, and done by the database, before this run claimed the import as it is. */
  private hasPassed({ epoch }: Asked): boolean {
    return epoch !== undefined && epoch <= this.epoch;
  }

  /** Tells the database of a stop that was wished for by a bare signal. False: nobody wishes for one. */
  async recordStop(): Promise<boolean> {
    const wanted = this.stopWanted;
    this.stopWanted = null;
    if (wanted === null) return false;
    const { epoch, ...stop } = wanted;
    const { importId } = this;
    if (epoch === undefined) await this.throughOutage(() => control(stop.what).stop({ importId, ...stop }));
    return true;
  }

  /** Ends a pause: by signals, or by the timer, which is for a resume whose signal was lost. */
  async whilePaused(looks: number): Promise<void> {
    this.paused();
    await wf.condition(
      () => this.resumeWanted !== null || this.stopWanted !== null,
      Math.min(5, looks + 1) * 60_000,
    );
    const resume = this.resumeWanted;
    this.resumeWanted = null;
    if ((await this.recordStop()) || resume === null || resume.epoch !== undefined) return;
    const { importId } = this;
    await this.throughOutage(() => control().resume({ importId, actor: resume.actor }));
  }

  waitFor(what: string, message: string): void {
    this.status = 'queued';
    this.waitingFor = {
      what,
      since: this.waitingFor?.what === what ? this.waitingFor.since : now(),
      message,
    };
    this.show();
  }

  async waitForPerson(
    what: { what: string } & Record<string, unknown>,
    answered: () => boolean,
  ): Promise<void> {
    if (!answered()) {
      const since = now();
      const waiting = { ...this.at(), what: { ...what, since } };
      await this.throughOutage(() => control(`for ${what.what}`).wait(waiting));
      this.status = 'waiting';
      this.waitingFor = { what: what.what, since };
      this.show();
      // Signals and updates end the wait. The timer is for a cancel whose signal was lost: the same call again then
      // finds itself fenced.
      for (let looks = 1; !(await wf.condition(answered, Math.min(10, looks) * 60_000)); looks++) {
        if (wf.workflowInfo().continueAsNewSuggested) throw new Interrupted();
        await this.throughOutage(() => control(`still for ${what.what}`).wait(waiting));
      }
    }
    this.status = 'running';
    this.waitingFor = null;
    this.show();
  }

  /** Does it again for hours while a service is away, and shows what is waited for. */
  async throughOutage<T>(work: () => Promise<T>): Promise<T> {
    const started = Date.now();
    for (let attempt = 1; ; attempt++) {
      try {
        const result = await work();
        if (attempt > 1) await this.showOutage(null);
        return result;
      } catch (error) {
        const what = unavailableWhat(error);
        const poison = what === 'worker' && attempt >= MOST_DEATHS;
        if (what === null || poison || Date.now() - started > GIVE_UP_AFTER_MS) throw error;
        const pause = Math.min(60_000, 1000 * 2 ** Math.min(attempt, 6));
        await this.showOutage({
          what,
          since: this.waitingFor?.what === what ? this.waitingFor.since : now(),
          nextTryAt: new Date(Date.now() + pause).toISOString(),
        });
        await wf.sleep(pause);
      }
    }
  }

  /** Says what is waited for, here and, unless it is the database itself, where the console reads it. */
  private async showOutage(outage: Progress['waitingFor']): Promise<void> {
    const before = this.waitingFor?.what;
    this.waitingFor = outage;
    this.show();
    if ((outage?.what ?? before) === 'database') return;
    try {
      await control().noteOutage({ ...this.at(), outage });
    } catch (error) {
      // It is a sentence on a page; the run does not depend on it.
      if (wf.isCancellation(error)) throw error;
      wf.log.warn('could not note the outage', { error: String(error) });
    }
  }

  mustWait(): void {
    if (this.status !== 'waiting') {
      throw wf.ApplicationFailure.nonRetryable(
        `The import is ${this.status}; it does not wait for a person.`,
        'NotWaiting',
      );
    }
  }

  mustWaitFor(what: string): void {
    this.mustWait();
    if (this.waitingFor?.what !== what) {
      throw wf.ApplicationFailure.nonRetryable(
        `The import waits for ${this.waitingFor?.what}, not for ${what}.`,
        'NotWaiting',
      );
    }
  }

  mustBePlan(plan: { version: number; digest: string }): void {
    if (plan.version !== this.plan?.version || plan.digest !== this.plan.digest) {
      throw wf.ApplicationFailure.nonRetryable(
        'The plan has changed since you looked at it. Look at it again, then decide.',
        'PlanMoved',
      );
    }
  }

  describe(fact: string): void {
    this.facts.push(fact);
    this.show();
  }

  private paused(): void {
    this.status = 'paused';
    this.waitingFor = { what: 'resume', since: now() };
    this.show();
  }

  ended(status: string, accounting: Record<string, number> | null, message?: string): void {
    this.status = status;
    this.phase = null;
    this.waitingFor = null;
    if (accounting)
      this.facts.push(
        Object.entries(accounting)
          .filter(([, n]) => n > 0)
          .map(([name, n]) => `${name} ${n.toLocaleString()}`)
          .join(', '),
      );
    if (message) this.facts.push(message);
    this.show();
  }

  private show(): void {
    const waits = this.waitingFor
      ? `Waits for ${this.waitingFor.what}${this.waitingFor.message ? ` (${this.waitingFor.message})` : ''} since ${this.waitingFor.since}${this.waitingFor.nextTryAt ? `, next try ${this.waitingFor.nextTryAt}` : ''}.`
      : '';
    const lines = [
      this.headline,
      `State: **${this.status}**${this.phase ? `, phase **${this.phase}**` : ''}. ${waits}`,
      ...this.facts.map((fact) => `- ${fact}`),
    ];
    wf.setCurrentDetails(lines.join('\n\n'));
    const attributes = `${this.status}/${this.phase}`;
    if (attributes === this.shown) return;
    this.shown = attributes;
    wf.upsertSearchAttributes([
      { key: states, value: this.status },
      { key: phases, value: this.phase ?? 'ended' },
    ]);
  }
}

const now = (): string => new Date().toISOString();
