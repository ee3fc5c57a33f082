import { Readable, Transform } from 'node:stream';
import { createRequire } from 'node:module';
import type * as minio from 'minio';
import { Agent, request } from 'undici';
import {
  asStorageError,
  ObjectChanged,
  ObjectMissing,
  StorageError,
  StoreUnavailable,
  UploadMissing,
} from './errors.ts';

// Its CommonJS form: loaded as a module the same client keeps 8 MB more.
const { Client } = createRequire(import.meta.url)('minio') as typeof minio;

export interface StoredObject {
  key: string;
  size: number;
  etag: string;
}

export interface UploadedPart {
  partNumber: number;
  etag: string;
  size: number;
}

export interface ReadOptions {
  /** The read fails with ObjectChanged unless this is still the object's ETag. */
  etag?: string;
  /** Byte range, end exclusive. */
  start?: number;
  end?: number;
  signal?: AbortSignal;
}

/** The object store as Waybill needs it. ETags are without quotes. Errors are those of errors.ts. */
export interface ObjectStore {
  /** Where browsers and other clients reach it: presigned addresses begin with this. */
  readonly publicOrigin: string;
  /** Object bytes handed out by `read` since the process began. */
  readonly bytesRead: number;
  /** Fails unless the store answers and has the bucket. */
  check(): Promise<void>;
  createUpload(key: string, contentType: string): Promise<string>;
  presignPart(key: string, uploadId: string, partNumber: number, expiresSeconds: number): Promise<string>;
  /** An address to download from; `fileName` is what a browser will save it as. */
  presignGet(
    key: string,
    expiresSeconds: number,
    options?: { fileName?: string; contentType?: string },
  ): Promise<string>;
  listParts(key: string, uploadId: string): Promise<UploadedPart[]>;
  /** Also succeeds if an earlier try did and its answer was lost. */
  completeUpload(
    key: string,
    uploadId: string,
    parts: { partNumber: number; etag: string }[],
  ): Promise<{ etag: string }>;
  /** Also succeeds if there is nothing to abort. */
  abortUpload(key: string, uploadId: string): Promise<void>;
  stat(key: string): Promise<StoredObject | null>;
  read(key: string, options?: ReadOptions): Promise<Readable>;
  /** Memory is bounded by one part, whatever the length. On failure nothing is left behind. */
  write(
    key: string,
    content: Readable | Buffer,
    options?: { contentType?: string; signal?: AbortSignal },
  ): Promise<{ etag: string; size: number }>;
  /** Also succeeds if there is nothing to remove. */
  remove(key: string): Promise<void>;
  list(prefix: string): Promise<StoredObject[]>;
  close(): Promise<void>;
}

export interface StoreSettings {
  endpoint: string;
  bucket: string;
  accessKey: string;
  secretKey: string;
  region?: string;
  /** Where clients reach the store if that is not where this process does. */
  publicEndpoint?: string;
}

/** S3's least size of a part that is not the last. */
const WRITE_PART = 8 * 1024 * 1024;
/** The S3 client has no time-outs of its own; a store that accepts and never answers must not hold anyone. */
const ANSWER_MS = 20_000;
const STALL_MS = 30_000;
const OWN_URL_SECONDS = 300;

const unquoted = (etag: string): string => etag.replace(/^(W\/)?"|"$/g, '');

/** ListParts is there and is not public. */
class StoreClient extends Client {
  partsOf(bucket: string, key: string, uploadId: string) {
    return this.listParts(bucket, key, uploadId);
  }
}

function clientFor(settings: StoreSettings, endpoint: string): StoreClient {
  const { hostname, port, protocol } = new URL(endpoint);
  return new StoreClient({
    endPoint: hostname,
    port: port ? Number(port) : protocol === 'https:' ? 443 : 80,
    useSSL: protocol === 'https:',
    accessKey: settings.accessKey,
    secretKey: settings.secretKey,
    region: settings.region || 'us-east-1',
    pathStyle: true,
    // Whoever calls decides whether to try again.
    retryOptions: { disableRetry: true },
  });
}

/** The store that S3_ENDPOINT, S3_BUCKET, S3_ACCESS_KEY, S3_SECRET_KEY, S3_REGION and S3_PUBLIC_ENDPOINT name. */
export function openObjectStore(env: NodeJS.ProcessEnv): ObjectStore {
  const need = (name: string): string => {
    const value = env[name];
    if (!value) throw new Error(`${name} is not set: Waybill needs an S3 object store.`);
    return value;
  };
  return createObjectStore({
    endpoint: need('S3_ENDPOINT'),
    bucket: env['S3_BUCKET'] || 'waybill',
    accessKey: need('S3_ACCESS_KEY'),
    secretKey: need('S3_SECRET_KEY'),
    region: env['S3_REGION'],
    publicEndpoint: env['S3_PUBLIC_ENDPOINT'],
  });
}

