import { begin, type Bench, type Case, type Outcome } from './case.ts';
import { objectRead, until } from './moments.ts';
import { judge, orphans } from './oracle.ts';

/** The object is not what was completed: the run ends with the reason, and nothing of it is in the target. */
function source(name: string, code: string, change: (bench: Bench, key: string) => Promise<void>): Case {
  return {
    kind: 'object changed or deleted',
    name,
    async run(bench): Promise<Outcome> {
      const { instance } = bench;
      const id = await begin(bench, (submit) => instance.submit(bench.wide, submit));
      const inFlight = await until('the object being read', objectRead(instance, id, bench.wideBytes));
      const [row] = await instance.sql<{ key: string }>(
        'select object_key as key from waybill.imports where import_id = $1',
        [id],
      );
      await change(bench, row!.key);
      const document = await instance.ended(id);
      const problems: string[] = [];
      // What was under way to us by then may have been the whole: then it is what was completed, and goes in.
      if (document.status === bench.scenario.status)
        return { inFlight, status: document.status, verdict: await judge(instance, document, bench) };
      const [written] = await instance.sql<{ n: number }>('select count(*)::int as n from public.write_log');
      if (document.status !== 'failed' || document.error?.code !== code)
        problems.push(`it ended as ${document.status} ${document.error?.code}, not failed ${code}`);
      if (written!.n > 0) problems.push(`${written!.n} rows were written`);
      problems.push(...(await orphans(instance)));
      return {
        inFlight,
        status: `failed: ${document.error?.code}`,
        verdict: { lost: 0, doubled: written!.n, problems },
      };
    },
  };
}

/** What somebody does to the object behind our back while it is read. */
export const sourceFaults: Case[] = [
  source('object replaced while it is read', 'object_changed', ({ instance }, key) =>
    instance.store.put(key, Buffer.from('sku,name\nX,other\n')),
  ),
  source('object deleted while it is read', 'object_missing', ({ instance }, key) =>
    instance.store.remove(key),
  ),
];
