import * as wf from '@temporalio/workflow';
import type { RunState } from './import-state.ts';
import {
  cancelSignal,
  pauseSignal,
  progressQuery,
  resumeSignal,
  startedSignal,
  turnSignal,
  type Progress,
} from './messages.ts';

/** What an import and its undoing both hear: signals, the query, and Cancel pressed in Temporal. */
export function listenToRun(state: RunState): void {
  wf.setHandler(progressQuery, (): Progress => state.progress());
  wf.setHandler(pauseSignal, (message) => state.wantStop({ what: 'pause', actor: 'a signal', ...message }));
  wf.setHandler(cancelSignal, (message) => state.wantStop({ what: 'cancel', actor: 'a signal', ...message }));
  wf.setHandler(resumeSignal, (message) => state.wantResume({ actor: 'a signal', ...message }));
  wf.setHandler(startedSignal, () => {
    state.restartWanted = true;
  });
  wf.setHandler(turnSignal, () => {
    state.turnFreed = true;
  });
  // At any moment: a paused run listens to it too.
  wf.CancellationScope.current().cancelRequested.catch(() =>
    state.wantStop({ what: 'cancel', actor: 'temporal', reason: 'Cancelled in Temporal.' }),
  );
}
