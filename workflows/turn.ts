import * as wf from '@temporalio/workflow';
import { control } from './import-activities.ts';
import { Interrupted, type RunState } from './import-state.ts';

/** Waits in line for the right to write to the target, or for the tenant's slot for heavy runs. */
export async function takeTurn(state: RunState, kind: 'turn' | 'slot'): Promise<{ moved: boolean }> {
  for (let looks = 1; ; looks++) {
    const answer = await state.throughOutage(() =>
      control(kind).turn({ importId: state.importId, epoch: state.epoch, kind }),
    );
    if (answer.held) {
      state.waitingFor = null;
      return answer;
    }
    state.waitFor(kind, `${answer.ahead} before this one`);
    state.turnFreed = false;
    if (wf.workflowInfo().continueAsNewSuggested) throw new Interrupted();
    // The one before us signals when it ends, and the reconciler each minute should that signal be lost. The timer shows
    // how the line moves; each look adds to the history, and a run that has to continue as new goes to the line's end.
    await wf.condition(() => state.turnFreed, Math.min(120, 15 * looks) * 1000);
  }
}
