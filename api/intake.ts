import { randomUUID } from 'node:crypto';
import type { Caller } from '../db/access.ts';
import { keyedFields } from '../datasets/reader-rules.ts';
import { findDataset } from '../db/datasets.ts';
import { findStoredImport, type StoredImport } from '../db/imports.ts';
import { findProfile } from '../db/profiles.ts';
import {
  acceptUpload,
  countQueued,
  extendUpload,
  findUpload,
  insertUpload,
  refuseUpload,
  type Upload,
} from '../db/uploads.ts';
import { missingFaults, type MissingRows } from '../intake/missing.ts';
import { UploadMissing } from '../storage/errors.ts';
import { objectKeys } from '../storage/keys.ts';
import type { UploadedPart } from '../storage/objects.ts';
import type { ApiDeps } from './deps.ts';
import { ApiError, notFound } from './problem.ts';

/** Names that are taken; what the file really is, its bytes say. */
export const EXTENSIONS = [
  ...['.csv', '.tsv', '.txt', '.json', '.ndjson', '.jsonl'].flatMap((name) => [name, `${name}.gz`]),
  '.xlsx',
];
const MiB = 1024 * 1024;
/** More parts than this are not signed at once: larger files get larger parts. */
const MOST_PARTS = 1000;
const TEMPORAL_MS = 5000;

/** What people have instead, and what to do about it. */
const REFUSED: Record<string, string> = {
  '.xls': 'Save it as .xlsx or .csv in your spreadsheet program.',
  '.xlsb': 'Save it as .xlsx or .csv in your spreadsheet program.',
  '.xlsm': 'Save it as .xlsx (without macros) or .csv.',
  '.ods': 'Save it as .xlsx or .csv in your spreadsheet program.',
  '.zip': 'Unpack it and send the file inside.',
  '.pdf': 'Ask for the data as .csv or .xlsx.',
};

function checkName(name: string): void {
  if (/[\u0000-\u001f\u007f]/.test(name) || !name.isWellFormed()) {
    throw new ApiError(
      422,
      'invalid_file_name',
      'The file name holds characters that cannot be shown. Rename the file.',
    );
  }
  const lower = name.toLowerCase();
  if (EXTENSIONS.some((extension) => lower.endsWith(extension) && lower.length > extension.length)) return;
  const advice = Object.entries(REFUSED).find(([extension]) => lower.endsWith(extension))?.[1];
  throw new ApiError(
    415,
    'unknown_type',
    `Files of this kind are not read. ${advice ?? `Send one of ${EXTENSIONS.join(', ')}.`}`,
  );
}

function checkContentType(type: string | undefined): void {
  if (
    type &&
    /^(image|audio|video|font|multipart|message)\/|^application\/(pdf|zip|msword|x-msdownload)$/i.test(type)
  ) {
    throw new ApiError(
      415,
      'unknown_type',
      `Content of the type ${type} is not read. Send one of ${EXTENSIONS.join(', ')}.`,
    );
  }
}

const size = (bytes: number): string =>
  bytes >= MiB ? `${Math.round((bytes / MiB) * 10) / 10} MiB` : `${bytes.toLocaleString('en')} bytes`;

const tooLarge = (bytes: number, limit: number): ApiError =>
  new ApiError(
    413,
    'file_too_large',
    `The file has ${size(bytes)}; up to ${size(limit)} are taken. Split it, or compress it as .csv.gz.`,
  );

const expired = (): ApiError =>
  new ApiError(
    410,
    'upload_expired',
    'This upload has expired: nothing arrived or was asked for in time. Begin a new one.',
  );

function partsOf(
  upload: Pick<Upload, 'partSize' | 'declaredSize'>,
): { number: number; size: number | null }[] {
  const { partSize, declaredSize } = upload;
  if (declaredSize === null) return [{ number: 1, size: null }];
  const count = Math.max(1, Math.ceil(declaredSize / partSize));
  return Array.from({ length: count }, (_, n) => ({
    number: n + 1,
    size: Math.min(partSize, declaredSize - n * partSize),
  }));
}

