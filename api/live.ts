import type { Logger } from 'pino';
import type postgres from 'postgres';
import { listenToChanges } from '../db/changes.ts';
import { completedRuns, findProgress, type StoredProgress } from '../db/progress.ts';
import { learnCosts, type Costs } from './eta.ts';
import { toProgress, type Progress } from './progress.ts';

/** While something moves; four events a second are enough for any eye. */
const MOVING_MS = 300;
const LEAST_MS = 250;
/** While nothing moves, changes are told by NOTIFY; this is for when its connection is away. */
const STILL_MS = 5000;
const AFTER_FAILURE_MS = 1000;
/** Looks younger than this are shared. */
const FRESH_MS = 200;
/** An import that nobody asked about for so long is forgotten. */
const FORGET_MS = 60_000;
/** Below this a run's fixed costs hide what a row costs. */
const LEARN_FROM_ROWS = 20_000;
const RATE_SECONDS = 4;

const MOVING = new Set(['queued', 'running', 'reverting']);

interface Sample {
  at: number;
  staged: number;
  inspected: number;
}

interface Track {
  importId: string;
  listeners: Set<(progress: Progress) => void>;
  samples: Sample[];
  stagedAt: number | null;
  learned: Costs | null | undefined;
  fraction: number;
  last: { at: number; progress: Progress | null } | null;
  looking: Promise<Progress | null> | null;
  timer: NodeJS.Timeout | null;
  usedAt: number;
}

/** How imports go, looked up once for all who watch: one poller an import, woken by the database. */
export interface LiveImports {
  /** Null: no such import. At most FRESH_MS old. */
  look(importId: string): Promise<Progress | null>;
  /** Calls back with each look that is made, at most four times a second, until the returned function is called. */
  watch(importId: string, listener: (progress: Progress) => void): () => void;
  close(): Promise<void>;
}

const rate = (samples: Sample[], of: 'staged' | 'inspected'): number | null => {
  const last = samples.at(-1);
  const first = last && samples.find((sample) => last.at - sample.at <= RATE_SECONDS);
  if (!first || !last || last.at - first.at < 0.5 || last[of] <= first[of]) return null;
  return (last[of] - first[of]) / (last.at - first.at);
};

export function createLiveImports(sql: postgres.Sql, log: Logger): LiveImports {
  const tracks = new Map<string, Track>();
  let closed = false;

  const trackOf = (importId: string): Track => {
    let track = tracks.get(importId);
    if (!track) {
      track = {
        importId,
        listeners: new Set(),
        samples: [],
        stagedAt: null,
        learned: undefined,
        fraction: 0,
        last: null,
        looking: null,
        timer: null,
        usedAt: Date.now(),
      };
      tracks.set(importId, track);
    }
    track.usedAt = Date.now();
    return track;
  };

  /** What can only be seen from several looks. */
  function remember(track: Track, { import: i, marks, noted, now }: StoredProgress): void {
    const total = i.inputAccepted === null ? null : i.inputAccepted + (i.inputRejected ?? 0);
    const staged = marks ? marks.accepted + marks.rejected : 0;
    const inspected = i.phase === 'inspect' && typeof noted?.['records'] === 'number' ? noted['records'] : 0;
    const before = track.samples.at(-1);
    const standsStill = i.status !== 'running' || i.waitingFor !== null;
    if (standsStill || (before && (staged < before.staged || inspected < before.inspected)))
      track.samples = [];
    if (!standsStill) track.samples.push({ at: now, staged, inspected });
    if (track.samples.length > 40) track.samples.shift();
    if (i.phase !== 'validate' || total === null || staged < total) track.stagedAt = null;
    else track.stagedAt ??= now;
    if (i.status === 'queued' && i.phase === null) track.fraction = 0;
  }

  async function lookNow(track: Track): Promise<Progress | null> {
    const stored = await findProgress(sql, track.importId);
    if (!stored) return null;
    if (track.learned === undefined && MOVING.has(stored.import.status)) {
      const { tenantId, dataset } = stored.import;
      const runs = await completedRuns(sql, tenantId, dataset, LEARN_FROM_ROWS);
      track.learned = learnCosts(
        runs.map(({ phases, ...run }) => ({
          ...run,
          phases: phases.map(({ name, startedAt, finishedAt }) => ({
            name,
            seconds: (finishedAt!.getTime() - startedAt.getTime()) / 1000,
          })),
        })),
      );
    }
    remember(track, stored);
    const progress = toProgress(stored, {
      stagingRate: rate(track.samples, 'staged'),
      inspectRate: rate(track.samples, 'inspected'),
      stagedAt: track.stagedAt,
      learned: track.learned ?? null,
    });
    // A better estimate must not move the bar back.
    if (progress.fraction !== null)
      track.fraction = progress.fraction = Math.max(track.fraction, progress.fraction);
    return progress;
  }

  function look(track: Track): Promise<Progress | null> {
    if (track.looking) return track.looking;
    if (track.last && Date.now() - track.last.at < FRESH_MS) return Promise.resolve(track.last.progress);
    track.looking = lookNow(track)
      .then((progress) => {
        track.last = { at: Date.now(), progress };
        if (progress) for (const listener of track.listeners) listener(progress);
        return progress;
      })
      .finally(() => {
        track.looking = null;
      });
    return track.looking;
  }

  function schedule(track: Track, delay: number): void {
    if (closed || track.listeners.size === 0) return;
    if (track.timer) clearTimeout(track.timer);
    track.timer = setTimeout(() => {
      track.timer = null;
      look(track).then(
        (progress) => schedule(track, progress && MOVING.has(progress.status) ? MOVING_MS : STILL_MS),
        (error: unknown) => {
          // The watchers stay; they hear again when the database does.
          log.debug({ err: error, import: track.importId }, 'progress not read');
          schedule(track, AFTER_FAILURE_MS);
        },
      );
    }, delay);
  }

  /** The database says that an import's status or phase has changed. */
  function wake(importId: string, status: string): void {
    const track = tracks.get(importId);
    if (!track) return;
    // Whoever waits for the end, or for a question, has waited long enough.
    const delay = MOVING.has(status) ? LEAST_MS : 0;
    const again = () => {
      track.last &&= { ...track.last, at: Math.min(track.last.at, Date.now() - FRESH_MS) };
      schedule(track, delay);
    };
    // A look that is under way may have been made before the change.
    if (track.looking) track.looking.then(again, again);
    else again();
  }

  const unlisten = listenToChanges(sql, log, wake);

  const forgetting = setInterval(() => {
    for (const [id, track] of tracks) {
      if (track.listeners.size === 0 && Date.now() - track.usedAt > FORGET_MS) tracks.delete(id);
    }
  }, FORGET_MS);
  forgetting.unref();

  return {
    look: (importId) => look(trackOf(importId)),
    watch(importId, listener) {
      const track = trackOf(importId);
      track.listeners.add(listener);
      if (!track.timer) schedule(track, 0);
      return () => {
        track.listeners.delete(listener);
        track.usedAt = Date.now();
        if (track.listeners.size === 0 && track.timer) {
          clearTimeout(track.timer);
          track.timer = null;
        }
      };
    },
    async close() {
      closed = true;
      clearInterval(forgetting);
      for (const track of tracks.values()) if (track.timer) clearTimeout(track.timer);
      await unlisten();
    },
  };
}
