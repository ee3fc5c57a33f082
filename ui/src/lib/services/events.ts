import type { ImportProgress } from '../client/index.ts';

export interface Watching {
  close(): void;
}

/**
 * Follows one import by server-sent events. The first event is the whole state, later ones hold what changed; a
 * reconnection (the browser makes it by itself) begins with the whole state again.
 */
export function watchImport(
  id: string,
  on: { progress: (progress: ImportProgress) => void; connected: (connected: boolean) => void },
): Watching {
  let last: ImportProgress | undefined;
  let source: EventSource;
  let again: ReturnType<typeof setTimeout> | undefined;

  const open = () => {
    source = new EventSource(`/api/imports/${encodeURIComponent(id)}/events`);
    source.addEventListener('open', () => on.connected(true));
    source.addEventListener('error', () => {
      on.connected(false);
      // A refusal (503 while the server starts) ends an EventSource for good; a broken connection does not.
      if (source.readyState === EventSource.CLOSED) again = setTimeout(open, 2_000);
    });
    source.addEventListener('status', (event) => {
      last = JSON.parse(event.data as string) as ImportProgress;
      on.progress(last);
    });
    source.addEventListener('delta', (event) => {
      if (!last) return;
      last = { ...last, ...(JSON.parse(event.data as string) as Partial<ImportProgress>) };
      on.progress(last);
    });
  };
  open();
  return {
    close() {
      clearTimeout(again);
      source.close();
    },
  };
}
