import type pg from 'pg';
import type { Logger } from 'pino';
import { withClient } from '../db/connect.ts';
import { keepHouse } from '../db/keep.ts';
import type { Retention } from '../db/retention.ts';

/** One keeper at a time over all workers. */
const KEEPER_LOCK = 7_295_006;
const EVERY_MS = Number(process.env['WAYBILL_KEEP_MS'] ?? 60_000);

/** Looks after what imports leave behind, in a worker, because it owns those tables: at the start and each minute. */
export function startKeeper(deps: { pool: pg.Pool; retention: Retention; log: Logger }): {
  stop(): Promise<void>;
} {
  const { pool, retention, log } = deps;
  let stopped = false;
  let timer: NodeJS.Timeout | undefined;
  let running: Promise<void> = Promise.resolve();
  const pass = () =>
    withClient(pool, async (lock) => {
      const [{ mine } = { mine: false }] = (
        await lock.query<{ mine: boolean }>('select pg_try_advisory_lock($1) as mine', [KEEPER_LOCK])
      ).rows;
      if (!mine) return;
      try {
        const kept = await keepHouse(pool, retention, (importId, error) =>
          log.warn(
            { err: error, import: importId },
            'could not look after this import; the next pass tries again',
          ),
        );
        if (kept.mapped + kept.narrowed + kept.dropped > 0) log.info(kept, 'looked after ended imports');
      } finally {
        await lock.query('select pg_advisory_unlock($1)', [KEEPER_LOCK]);
      }
    });
  const tick = async () => {
    running = pass().catch((error: unknown) =>
      log.warn({ err: error }, 'the keeper could not finish; it tries again'),
    );
    await running;
    if (!stopped) timer = setTimeout(() => void tick(), EVERY_MS);
  };
  timer = setTimeout(() => void tick(), EVERY_MS);
  return {
    async stop() {
      stopped = true;
      clearTimeout(timer);
      await running;
    },
  };
}
