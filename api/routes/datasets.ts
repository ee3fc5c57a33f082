import type { Router } from 'express';
import * as z from 'zod';
import { NoKey, proposeDataset } from '../../datasets/introspect.ts';
import type { Dataset, DatasetField } from '../../datasets/types.ts';
import { checkDefinition } from '../../db/check-definition.ts';
import { findDataset, isBuiltin, listDatasets, removeDataset, saveDataset } from '../../db/datasets.ts';
import { readTable } from '../../db/introspect.ts';
import { listRecords } from '../../db/records.ts';
import { TargetRefused } from '../../db/target.ts';
import { readCursor, writeCursor } from '../cursor.ts';
import type { ApiDeps } from '../deps.ts';
import { ApiError, notFound } from '../problem.ts';
import * as routes from '../schemas/datasets.ts';
import { serve } from '../serve.ts';

const datasetJson = (dataset: Dataset): z.input<typeof routes.Dataset> => {
  const { name, version, title, target, key, duplicates, fields, rules = [] } = dataset;
  return {
    name,
    version,
    builtIn: isBuiltin(name),
    title,
    target,
    key: key.fields,
    keyIndex: key.index,
    duplicates,
    rules,
    fields: fields.map((field) => ({ ...field, key: key.fields.includes(field.name) })),
  };
};

/** A definition as it is kept, from what the API takes. */
function definitionOf(
  name: string,
  body: z.output<typeof routes.changeDataset.body>,
): Omit<Dataset, 'version'> {
  const { target, key, keyIndex, duplicates, rules } = body;
  return {
    name,
    title: body.title ?? { en: name, ja: name },
    target,
    key: { fields: key, index: keyIndex },
    duplicates,
    fields: body.fields.map(({ key: _, title, ...field }): DatasetField => ({
      ...field,
      title: title ?? { en: field.name, ja: field.name },
    })),
    ...(rules.length > 0 ? { rules } : {}),
  };
}

const builtIn = (name: string): ApiError =>
  new ApiError(409, 'built_in', `${name} comes with Waybill and cannot be changed. Give yours another name.`);

/** What the table says no to, as a problem. */
function asProblem(error: unknown): unknown {
  return error instanceof TargetRefused || error instanceof NoKey
    ? new ApiError(422, error.code, error.message)
    : error;
}

const KeyPlace = z.array(z.string());

export function registerDatasets(router: Router, deps: ApiDeps): void {
  const { pool } = deps;
  const datasetOf = async (tenantId: string, name: string): Promise<Dataset> => {
    const dataset = await findDataset(pool, tenantId, name);
    if (!dataset) throw notFound('dataset');
    return dataset;
  };
  const save = async (
    caller: { tenantId: string; name: string },
    dataset: Omit<Dataset, 'version'>,
    expected: 'new' | 'known',
  ): Promise<Dataset | null> => {
    const { tenantId, name: actor } = caller;
    const wrong = await checkDefinition(pool, tenantId, dataset).catch((error: unknown) => {
      throw asProblem(error);
    });
    if (wrong.length > 0) {
      throw new ApiError(422, 'definition_refused', wrong.map(({ message }) => message).join(' '), {
        errors: wrong,
      });
    }
    return saveDataset(pool, { tenantId, dataset, actor, expected });
  };

  serve(router, deps, routes.listDatasets, async ({ caller }) => ({
    items: (await listDatasets(pool, caller.tenantId)).map(datasetJson),
  }));

  serve(router, deps, routes.introspectTable, async ({ body, caller }) => {
    try {
      const table = await readTable(pool, caller.tenantId, body.schema, body.table);
      const { dataset, keys, notes } = proposeDataset(table, body);
      return { dataset: datasetJson({ ...dataset, version: 1 }), keys, notes };
    } catch (error) {
      throw asProblem(error);
    }
  });

  serve(router, deps, routes.createDataset, async ({ body, caller }) => {
    if (isBuiltin(body.name)) throw builtIn(body.name);
    const saved = await save(caller, definitionOf(body.name, body), 'new');
    if (!saved) {
      throw new ApiError(409, 'dataset_exists', `There is a dataset ${body.name} already. PUT changes it.`);
    }
    return datasetJson(saved);
  });

  serve(router, deps, routes.changeDataset, async ({ params: { name }, body, caller }) => {
    if (isBuiltin(name)) throw builtIn(name);
    await datasetOf(caller.tenantId, name);
    const saved = await save(caller, definitionOf(name, body), 'known');
    if (!saved) throw notFound('dataset');
    return datasetJson(saved);
  });

  serve(router, deps, routes.removeDataset, async ({ params: { name }, caller }) => {
    if (isBuiltin(name)) throw builtIn(name);
    if (!(await removeDataset(pool, { tenantId: caller.tenantId, name, actor: caller.name })))
      throw notFound('dataset');
  });

  serve(router, deps, routes.showDataset, async ({ params, caller }) =>
    datasetJson(await datasetOf(caller.tenantId, params.name)),
  );

  serve(router, deps, routes.listRecords, async ({ params, query, caller }) => {
    const dataset = await datasetOf(caller.tenantId, params.name);
    const list = ['records', dataset.name, query.q ?? null];
    const page = await listRecords(pool, dataset, {
      tenantId: caller.tenantId,
      after: readCursor(list, query.cursor, KeyPlace),
      prefix: query.q,
      limit: query.limit,
    }).catch((error: unknown) => {
      throw asProblem(error);
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
