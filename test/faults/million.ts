import { setTimeout as delay } from 'node:timers/promises';
import { begin, prepare, type Bench, type Outcome } from './case.ts';
import { batchOpen, openBatches, receipts, until } from './moments.ts';
import { judge } from './oracle.ts';
import { watchEvents, type Seen } from './stream.ts';
import type { Instance } from './instance.ts';

const PAUSE_MS = 1000;
const RECOVERY_SECONDS = 15;
const EVENT_GAP_MS = 1000;
const ETA_SHARE = 0.2;
const ETA_SECONDS = 1;
const NINE_TENTHS = 0.9;

type Report = (name: string, outcome: Outcome | Error, took: string) => void;

/** One scripted run at full size: paused, resumed, its worker killed three times; and an undisturbed one to compare with. */
export async function million(instance: Instance, rows: number, seed: number, report: Report): Promise<void> {
  const first = Date.now();
  const bench = await prepare(instance, rows, seed);
  console.log(
    `(an undisturbed run to compare with: ${((Date.now() - first) / 1000).toFixed(1)} s with file and seed)`,
  );
  const timed = async (name: string, work: () => Promise<Outcome>) => {
    const since = Date.now();
    const outcome = await work().catch((error: unknown) => error as Error);
    report(name, outcome, `${((Date.now() - since) / 1000).toFixed(1)} s`);
  };
  await timed('paused for 10 s, resumed, worker killed three times', () => disturbedRun(bench));
  await timed('undisturbed, watched by its events', () => watchedRun(bench));
}

async function disturbedRun(bench: Bench): Promise<Outcome> {
  const { instance, random } = bench;
  const id = await begin(bench);
  const events = watchEvents(instance, id);
  const seen = [await until('an open batch', batchOpen(instance, id))];
  const problems: string[] = [];

  const asked = Date.now();
  const answer = await instance.api('POST', `/imports/${id}/pause`);
  if (answer.status !== 200) problems.push(`pause was answered with ${answer.status}`);
  const before = await written(instance, id);
  await delay(10_000);
  const after = await written(instance, id);
  const pausedMs = Math.max(0, after.last - asked);
  if (after.rows !== before.rows || after.receipts !== before.receipts)
    problems.push('rows moved while it was paused');
  if (pausedMs > PAUSE_MS)
    problems.push(`the last batch committed ${pausedMs} ms after the pause was asked for`);
  await instance.api('POST', `/imports/${id}/resume`);

  const recoveries: number[] = [];
  const gaps: { from: number; to: number }[] = [{ from: asked, to: Date.now() + 2000 }];
  while (recoveries.length < 3) {
    // A new worker has new connections: what the dead one's backends still do is not its own work.
    const dead = recoveries.length === 0 ? [] : await openBatches(instance);
    await until('rows moving', async () =>
      (await openBatches(instance)).some((pid) => !dead.includes(pid)) ? '' : null,
    );
    await delay(random() * 800);
    seen.push(await until('an open batch', batchOpen(instance, id)));
    const killed = Date.now();
    const pid = instance.signal('worker', 'SIGKILL');
    await instance.restarted('worker', pid);
    const orphaned = await openBatches(instance);
    await until('rows moving again', async () =>
      (await openBatches(instance)).some((one) => !orphaned.includes(one)) ? '' : null,
    );
    recoveries.push((Date.now() - killed) / 1000);
    gaps.push({ from: killed, to: Date.now() + 1000 });
  }
  const slowest = Math.max(...recoveries);
  if (slowest > RECOVERY_SECONDS) problems.push(`rows moved again only after ${slowest.toFixed(1)} s`);
  const document = await instance.ended(id);
  const changes = await events.stop();
  const silence = longestSilence(changes, gaps);
  if (silence.ms > EVENT_GAP_MS) problems.push(silent(silence));
  const verdict = await judge(instance, document, { expected: bench.expected, lanes: 2 });
  verdict.problems.push(...problems);
  console.log(
    `  paused: last batch ${pausedMs} ms after the request; moving again after each kill: ${recoveries.map((s) => `${s.toFixed(1)} s`).join(', ')}; longest silence while rows moved ${silence.ms} ms`,
  );
  return { inFlight: `${seen.length} times a batch: ${seen.join('; ')}`, status: document.status, verdict };
}

/** Nothing disturbs it: its events are held against what really remained. */
async function watchedRun(bench: Bench): Promise<Outcome> {
  const { instance } = bench;
  let began = 0;
  const id = await begin(bench, (submit) => {
    began = Date.now();
    return instance.submit(bench.narrow, submit);
  });
  const events = watchEvents(instance, id);
  const document = await instance.ended(id);
  const changes = await events.stop();
  const ended =
    changes.find((change) => change.status !== 'running' && change.status !== 'queued')?.at ?? Date.now();
  const silence = longestSilence(
    changes.filter((change) => change.at <= ended),
    [],
  );

  const half = began + (ended - began) / 2;
  const told = changes.filter((change) => change.at >= half && change.at < ended);
  const off = told.map(({ eta, at }) => {
    const remains = (ended - at) / 1000;
    return eta !== null && Math.abs(eta - remains) <= Math.max(ETA_SHARE * remains, ETA_SECONDS);
  });
  const good = off.filter(Boolean).length / Math.max(1, off.length);
  const verdict = await judge(instance, document, { expected: bench.expected, lanes: 2 });
  if (silence.ms > EVENT_GAP_MS) verdict.problems.push(silent(silence));
  if (good < NINE_TENTHS) told.forEach((change, i) => i % 10 === 0 && console.log(said(change, ended)));
  if (good < NINE_TENTHS)
    verdict.problems.push(`the remaining time was right in ${(good * 100).toFixed(0)}% of the second half`);
  console.log(
    `  ${((ended - began) / 1000).toFixed(1)} s in all, ${changes.length} changes, longest silence while rows moved ${silence.ms} ms, remaining time right in ${(good * 100).toFixed(0)}% of ${off.length} changes of the second half`,
  );
  return { inFlight: 'nothing', status: document.status, verdict };
}

const said = ({ at, eta, step }: Seen, ended: number): string =>
  `    ${((ended - at) / 1000).toFixed(1)} s before the end, in ${step}: said ${eta === null ? 'nothing' : `${eta.toFixed(1)} s`}`;

const silent = ({ ms, step }: { ms: number; step: string }): string =>
  `${ms} ms without a change while rows moved (${step})`;

async function written(
  instance: Instance,
  importId: string,
): Promise<{ rows: number; receipts: number; last: number }> {
  const [row] = await instance.sql<{ rows: number; last: Date }>(
    `select (select count(*)::int from public.write_log) as rows, coalesce(max(committed_at), 'epoch') as last
     from waybill.receipts where import_id = $1`,
    [importId],
  );
  return { rows: row!.rows, receipts: await receipts(instance, importId), last: row!.last.getTime() };
}

/** The longest time between two changes while rows moved, of those that no excuse covers. */
function longestSilence(
  changes: Seen[],
  excuses: { from: number; to: number }[],
): { ms: number; step: string } {
  let longest = { ms: 0, step: 'nothing' };
  for (let i = 1; i < changes.length; i++) {
    const [before, after] = [changes[i - 1]!, changes[i]!];
    if (after.rows === before.rows) continue;
    if (excuses.some((excuse) => before.at < excuse.to && after.at > excuse.from)) continue;
    if (after.at - before.at > longest.ms) longest = { ms: after.at - before.at, step: before.step };
  }
  return longest;
}
