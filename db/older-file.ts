import type pg from 'pg';
import { importsSince, sightings } from './later-imports.ts';
import { planTable } from './plan.ts';
import { planKey, type Target } from './target.ts';

const EXAMPLES = 3;
const n = (value: number): string => value.toLocaleString('en-US');

/**
 * What a person has to know before an older file writes over what a newer one of the same source has brought since; null
 * where it does not. `open`: a condition on the batches `b` whose rows are still to be written, with $1 for the import.
 */
export async function overwritesNewer(
  client: pg.PoolClient,
  run: { importId: string; lockKey: number; target: Target },
  open: string,
): Promise<string | null> {
  const newer = (await importsSince(client, run.importId, null)).filter(({ sameSource }) => sameSource);
  const seen = await sightings(client, newer, planKey(run.target));
  if (!seen) return null;
  const [found] = (
    await client.query<{ rows: number; lines: number[]; last: string }>(
      `select count(*)::int as rows, (array_agg(line order by record))[1:${EXAMPLES}] as lines, (array_agg(import_id order by at desc))[1] as last
       from (select distinct on (p._record) p._record as record, p._line as line, s.import_id, s.at
         from waybill.batches b join ${planTable(run.lockKey)} p on p._seq between b.first_seq and b.last_seq join (${seen.sql}) s on ${seen.same('s', 'p')}
         where ${open} and p._decision in ('create', 'update') and s.at is not null order by p._record, s.at desc) x`,
      [run.importId],
    )
  ).rows;
  if (found!.rows === 0) return null;
  const { fileName } = newer.find(({ importId }) => importId === found!.last)!;
  const lines = found!.lines.map(n).join(', ');
  return `A newer file of the same source has come in since: ${fileName} (${found!.last}). What is left of this older one would write over ${n(found!.rows)} ${found!.rows === 1 ? 'record that has a row' : 'records that have rows'} there (${found!.lines.length === 1 ? 'line' : 'lines'} ${lines}${found!.rows > EXAMPLES ? ' and more' : ''} of this file).`;
}
