import * as wf from '@temporalio/workflow';
import type { Claimed } from '../activities/control.ts';
import type { Inspected } from '../activities/intake.ts';
import type { Planned } from '../activities/load.ts';
import * as activities from './import-activities.ts';
import { listenToRun } from './listen.ts';
import { approveUpdate, confirmMappingUpdate, discardUpdate, type ImportFileInput } from './messages.ts';
import { Interrupted, RunState, type Refusal } from './import-state.ts';
import { takeTurn } from './turn.ts';

const { control, load } = activities;

/** What the run came to, for whoever looks at the workflow. */
interface ImportResult {
  status: string;
  accounting?: Record<string, number>;
}

/**
 * One file into one dataset. Everything that matters is in the database: this function only says what comes next,
 * and can be started again at any point. What a claim finds done is not done again.
 */
export async function importFile(input: ImportFileInput): Promise<ImportResult> {
  const { importId } = input;
  const { workflowId, runId } = wf.workflowInfo();
  const state = new RunState(importId);
  listen(state);
  let last: ImportResult = { status: 'over' };

  for (;;) {
    try {
      const claimed = await state.throughOutage(() => control().claim({ importId, runId }));
      if (!claimed) {
        if (await finishUp(state)) continue;
        return last;
      }
      state.begin(claimed);
      if (claimed.status === 'paused') throw new Interrupted();
      last = await state.interruptible(() => run(state, claimed));
      await finishUp(state);
      if (!state.restartWanted) return last;
    } catch (error) {
      if (error instanceof wf.ContinueAsNew) throw error;
      const ended = await settle(state, error, workflowId, runId);
      // A retry may come while the last run still cleans up: its start is then a signal to this one.
      if (ended && !state.restartWanted) return ended;
      if (ended) last = ended;
    }
    if (wf.workflowInfo().continueAsNewSuggested) {
      await wf.condition(wf.allHandlersFinished);
      await wf.continueAsNew<typeof importFile>(input);
    }
  }
}

/** The phases in their order, from wherever the import stands. */
async function run(state: RunState, claimed: Claimed): Promise<ImportResult> {
  // Under every policy a file that may not be the whole catalogue waits for a person before records are removed.
  let held = false;
  if (claimed.approvedWave === null) {
    const plan = claimed.plan ?? (await prepare(state, claimed));
    held = plan.reasons.length > 0;
    if (claimed.policy !== 'auto' || held) await review(state, claimed, plan);
  }
  // A first run under `auto` is still in the turn that it planned in; every other asks for it (again).
  if (claimed.approvedWave !== null || claimed.policy !== 'auto' || held) {
    for (;;) {
      if (state.heavy) await takeTurn(state, 'slot');
      const { moved } = await takeTurn(state, 'turn');
      if (!moved) break;
      const plan = await state.throughOutage(() =>
        load('decide again what was not applied').rebase(state.at()),
      );
      if (plan.reasons.length === 0) break;
      // A newer file has come in meanwhile: the older one asks, and gives the turn back while it waits.
      state.approved = false;
      await review(state, claimed, plan);
    }
  }
  state.enter('apply');
  await applyAll(state);
  state.enter('notify');
  const ended = await state.throughOutage(() => load('prove, report, end').notify(state.at()));
  state.ended(ended.status, ended.accounting);
  return ended;
}

/** From bytes to a plan. Nothing has touched the target before the whole file was read, checked and decided. */
async function prepare(state: RunState, claimed: Claimed): Promise<Planned> {
  state.enter('download');
  await state.throughOutage(() => load(claimed.fileName).download(state.at()));
  const file = await readAndMap(state, claimed);

  state.enter('validate');
  state.heavy = file.heavy;
  if (state.heavy) await takeTurn(state, 'slot');
  await stageAll(state, file.hostQueue);
  // Perhaps nobody will look at the plan before it is applied: then it must be of the target as it is in our turn.
  if (claimed.policy !== 'review') await takeTurn(state, 'turn');
  return planAll(state, file.hostQueue);
}

/** Until it is settled which column feeds which field; a person may also say that the file has to be read otherwise. */
async function readAndMap(state: RunState, claimed: Claimed): Promise<Inspected> {
  for (;;) {
    state.enter('inspect');
    const file = await state.throughOutage(() => load(claimed.fileName).inspect(state.at()));
    state.describe(
      `${file.rows.toLocaleString()} rows, ${file.rejected.toLocaleString()} rejected by the reader`,
    );
    state.enter('map');
    do {
      state.confirmed = state.readAnew = false;
      const mapped = await state.throughOutage(() => load(`columns to ${claimed.dataset}`).map(state.at()));
      if (mapped.settled) return file;
      await state.waitForPerson({ what: 'mapping', questions: mapped.questions }, () => state.confirmed);
    } while (!state.readAnew);
  }
}

