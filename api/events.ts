import type { Request, Response } from 'express';
import { authenticate } from './access.ts';
import type { ApiDeps } from './deps.ts';
import { ApiError, notFound } from './problem.ts';
import type { Progress } from './progress.ts';

const HEARTBEAT_MS = 15_000;

/** The fields that are not as they were. */
export function deltaOf(before: Progress, after: Progress): Partial<Progress> {
  return Object.fromEntries(
    Object.entries(after).filter(
      ([name, value]) => JSON.stringify(value) !== JSON.stringify(before[name as keyof Progress]),
    ),
  );
}

/**
 * Streams an import's progress: the whole state first, then what changes. A client that reads slowly misses steps in
 * between and not the last one. Ends when the client goes, or when its credential is no longer good.
 */
export async function streamEvents(
  deps: ApiDeps,
  importId: string,
  req: Request,
  res: Response,
): Promise<void> {
  const first = await deps.live.look(importId);
  if (!first) throw notFound();
  res.writeHead(200, {
    'content-type': 'text/event-stream; charset=utf-8',
    'cache-control': 'no-store',
    'x-accel-buffering': 'no',
  });
  const send = (event: string, data: unknown): void => {
    res.write(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`);
  };
  res.write('retry: 1000\n\n');
  send('status', first);

  let sent = first;
  let latest = first;
  const tell = (): void => {
    if (res.writableNeedDrain) return;
    const { updated_at, ...delta } = deltaOf(sent, latest);
    if (Object.keys(delta).length === 0) return;
    sent = latest;
    send('delta', { ...delta, updated_at: updated_at ?? latest.updated_at });
  };
  const stop = deps.live.watch(importId, (progress) => {
    latest = progress;
    tell();
  });
  res.on('drain', tell);
  const heartbeat = setInterval(() => {
    authenticate(deps.sql, req).then(
      () => res.write(': here\n\n'),
      (error: unknown) => {
        // Only a credential that is no longer good ends the stream; an outage does not.
        if (error instanceof ApiError) res.end();
      },
    );
  }, HEARTBEAT_MS);
  res.on('close', () => {
    clearInterval(heartbeat);
    stop();
  });
}
