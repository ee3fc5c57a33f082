import pg from 'pg';
import postgres from 'postgres';

/**
 * postgres.js for single statements. Never for transactions: its open bugs (#1189, #1204, #1208) let statements of
 * one transaction run in another. bigint comes back as a number: our counts and offsets stay below 2^53.
 */
export function connectSql(url: string, options: { max?: number; name?: string } = {}): postgres.Sql {
  return postgres(url, {
    max: options.max ?? 8,
    idle_timeout: 60,
    connect_timeout: 10,
    onnotice: () => {},
    connection: { application_name: options.name ?? 'waybill' },
    types: { bigint: { to: 20, from: [20], parse: Number, serialize: String } },
  }) as unknown as postgres.Sql;
}

/**
 * pg for everything that is a transaction, a COPY or a call that has to be cancellable. A connection that met an
 * error is destroyed by `withClient`, never put back.
 */
export function connectPool(url: string, options: { max?: number; name?: string } = {}): pg.Pool {
  const pool = new pg.Pool({
    connectionString: url,
    max: options.max ?? 8,
    application_name: options.name ?? 'waybill',
    idle_in_transaction_session_timeout: 60_000,
    keepAlive: true,
    connectionTimeoutMillis: 10_000,
    types: {
      getTypeParser: ((oid: number, format?: 'text') =>
        oid === pg.types.builtins.INT8
          ? Number
          : pg.types.getTypeParser(oid, format)) as typeof pg.types.getTypeParser,
    },
  });
  // An idle connection that the server closes must not end the process; the next checkout connects anew.
  pool.on('error', () => {});
  return pool;
}

/** Runs `work` on one checked-out connection; the connection is destroyed if `work` throws. */
export async function withClient<T>(pool: pg.Pool, work: (client: pg.PoolClient) => Promise<T>): Promise<T> {
  const client = await pool.connect();
  const onError = () => {};
  client.on('error', onError);
  try {
    const result = await work(client);
    client.removeListener('error', onError);
    client.release();
    return result;
  } catch (error) {
    client.release(error instanceof Error ? error : new Error(String(error)));
    throw error;
  }
}

/** Like `withClient`, inside BEGIN and COMMIT. */
export async function withTransaction<T>(
  pool: pg.Pool,
  work: (client: pg.PoolClient) => Promise<T>,
): Promise<T> {
  return withClient(pool, async (client) => {
    await client.query('begin');
    const result = await work(client);
    await client.query('commit');
    return result;
  });
}

/**
 * Runs `work` on one connection whose statement under way is cancelled at the server when `signal` aborts: a
 * statement of planning takes seconds, a pause must not.
 */
export async function withCancellable<T>(
  pool: pg.Pool,
  signal: AbortSignal | undefined,
  work: (client: pg.PoolClient) => Promise<T>,
): Promise<T> {
  signal?.throwIfAborted();
  return withClient(pool, async (client) => {
    const pid = (client as unknown as { processID: number }).processID;
    const cancel = () => void pool.query('select pg_cancel_backend($1)', [pid]).catch(() => {});
    signal?.addEventListener('abort', cancel, { once: true });
    try {
      const result = await work(client);
      signal?.throwIfAborted();
      return result;
    } finally {
      signal?.removeEventListener('abort', cancel);
    }
  });
}

/** Like `withCancellable`, inside BEGIN and COMMIT. */
export const withCancellableTransaction = <T>(
  pool: pg.Pool,
  signal: AbortSignal | undefined,
  work: (client: pg.PoolClient) => Promise<T>,
): Promise<T> =>
  withCancellable(pool, signal, async (client) => {
    await client.query('begin');
    const result = await work(client);
    signal?.throwIfAborted();
    await client.query('commit');
    return result;
  });

/** A name as SQL, quoted. */
export const quoteName = (name: string): string => '"' + name.replaceAll('"', '""') + '"';

/** A string as an SQL literal, for statements that are stored as text. */
export const quoteText = (value: string): string =>
  (value.includes('\\') ? ' E' : '') + "'" + value.replaceAll("'", "''").replaceAll('\\', '\\\\') + "'";
