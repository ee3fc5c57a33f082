import type { Router } from 'express';
import * as z from 'zod';
import { builtinDatasets, findDataset } from '../../datasets/index.ts';
import type { Dataset } from '../../datasets/types.ts';
import { listRecords } from '../../db/records.ts';
import { readCursor, writeCursor } from '../cursor.ts';
import type { ApiDeps } from '../deps.ts';
import { notFound } from '../problem.ts';
import * as routes from '../schemas/datasets.ts';
import { serve } from '../serve.ts';

const datasetJson = (dataset: Dataset) => ({
  name: dataset.name,
  version: dataset.version,
  title: dataset.title,
  target: dataset.target,
  key: dataset.key.fields,
  duplicates: dataset.duplicates,
  fields: dataset.fields.map(
    ({ name, title, type, required, empty, aliases, maxLength, min, max, enum: words }) => ({
      name,
      title,
      type,
      required,
      key: dataset.key.fields.includes(name),
      empty,
      aliases,
      maxLength,
      min,
      max,
      enum: words,
    }),
  ),
});

const KeyPlace = z.array(z.string());

export function registerDatasets(router: Router, deps: ApiDeps): void {
  const datasetOf = (name: string): Dataset => {
    const dataset = findDataset(name);
    if (!dataset) throw notFound('dataset');
    return dataset;
  };

  serve(router, deps, routes.listDatasets, async () => ({ items: builtinDatasets.map(datasetJson) }));

  serve(router, deps, routes.showDataset, async ({ params }) => datasetJson(datasetOf(params.name)));

  serve(router, deps, routes.listRecords, async ({ params, query, caller }) => {
    const dataset = datasetOf(params.name);
    const list = ['records', dataset.name, query.q ?? null];
    const page = await listRecords(deps.pool, dataset, {
      tenantId: caller.tenantId,
      after: readCursor(list, query.cursor, KeyPlace),
      prefix: query.q,
      limit: query.limit,
    });
    return {
      columns: dataset.fields.map(({ name, title, type }) => ({
        name,
        title,
        type,
        key: dataset.key.fields.includes(name),
      })),
      items: page.rows,
      nextCursor: page.next && writeCursor(list, page.next),
    };
  });
}
