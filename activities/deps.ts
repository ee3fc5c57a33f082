import type pg from 'pg';
import type { Logger } from 'pino';
import type { ImportRow } from '../db/control.ts';
import type { SegmentPool } from '../intake/segment-pool.ts';
import type { ObjectStore } from '../storage/objects.ts';
import type { Scanner } from '../storage/scan.ts';
import type { Spool } from '../storage/spool.ts';
import type { Throttle } from './throttle.ts';

/** What activities are made with. */
export interface ActivityDeps {
  pool: pg.Pool;
  store: ObjectStore;
  spool: Spool;
  segments: SegmentPool;
  /** How much an import may ask of the database. */
  throttle: Throttle;
  /** Null where the deployment has none. */
  scanner: Scanner | null;
  /** Of each tenant one heavy import at a time; off only for the experiment that shows what it is good for. */
  fair: boolean;
  /** Task queue of this host: who has inspected a file has it on disk. */
  hostQueue: string;
  log: Logger;
  /** Calls `changed` at once when the import's status changes, until what it returns is called. */
  watch(importId: string, changed: () => void): () => void;
  /** Run id that Temporal knows as the current one of a workflow; null if there is none. */
  currentRun(workflowId: string): Promise<string | null>;
  /** Starts the undoing of an import, which the database has begun; if it runs already nothing happens. */
  startRevert(run: ImportRow): Promise<void>;
  /** Tells runs that wait in line that a turn is free. Best effort: they also look by themselves. */
  wake(importIds: string[]): Promise<void>;
}
