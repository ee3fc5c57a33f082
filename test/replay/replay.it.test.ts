import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { historyFromJSON } from '@temporalio/common/lib/proto-utils.js';
import { DefaultLogger, Runtime, Worker } from '@temporalio/worker';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { workflowBundle } from '../../temporal/bundle.ts';

const folder = join(import.meta.dirname, '..', 'histories');
const stored = (name: string): string => readFileSync(join(folder, name), 'utf8');
const cache = mkdtempSync(join(tmpdir(), 'waybill-replay-'));
let codePath: string;

beforeAll(async () => {
  Runtime.install({ logger: new DefaultLogger('ERROR') });
  codePath = await workflowBundle(cache);
});
afterAll(() => rmSync(cache, { recursive: true }));

const replay = (json: string): Promise<void> =>
  Worker.runReplayHistory({ workflowBundle: { codePath } }, historyFromJSON(JSON.parse(json)), 'replayed');

describe('runs of earlier code go on with the code as it is now', () => {
  it.each(readdirSync(folder))('%s', async (name) => {
    await replay(stored(name));
  });

  it('there are histories of every kind of run', () => {
    expect(readdirSync(folder).length).toBeGreaterThanOrEqual(7);
  });

  it('a history that the code would not have made is refused', async () => {
    const other = stored('completed.json').replaceAll('"name":"inspect"', '"name":"inspectTwice"');
    await expect(replay(other)).rejects.toThrow(/[Nn]ondeterminism|determinis/);
  });
});
