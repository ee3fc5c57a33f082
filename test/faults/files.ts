import { createWriteStream } from 'node:fs';
import { once } from 'node:events';
import type { Instance } from './instance.ts';

/**
 * The file that every fault is tried on: keys in no order, most of them new, some there already and equal, some there
 * and different; a few rows twice, a few that cannot go in. `wide` adds a column that feeds nothing, so that reading
 * the object takes long enough to be struck in the middle; what goes into the target is the same.
 */
export interface FileSpec {
  rows: number;
  wide?: boolean;
  /** Without the rows that cannot go in. */
  clean?: boolean;
}

const DUPLICATES = 50;
const WRONG_TYPE = 20;
const TOO_MANY_COLUMNS = 10;

/** Rows that are records of their own: the others repeat a key or cannot be read. */
const proper = (rows: number): number => rows - DUPLICATES - WRONG_TYPE - TOO_MANY_COLUMNS;

function* lines({ rows, wide, clean }: FileSpec): Generator<string> {
  const padding = wide ? `,${'n'.repeat(500)}` : '';
  const row = (i: number, price: string) =>
    `SKU${String(i).padStart(8, '0')},Product name ${i},Description of product ${i} which is rather long,${price},${i % 1000}${padding}\n`;
  const price = (i: number) => ((i % 10_000) / 100).toFixed(2);
  yield `sku,name,description,price,quantity${wide ? ',notes' : ''}\n`;
  const count = proper(rows);
  // The first lines are repeated at the end with the values that count: the last of two wins.
  for (let i = 0; i < DUPLICATES; i++) yield row(i, '9999.99');
  for (let i = 0; !clean && i < WRONG_TYPE; i++) yield row(rows + i, 'not a price');
  for (let i = 0; !clean && i < TOO_MANY_COLUMNS; i++)
    yield row(rows + i, '1.00').replace('\n', ',one,too many\n');
  // 7919 is a prime that divides no count used here.
  for (let k = 0; k < count; k++) {
    const i = (k * 7919) % count;
    yield row(i, price(i));
  }
}

/** What a run of the file into the seeded table must account for. */
export function expectedAccounting({ rows }: FileSpec): Record<string, number> {
  const count = proper(rows);
  const tenth = (from: number, to: number) => {
    let n = 0;
    for (let digit = from; digit <= to; digit++) n += Math.floor((count - digit + 9) / 10);
    return n;
  };
  const unchanged = tenth(0, 2);
  const updated = tenth(3, 4);
  return {
    input: rows,
    created: count - unchanged - updated,
    updated,
    unchanged,
    duplicates: DUPLICATES,
    blocked: WRONG_TYPE + TOO_MANY_COLUMNS,
    stale: 0,
    skipped: 0,
    failed: 0,
    notProcessed: 0,
  };
}

export async function writeCsv(path: string, spec: FileSpec): Promise<void> {
  const out = createWriteStream(path);
  let chunk = '';
  for (const line of lines(spec)) {
    chunk += line;
    if (chunk.length < 1 << 16) continue;
    if (!out.write(chunk)) await once(out, 'drain');
    chunk = '';
  }
  out.end(chunk);
  await once(out, 'finish');
}

/** Puts into the target what is there before each run: of ten records three as in the file and two different. */
export async function seedTarget(instance: Instance, { rows }: FileSpec): Promise<void> {
  // Unseen by the triggers that watch the import.
  await instance.sql(
    `begin;
     set local session_replication_role = replica;
     truncate catalog.products;
     insert into catalog.products (tenant_id, sku, name, description, price, quantity)
     select 'default', 'SKU' || lpad(i::text, 8, '0'), 'Product name ' || i,
       'Description of product ' || i || ' which is rather long',
       (i % 10000) / 100.0 + case when i % 10 > 2 then 1 else 0 end, i % 1000
     from generate_series(0, ${proper(rows)} - 1) i where i % 10 < 5;
     commit`,
  );
}

/** Of ten records one more that the file does not have. */
export async function seedMissing(instance: Instance, { rows }: FileSpec): Promise<void> {
  await instance.sql(
    `begin;
     set local session_replication_role = replica;
     insert into catalog.products (tenant_id, sku, name)
     select 'default', 'GONE' || lpad(i::text, 8, '0'), 'No longer made ' || i from generate_series(1, ${Math.ceil(rows / 10)}) i;
     commit`,
  );
}
