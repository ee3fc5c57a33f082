import type pg from 'pg';
import { afterAll, afterEach, beforeAll } from 'vitest';
import { connectPool } from '../db/connect.ts';
import { requestStop } from '../db/control.ts';
import { createTestDatabase } from './database.ts';

/**
 * A database of the test file's own, there once its hooks run. After each test no import is left open, and `products`
 * is empty.
 */
export function ownDatabase(prepare: (pool: pg.Pool) => Promise<unknown> = () => Promise.resolve()): {
  pool: pg.Pool;
  ownerUrl: string;
} {
  const own = {} as { pool: pg.Pool; ownerUrl: string };
  let drop: () => Promise<void>;
  beforeAll(async () => {
    const database = await createTestDatabase();
    drop = () => database.drop();
    own.ownerUrl = database.ownerUrl;
    own.pool = connectPool(database.ownerUrl);
    await prepare(own.pool);
  });
  afterAll(async () => {
    await own.pool.end();
    await drop();
  });
  afterEach(async () => {
    const open = await own.pool.query<{ import_id: string }>(
      `select import_id from waybill.imports where status in ('running', 'queued', 'waiting', 'paused', 'reverting')`,
    );
    for (const { import_id: importId } of open.rows)
      await requestStop(own.pool, { importId, what: 'cancel', actor: 'test' });
    await own.pool.query('truncate catalog.products cascade');
  });
  return own;
}

/** Keeps every row that is written to `products` in `public.write_log`. */
export const watchWrites = (pool: pg.Pool): Promise<unknown> =>
  pool.query(`
    create table public.write_log (op text, sku text);
    create function public.log_writes() returns trigger language plpgsql as $$
    begin insert into public.write_log select left(tg_op, 1), sku from changed; return null; end $$;
    create trigger watch_insert after insert on catalog.products referencing new table as changed for each statement execute function public.log_writes();
    create trigger watch_update after update on catalog.products referencing new table as changed for each statement execute function public.log_writes();
    create trigger watch_delete after delete on catalog.products referencing old table as changed for each statement execute function public.log_writes();`);
