import type {
  CreateDatasetData,
  Dataset,
  DatasetList,
  IntrospectTableData,
  Introspection,
  ListDatasetsData,
  ListRecordsData,
  RecordPage,
  RemoveDatasetData,
  ShowDatasetData,
} from '../client/index.ts';
import { call, type CallOptions } from './http.ts';

export async function listDatasets(options?: CallOptions): Promise<Dataset[]> {
  return (await call<ListDatasetsData, DatasetList>('GET', '/api/datasets', {}, options)).items;
}

export function showDataset(name: string, options?: CallOptions): Promise<Dataset> {
  return call<ShowDatasetData, Dataset>('GET', '/api/datasets/{name}', { path: { name } }, options);
}

export function listRecords(
  name: string,
  query: NonNullable<ListRecordsData['query']>,
  options?: CallOptions,
): Promise<RecordPage> {
  return call<ListRecordsData, RecordPage>(
    'GET',
    '/api/datasets/{name}/records',
    { path: { name }, query },
    options,
  );
}

export const introspectTable = (body: IntrospectTableData['body'], options?: CallOptions) =>
  call<IntrospectTableData, Introspection>('POST', '/api/datasets/introspect', { body }, options);

export const createDataset = (body: CreateDatasetData['body'], options?: CallOptions) =>
  call<CreateDatasetData, Dataset>('POST', '/api/datasets', { body }, options);

export const removeDataset = (name: string, options?: CallOptions) =>
  call<RemoveDatasetData, void>('DELETE', '/api/datasets/{name}', { path: { name } }, options);