async function signParts(
  deps: ApiDeps,
  upload: { key: string; storeUploadId: string },
  parts: { number: number; size: number | null }[],
) {
  return Promise.all(
    parts.map(async (part) => ({
      part_number: part.number,
      url: await deps.store.presignPart(
        upload.key,
        upload.storeUploadId,
        part.number,
        deps.config.uploadSeconds,
      ),
      size: part.size,
    })),
  );
}

/** Everything that can be refused before a byte is sent is refused here. */
export async function beginUpload(
  deps: ApiDeps,
  caller: Caller,
  request: {
    file_name: string;
    content_type?: string;
    expected_schema: string;
    file_size?: number;
    idempotency_key?: string;
  },
) {
  const { config, store, sql } = deps;
  const dataset = await findDataset(deps.pool, caller.tenantId, request.expected_schema);
  if (!dataset) {
    throw new ApiError(
      422,
      'unknown_dataset',
      `There is no dataset ${request.expected_schema}. GET /api/datasets lists them.`,
    );
  }
  checkName(request.file_name);
  checkContentType(request.content_type);
  const declaredSize = request.file_size ?? null;
  if (declaredSize === 0) throw new ApiError(422, 'empty_file', 'The file is empty. Nothing was imported.');
  if (declaredSize !== null && declaredSize > config.maxFileBytes)
    throw tooLarge(declaredSize, config.maxFileBytes);
  const queued = await countQueued(sql, caller.tenantId);
  if (queued >= config.maxQueued) {
    throw new ApiError(
      429,
      'queue_full',
      `${queued} of your imports are still on their way in, and no more are taken until some have ended. Try again in a minute.`,
      { headers: { 'retry-after': '60' } },
    );
  }

  const importId = randomUUID();
  const key = objectKeys(caller.tenantId, importId).source;
  const contentType = request.content_type || 'application/octet-stream';
  const partSize = Math.max(config.partBytes, Math.ceil((declaredSize ?? 0) / MOST_PARTS / MiB) * MiB);
  const storeUploadId = await store.createUpload(key, contentType);
  const idempotencyKey = request.idempotency_key ?? randomUUID();
  await insertUpload(sql, {
    importId,
    tenantId: caller.tenantId,
    dataset: dataset.name,
    datasetVersion: dataset.version,
    fileName: request.file_name,
    contentType,
    key,
    storeUploadId,
    partSize,
    declaredSize,
    expiresInSeconds: config.uploadSeconds,
    idempotencyKey,
    createdBy: caller.name,
  });
  const part_urls = await signParts(deps, { key, storeUploadId }, partsOf({ partSize, declaredSize }));
  return {
    upload_id: importId,
    // The whole file is then the upload's only part: one way in, whatever the size.
    presigned_url: part_urls.length === 1 ? part_urls[0]!.url : null,
    part_urls,
    file_key: key,
    max_part_size: partSize,
    content_md5: null,
    expires_in_seconds: config.uploadSeconds,
    idempotency_key: idempotencyKey,
  };
}

async function openUpload(deps: ApiDeps, caller: Caller, importId: string): Promise<Upload> {
  const upload = await findUpload(deps.sql, caller.tenantId, importId);
  if (!upload) throw notFound();
  return upload;
}

/** What has arrived, and fresh addresses for the rest; gives the upload more time. */
export async function resumeUpload(
  deps: ApiDeps,
  caller: Caller,
  importId: string,
  asked: number[] | undefined,
) {
  const upload = await openUpload(deps, caller, importId);
  if (upload.status !== 'uploading') {
    if (!upload.completed) throw expired();
    throw new ApiError(409, 'upload_complete', 'This upload is complete; its import has begun.', {
      importId,
    });
  }
  if (upload.expired) throw expired();
  const stored = await deps.store.listParts(upload.key, upload.storeUploadId);
  const wanted = partsOf(upload);
  const there = new Set(
    stored
      .filter((part) => upload.declaredSize === null || wanted[part.partNumber - 1]?.size === part.size)
      .map((part) => part.partNumber),
  );
  const missing = wanted.filter((part) => !there.has(part.number) && !asked?.includes(part.number));
  const again = (asked ?? []).map((number) => {
    const part = upload.declaredSize === null ? { number, size: null } : wanted[number - 1];
    if (!part)
      throw new ApiError(
        422,
        'unknown_part',
        `This upload has ${wanted.length} parts; there is no part ${number}.`,
      );
    return part;
  });
  await extendUpload(deps.sql, importId, deps.config.uploadSeconds);
  return {
    upload_id: importId,
    arrived: stored
      .filter((part) => there.has(part.partNumber))
      .map((part) => ({ part_number: part.partNumber, etag: part.etag, size: part.size })),
    missing: (await signParts(deps, upload, [...missing, ...again])).sort(
      (a, b) => a.part_number - b.part_number,
    ),
    max_part_size: upload.partSize,
    expires_in_seconds: deps.config.uploadSeconds,
  };
}

