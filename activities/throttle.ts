import { setTimeout as sleep } from 'node:timers/promises';

/** What an import may ask of a database that others use as well; null: as much as there is. */
export interface Ceilings {
  /** Connections that stage, plan or apply one import at once. */
  lanes: number;
  /** Rows staged, and rows applied, each second, by all imports of this worker together. */
  rowsPerSecond: number | null;
  /** Above this replication lag the work slows down until it has gone. */
  maxLagMs: number | null;
  /** Above so many waits of others for locks that Waybill holds, likewise. */
  maxLockWaits: number | null;
}

/** What weighs on the database now. */
export interface Pressure {
  lagMs: number | null;
  lockWaits: number;
}

export const UNLIMITED: Ceilings = { lanes: 2, rowsPerSecond: null, maxLagMs: null, maxLockWaits: null };

/** Reads the ceilings from WAYBILL_LANES, WAYBILL_MAX_ROWS_PER_SECOND, WAYBILL_MAX_REPLICATION_LAG_MS and WAYBILL_MAX_LOCK_WAITS. */
export function readCeilings(env: NodeJS.ProcessEnv): Ceilings {
  const read = (name: string, least: number): number | null => {
    const text = env[name];
    if (text === undefined || text === '') return null;
    const value = Number(text);
    if (!Number.isFinite(value) || value < least)
      throw new Error(`${name} is "${text}": give a number of at least ${least}, or leave it out.`);
    return value;
  };
  return {
    lanes: Math.floor(read('WAYBILL_LANES', 1) ?? UNLIMITED.lanes),
    rowsPerSecond: read('WAYBILL_MAX_ROWS_PER_SECOND', 1),
    maxLagMs: read('WAYBILL_MAX_REPLICATION_LAG_MS', 0),
    maxLockWaits: read('WAYBILL_MAX_LOCK_WAITS', 0),
  };
}

export interface Throttle {
  readonly lanes: number;
  /**
   * Called between transactions, after so many rows: returns when the next one may begin. Holds nothing meanwhile.
   * Rejects at once when `signal` aborts.
   */
  after(rows: number, signal: AbortSignal): Promise<void>;
}

/** The database is asked at most so often. */
const LOOK_MS = 500;
const FIRST_PAUSE_MS = 100;
const LONGEST_PAUSE_MS = 2000;
/** Slower, not stopped: after this long a transaction goes ahead under pressure too. */
const PATIENCE_MS = 15_000;

/** `pressure` is asked only where a ceiling needs it. Where no ceiling is set nothing is asked and nothing waits. */
export function createThrottle(ceilings: Ceilings, pressure: () => Promise<Pressure>): Throttle {
  const { lanes, rowsPerSecond, maxLagMs, maxLockWaits } = ceilings;
  let due = 0;
  let lastLook = 0;
  let last: Promise<Pressure> | null = null;

  const look = (): Promise<Pressure> => {
    if (last === null || performance.now() - lastLook > LOOK_MS) {
      lastLook = performance.now();
      last = pressure();
    }
    return last;
  };
  const tooMuch = ({ lagMs, lockWaits }: Pressure): boolean =>
    (maxLagMs !== null && (lagMs ?? 0) > maxLagMs) || (maxLockWaits !== null && lockWaits > maxLockWaits);

  return {
    lanes,
    async after(rows, signal) {
      if (rowsPerSecond !== null) {
        // One clock for all lanes: each transaction moves it on by the time that its rows may take.
        due = Math.max(due, performance.now()) + (rows / rowsPerSecond) * 1000;
        await sleep(due - performance.now(), undefined, { signal });
      }
      if (maxLagMs === null && maxLockWaits === null) return;
      const until = performance.now() + PATIENCE_MS;
      for (let pause = FIRST_PAUSE_MS; ; pause = Math.min(pause * 2, LONGEST_PAUSE_MS)) {
        if (!tooMuch(await look()) || performance.now() + pause > until) return;
        await sleep(pause, undefined, { signal });
      }
    },
  };
}
