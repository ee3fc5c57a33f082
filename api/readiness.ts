import type { Client } from '@temporalio/client';
import type postgres from 'postgres';
import type * as z from 'zod';
import type { ObjectStore } from '../storage/objects.ts';
import { queues } from '../workflows/messages.ts';
import type { Readiness as Schema } from './schemas/service.ts';

export type Readiness = z.input<typeof Schema>;
type Check = Readiness['checks']['database'];

const WITHIN_MS = 3000;
const POLLED_WITHIN_MS = 60_000;
/** Anybody may ask, so the answer is shared for a moment. */
const FRESH_MS = 500;
const WORKFLOW_QUEUE = 1;

async function check(good: string, bad: string, work: () => Promise<unknown>): Promise<Check> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${WITHIN_MS / 1000} s`)), WITHIN_MS);
  });
  try {
    await Promise.race([work(), late]);
    return { ok: true, message: good };
  } catch (error) {
    return { ok: false, message: `${bad}: ${reasonOf(error)}.` };
  } finally {
    clearTimeout(timer);
  }
}

/** The innermost reason, without addresses or secrets that an error's text might carry. */
function reasonOf(error: unknown): string {
  const code = (error as { code?: unknown }).code;
  if (typeof code === 'string') return code;
  if (error instanceof NotPolled || (error instanceof Error && error.message.startsWith('no answer')))
    return error.message;
  return 'it does not answer as it should';
}

class NotPolled extends Error {}

async function workerPolls(client: Client): Promise<void> {
  const { pollers } = await client.workflowService.describeTaskQueue({
    namespace: client.options.namespace,
    taskQueue: { name: queues.workflow },
    taskQueueType: WORKFLOW_QUEUE,
  });
  const last = Math.max(
    0,
    ...(pollers ?? []).map((poller) => Number(poller.lastAccessTime?.seconds ?? 0) * 1000),
  );
  if (Date.now() - last > POLLED_WITHIN_MS)
    throw new NotPolled('none has asked for work within the last minute');
}

/** Whether imports can run, and if not, what is missing. */
export function createReadiness(deps: {
  sql: postgres.Sql;
  client: Client;
  store: ObjectStore;
}): () => Promise<Readiness> {
  const { sql, client, store } = deps;
  const ask = async (): Promise<Readiness> => {
    const [database, temporal, objects, worker] = await Promise.all([
      check('The database answers.', 'The database does not answer', () => sql`select 1`),
      check('Temporal answers.', 'Temporal does not answer', () => client.workflowService.getSystemInfo({})),
      check('The object store answers.', 'The object store does not answer', () => store.check()),
      check('A worker polls.', 'No worker polls', () => workerPolls(client)),
    ]);
    const checks = { database, temporal, store: objects, worker };
    return { ready: Object.values(checks).every((one) => one.ok), checks };
  };
  let last: { at: number; answer: Promise<Readiness> } | null = null;
  return () => {
    if (!last || Date.now() - last.at > FRESH_MS) last = { at: Date.now(), answer: ask() };
    return last.answer;
  };
}
