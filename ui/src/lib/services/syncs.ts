import type {
  CreateSyncData,
  CreateSyncResponse,
  DeleteSyncData,
  DeliveryPage,
  ListImportDeliveriesData,
  ListSyncsData,
  ListSyncsResponse,
  PauseSyncData,
  ResumeSyncData,
  RunSyncData,
} from '../client/index.ts';
import { call, type CallOptions } from './http.ts';

export type Sync = ListSyncsResponse['items'][number];

export const listSyncs = async (options?: CallOptions) =>
  (await call<ListSyncsData, ListSyncsResponse>('GET', '/api/syncs', {}, options)).items;
export const createSync = (body: CreateSyncData['body'], options?: CallOptions) =>
  call<CreateSyncData, CreateSyncResponse>('POST', '/api/syncs', { body }, options);
export const deleteSync = (id: string, options?: CallOptions) =>
  call<DeleteSyncData, void>('DELETE', '/api/syncs/{id}', { path: { id } }, options);
export const runSync = (id: string, options?: CallOptions) =>
  call<RunSyncData, Sync>('POST', '/api/syncs/{id}/run', { path: { id }, body: {} }, options);
export const pauseSync = (id: string, options?: CallOptions) =>
  call<PauseSyncData, Sync>('POST', '/api/syncs/{id}/pause', { path: { id }, body: {} }, options);
export const resumeSync = (id: string, options?: CallOptions) =>
  call<ResumeSyncData, Sync>('POST', '/api/syncs/{id}/resume', { path: { id }, body: {} }, options);

/** Who was told of an import, and how that went. */
export const importDeliveries = async (id: string, options?: CallOptions) =>
  (
    await call<ListImportDeliveriesData, DeliveryPage>(
      'GET',
      '/api/imports/{id}/deliveries',
      { path: { id }, query: { limit: 100 } },
      options,
    )
  ).items;
