import { parseRun } from './arguments.ts';
import { withApi } from './client.ts';
import type { Client } from './client.ts';
import { follow, settled } from './follow.ts';
import type { ImportDocument } from './follow.ts';
import { EXIT, Refusal } from './refusal.ts';
import { plain, progressLine, ProgressLine, summary } from './render.ts';

/** The exit code that says how a run stands. */
export function exitOf(doc: Pick<ImportDocument, 'status' | 'error'>): number {
  switch (doc.status) {
    case 'completed':
    case 'reverted':
      return EXIT.completed;
    case 'completed_with_issues':
      return EXIT.issues;
    case 'waiting':
      return EXIT.waiting;
    case 'cancelled':
      return EXIT.cancelled;
    default:
      return doc.error?.code === 'duplicate_file' ? EXIT.refused : EXIT.failed;
  }
}

function print(doc: ImportDocument, json: boolean): void {
  process.stdout.write(json ? `${JSON.stringify(doc, null, 2)}\n` : summary(doc));
}

/** Shows a run until it ends or waits for a person; Ctrl-C leaves it running. */
export async function watchToEnd(
  client: Client,
  id: string,
  options: { json: boolean; line?: ProgressLine },
): Promise<number> {
  const line = options.line ?? new ProgressLine(options.json);
  const interrupted = () => {
    line.clear();
    process.stderr.write(
      `The import goes on. "waybill watch ${id}" shows it, "waybill cancel ${id}" ends it.\n`,
    );
    process.exit(EXIT.interrupted);
  };
  process.once('SIGINT', interrupted);
  try {
    const doc = await follow(client, id, (progress) =>
      line.show(progressLine(progress), progress.step ?? progress.status ?? ''),
    );
    line.clear();
    print(doc, options.json);
    return exitOf(doc);
  } finally {
    line.clear();
    process.removeListener('SIGINT', interrupted);
  }
}

const pathOf = (id: string, action = '') => `/imports/${encodeURIComponent(id)}${action && `/${action}`}`;

export async function watchCommand(argv: string[]): Promise<number> {
  const { id, json } = parseRun('watch', argv);
  return withApi((client) => watchToEnd(client, id, { json }));
}

/** `waybill apply ID`: approves the plan as it is now, and stays until the run ends. */
export async function applyCommand(argv: string[]): Promise<number> {
  const { id, json } = parseRun('apply', argv);
  return withApi(async (client) => {
    const doc = await client.get<ImportDocument>(pathOf(id));
    if (!doc.plan) {
      const why = doc.waitingFor
        ? plain(String(doc.waitingFor['message'] ?? doc.waitingFor.what))
        : doc.status;
      throw new Refusal('no_plan', `Import ${id} has no plan to apply yet (${why}).`);
    }
    await client.post(pathOf(id, 'approve'), {
      plan: { version: doc.plan.version, digest: doc.plan.digest },
    });
    return watchToEnd(client, id, { json });
  });
}

/** Commands that ask for one thing and are done when the API has said yes. */
function action(name: 'pause' | 'resume' | 'cancel' | 'discard') {
  return async (argv: string[]): Promise<number> => {
    const { id, json, values } = parseRun(name, argv, { reason: { type: 'string' } });
    return withApi(async (client) => {
      const reason = values['reason'];
      const doc = await client.post<ImportDocument>(pathOf(id, name), reason ? { reason } : {});
      print(doc, json);
      return EXIT.completed;
    });
  };
}
export const pauseCommand = action('pause');
export const resumeCommand = action('resume');
export const cancelCommand = action('cancel');
export const discardCommand = action('discard');

/** `waybill retry ID`: opens an ended run again, without a new upload, and stays until it ends. */
export async function retryCommand(argv: string[]): Promise<number> {
  const { id, json } = parseRun('retry', argv);
  return withApi(async (client) => {
    const doc = await client.post<ImportDocument>(pathOf(id, 'retry'));
    if (settled(doc.status)) {
      throw new Refusal(
        'not_retried',
        `Import ${id} is ${doc.status} and was not started again.`,
        EXIT.failed,
      );
    }
    return watchToEnd(client, id, { json });
  });
}
