import { setTimeout as sleep } from 'node:timers/promises';
import { parseRun, usage } from './arguments.ts';
import { ApiError, Unreachable, withApi } from './client.ts';
import type { Client } from './client.ts';
import { EXIT } from './refusal.ts';
import { bar, plain, ProgressLine, rows } from './render.ts';
import { table } from './table.ts';

interface Counts {
  records: number;
  remove: number;
  restore: number;
  gone: number;
  skip: number;
  conflicts: { changed: number; seenLater: number; referenced: number };
}

interface Conflict {
  line: number;
  key: string;
  change: string;
  kinds: string[];
  outcome: string | null;
  message: string | null;
  now: Record<string, string | null> | null;
  left: Record<string, string | null>;
  seenBy: { importId: string; fileName: string; createdBy: string } | null;
  referencedBy: string | null;
}

interface Revert {
  runs: {
    revert: number;
    state: string;
    counts: Counts | null;
    done: number;
    result: Record<'removed' | 'restored' | 'gone' | 'skipped' | 'failed', number>;
    error: { message: string } | null;
  }[];
  preview?: { counts: Counts; conflicts: Conflict[] } | null;
}

const KINDS: Record<string, string> = { changed: 'changed', 'seen-later': 'seenLater' };
const SHOWN = 20;
const POLL_MS = 400;
/** So long may the API be away before watching ends. */
const PATIENCE_MS = 5 * 60_000;

/** `waybill revert ID`: undoes an import and stays until it is done; with --preview only says what that would do. */
export async function revertCommand(argv: string[]): Promise<number> {
  const { id, json, values } = parseRun('revert', argv, {
    preview: { type: 'boolean' },
    force: { type: 'string' },
    reason: { type: 'string' },
  });
  const onConflict: Record<string, 'force'> = {};
  for (const kind of values['force'] === undefined ? [] : String(values['force']).split(',')) {
    const name = KINDS[kind];
    if (!name) throw usage('revert', '--force takes changed, seen-later, or both with a comma between.');
    onConflict[name] = 'force';
  }
  const preview = values['preview'] === true;
  const reason = values['reason'];
  return withApi(async (client) => {
    const path = `/imports/${encodeURIComponent(id)}/revert`;
    // Sent once: a second one would be told that the import is being undone already.
    const asked = await client.request<Revert>(
      'POST',
      path,
      { preview, onConflict, ...(reason ? { reason } : {}) },
      preview ? {} : { patienceMs: 0 },
    );
    if (preview) {
      process.stdout.write(
        json ? `${JSON.stringify(asked.preview, null, 2)}\n` : previewText(id, asked.preview!),
      );
      return EXIT.completed;
    }
    const after = await watch(client, path, json);
    const run = after.runs[0]!;
    process.stdout.write(json ? `${JSON.stringify(after, null, 2)}\n` : await endText(client, id, path, run));
    if (run.state === 'cancelled') return EXIT.cancelled;
    if (run.state !== 'done') return EXIT.failed;
    return run.result.skipped + run.result.failed > 0 ? EXIT.issues : EXIT.completed;
  });
}

async function watch(client: Client, path: string, json: boolean): Promise<Revert> {
  const line = new ProgressLine(json);
  let lastAnswer = Date.now();
  try {
    for (;;) {
      try {
        const revert = await client.request<Revert>('GET', path, undefined, { patienceMs: 0 });
        lastAnswer = Date.now();
        const run = revert.runs[0]!;
        if (!['running', 'paused'].includes(run.state)) return revert;
        const total = run.counts?.records ?? 0;
        const said = run.counts ? `${rows(run.done)} of ${rows(total)} records` : 'looking at the records';
        line.show(bar(total > 0 ? run.done / total : null, `undo  ${run.state}  ${said}`), run.state);
      } catch (error) {
        const passing = error instanceof Unreachable || (error instanceof ApiError && error.status >= 500);
        if (!passing || Date.now() - lastAnswer > PATIENCE_MS) throw error;
        client.lookAgain();
      }
      await sleep(POLL_MS);
    }
  } finally {
    line.clear();
  }
}

function previewText(id: string, { counts, conflicts }: NonNullable<Revert['preview']>): string {
  const { changed, seenLater, referenced } = counts.conflicts;
  return [
    `Undoing import ${id} would`,
    `  remove   ${rows(counts.remove)} records that it created`,
    `  restore  ${rows(counts.restore)} records that it updated`,
    `  leave    ${rows(counts.skip)} in conflict (${rows(changed)} changed since, ${rows(seenLater)} seen by a later import, ${rows(referenced)} referred to by others)`,
    ...(counts.gone > 0 ? [`  find     ${rows(counts.gone)} gone already`] : []),
    '',
    conflictTable(conflicts, changed + seenLater + referenced),
  ].join('\n');
}

async function endText(
  client: Client,
  id: string,
  path: string,
  run: Revert['runs'][number],
): Promise<string> {
  const { removed, restored, skipped, failed, gone } = run.result;
  const counts = [
    `${rows(removed)} removed`,
    `${rows(restored)} restored`,
    ...(gone > 0 ? [`${rows(gone)} gone already`] : []),
    ...(skipped > 0 ? [`${rows(skipped)} left as they are`] : []),
    ...(failed > 0 ? [`${rows(failed)} refused by the table`] : []),
  ].join(', ');
  const head = `Undoing import ${id}: ${run.state}\n  ${counts}\n${run.error ? `  ${plain(run.error.message)}\n` : ''}`;
  if (skipped + failed === 0 || run.state !== 'done') return head;
  const page = await client.get<{ items: Conflict[] }>(
    `${path}/conflicts?revert=${run.revert}&limit=${SHOWN}`,
  );
  return `${head}\n${conflictTable(page.items, skipped + failed)}`;
}

function conflictTable(conflicts: Conflict[], total: number): string {
  if (conflicts.length === 0) return '';
  const shown = conflicts.slice(0, SHOWN);
  const more = total > shown.length ? `${rows(total - shown.length)} more.\n` : '';
  return `${table(
    ['KEY', 'LINE', 'WAS', 'IN THE WAY'],
    shown.map((one) => [one.key, String(one.line), one.change, plain(inTheWay(one))]),
  )}${more}`;
}

function inTheWay({ kinds, seenBy, referencedBy, now, left, message }: Conflict): string {
  const said = kinds.map((kind) => {
    if (kind === 'seenLater')
      return seenBy
        ? `import ${seenBy.importId} (${seenBy.fileName}, ${seenBy.createdBy}) has it too`
        : 'an import of another tenant has it too';
    if (kind === 'referenced') return `${referencedBy} refers to it`;
    if (now === null) return 'gone since';
    const fields = Object.keys(left).filter((name) => left[name] !== now[name]);
    return fields.length > 0
      ? `changed since: ${fields.map((name) => `${name} is ${now[name] ?? 'empty'}`).join(', ')}`
      : 'changed since';
  });
  return said.length > 0 ? said.join('; ') : (message ?? '');
}
