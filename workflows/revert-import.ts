import * as wf from '@temporalio/workflow';
import type { RevertClaimed } from '../activities/revert.ts';
import * as activities from './import-activities.ts';
import { Interrupted, RunState } from './import-state.ts';
import { listenToRun } from './listen.ts';
import type { ImportFileInput } from './messages.ts';
import { takeTurn } from './turn.ts';

const { control, load } = activities;

interface RevertResult {
  /** Of the import, afterwards. */
  status: string;
  result?: Record<string, number>;
}

/**
 * Undoes what an import committed, from what it kept of each record. As with `importFile` everything that matters is
 * in the database; what a claim finds done is not done again.
 */
export async function revertImport(input: ImportFileInput): Promise<RevertResult> {
  const { importId } = input;
  const { workflowId, runId } = wf.workflowInfo();
  const state = new RunState(importId);
  listenToRun(state);
  let last: RevertResult = { status: 'over' };

  for (;;) {
    let over = true;
    try {
      const claimed = await state.throughOutage(() => control().claimRevert({ importId, runId }));
      if (!claimed) return last;
      state.begin(claimed.run);
      state.phase = 'revert';
      if (claimed.paused) throw new Interrupted();
      last = await state.interruptible(() => undo(state, claimed));
      state.ended(last.status, last.result ?? null);
    } catch (error) {
      const ended = await settle(state, error, workflowId, runId);
      if (ended) state.ended((last = ended).status, null);
      else over = false;
    }
    // The same import may be undone further while this run ends: its start is then a signal to this one.
    if (over && !state.restartWanted) {
      await wf.condition(wf.allHandlersFinished);
      return last;
    }
    if (wf.workflowInfo().continueAsNewSuggested) {
      await wf.condition(wf.allHandlersFinished);
      await wf.continueAsNew<typeof revertImport>(input);
    }
  }
}

async function undo(state: RunState, claimed: RevertClaimed): Promise<RevertResult> {
  const at = { ...state.at(), revert: claimed.revert };
  if (state.heavy) await takeTurn(state, 'slot');
  await takeTurn(state, 'turn');
  state.status = 'reverting';
  const { counts } = await state.throughOutage(() =>
    load('what each record is now, and who else saw it').planRevert(at),
  );
  state.describe(
    `${counts.remove.toLocaleString()} records to remove, ${counts.restore.toLocaleString()} to restore, ${counts.skip.toLocaleString()} in conflict`,
  );
  const { ranges, lanes } = await state.throughOutage(() => control().pendingRevert(at));
  await activities.inLanes(ranges, lanes, ({ first, last }) =>
    state.throughOutage(() => load(`undo batches ${first} to ${last}`).applyRevert({ ...at, first, last })),
  );
  return state.throughOutage(() => control('prove, end').endRevert(at));
}

/** After anything that is not a straight end: null where the revert goes on, otherwise how the import stands. */
async function settle(
  state: RunState,
  error: unknown,
  workflowId: string,
  runId: string,
): Promise<RevertResult | null> {
  if (error instanceof wf.ContinueAsNew) throw error;
  const { importId } = state;
  return wf.CancellationScope.nonCancellable(async () => {
    const stopped = await state.recordStop();
    if (
      !stopped &&
      !(
        error instanceof Interrupted ||
        wf.isCancellation(error) ||
        activities.failureType(error) === 'Fenced'
      )
    ) {
      const refusal = activities.refusalOf(error);
      try {
        return await state.throughOutage(() =>
          control(refusal.code).endRevert({ ...state.at(), error: refusal }),
        );
      } catch (later) {
        if (activities.failureType(later) !== 'Fenced') throw later;
      }
    }
    for (let looks = 0; ; looks++) {
      const seen = await state.throughOutage(() => control().lookAtRevert({ importId, workflowId, runId }));
      if (!seen.current) return { status: 'taken over' };
      if (seen.status !== 'reverting') return { status: seen.status };
      if (!seen.paused || wf.workflowInfo().continueAsNewSuggested) return null;
      await state.whilePaused(looks);
      state.status = 'reverting';
    }
  });
}
