import { Context } from '@temporalio/activity';
import { applyWhole, atomicRows, mustBeWhole, mustHaveGoneIn, settleAllOr } from '../db/all-or.ts';
import { applyBatches } from '../db/control.ts';
import { guardExamples, guardFigures } from '../db/guard.ts';
import { recordIssues } from '../db/issues-of-plan.ts';
import { stagingHasIssues } from '../db/staged-issues.ts';
import { BATCH_ROWS, makePlan } from '../db/plan.ts';
import { planIsJudged, type Plan } from '../db/stored-plan.ts';
import { rebasePlan } from '../db/rebase.ts';
import { guardReasons } from '../review/guard.ts';
import type { ActivityDeps } from './deps.ts';
import { inLane } from './metrics.ts';
import { paced } from './pace.ts';
import { planRequest, readImport, type RunInput } from './run.ts';

export interface Planned {
  version: number;
  digest: string;
  counts: Plan['counts'];
  /** Why the guard holds it; empty under other policies or where it may pass. */
  reasons: string[];
}

const ATOMIC_ROWS = atomicRows(process.env);

/** Plan, rebase, apply. */
export function createLoadActivities(deps: ActivityDeps) {
  const { pool, throttle } = deps;
  return {
    async plan(input: RunInput): Promise<Planned> {
      const signal = Context.current().cancellationSignal;
      const request = await planRequest(deps, input);
      const { rows, rejected } = request.manifest;
      const inOne = rows + rejected <= ATOMIC_ROWS;
      await settleAllOr(pool, input, request.atomic ? (inOne ? 'nothing' : 'undone') : null);
      const plan = await makePlan(pool, { ...request, lanes: throttle.lanes }, signal);
      if (
        plan.counts.blocked + plan.counts.duplicates > 0 ||
        request.missing?.inactive ||
        (await stagingHasIssues(pool, request.lockKey, request.incarnation))
      ) {
        await recordIssues(pool, input.importId, request.lockKey, signal);
      }
      // Nobody will look at it: refused at once. Otherwise a person is asked, who cannot approve it as it is.
      if (request.policy === 'auto') await mustBeWhole(pool, input.importId);
      let reasons = plan.hold;
      let guard: object | null = null;
      if (request.policy === 'guard' || plan.hold.length > 0) {
        const asked = { ...request, counts: plan.counts };
        const figures = request.policy === 'guard' ? await guardFigures(pool, asked) : null;
        const found = figures ? guardReasons(figures, request.limits) : [];
        reasons = [...plan.hold, ...found.map(({ message }) => message)];
        const examples = await guardExamples(pool, asked, [
          ...(plan.hold.length > 0 ? [{ kind: 'removed' as const, field: null }] : []),
          ...found,
        ]);
        guard = { ...figures, reasons, examples };
      }
      await planIsJudged(pool, { importId: input.importId, version: plan.version, guard });
      return { version: plan.version, digest: plan.digest, counts: plan.counts, reasons };
    },

    async rebase(input: RunInput): Promise<Planned> {
      const plan = await rebasePlan(
        pool,
        await planRequest(deps, input),
        Context.current().cancellationSignal,
      );
      return { version: plan.version, digest: plan.digest, counts: plan.counts, reasons: plan.hold };
    },

    /** Applies the batches first..last, several in one transaction where they are quick. */
    async apply(input: RunInput & { wave: number; first: number; last: number }): Promise<void> {
      const { cancellationSignal } = Context.current();
      const { all_or: allOr } = await readImport(deps, input.importId);
      if (allOr === 'undone') await mustBeWhole(pool, input.importId);
      await inLane(() =>
        allOr === 'nothing'
          ? applyWhole(pool, input, cancellationSignal)
          : paced(
              input,
              cancellationSignal,
              async (first, last) => {
                const refused = await applyBatches(pool, { ...input, first, last });
                if (allOr === 'undone') await mustHaveGoneIn(pool, input.importId, refused);
              },
              (batches) => throttle.after(batches * BATCH_ROWS, cancellationSignal),
            ),
      );
    },
  };
}
