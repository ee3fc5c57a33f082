import type { Router } from 'express';
import { profileDocument, profileFaults, profileMapping } from '../../datasets/profile.ts';
import type { Dataset } from '../../datasets/types.ts';
import type { Caller } from '../../db/access.ts';
import { findDataset } from '../../db/datasets.ts';
import { findProfile, listProfiles, saveProfile } from '../../db/profiles.ts';
import type { ApiDeps } from '../deps.ts';
import { ApiError, notFound } from '../problem.ts';
import * as routes from '../schemas/profiles.ts';
import { serve } from '../serve.ts';
import { importOf } from './imports.ts';

const SOURCE_SECONDS = 15 * 60;

export function registerProfiles(router: Router, deps: ApiDeps): void {
  const { pool, store } = deps;
  const datasetOf = async (caller: Caller, name: string): Promise<Dataset> => {
    const dataset = await findDataset(pool, caller.tenantId, name);
    if (!dataset) throw notFound('dataset');
    return dataset;
  };

  serve(router, deps, routes.listProfiles, async ({ params, caller }) => {
    const dataset = await datasetOf(caller, params.name);
    const items = await listProfiles(pool, caller.tenantId, dataset.name);
    return { items: items.map((item) => ({ ...item, createdAt: item.createdAt.toISOString() })) };
  });

  serve(router, deps, routes.showProfile, async ({ params, query, caller }) => {
    const dataset = await datasetOf(caller, params.name);
    const found = await findProfile(pool, caller.tenantId, dataset.name, params.profile, query.version);
    if (!found) throw notFound('profile');
    return { profile: profileDocument({ dataset: dataset.name, ...found }), mapping: found.mapping };
  });

  serve(router, deps, routes.importProfile, async ({ params, body, caller }) => {
    const dataset = await datasetOf(caller, params.name);
    const wrong = profileFaults(body, dataset);
    if (wrong.length > 0) {
      throw new ApiError(422, 'profile_refused', wrong.map(({ message }) => message).join(' '), {
        errors: wrong,
      });
    }
    const kept = await saveProfile(pool, {
      tenantId: caller.tenantId,
      dataset: dataset.name,
      name: body.name,
      mapping: profileMapping(body),
      madeBy: caller.name,
    });
    return { name: body.name, ...kept };
  });

  serve(router, deps, routes.showSource, async ({ params, caller }) => {
    const stored = await importOf(deps, caller, params.id);
    if (stored.objectKey === null || !(await store.stat(stored.objectKey)))
      throw new ApiError(409, 'object_missing', 'The file of this import is not kept (any more).', {
        importId: stored.id,
      });
    return {
      url: await store.presignGet(stored.objectKey, SOURCE_SECONDS, { fileName: stored.fileName }),
      expires_in_seconds: SOURCE_SECONDS,
      fileName: stored.fileName,
      bytes: stored.bytes,
      options: stored.options,
    };
  });
}
