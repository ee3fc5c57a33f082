import type { Revert, RevertAnswer, RevertImportData, ShowRevertData } from '../client/index.ts';
import { call, type CallOptions } from './http.ts';

export type OnConflict = NonNullable<RevertImportData['body']['onConflict']>;

export const showRevert = (id: string, options?: CallOptions) =>
  call<ShowRevertData, Revert>('GET', '/api/imports/{id}/revert', { path: { id } }, options);

/** What undoing would do, and the first conflicts; nothing is written. */
export const previewRevert = (id: string, onConflict: OnConflict, options?: CallOptions) =>
  call<RevertImportData, RevertAnswer>(
    'POST',
    '/api/imports/{id}/revert',
    { path: { id }, body: { preview: true, onConflict } },
    options,
  );

export const revertImport = (id: string, onConflict: OnConflict, options?: CallOptions) =>
  call<RevertImportData, RevertAnswer>(
    'POST',
    '/api/imports/{id}/revert',
    { path: { id }, body: { preview: false, onConflict } },
    options,
  );
