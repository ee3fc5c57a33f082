import type {
  ActivityPage,
  ApproveImportData,
  CancelImportData,
  ConfirmMappingData,
  DiscardImportData,
  Import,
  ImportActivityData,
  ImportPage,
  ImportProofData,
  IssuePage,
  ListImportsData,
  ListIssuesData,
  MappingPreview,
  PauseImportData,
  Preview,
  PreviewImportData,
  ResumeImportData,
  RetryImportData,
  ShowImportData,
  TryMappingData,
} from '../client/index.ts';
import { call, type CallOptions } from './http.ts';

export function listImports(
  query: NonNullable<ListImportsData['query']>,
  options?: CallOptions,
): Promise<ImportPage> {
  return call<ListImportsData, ImportPage>('GET', '/api/imports', { query }, options);
}

export function showImport(id: string, options?: CallOptions): Promise<Import> {
  return call<ShowImportData, Import>('GET', '/api/imports/{id}', { path: { id } }, options);
}

export function previewImport(id: string, options?: CallOptions): Promise<Preview> {
  return call<PreviewImportData, Preview>('GET', '/api/imports/{id}/preview', { path: { id } }, options);
}

export function listIssues(
  id: string,
  query: NonNullable<ListIssuesData['query']>,
  options?: CallOptions,
): Promise<IssuePage> {
  return call<ListIssuesData, IssuePage>('GET', '/api/imports/{id}/issues', { path: { id }, query }, options);
}

export function importActivity(id: string, options?: CallOptions): Promise<ActivityPage> {
  return call<ImportActivityData, ActivityPage>(
    'GET',
    '/api/imports/{id}/phases/activity',
    { path: { id }, query: { limit: 200 } },
    options,
  );
}

export function importProof(id: string, options?: CallOptions): Promise<Record<string, unknown>> {
  return call<ImportProofData, Record<string, unknown>>(
    'GET',
    '/api/imports/{id}/proof',
    { path: { id } },
    options,
  );
}

export const pauseImport = (id: string, options?: CallOptions) =>
  call<PauseImportData, Import>('POST', '/api/imports/{id}/pause', { path: { id }, body: {} }, options);
export const resumeImport = (id: string, options?: CallOptions) =>
  call<ResumeImportData, Import>('POST', '/api/imports/{id}/resume', { path: { id }, body: {} }, options);
export const cancelImport = (id: string, options?: CallOptions) =>
  call<CancelImportData, Import>('POST', '/api/imports/{id}/cancel', { path: { id }, body: {} }, options);
export const retryImport = (id: string, options?: CallOptions) =>
  call<RetryImportData, Import>('POST', '/api/imports/{id}/retry', { path: { id }, body: {} }, options);
export const discardImport = (id: string, options?: CallOptions) =>
  call<DiscardImportData, Import>('POST', '/api/imports/{id}/discard', { path: { id }, body: {} }, options);

/** Approves exactly the plan that the person has been looking at. */
export const approveImport = (id: string, plan: { version: number; digest: string }, options?: CallOptions) =>
  call<ApproveImportData, Import>(
    'POST',
    '/api/imports/{id}/approve',
    { path: { id }, body: { plan } },
    options,
  );

export type ConfirmedMapping = ConfirmMappingData['body'];
export const confirmMapping = (id: string, body: ConfirmedMapping, options?: CallOptions) =>
  call<ConfirmMappingData, Import>(
    'POST',
    '/api/imports/{id}/confirm-mapping',
    { path: { id }, body },
    options,
  );

/** How the beginning of the file looks, read and mapped in this way. */
export const tryMapping = (id: string, body: TryMappingData['body'], options?: CallOptions) =>
  call<TryMappingData, MappingPreview>('POST', '/api/imports/{id}/preview', { path: { id }, body }, options);
