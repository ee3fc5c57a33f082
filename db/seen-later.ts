import type pg from 'pg';
import { laterWarning } from '../intake/missing.ts';
import { importsSince, sightings } from './later-imports.ts';
import { missingTable } from './missing-table.ts';
import { planKey, type Target } from './target.ts';

/**
 * Marks the missing records that a later import has a row for: a newer file has them, so this one does not remove them.
 * `since`: when this file's missing records were looked for; null where that is now. `only`: a condition on the record `p`
 * of those still to be decided. Returns what a person has to know before the others are removed, null for nothing.
 */
export async function markSeenLater(
  client: pg.PoolClient,
  run: { importId: string; lockKey: number; target: Target },
  options: { since: string | null; only?: string },
): Promise<string | null> {
  const { importId, lockKey, target } = run;
  const later = await importsSince(client, importId, options.since);
  const seen = await sightings(client, later, planKey(target));
  if (!seen) return null;
  const table = missingTable(lockKey);
  const only = options.only ?? 'true';
  await client.query(
    `update ${table} p set _seen = s.import_id from (${seen.sql}) s where ${seen.same('s', 'p')} and p._seen is null and ${only}`,
  );
  const [left] = (
    await client.query<{ removes: number; seen: number }>(
      `select count(*) filter (where _seen is null)::int as removes, count(_seen)::int as seen from ${table} p where ${only}`,
    )
  ).rows;
  const last = later.findLast(({ sameSource }) => sameSource);
  return last && left!.removes > 0 ? laterWarning({ ...last, ...left! }) : null;
}