export interface Completion {
  upload_id: string;
  file_key: string;
  file_size?: number;
  file_sha256?: string;
  parts?: { part_number: number; etag: string }[];
  options: {
    policy?: Upload['policy'];
    mode?: 'upsert' | 'insert' | 'update' | 'add';
    profile?: string;
  } & Record<string, unknown>;
}

const unquoted = (etag: string): string => etag.replaceAll('"', '');

/** The parts in the store are those that the client means, whole and in order; or 409, and the upload goes on. */
function checkParts(upload: Upload, stored: UploadedPart[], said: Completion['parts']): void {
  const refuse = (detail: string): never => {
    throw new ApiError(
      409,
      'parts_differ',
      `${detail} Ask for the upload's parts, send what is missing, then complete again.`,
      {
        importId: upload.importId,
      },
    );
  };
  if (stored.length === 0) refuse('No part of the file has arrived.');
  const gap = stored.findIndex((part, n) => part.partNumber !== n + 1);
  if (gap !== -1) refuse(`Part ${gap + 1} has not arrived.`);
  if (said === undefined) {
    if (stored.length > 1) refuse('The parts have to be listed, because there is more than one.');
  } else {
    if (said.some((part, n) => part.part_number !== n + 1))
      refuse('The parts are not listed in order, each once.');
    const foreign = said.find((part) => stored[part.part_number - 1]?.etag !== unquoted(part.etag));
    if (foreign) refuse(`Part ${foreign.part_number} is not the one that arrived, or has not arrived.`);
    if (said.length < stored.length) refuse(`Part ${said.length + 1} has arrived and is not listed.`);
  }
  if (upload.declaredSize === null) return;
  const wanted = partsOf(upload);
  const short = wanted.find((part) => (stored[part.number - 1]?.size ?? 0) < part.size!);
  if (short) refuse(`Part ${short.number} has not arrived whole.`);
}

/** A file that is not what was announced is not kept. */
async function refuseFile(deps: ApiDeps, upload: Upload, error: ApiError): Promise<never> {
  await deps.store.abortUpload(upload.key, upload.storeUploadId);
  await deps.store.remove(upload.key);
  await refuseUpload(deps.sql, upload.importId, { code: error.code, message: error.message });
  throw error;
}

function checkSize(deps: ApiDeps, upload: Upload, bytes: number): ApiError | null {
  if (bytes > deps.config.maxFileBytes) return tooLarge(bytes, deps.config.maxFileBytes);
  if (upload.declaredSize !== null && bytes > upload.declaredSize) {
    return new ApiError(
      413,
      'larger_than_declared',
      `${size(bytes)} arrived where ${size(upload.declaredSize)} were announced. The file was not kept; begin a new upload.`,
    );
  }
  return null;
}

/**
 * From parts to a queued import. It may die anywhere: each step finds what an earlier try has done. The upload is put
 * together; its ETag is pinned with the change to `queued`; then the run is started, by us or by the reconciler.
 */
