import { ApplicationFailure, CancelledFailure, Context } from '@temporalio/activity';
import { ActivityCancellationDetails } from '@temporalio/common';
import { MockActivityEnvironment } from '@temporalio/testing';
import { DefaultLogger } from '@temporalio/worker';
import { pino } from 'pino';
import { describe, expect, it } from 'vitest';
import { PlanMoved } from '../db/approve.ts';
import { StagingLost } from '../db/plan.ts';
import { FileError } from '../intake/types.ts';
import { ObjectChanged, StoreUnavailable } from '../storage/errors.ts';
import type { ActivityDeps } from './deps.ts';
import { guarded, ImportRefused } from './guarded.ts';

const deps = { log: pino({ level: 'silent' }), watch: (_importId, _changed) => () => {} } as ActivityDeps;
const environmentOf = () =>
  new MockActivityEnvironment(undefined, { logger: new DefaultLogger('ERROR', () => {}) });
const withCode = (code: string, message = 'x') => Object.assign(new Error(message), { code });

async function failureOf(error: unknown): Promise<unknown> {
  const { work } = guarded(deps, {
    work: async (_input: { importId: string }): Promise<void> => {
      throw error;
    },
  });
  return environmentOf()
    .run(work, { importId: 'x' })
    .catch((caught: unknown) => caught);
}

describe('guarded', () => {
  it.each([
    ['a file that cannot be read', new FileError('empty_file', 'The file is empty.'), 'Refused', true],
    ['a run that is refused', new ImportRefused('duplicate_file', 'Already imported.'), 'Refused', true],
    ['an object that changed', new ObjectChanged('key'), 'Refused', true],
    ['a column that is gone', withCode('42703'), 'Refused', true],
    ['a plan that is not the approved one', withCode('WB002'), 'Refused', true],
    ['a run that was stopped', withCode('WB001'), 'Fenced', true],
    ['staging emptied by a crash', new StagingLost(), 'StagingLost', true],
    ['an approval that came too late', new PlanMoved('moved'), 'PlanMoved', true],
    ['a database that restarts', withCode('57P01'), 'Unavailable', false],
    ['a database that is full', withCode('53100'), 'Unavailable', false],
    ['a deadlock', withCode('40P01'), 'Unavailable', false],
    ['a refused connection', withCode('ECONNREFUSED'), 'Unavailable', false],
    ['a connection that broke', new Error('Connection terminated unexpectedly'), 'Unavailable', false],
    ['an object store that is away', new StoreUnavailable('answer'), 'Unavailable', false],
  ])('%s', async (_name, error, type, nonRetryable) => {
    const failure = await failureOf(error);
    expect(failure).toBeInstanceOf(ApplicationFailure);
    expect(failure).toMatchObject({ type, nonRetryable });
  });

  it('lets a bug pass as it is, to be retried and logged', async () => {
    const bug = new TypeError('undefined is not a function');
    expect(await failureOf(bug)).toBe(bug);
    // A statement of ours that PostgreSQL does not accept is our bug, not the target's change.
    const ambiguous = withCode('42702');
    expect(await failureOf(ambiguous)).toBe(ambiguous);
  });

  it('ends as cancelled where the workflow asked for it', async () => {
    const { work } = guarded(deps, {
      work: async (_input: { importId: string }): Promise<void> => {
        await Context.current().cancelled;
      },
    });
    const environment = environmentOf();
    const ended = environment.run(work, { importId: 'x' }).catch((caught: unknown) => caught);
    environment.cancel('CANCELLED', new ActivityCancellationDetails({ cancelRequested: true }));
    expect(await ended).toBeInstanceOf(CancelledFailure);
  });
});
