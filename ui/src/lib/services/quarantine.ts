import type { ListQuarantineData, QuarantinePage, RemoveQuarantinedData } from '../client/index.ts';
import { call, type CallOptions } from './http.ts';

export const listQuarantine = (query: NonNullable<ListQuarantineData['query']>, options?: CallOptions) =>
  call<ListQuarantineData, QuarantinePage>('GET', '/api/quarantine', { query }, options);

export const removeQuarantined = (id: string, options?: CallOptions) =>
  call<RemoveQuarantinedData, void>('DELETE', '/api/quarantine/{id}', { path: { id } }, options);
