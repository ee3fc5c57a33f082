/* eslint-disable svelte/prefer-svelte-reactivity -- the Maps are plumbing; what is shown is $state */
import type { PartUrl } from '../client/index.ts';
import {
  backOff,
  compressionPays,
  missingParts,
  planParts,
  sameFile,
  type Part,
  type UploadRecord,
} from '../models/parts.ts';
import { compress, FileChanged, sha256, trySample } from './bytes.ts';
import { ApiError } from './http.ts';
import { completeImport, initiateImport, putPart, signParts, StoreError } from './intake.ts';

const PREFIX = 'waybill.upload.';
const LINE = 'waybill.line';
const LANES = 4;
const ATTEMPTS = 8;

export type UploadPhase = 'compressing' | 'sending' | 'paused' | 'offline' | 'finishing' | 'done' | 'failed';

/** Uploads that broke off and can go on once their file is chosen again, the newest first. */
export function unfinished(): UploadRecord[] {
  return Object.keys(localStorage)
    .filter((key) => key.startsWith(PREFIX))
    .flatMap((key) => {
      try {
        return [JSON.parse(localStorage.getItem(key) ?? '') as UploadRecord];
      } catch {
        localStorage.removeItem(key);
        return [];
      }
    })
    .sort((a, b) => b.startedAt - a.startedAt);
}

export function forget(id: string): void {
  localStorage.removeItem(PREFIX + id);
}

export { sameFile };

/** Preparing a file, before the server knows of it. */
export interface Prepared {
  file: File;
  stored: Blob;
  /** Known already where the browser has compressed the file; otherwise worked out while it is sent. */
  sha256: string | null;
  compressed: boolean;
}

async function prepare(file: File, signal: AbortSignal, progress: (done: number) => void): Promise<Prepared> {
  const plain: Prepared = { file, stored: file, sha256: null, compressed: false };
  if (/\.(gz|xlsx)$/i.test(file.name) || file.size < 2_000_000) return plain;
  const tried = await trySample(file, { signal });
  const line = Number(localStorage.getItem(LINE)) || null;
  const loopback = ['localhost', '127.0.0.1', '[::1]'].includes(location.hostname);
  const measured = { ratio: tried.ratio, compression: tried.rate, upload: line };
  if (!compressionPays(file.size, measured, loopback)) return plain;
  const { blob, sha256 } = await compress(file, { signal, progress });
  return { file, stored: blob, sha256, compressed: true };
}

/** One upload of this browser; it goes on while the person walks from page to page. */
export class FileUpload {
  readonly record: UploadRecord;
  phase = $state<UploadPhase>('sending');
  sent = $state(0);
  error = $state<string | null>(null);
  #prepared: Prepared;
  #urls: Map<number, string>;
  #single: string | null;
  #stop = new AbortController();
  #hash: Promise<string>;

  constructor(record: UploadRecord, prepared: Prepared, urls: PartUrl[], single: string | null) {
    this.record = record;
    this.#prepared = prepared;
    this.#urls = new Map(urls.map((part) => [part.part_number, part.url]));
    this.#single = single;
    this.#hash = prepared.sha256 ? Promise.resolve(prepared.sha256) : sha256(prepared.stored);
    // Looked at when the parts are there; until then a rejection is not unhandled.
    this.#hash.catch(() => undefined);
  }

  get total(): number {
    return this.record.storedSize;
  }

  get going(): boolean {
    return this.phase === 'sending' || this.phase === 'offline' || this.phase === 'finishing';
  }

  pause(): void {
    if (!this.going || this.phase === 'finishing') return;
    this.phase = 'paused';
    this.#stop.abort(new DOMException('Paused', 'AbortError'));
  }