/** Waits for a person, or lets the guard say that none is needed. */
async function review(state: RunState, claimed: Claimed, plan: Planned): Promise<void> {
  state.enter('review');
  const reasons =
    claimed.policy === 'review' ? ['This import asks for approval.', ...plan.reasons] : plan.reasons;
  const { version, digest, counts } = plan;
  state.plan = { version, digest };
  if (reasons.length === 0) {
    await state.throughOutage(() =>
      control('by the guard').approve({
        ...state.at(),
        plan: { version, digest },
        actor: 'guard',
        endsWait: false,
      }),
    );
  } else {
    await state.waitForPerson({ what: 'approval', reasons, plan: state.plan, counts }, () => state.approved);
  }
}

/** Staging goes to the host that has the file on its disk; if that host is gone, to any. */
async function stageAll(state: RunState, hostQueue: string): Promise<void> {
  const input = state.at();
  await state.throughOutage(async () => {
    try {
      await activities.onHost(hostQueue, 'read, check and copy every segment').stage(input);
    } catch (error) {
      if (!activities.neverStarted(error)) throw error;
      await load('on another host').stage(input);
    }
  });
}

async function planAll(state: RunState, hostQueue: string): Promise<Planned> {
  for (;;) {
    try {
      return await state.throughOutage(() =>
        load('create, update or unchanged, for every row').plan({
          importId: state.importId,
          epoch: state.epoch,
        }),
      );
    } catch (error) {
      // The server crashed and emptied the unlogged tables: the file is staged again, into new ones.
      if (activities.failureType(error) !== 'StagingLost') throw error;
      await state.throughOutage(() => load('the staged rows were lost').renewStaging(state.at()));
      await stageAll(state, hostQueue);
    }
  }
}

/** Applies what has no receipt yet, a few lanes at a time over ranges that do not meet. */
async function applyAll(state: RunState): Promise<void> {
  const pending = await state.throughOutage(() => control().pending(state.at()));
  if (!pending) throw new Error('nobody approved this plan');
  const at = state.at();
  const { wave, whole } = pending;
  const apply = ({ first, last }: { first: number; last: number }) => {
    const summary = `batches ${first} to ${last} of wave ${wave}${whole ? ', all or nothing' : ''}`;
    return state.throughOutage(() => load(summary).apply({ ...at, wave, first, last }));
  };
  if (whole) {
    state.describe('all or nothing: prepared, and seen by nobody until all of it is committed');
    for (const range of pending.ranges) await apply(range);
  } else {
    await activities.inLanes(pending.ranges, pending.lanes, apply);
    // Only when every row of the file is in: a record may be referred to by what the file still changes.
    if (pending.missing) await activities.inLanes(pending.missing, pending.lanes, apply);
  }
}

/** After anything that is not a straight end: what does the database say, and does the run go on? */
async function settle(
  state: RunState,
  error: unknown,
  workflowId: string,
  runId: string,
): Promise<{ status: string } | null> {
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
      const refusal: Refusal = activities.refusalOf(error);
      const status = await state
        .throughOutage(() => control(refusal.code).fail({ ...state.at(), error: refusal }))
        .catch((later: unknown) => {
          if (activities.failureType(later) === 'Fenced') return null;
          throw later;
        });
      if (status !== null) {
        state.ended(status, null, refusal.message);
        return (await finishUp(state)) ? null : { status };
      }
    }

    for (let looks = 0; ; looks++) {
      const seen = await state.throughOutage(() => control().look({ importId, workflowId, runId }));
      if (!seen.current) return { status: 'taken over' };
      if (seen.status === 'paused') {
        if (wf.workflowInfo().continueAsNewSuggested) return null;
        await state.whilePaused(looks);
        continue;
      }
      if (['queued', 'running', 'waiting'].includes(seen.status)) return null;
      state.ended(seen.status, null, seen.error ?? undefined);
      return (await finishUp(state)) ? null : { status: seen.status };
    }
  });
}

/** Tidies up after a run that is over. True where it was opened again meanwhile: then this workflow goes on with it. */
async function finishUp(state: RunState): Promise<boolean> {
  const { status } = await wf.CancellationScope.nonCancellable(() =>
    state.throughOutage(() => control().cleanUp({ importId: state.importId })),
  );
  await wf.condition(wf.allHandlersFinished);
  return status === 'queued';
}

function listen(state: RunState): void {
  listenToRun(state);
  wf.setHandler(
    confirmMappingUpdate,
    async (answer) => {
      await control().confirm({ importId: state.importId, epoch: state.epoch, ...answer });
      state.readAnew = answer.options !== undefined;
      state.confirmed = true;
    },
    { validator: (_answer) => state.mustWaitFor('mapping') },
  );
  wf.setHandler(
    approveUpdate,
    async ({ plan, actor }) => {
      await control().approve({ ...state.at(), plan, actor, endsWait: true });
      state.approved = true;
    },
    {
      validator: ({ plan }) => {
        state.mustWaitFor('approval');
        state.mustBePlan(plan);
      },
    },
  );
  wf.setHandler(
    discardUpdate,
    async ({ actor }) => state.wantStop({ what: 'cancel', actor, reason: `Discarded by ${actor}.` }),
    { validator: (_answer) => state.mustWait() },
  );
}
