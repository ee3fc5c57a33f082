import { setTimeout as delay } from 'node:timers/promises';
import type { Instance } from './instance.ts';

/** One change that a watcher was told of. */
export interface Seen {
  at: number;
  status: string;
  /** Phase, and what it is at. */
  step: string;
  /** Rows parsed, staged and written: grows while rows move. */
  rows: number;
  eta: number | null;
}

interface Delta {
  status?: string;
  step?: string | null;
  activity?: string | null;
  rows_parsed?: number;
  rows_valid?: number;
  rows_written?: number;
  eta_seconds?: number | null;
}

/** Reads an import's event stream as the console does, through restarts, and keeps when it was told of what. */
export function watchEvents(instance: Instance, importId: string): { stop(): Promise<Seen[]> } {
  const seen: Seen[] = [];
  const over = new AbortController();
  let state: Delta = {};

  const read = async (): Promise<void> => {
    const { url, token } = instance.run();
    const response = await fetch(`${url}/api/imports/${importId}/events`, {
      headers: { authorization: `Bearer ${token}`, accept: 'text/event-stream' },
      signal: over.signal,
    });
    let rest = '';
    for await (const text of response.body!.pipeThrough(new TextDecoderStream())) {
      const blocks = (rest + text).split('\n\n');
      rest = blocks.pop()!;
      for (const block of blocks) {
        const data = block.split('\n').find((line) => line.startsWith('data: '));
        if (!data) continue;
        state = { ...state, ...(JSON.parse(data.slice(6)) as Delta) };
        seen.push({
          at: Date.now(),
          status: state.status ?? '',
          step: [state.step, state.activity].filter(Boolean).join(' '),
          rows: (state.rows_parsed ?? 0) + (state.rows_valid ?? 0) + (state.rows_written ?? 0),
          eta: state.eta_seconds ?? null,
        });
      }
    }
  };
  const reading = (async () => {
    while (!over.signal.aborted) {
      // A stream that breaks is opened again: it begins with the whole state.
      await read().catch(() => delay(50));
    }
  })();
  return {
    async stop() {
      await delay(500);
      over.abort();
      await reading;
      return seen;
    },
  };
}
