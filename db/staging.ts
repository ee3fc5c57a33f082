import type pg from 'pg';
import { from as copyFrom } from 'pg-copy-streams';
import type { Manifest, Segment, SegmentResult } from '../intake/types.ts';
import { STAGED_COLUMNS } from '../intake/types.ts';
import { quoteName, withTransaction } from './connect.ts';
import type { WrittenField } from './apply-program.ts';

/** Names of one incarnation's tables. */
export const stagingTables = (lockKey: number, incarnation: number) => ({
  rows: `stage.rows_${lockKey}_${incarnation}`,
  marks: `stage.marks_${lockKey}_${incarnation}`,
  /** What the rules of the whole file found; there where there are such rules. */
  findings: `stage.findings_${lockKey}_${incarnation}`,
});

/**
 * Makes the staging tables of an incarnation. Both are unlogged and made in one transaction, so that a crash of the
 * server empties both or neither: a mark never outlives its rows. Doing it again changes nothing.
 */
export async function createStaging(
  pool: pg.Pool,
  lockKey: number,
  incarnation: number,
  fields: WrittenField[],
  run?: { importId: string; epoch: number },
): Promise<void> {
  const { rows, marks } = stagingTables(lockKey, incarnation);
  await withTransaction(pool, async (client) => {
    // A late attempt at a run that is over must not make again what its clean-up has dropped.
    if (run) await client.query('select waybill.hold($1, $2)', [run.importId, run.epoch]);
    await client.query('select pg_advisory_xact_lock($1, $2)', [7295, lockKey % 2 ** 31]);
    await client.query(
      `create unlogged table if not exists ${rows} (_record bigint, _line bigint, _offset bigint, _bytes int,
         _blocked boolean, _issues jsonb, _raw jsonb
         ${fields.map((field) => `, ${quoteName('v_' + field.column)} ${field.staged ?? field.type}`).join('')})
       with (autovacuum_enabled = false)`,
    );
    await client.query(
      `create unlogged table if not exists ${marks} (segment int primary key, accepted bigint not null,
         rejected bigint not null, blocked bigint not null, issues jsonb not null)
       with (autovacuum_enabled = false)`,
    );
  });
}

/** Segments whose rows are staged. */
export async function stagedSegments(
  pool: pg.Pool,
  lockKey: number,
  incarnation: number,
): Promise<Set<number>> {
  const { marks } = stagingTables(lockKey, incarnation);
  const result = await pool.query<{ segment: number }>(`select segment from ${marks}`);
  return new Set(result.rows.map((row) => row.segment));
}

/**
 * Stages one segment in one transaction. The mark goes in first: of two attempts at a segment the second waits at
 * its primary key and then fails, before it has copied anything. Throws WB001 (fenced) where the run is
 * stopped. Returns null where the segment was staged already.
 */
export async function stageSegment(
  pool: pg.Pool,
  importId: string,
  epoch: number,
  lockKey: number,
  incarnation: number,
  segment: Segment,
  fields: WrittenField[],
  produce: (write: (chunk: Buffer) => Promise<void>) => Promise<SegmentResult>,
): Promise<SegmentResult | null> {
  const { rows, marks } = stagingTables(lockKey, incarnation);
  return withTransaction(pool, async (client) => {
    await client.query('select waybill.hold($1, $2)', [importId, epoch]);
    const marked = await client.query(
      `insert into ${marks} values ($1, 0, 0, 0, '{}') on conflict do nothing`,
      [segment.index],
    );
    if (marked.rowCount === 0) return null;
    const columns = [...STAGED_COLUMNS, ...fields.map((field) => quoteName('v_' + field.column))];
    const copy = client.query(copyFrom(`copy ${rows} (${columns.join(', ')}) from stdin`));
    const finished = new Promise<void>((resolve, reject) => {
      copy.once('finish', resolve);
      copy.once('error', reject);
    });
    // The rejection is awaited below; until then it must not count as unhandled.
    finished.catch(() => {});
    let result: SegmentResult;
    try {
      result = await produce(async (chunk) => {
        if (!copy.write(chunk)) {
          await Promise.race([new Promise<void>((resolve) => copy.once('drain', resolve)), finished]);
        }
      });
    } catch (error) {
      copy.destroy(error as Error);
      throw error;
    }
    copy.end();
    await finished;
    if (result.accepted !== segment.accepted || result.rejected !== segment.rejected) {
      throw new Error(
        `segment ${segment.index}: staged ${result.accepted} + ${result.rejected}, inspection counted ` +
          `${segment.accepted} + ${segment.rejected}`,
      );
    }
    await client.query(
      `update ${marks} set accepted = $2, rejected = $3, blocked = $4, issues = $5 where segment = $1`,
      [segment.index, result.accepted, result.rejected, result.blocked, JSON.stringify(result.issues)],
    );
    return result;
  });
}

/** True if the marks cover every segment of the manifest with its very counts, and the rows are all there. */
export async function stagingIsWhole(
  client: pg.PoolClient,
  lockKey: number,
  incarnation: number,
  manifest: Manifest,
): Promise<boolean> {
  const { marks } = stagingTables(lockKey, incarnation);
  const exists = await client.query<{ there: boolean }>('select to_regclass($1) is not null as there', [
    marks,
  ]);
  if (!exists.rows[0]!.there) return false;
  const found = await client.query<{ segment: number; accepted: number; rejected: number }>(
    `select segment, accepted, rejected from ${marks}`,
  );
  const byIndex = new Map(found.rows.map((row) => [row.segment, row]));
  return (
    byIndex.size === manifest.segments.length &&
    manifest.segments.every((segment) => {
      const mark = byIndex.get(segment.index);
      return mark?.accepted === segment.accepted && mark.rejected === segment.rejected;
    })
  );
}

/**
 * Drops every staging table of an import that has ended, of whatever incarnation. The plan and its images stay. Of one
 * that was opened again nothing is dropped: the shared lock keeps it as it is meanwhile.
 */
export async function dropStaging(pool: pg.Pool, lockKey: number): Promise<void> {
  await withTransaction(pool, async (client) => {
    await client.query(`set local lock_timeout = '10s'`);
    await client.query('select pg_advisory_xact_lock_shared($1::bigint)', [lockKey]);
    const tables = await client.query<{ name: string }>(
      `select quote_ident(c.relname) as name from pg_class c join pg_namespace n on n.oid = c.relnamespace
       where n.nspname = 'stage' and c.relkind = 'r' and c.relname ~ $1
         and exists (select from waybill.imports where lock_key = $2 and finished_at is not null)`,
      [`^(rows|marks|draft|findings)_${lockKey}_[0-9]+$`, lockKey],
    );
    if (tables.rows.length > 0) {
      await client.query(`drop table if exists ${tables.rows.map((row) => `stage.${row.name}`).join(', ')}`);
    }
  });
}
