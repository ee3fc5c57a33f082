import type { Logger } from 'pino';
import type postgres from 'postgres';

const AGAIN_MS = 1000;

/**
 * Tells of every change of an import's status, phase or question, as soon as it is committed; ends with what it returns.
 * While the database is away nothing is told, and nothing afterwards: whoever listens has to look by other ways too.
 */
export function listenToChanges(
  sql: postgres.Sql,
  log: Logger,
  changed: (importId: string, status: string) => void,
): () => Promise<void> {
  let closed = false;
  let retry: NodeJS.Timeout | null = null;
  let listening: { unlisten(): Promise<void> } | null = null;
  // postgres.js listens again by itself after a broken connection; only the first time can fail.
  const listen = (): void => {
    sql
      .listen('waybill_imports', (change) => {
        const [importId, status] = change.split(' ') as [string, string];
        changed(importId, status);
      })
      .then(
        (meta) => {
          listening = meta;
        },
        (error: unknown) => {
          log.debug({ err: error }, 'cannot listen yet');
          if (!closed) retry = setTimeout(listen, AGAIN_MS);
        },
      );
  };
  listen();
  return async () => {
    closed = true;
    if (retry) clearTimeout(retry);
    await listening?.unlisten();
  };
}
