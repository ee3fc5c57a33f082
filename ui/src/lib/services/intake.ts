import type {
  CompleteImportData,
  InitiateImportData,
  Job,
  SignPartsData,
  Upload,
  UploadParts,
} from '../client/index.ts';
import { call, type CallOptions } from './http.ts';

export const initiateImport = (body: InitiateImportData['body'], options?: CallOptions) =>
  call<InitiateImportData, Upload>('POST', '/api/imports/initiate', { body }, options);

export const signParts = (id: string, partNumbers: number[] | undefined, options?: CallOptions) =>
  call<SignPartsData, UploadParts>(
    'POST',
    '/api/imports/{id}/parts',
    { path: { id }, body: partNumbers ? { part_numbers: partNumbers } : {} },
    options,
  );

export const completeImport = (body: CompleteImportData['body'], options?: CallOptions) =>
  call<CompleteImportData, Job>('POST', '/api/imports/complete', { body }, options);

/** The store refused a part: an address that has expired (403) is signed anew, the rest is tried again. */
export class StoreError extends Error {
  readonly status: number;
  constructor(status: number) {
    super(status === 0 ? 'The object store cannot be reached.' : `The object store answered ${status}.`);
    this.name = 'StoreError';
    this.status = status;
  }
}

/**
 * PUTs one part straight to the object store and gives its ETag. XMLHttpRequest, because fetch cannot say how much of
 * a body has been sent.
 */
export function putPart(
  url: string,
  body: Blob,
  options: { signal: AbortSignal; sent: (bytes: number) => void },
): Promise<string> {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    const stop = () => request.abort();
    options.signal.addEventListener('abort', stop, { once: true });
    request.upload.onprogress = (event) => options.sent(event.loaded);
    request.onload = () => {
      const etag = request.getResponseHeader('ETag');
      if (request.status < 200 || request.status > 299) reject(new StoreError(request.status));
      else if (!etag)
        reject(
          new Error('The object store does not show the ETag of a part; its CORS rules must expose it.'),
        );
      else resolve(etag);
    };
    request.onerror = () => reject(new StoreError(0));
    request.ontimeout = () => reject(new StoreError(0));
    request.onabort = () => reject(options.signal.reason);
    request.onloadend = () => options.signal.removeEventListener('abort', stop);
    request.open('PUT', url);
    request.timeout = 10 * 60_000;
    request.send(body);
  });
}
