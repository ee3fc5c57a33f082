import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { ApplicationFailure, Context } from '@temporalio/activity';
import type { Sql } from 'postgres';
import { findDataset } from '../db/datasets.ts';
import * as syncs from '../db/syncs.ts';
import { objectKeys } from '../storage/keys.ts';
import type { ObjectStore } from '../storage/objects.ts';
import { OutboundError } from './outbound.ts';
import type { Outbound } from './outbound.ts';

export interface SyncDeps {
  sql: Sql;
  store: ObjectStore;
  outbound: Outbound;
  maxFileBytes: number;
}

export interface SyncRunInput {
  syncId: string;
  runId: string;
  /** The import's id, should there be one. */
  importId: string;
}

/** `import`: the file lies in the store and its import is queued. Everything else ends the run. */
export type FetchResult =
  | { outcome: 'import'; tenantId: string; dataset: string; fileName: string; policy: string }
  | { outcome: Exclude<syncs.SyncOutcome, 'imported'>; message: string };

const TOTAL_MS = 60 * 60_000;
const SILENT_MS = 30_000;
const POLL_MS = 1_000;

/** The source cannot be what it should be, however often one asks. */
class NotData extends Error {}

export function createSyncActivities({ sql, store, outbound, maxFileBytes }: SyncDeps) {
  /** From the source into the store, without ever being whole in memory. */
  async function download(sync: syncs.SyncSource, key: string, signal: AbortSignal) {
    const source = await outbound.get(
      sync.url,
      {
        'user-agent': 'Waybill-Sync/1',
        accept: 'text/csv, application/vnd.openxmlformats-officedocument.spreadsheetml.sheet, */*;q=0.5',
        'accept-encoding': 'identity',
        ...(sync.etag && { 'if-none-match': sync.etag }),
        ...(!sync.etag && sync.lastModified && { 'if-modified-since': sync.lastModified }),
      },
      { timeoutMs: TOTAL_MS, silentMs: SILENT_MS, signal },
    );
    const { status, headers, body } = source;
    const header = (name: string) => (headers[name] === undefined ? null : String(headers[name]));
    if (status !== 200) {
      body.on('error', () => {}).destroy();
      return { status, file: null };
    }
    const host = new URL(source.url).host;
    const hash = createHash('sha256');
    let size = 0;
    async function* checked(): AsyncGenerator<Buffer> {
      let head: Buffer | null = Buffer.alloc(0);
      try {
        for await (const chunk of body as AsyncIterable<Buffer>) {
          size += chunk.length;
          if (size > maxFileBytes) {
            throw new OutboundError('too_large', `The file at ${host} is larger than ${maxFileBytes} bytes.`);
          }
          hash.update(chunk);
          if (head) {
            head = Buffer.concat([head, chunk]);
            if (head.length < 512) continue;
            refuseHtml(head, header('content-type'), host);
            yield head;
            head = null;
          } else {
            yield chunk;
          }
          Context.current().heartbeat(size);
        }
      } catch (error) {
        throw error instanceof NotData ? error : outbound.asError(error, host);
      }
      if (head) {
        refuseHtml(head, header('content-type'), host);
        yield head;
      }
      const declared = header('content-length');
      if (declared !== null && Number(declared) !== size) {
        throw new OutboundError('cut_off', `${host} announced ${declared} bytes and sent ${size}.`);
      }
      if (size === 0) throw new NotData(`${host} answered with an empty file.`);
    }
    const contentType = header('content-type')?.split(';')[0]?.trim() ?? null;
    let written;
    try {
      written = await store.write(key, Readable.from(checked(), { objectMode: false }), {
        ...(contentType && { contentType }),
        signal,
      });
    } finally {
      body.on('error', () => {}).destroy();
    }
    const file = {
      contentType,
      objectEtag: written.etag,
      size,
      sha256: hash.digest('hex'),
      etag: header('etag'),
      lastModified: header('last-modified'),
      fileName: fileNameOf(source.url, header('content-disposition')),
    };
    return { status, file };
  }

  return {
    /** Fetches the source if it has changed, and queues its import. */
    async fetchSource({ syncId, runId, importId }: SyncRunInput): Promise<FetchResult> {
      const sync = await syncs.beginSyncRun(sql, syncId, runId);
      if (!sync) return { outcome: 'skipped', message: 'The sync was removed.' };
      // An attempt before this one got so far and its answer was lost.
      if (await syncs.importState(sql, importId)) return importOf(sync, sync.name);
      const dataset = await findDataset(sql, sync.tenantId, sync.dataset);
      if (!dataset) return { outcome: 'failed', message: `There is no dataset ${sync.dataset} (any more).` };

      const key = objectKeys(sync.tenantId, importId).source;
      let answer;
      try {
        // The same bytes read for another version of the dataset may be other rows.
        const conditional = sync.readFor === dataset.version ? {} : { etag: null, lastModified: null };
        answer = await download({ ...sync, ...conditional }, key, Context.current().cancellationSignal);
      } catch (error) {
        if (error instanceof NotData) return { outcome: 'failed', message: error.message };
        if (!(error instanceof OutboundError)) throw error;
        const final = ['bad_url', 'address_refused', 'too_many_redirects', 'too_large'].includes(error.code);
        if (final) return { outcome: 'failed', message: error.message };
        throw sourceUnavailable(error.message);
      }
      const { status, file } = answer;
      if (status === 304)
        return { outcome: 'unchanged', message: 'The source says that it has not changed.' };
      if (!file) {
        const message = `The source answered ${status}.`;
        const passing = status >= 500 || status === 429 || status === 408;
        if (passing) throw sourceUnavailable(message);
        return { outcome: 'failed', message: `${message} ${adviceFor(status)}` };
      }

      const known = await syncs.recogniseFile(sql, syncId, file.sha256, dataset.version);
      if (known) {
        await store.remove(key);
        if (known.kind === 'begun') {
          return {
            outcome: 'failed',
            message: `Import ${known.importId} has added some of this very file, and that is still in the table. Retry it, or undo it (all of it): added by another import, it would count twice.`,
          };
        }
        if (known.kind === 'waiting') {
          return { outcome: 'waiting', message: `The same file is still open in import ${known.importId}.` };
        }
        await syncs.rememberSource(sql, syncId, file);
        return { outcome: 'unchanged', message: `The file is the one of import ${known.importId}.` };
      }
      await syncs.createSyncImport(sql, sync, runId, {
        importId,
        datasetVersion: dataset.version,
        fileName: file.fileName,
        contentType: file.contentType,
        objectKey: key,
        objectEtag: file.objectEtag,
        size: file.size,
        sha256: file.sha256,
        source: { kind: 'url', url: sync.url, etag: file.etag, lastModified: file.lastModified },
      });
      return importOf(sync, file.fileName);
    },

    /** Returns when the import has ended or waits for a person. */
    async awaitImport({
      syncId,
      importId,
    }: SyncRunInput): Promise<{ outcome: syncs.SyncOutcome; message: string | null }> {
      const context = Context.current();
      while (true) {
        const state = await syncs.importState(sql, importId);
        if (!state) return { outcome: 'failed', message: `Import ${importId} is gone.` };
        const found = outcomeOf(state);
        if (found) {
          if (state.status === 'completed' && state.sha256) {
            const { etag = null, lastModified = null } = state.source;
            await syncs.rememberSource(sql, syncId, { etag, lastModified, sha256: state.sha256 });
          }
          return found;
        }
        context.heartbeat(state.status);
        await sleep(POLL_MS, undefined, { signal: context.cancellationSignal });
      }
    },

    async finishSyncRun(input: {
      syncId: string;
      runId: string;
      outcome: syncs.SyncOutcome;
      message: string | null;
    }): Promise<void> {
      await syncs.finishSyncRun(sql, input.syncId, input.runId, input.outcome, input.message);
    },
  };
}