export async function completeUpload(
  deps: ApiDeps,
  caller: Caller,
  request: Completion,
): Promise<StoredImport> {
  const { sql, store } = deps;
  const upload = await openUpload(deps, caller, request.upload_id);
  const { importId } = upload;
  if (request.file_key !== upload.key) {
    throw new ApiError(422, 'foreign_file_key', 'file_key is not the one that was given for this upload.');
  }
  if (upload.status !== 'uploading') {
    if (!upload.completed) throw expired();
    return runningImport(deps, caller, importId);
  }
  if (upload.expired) throw expired();
  const { policy = 'auto', mode = 'upsert', ...options } = request.options;
  const missing = options['missing'] as MissingRows | undefined;
  if (missing !== undefined) {
    const dataset = await findDataset(deps.pool, caller.tenantId, upload.dataset);
    const [fault] = dataset ? missingFaults(missing, keyedFields(dataset), mode) : [];
    if (fault !== undefined) throw new ApiError(422, 'missing_not_possible', fault);
  }
  if (options.profile !== undefined) {
    if (!(await findProfile(deps.pool, caller.tenantId, upload.dataset, options.profile))) {
      throw new ApiError(
        422,
        'unknown_profile',
        `There is no profile ${options.profile} for ${upload.dataset}.`,
      );
    }
  }

  let file = await arrived(deps, upload, request.parts);
  if (!file) {
    const stored = await store.stat(upload.key);
    if (!stored) {
      throw new ApiError(
        409,
        'upload_missing',
        'The object store no longer has this upload. Begin a new one.',
        { importId },
      );
    }
    file = stored;
  }
  const wrong = checkSize(deps, upload, file.size);
  if (wrong) await refuseFile(deps, upload, wrong);
  if (file.size === 0)
    await refuseFile(
      deps,
      upload,
      new ApiError(422, 'empty_file', 'The file is empty. Nothing was imported.'),
    );
  if (request.file_size !== undefined && request.file_size !== file.size) {
    throw new ApiError(
      409,
      'size_differs',
      `${size(file.size)} arrived; file_size says ${size(request.file_size)}.`,
      { importId },
    );
  }
  if (file.etag === null) {
    const parts = file.parts!.map(({ partNumber, etag }) => ({ partNumber, etag }));
    const { etag } = await store.completeUpload(upload.key, upload.storeUploadId, parts);
    file = { ...file, etag };
  }
  await acceptUpload(sql, {
    importId,
    etag: file.etag!,
    size: file.size,
    sha256: request.file_sha256?.toLowerCase() ?? null,
    policy,
    mode,
    options,
    actor: caller.name,
  });
  return runningImport(deps, caller, importId);
}

/** The file as it lies in parts; null where an earlier try has put them together already. */
async function arrived(
  deps: ApiDeps,
  upload: Upload,
  said: Completion['parts'],
): Promise<{ size: number; etag: string | null; parts?: UploadedPart[] } | null> {
  let parts: UploadedPart[];
  try {
    parts = await deps.store.listParts(upload.key, upload.storeUploadId);
  } catch (error) {
    if (error instanceof UploadMissing) return null;
    throw error;
  }
  const bytes = parts.reduce((sum, part) => sum + part.size, 0);
  // Too much is refused whatever else is wrong with it: asking for the rest would make no sense.
  const wrong = checkSize(deps, upload, bytes);
  if (wrong) await refuseFile(deps, upload, wrong);
  checkParts(upload, parts, said);
  return { size: bytes, etag: null, parts };
}

async function runningImport(deps: ApiDeps, caller: Caller, importId: string): Promise<StoredImport> {
  const stored = await findStoredImport(deps.sql, caller.tenantId, importId);
  if (!stored) throw notFound();
  if (stored.status === 'queued') await startRun(deps, stored);
  return stored;
}

/** Gives Temporal a few seconds; whether it answered. What it has to be told stands in the database anyway. */
export async function tellTemporal(
  deps: ApiDeps,
  importId: string,
  work: () => Promise<void>,
): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => reject(new Error(`Temporal did not answer within ${TEMPORAL_MS} ms`)),
      TEMPORAL_MS,
    );
  });
  try {
    await Promise.race([work(), late]);
    return true;
  } catch (error) {
    deps.log.warn({ err: error, import: importId }, 'Temporal was not told; the reconciler will');
    return false;
  } finally {
    clearTimeout(timer);
  }
}

/** Starts the run of a queued import; where Temporal does not answer the reconciler does it. */
export async function startRun(deps: ApiDeps, stored: StoredImport): Promise<void> {
  const { id: importId, tenantId, dataset, fileName, policy } = stored;
  await tellTemporal(deps, importId, () =>
    deps.runs.start({ importId, tenantId, dataset, fileName, policy }),
  );
}
