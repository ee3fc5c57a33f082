import type { IncomingMessage } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { ApiError, Unreachable } from './client.ts';
import type { Client } from './client.ts';

/** An import as JSON: DESIGN, 'Contracts that stay'. Only what this command reads is spelled out. */
export interface ImportDocument {
  id: string;
  dataset: string;
  status: string;
  phase: string | null;
  waitingFor: { what?: string; [key: string]: unknown } | null;
  accounting: Record<string, number> | null;
  plan: { version: number; digest: string } | null;
  errorReportUrl: string | null;
  proofUrl: string | null;
  workflowUrl: string | null;
  error: { code: string; message: string; [key: string]: unknown } | null;
  [key: string]: unknown;
}

/** `GET /imports/{id}/status`, of which the event stream sends what changed. */
export interface Progress {
  status?: string;
  phase?: string;
  step?: string | null;
  rows_total?: number | null;
  rows_parsed?: number;
  rows_written?: number;
  rows_failed?: number;
  activity?: string | null;
  fraction?: number | null;
  accounting?: Record<string, number> | null;
  throughput_rps?: number | null;
  eta_seconds?: number | null;
  [key: string]: unknown;
}

const OPEN = new Set(['uploading', 'queued', 'running', 'paused', 'reverting']);

/** Ended, or waiting for a person: nothing more to watch. */
export function settled(status: string | undefined): boolean {
  return status !== undefined && !OPEN.has(status);
}

/** The data of each server-sent event, in order. Comments and other fields are passed over. */
export async function* events(response: AsyncIterable<Buffer>): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let rest = '';
  let data: string[] = [];
  for await (const chunk of response) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split(/\r\n|\n|\r(?!$)/);
    rest = lines.pop()!;
    for (const line of lines) {
      if (line === '') {
        if (data.length > 0) yield data.join('\n');
        data = [];
      } else if (line.startsWith('data:')) {
        data.push(line.slice(line.charAt(5) === ' ' ? 6 : 5));
      }
    }
  }
}

const POLL_MS = 500;
/** So long may the API be away before watching ends. */
const PATIENCE_MS = 5 * 60_000;

/**
 * Watches a run until it ends or waits for a person, through restarts of the API: by its event stream, and by
 * asking for its status while there is no stream. Returns the import as it is then.
 */
export async function follow(
  client: Client,
  id: string,
  onProgress: (progress: Progress) => void,
  patienceMs = PATIENCE_MS,
): Promise<ImportDocument> {
  const path = `/imports/${encodeURIComponent(id)}`;
  let progress: Progress = {};
  let lastAnswer = Date.now();
  const take = (delta: Progress) => {
    lastAnswer = Date.now();
    progress = { ...progress, ...delta };
    onProgress(progress);
    return settled(progress.status);
  };
  const document = async () => {
    const found = await client.get<ImportDocument>(path);
    return settled(found.status) ? found : null;
  };

  while (true) {
    let streamed = false;
    try {
      const response = await client.stream(`${path}/events`, 'text/event-stream');
      streamed = response.statusCode === 200;
      if (streamed) {
        if (await readUntilSettled(response, take)) {
          const found = await document();
          if (found) return found;
        }
      } else {
        response.resume();
      }
    } catch (error) {
      if (!(error instanceof Unreachable)) throw error;
    }
    // The stream is gone or was never there: ask, and then try the stream again.
    try {
      const status = await client.request<Progress>('GET', `${path}/status`, undefined, { patienceMs: 0 });
      if (take(status)) {
        const found = await document();
        if (found) return found;
      }
      if (!streamed) await sleep(POLL_MS);
    } catch (error) {
      const passing = error instanceof Unreachable || (error instanceof ApiError && error.status >= 500);
      if (!passing || Date.now() - lastAnswer > patienceMs) throw error;
      await sleep(POLL_MS);
      client.lookAgain();
    }
  }
}

/** True once an event says that the run has settled; false when the stream ends before that. */
async function readUntilSettled(
  response: IncomingMessage,
  take: (delta: Progress) => boolean,
): Promise<boolean> {
  try {
    for await (const text of events(response)) {
      let delta: Progress;
      try {
        delta = JSON.parse(text) as Progress;
      } catch {
        return false;
      }
      if (take(delta)) return true;
    }
  } catch (error) {
    // A broken stream: the caller connects again.
    if (!(error instanceof Error)) throw error;
  } finally {
    response.destroy();
  }
  return false;
}