const importOf = (sync: syncs.Sync, fileName: string): FetchResult => ({
  outcome: 'import',
  tenantId: sync.tenantId,
  dataset: sync.dataset,
  policy: sync.policy,
  fileName,
});

const sourceUnavailable = (message: string) =>
  ApplicationFailure.create({ type: 'SourceUnavailable', message, details: [message] });

function outcomeOf(state: syncs.ImportState): { outcome: syncs.SyncOutcome; message: string | null } | null {
  switch (state.status) {
    case 'completed':
      return { outcome: 'imported', message: null };
    case 'completed_with_issues':
      return { outcome: 'imported', message: 'Some rows did not go in; see the issues of the import.' };
    case 'waiting':
      return {
        outcome: 'waiting',
        message:
          state.waitingFor?.message ??
          `The import waits for a person (${state.waitingFor?.what ?? 'review'}).`,
      };
    case 'paused':
      return {
        outcome: 'waiting',
        message: 'Somebody has paused the import: it goes on when it is resumed.',
      };
    case 'failed':
    case 'unproven':
    case 'cancelled':
    case 'reverting':
    case 'reverted':
      return { outcome: 'failed', message: state.error?.message ?? `The import is ${state.status}.` };
    default:
      return null;
  }
}

function refuseHtml(head: Buffer, contentType: string | null, host: string): void {
  const start = head
    .subarray(0, 512)
    .toString('latin1')
    .replace(/^(\u00ef\u00bb\u00bf)?\s*(<\?xml[^>]*>\s*|<!--[\s\S]*?-->\s*)*/, '');
  if (
    /^<(!doctype\s+html|html|head|body)\b/i.test(start) ||
    /^text\/html\b|^application\/xhtml/i.test(contentType ?? '')
  ) {
    throw new NotData(`${host} answered with a web page, not a data file. Is it a sign-in page?`);
  }
}

function adviceFor(status: number): string {
  if (status === 401 || status === 403) return 'It wants a credential, or refuses this one.';
  if (status === 404 || status === 410) return 'The file is not there: check the address.';
  return 'Check the address.';
}

/** The last part of the path; a name for people, never a path. */
function fileNameOf(url: string, disposition: string | null): string {
  const named = /filename="?([^";]+)"?/i.exec(disposition ?? '')?.[1];
  let last = named ?? new URL(url).pathname.split('/').pop() ?? '';
  try {
    last = decodeURIComponent(last);
  } catch {
    // Not encoded: it stays as it is.
  }
  const clean = last.split(/[\\/]/).pop()!.slice(0, 255);
  return clean === '' ? 'source' : clean;
}
