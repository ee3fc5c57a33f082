import { expect, test } from 'vitest';
import { RunState } from './import-state.ts';

test('a cancel that the database does not know of outlives a pause that it does know of', () => {
  const state = new RunState('one');
  state.wantStop({ what: 'pause', actor: 'Aiko' });
  state.wantStop({ what: 'cancel', actor: 'temporal' });
  state.wantStop({ what: 'pause', actor: 'Aiko', epoch: 3 });
  state.wantResume({ actor: 'Aiko', epoch: 4 });
  expect(state.stopWanted).toEqual({ what: 'cancel', actor: 'temporal' });
});

test('of stops that the database knows of the last counts, and a resume ends a pause', () => {
  const state = new RunState('one');
  state.wantStop({ what: 'pause', actor: 'Aiko' });
  state.wantStop({ what: 'cancel', actor: 'Aiko', epoch: 2 });
  expect(state.stopWanted).toMatchObject({ what: 'cancel', epoch: 2 });
  state.wantStop({ what: 'pause', actor: 'Aiko', epoch: 3 });
  state.wantResume({ actor: 'Aiko', epoch: 4 });
  expect(state.stopWanted).toBeNull();
});