  /** Starts, or goes on after a pause or a failure. */
  async run(): Promise<void> {
    this.#stop = new AbortController();
    this.phase = 'sending';
    this.error = null;
    try {
      const parts = await this.#send();
      this.phase = 'finishing';
      await completeImport({
        upload_id: this.record.id,
        file_key: this.record.fileKey,
        file_size: this.record.storedSize,
        file_sha256: await this.#hash,
        ...(parts.length > 0 ? { parts } : {}),
        idempotency_key: this.record.idempotencyKey,
        options: this.record.options,
      });
      forget(this.record.id);
      this.phase = 'done';
    } catch (error) {
      if (this.#stop.signal.aborted) return;
      this.phase = 'failed';
      this.error =
        error instanceof FileChanged ? 'changed' : error instanceof Error ? error.message : String(error);
      if (error instanceof ApiError && [404, 409, 410, 413, 422].includes(error.status))
        forget(this.record.id);
    }
  }

  async #send(): Promise<{ part_number: number; etag: string }[]> {
    const { signal } = this.#stop;
    const started = performance.now();
    const sentBefore = this.sent;
    const progress = new Map<number, number>();
    const all = planParts(this.record.storedSize, this.record.partSize);
    const etags = new Map<number, string>();
    let waiting = all;
    if (this.#single === null) {
      const { arrived, missing } = await signParts(this.record.id, undefined, { signal });
      for (const part of missing) this.#urls.set(part.part_number, part.url);
      waiting = missingParts(all, arrived);
      for (const part of arrived) {
        etags.set(part.part_number, part.etag);
        progress.set(part.part_number, part.size);
      }
    }
    const count = () => {
      const sum = [...progress.values()].reduce((total, bytes) => total + bytes, 0);
      this.sent = Math.max(this.sent, Math.min(this.total, sum));
    };
    count();
    const queue = [...waiting];
    const lane = async () => {
      for (let part = queue.shift(); part; part = queue.shift()) {
        const { number } = part;
        etags.set(
          number,
          await this.#put(part, signal, (bytes) => {
            progress.set(number, bytes);
            count();
          }),
        );
      }
    };
    await Promise.all(Array.from({ length: Math.min(LANES, queue.length) }, lane));
    const seconds = (performance.now() - started) / 1000;
    const moved = this.sent - sentBefore;
    if (moved > 1_000_000 && seconds > 0.2) localStorage.setItem(LINE, String(Math.round(moved / seconds)));
    if (this.#single !== null) return [];
    return [...etags].sort(([a], [b]) => a - b).map(([part_number, etag]) => ({ part_number, etag }));
  }

  async #put(part: Part, signal: AbortSignal, sent: (bytes: number) => void): Promise<string> {
    const body = this.#prepared.stored.slice(part.start, part.end, '');
    for (let attempt = 1; ; attempt += 1) {
      signal.throwIfAborted();
      try {
        const url = this.#single ?? this.#urls.get(part.number) ?? (await this.#sign(part.number, signal));
        const etag = await putPart(url, body, { signal, sent });
        sent(part.end - part.start);
        if (this.phase === 'offline') this.phase = 'sending';
        return etag;
      } catch (error) {
        const refused = error instanceof StoreError;
        if (!refused || attempt >= ATTEMPTS) throw error;
        if (error.status === 403 && this.#single === null) this.#urls.delete(part.number);
        if (error.status === 0) {
          // A file that was changed on disk fails just like a broken line; reading a byte of it tells them apart.
          await body
            .slice(0, 1)
            .arrayBuffer()
            .catch(() => Promise.reject(new FileChanged('The file was changed.')));
          this.phase = 'offline';
        }
        await new Promise<void>((resolve, reject) => {
          const timer = setTimeout(resolve, backOff(attempt) * 1000);
          signal.addEventListener('abort', () => (clearTimeout(timer), reject(signal.reason)), {
            once: true,
          });
        });
      }
    }
  }

  async #sign(number: number, signal: AbortSignal): Promise<string> {
    const { missing } = await signParts(this.record.id, [number], { signal });
    const url = missing.find((part) => part.part_number === number)?.url;
    if (!url) throw new StoreError(403);
    this.#urls.set(number, url);
    return url;
  }
}

class Uploads {
  /** By import id. */
  current = $state<Record<string, FileUpload>>({});

  of(id: string): FileUpload | undefined {
    return this.current[id];
  }

  get going(): boolean {
    return Object.values(this.current).some((upload) => upload.going);
  }

  /** Prepares the file, registers it with the server and begins to send it; gives the import's id. */
  async start(
    file: File,
    dataset: string,
    options: UploadRecord['options'],
    watch: { signal: AbortSignal; compressing: (done: number) => void },
  ): Promise<string> {
    const prepared = await prepare(file, watch.signal, watch.compressing);
    const upload = await initiateImport(
      {
        file_name: prepared.compressed ? `${file.name}.gz` : file.name,
        expected_schema: dataset,
        file_size: prepared.stored.size,
        ...(file.type ? { content_type: prepared.compressed ? 'application/gzip' : file.type } : {}),
      },
      { signal: watch.signal },
    );
    const record: UploadRecord = {
      id: upload.upload_id,
      fileKey: upload.file_key,
      idempotencyKey: upload.idempotency_key,
      name: file.name,
      size: file.size,
      lastModified: file.lastModified,
      compressed: prepared.compressed,
      storedSize: prepared.stored.size,
      partSize: upload.max_part_size,
      options,
      startedAt: Date.now(),
    };
    localStorage.setItem(PREFIX + record.id, JSON.stringify(record));
    this.#begin(new FileUpload(record, prepared, upload.part_urls, upload.presigned_url));
    return record.id;
  }

  /** Goes on with an upload that a reload broke off. */
  async resume(record: UploadRecord, file: File): Promise<void> {
    let prepared: Prepared = { file, stored: file, sha256: null, compressed: false };
    if (record.compressed) {
      const { blob, sha256 } = await compress(file);
      prepared = { file, stored: blob, sha256, compressed: true };
    }
    this.#begin(new FileUpload(record, prepared, [], null));
  }

  #begin(upload: FileUpload): void {
    this.current[upload.record.id] = upload;
    void upload.run();
  }
}

export const uploads = new Uploads();
