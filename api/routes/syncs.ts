import type { Router } from 'express';
import { findDataset } from '../../db/datasets.ts';
import { findProfile } from '../../db/profiles.ts';
import * as syncs from '../../db/syncs.ts';
import { BadCalendar, nextRuns, pushSchedule, runNow } from '../../temporal/schedules.ts';
import type { ApiDeps } from '../deps.ts';
import { ApiError, notFound } from '../problem.ts';
import * as routes from '../schemas/syncs.ts';
import { serve } from '../serve.ts';

const runJson = (run: syncs.SyncRun) => ({
  id: run.runId,
  outcome: run.outcome,
  message: run.message,
  importId: run.importId,
  startedAt: run.startedAt.toISOString(),
  finishedAt: run.finishedAt?.toISOString() ?? null,
});

export function registerSyncs(router: Router, deps: ApiDeps): void {
  const { sql, pool, temporal, log } = deps;
  const schedules = { sql, client: temporal, log };

  async function syncJson(sync: syncs.Sync, lastRun: syncs.SyncRun | null) {
    return {
      id: sync.syncId,
      name: sync.name,
      url: sync.url,
      dataset: sync.dataset,
      profile: sync.profile,
      policy: sync.policy,
      mode: sync.mode,
      cron: sync.cron,
      timeZone: sync.timeZone,
      paused: sync.paused,
      note: sync.note,
      lastRun: lastRun && runJson(lastRun),
      nextRuns: (await nextRuns(schedules, sync.syncId)).map((time) => time.toISOString()),
      createdBy: sync.createdBy,
      createdAt: sync.createdAt.toISOString(),
    };
  }

  async function need(tenantId: string, syncId: string): Promise<syncs.Sync> {
    const sync = await syncs.findSync(sql, tenantId, syncId);
    if (!sync) throw notFound('sync');
    return sync;
  }

  async function shown(tenantId: string, syncId: string) {
    const sync = await need(tenantId, syncId);
    const [last] = await syncs.listSyncRuns(sql, syncId, 1);
    return syncJson(sync, last ?? null);
  }

  async function checkSettings(tenantId: string, settings: syncs.SyncSettings): Promise<void> {
    const url = URL.parse(settings.url);
    if (!url || !['http:', 'https:'].includes(url.protocol) || url.username !== '' || url.password !== '') {
      throw new ApiError(
        422,
        'invalid_url',
        'The address has to be http or https, without user name and password.',
      );
    }
    if (!(await findDataset(pool, tenantId, settings.dataset))) {
      throw new ApiError(422, 'unknown_dataset', `There is no dataset ${settings.dataset}.`);
    }
    if (settings.profile && !(await findProfile(pool, tenantId, settings.dataset, settings.profile))) {
      throw new ApiError(
        422,
        'unknown_profile',
        `There is no profile ${settings.profile} for ${settings.dataset}.`,
      );
    }
  }

  /** The definition is ours and already kept: where Temporal does not answer, the reconciler goes on in a minute. */
  async function pushSoon(sync: syncs.Sync): Promise<void> {
    await pushSchedule(schedules, sync).catch((error: unknown) =>
      log.warn({ err: error, sync: sync.syncId }, 'the schedule follows with the next reconciliation'),
    );
  }

  serve(router, deps, routes.listSyncs, async ({ caller }) => ({
    items: await Promise.all(
      (await syncs.listSyncs(sql, caller.tenantId)).map((sync) => syncJson(sync, sync.lastRun)),
    ),
  }));

  serve(router, deps, routes.createSync, async ({ body, caller }) => {
    await checkSettings(caller.tenantId, body);
    const made = await syncs.createSync(sql, caller.tenantId, body, caller.name);
    if (!made) {
      throw new ApiError(
        409,
        'name_taken',
        `There is a sync named ${body.name} already. Choose another name.`,
      );
    }
    try {
      await pushSchedule(schedules, made);
    } catch (error) {
      // Only Temporal knows whether it takes a calendar, so nothing is kept that it has not taken.
      await syncs.forgetSync(sql, made.syncId);
      if (!(error instanceof BadCalendar)) throw error;
      throw new ApiError(
        422,
        'invalid_calendar',
        `The schedule cannot be read (${error.message}). Write it as crontab does, e.g. "0 3 * * *".`,
      );
    }
    return syncJson(made, null);
  });

  serve(router, deps, routes.showSync, ({ params, caller }) => shown(caller.tenantId, params.id));

  serve(router, deps, routes.deleteSync, async ({ params, caller }) => {
    const sync = await need(caller.tenantId, params.id);
    const removed = await syncs.forgetSync(sql, sync.syncId);
    if (removed) await pushSoon(removed);
  });

  serve(router, deps, routes.runSync, async ({ params, caller }) => {
    const sync = await need(caller.tenantId, params.id);
    await runNow(schedules, sync);
    return shown(caller.tenantId, params.id);
  });

  const pausing = (paused: boolean) => async (tenantId: string, syncId: string, note: string | null) => {
    await need(tenantId, syncId);
    const changed = await syncs.pauseSync(sql, syncId, paused, note);
    if (changed) await pushSoon(changed);
    return shown(tenantId, syncId);
  };

  serve(router, deps, routes.pauseSync, ({ params, body, caller }) =>
    pausing(true)(caller.tenantId, params.id, body.note ?? `Paused by ${caller.name}.`),
  );

  serve(router, deps, routes.resumeSync, ({ params, caller }) =>
    pausing(false)(caller.tenantId, params.id, null),
  );

  serve(router, deps, routes.listSyncRuns, async ({ params, query, caller }) => {
    const sync = await need(caller.tenantId, params.id);
    return { items: (await syncs.listSyncRuns(sql, sync.syncId, query.limit)).map(runJson) };
  });
}