/** Requests about objects go through the minio client; their bytes through addresses that it signs. */
export function createObjectStore(settings: StoreSettings): ObjectStore {
  const { bucket } = settings;
  const inside = clientFor(settings, settings.endpoint);
  const publicEndpoint = settings.publicEndpoint || settings.endpoint;
  const outside = publicEndpoint === settings.endpoint ? inside : clientFor(settings, publicEndpoint);
  const agent = new Agent({ headersTimeout: ANSWER_MS, bodyTimeout: STALL_MS, connect: { timeout: 5_000 } });
  let bytesRead = 0;

  async function ask<T>(key: string, what: string, work: () => Promise<T>): Promise<T> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(
        () => reject(new StoreUnavailable(`${what} within ${ANSWER_MS / 1000} s`)),
        ANSWER_MS,
      );
    });
    try {
      return await Promise.race([work(), late]);
    } catch (error) {
      throw asStorageError(error, key, what);
    } finally {
      clearTimeout(timer);
    }
  }

  const stat = async (key: string): Promise<StoredObject | null> => {
    try {
      const found = await ask(key, 'say whether the file is there', () => inside.statObject(bucket, key));
      return { key, size: found.size, etag: unquoted(found.etag) };
    } catch (error) {
      if (error instanceof ObjectMissing) return null;
      throw error;
    }
  };

  async function put(
    key: string,
    query: Record<string, string>,
    body: Buffer,
    type: string,
    signal?: AbortSignal,
  ) {
    const url = await inside.presignedUrl('PUT', bucket, key, OWN_URL_SECONDS, query);
    try {
      const answer = await request(url, {
        method: 'PUT',
        body,
        headers: { 'content-type': type },
        dispatcher: agent,
        signal,
      });
      const text = await answer.body.text();
      if (answer.statusCode !== 200) throw new Error(`${answer.statusCode}: ${text.slice(0, 500)}`);
      return unquoted(String(answer.headers.etag ?? ''));
    } catch (error) {
      signal?.throwIfAborted();
      throw new StoreUnavailable('take the bytes', { cause: error });
    }
  }

  const createUpload = (key: string, contentType: string): Promise<string> =>
    ask(key, 'begin the upload', () =>
      inside.initiateNewMultipartUpload(bucket, key, { 'content-type': contentType }),
    );

  const completeUpload: ObjectStore['completeUpload'] = async (key, uploadId, parts) => {
    const etags = parts.map(({ partNumber, etag }) => ({ part: partNumber, etag: unquoted(etag) }));
    try {
      const done = await ask(key, 'put the parts together', () =>
        inside.completeMultipartUpload(bucket, key, uploadId, etags),
      );
      return { etag: unquoted(done.etag) };
    } catch (error) {
      // Keys are used once: an object under this one is what this upload became.
      const found = error instanceof UploadMissing ? await stat(key) : null;
      if (found) return { etag: found.etag };
      throw error;
    }
  };

  const abortUpload = async (key: string, uploadId: string): Promise<void> => {
    try {
      await ask(key, 'abort the upload', () =>
        inside.abortMultipartUpload(bucket, key, encodeURIComponent(uploadId)),
      );
    } catch (error) {
      if (!(error instanceof UploadMissing || error instanceof ObjectMissing)) throw error;
    }
  };

  return {
    publicOrigin: new URL(publicEndpoint).origin,
    get bytesRead() {
      return bytesRead;
    },

    async check() {
      const exists = await ask(bucket, 'answer', () => inside.bucketExists(bucket));
      if (!exists) throw new StoreUnavailable(`have the bucket ${bucket}`);
    },

    createUpload,
    completeUpload,
    abortUpload,
    stat,

    presignPart: (key, uploadId, partNumber, expiresSeconds) =>
      outside.presignedUrl('PUT', bucket, key, expiresSeconds, { uploadId, partNumber: String(partNumber) }),

    presignGet: (key, expiresSeconds, { fileName, contentType } = {}) =>
      outside.presignedUrl('GET', bucket, key, expiresSeconds, {
        ...(fileName && {
          'response-content-disposition': `attachment; filename*=UTF-8''${encodeURIComponent(fileName)}`,
        }),
        ...(contentType && { 'response-content-type': contentType }),
      }),

    async listParts(key, uploadId) {
      const parts = await ask(key, 'list the parts', () => inside.partsOf(bucket, key, uploadId));
      return parts
        .map(({ part, etag, size }) => ({ partNumber: part, etag: unquoted(etag), size }))
        .sort((a, b) => a.partNumber - b.partNumber);
    },

    async read(key, { etag, start = 0, end, signal } = {}) {
      if (end !== undefined && end <= start) return Readable.from([]);
      const url = await inside.presignedUrl('GET', bucket, key, OWN_URL_SECONDS);
      const ranged = start > 0 || end !== undefined;
      let answer;
      try {
        answer = await request(url, {
          headers: {
            ...(etag && { 'if-match': `"${etag}"` }),
            ...(ranged && { range: `bytes=${start}-${end === undefined ? '' : end - 1}` }),
          },
          dispatcher: agent,
          signal,
        });
      } catch (error) {
        signal?.throwIfAborted();
        throw new StoreUnavailable('answer', { cause: error });
      }
      const { statusCode, headers, body } = answer;
      const refuse = async (error: StorageError): Promise<never> => {
        await body.dump();
        throw error;
      };
      if (statusCode === 404) return refuse(new ObjectMissing(key));
      if (statusCode === 412) return refuse(new ObjectChanged(key));
      if (statusCode !== (ranged ? 206 : 200)) {
        return refuse(new StoreUnavailable(`hand out the file (it answered ${statusCode})`));
      }
      // Not every store heeds If-Match.
      if (etag && headers.etag !== undefined && unquoted(String(headers.etag)) !== etag) {
        return refuse(new ObjectChanged(key));
      }
      let left = Number(headers['content-length'] ?? NaN);
      const counted = new Transform({
        transform(chunk: Buffer, _encoding, done) {
          bytesRead += chunk.length;
          left -= chunk.length;
          done(null, chunk);
        },
        flush(done) {
          done(left > 0 ? new StoreUnavailable('hand out the whole file: it stopped in the middle') : null);
        },
      });
      body.on('error', (error) => {
        counted.destroy(
          signal?.aborted
            ? (signal.reason as Error)
            : new StoreUnavailable('go on with the file', { cause: error }),
        );
      });
      counted.on('close', () => body.destroy());
      return body.pipe(counted);
    },

    async write(key, content, { contentType = 'application/octet-stream', signal } = {}) {
      if (Buffer.isBuffer(content) && content.length <= WRITE_PART) {
        return { etag: await put(key, {}, content, contentType, signal), size: content.length };
      }
      let uploadId: string | null = null;
      const parts: { partNumber: number; etag: string }[] = [];
      let size = 0;
      const sendPart = async (part: Buffer): Promise<void> => {
        uploadId ??= await createUpload(key, contentType);
        const partNumber = parts.length + 1;
        const query = { uploadId, partNumber: String(partNumber) };
        parts.push({ partNumber, etag: await put(key, query, part, contentType, signal) });
      };
      try {
        let last: Buffer | null = null;
        for await (const part of inParts(content)) {
          signal?.throwIfAborted();
          if (last) await sendPart(last);
          last = part;
          size += part.length;
        }
        last ??= Buffer.alloc(0);
        if (uploadId === null) return { etag: await put(key, {}, last, contentType, signal), size };
        await sendPart(last);
        const { etag } = await completeUpload(key, uploadId, parts);
        return { etag, size };
      } catch (error) {
        // What went wrong first is what the caller has to know.
        if (uploadId !== null) await abortUpload(key, uploadId).catch(() => {});
        throw error;
      }
    },

    async remove(key) {
      await ask(key, 'remove the file', () => inside.removeObject(bucket, key)).catch((error: unknown) => {
        if (!(error instanceof ObjectMissing)) throw error;
      });
    },

    async list(prefix) {
      return ask(prefix, 'list its files', async () => {
        const found: StoredObject[] = [];
        for await (const item of inside.listObjectsV2(bucket, prefix, true)) {
          if (item.name) found.push({ key: item.name, size: item.size, etag: unquoted(item.etag) });
        }
        return found;
      });
    },

    close: () => agent.close(),
  };
}

/** Cuts a stream into parts of WRITE_PART bytes; the last may be shorter. */
async function* inParts(content: Readable | Buffer): AsyncGenerator<Buffer> {
  if (Buffer.isBuffer(content)) {
    for (let at = 0; at < content.length; at += WRITE_PART) yield content.subarray(at, at + WRITE_PART);
    return;
  }
  let chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of content as AsyncIterable<Buffer | string>) {
    const bytes = typeof chunk === 'string' ? Buffer.from(chunk) : chunk;
    chunks.push(bytes);
    length += bytes.length;
    while (length >= WRITE_PART) {
      const all = Buffer.concat(chunks, length);
      yield all.subarray(0, WRITE_PART);
      chunks = [all.subarray(WRITE_PART)];
      length -= WRITE_PART;
    }
  }
  if (length > 0) yield Buffer.concat(chunks, length);
}
