import { createControlActivities } from './control.ts';
import type { ActivityDeps } from './deps.ts';
import { guarded } from './guarded.ts';
import { createIntakeActivities } from './intake.ts';
import { createLoadActivities } from './load.ts';
import { createNotifyActivities } from './notify.ts';
import { createRevertActivities, createRevertControl } from './revert.ts';

/** The activities of an import's own phases, for the load queue and the host's queue. */
export const createLoadQueueActivities = (deps: ActivityDeps) =>
  guarded(deps, {
    ...createIntakeActivities(deps),
    ...createLoadActivities(deps),
    ...createNotifyActivities(deps),
    ...createRevertActivities(deps),
  });

/** Quick ones, for the control queue. */
export const createControlQueueActivities = (deps: ActivityDeps) =>
  guarded(deps, { ...createControlActivities(deps), ...createRevertControl(deps) });
