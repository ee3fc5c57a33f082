import type { Client } from '@temporalio/client';
import type pg from 'pg';
import type { Logger } from 'pino';
import type postgres from 'postgres';
import type { ObjectStore } from '../storage/objects.ts';
import type { ImportRuns } from '../temporal/imports.ts';
import type { LiveImports } from './live.ts';
import type { Readiness } from './readiness.ts';

export interface ApiConfig {
  maxFileBytes: number;
  /** Least size of an upload's parts; a larger file gets larger ones rather than thousands. */
  partBytes: number;
  uploadSeconds: number;
  /** Open imports of one tenant, above which no further one is taken. */
  maxQueued: number;
  /** Address of the Temporal Web UI, where one is known. */
  temporalUi: string | null;
  temporalNamespace: string;
  /** Folder of the built console; null serves the API alone. */
  consoleDir: string | null;
}

/** What routes are made with. */
export interface ApiDeps {
  config: ApiConfig;
  log: Logger;
  /** Single statements. */
  sql: postgres.Sql;
  /** Transactions. */
  pool: pg.Pool;
  /** Held while a request with an idempotency key is answered, so that such requests cannot use up `pool`. */
  locks: pg.Pool;
  store: ObjectStore;
  runs: ImportRuns;
  /** For schedules and webhook tests; imports are spoken to through `runs`. */
  temporal: Client;
  live: LiveImports;
  readiness: () => Promise<Readiness>;
}
