/**
 * Records the histories of real runs into test/histories/, to be replayed on later code:
 * npm run test:record [-- NAME ...]. Done again where the workflow changes on purpose and no run of the old
 * code is left; otherwise a change that does not replay needs patched().
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { historyToJSON } from '@temporalio/common/lib/proto-utils.js';
import { seedTarget, writeCsv } from '../faults/files.ts';
import { startInstance, type Instance } from '../faults/instance.ts';
import { caughtAt, closeGate, until } from '../faults/moments.ts';
import { installOracle } from '../faults/oracle.ts';

const folder = join(import.meta.dirname, '..', 'histories');
const SPEC = { rows: 25_000 };

type Recording = (instance: Instance, file: string) => Promise<string>;

async function must(instance: Instance, id: string, action: string, body?: unknown): Promise<void> {
  const answer = await instance.api('POST', `/imports/${id}/${action}`, body);
  if (answer.status !== 200) throw new Error(`${action}: ${answer.status} ${JSON.stringify(answer.body)}`);
}

/** Stops a run while its batches are open and lets `strike` do something to it. */
async function inApply(
  instance: Instance,
  file: string,
  strike: (id: string) => Promise<void>,
): Promise<string> {
  const gate = await closeGate(instance);
  const id = await instance.submit(file);
  await until('batches at the gate', caughtAt(gate));
  await strike(id);
  await gate.release();
  return id;
}

const recordings: Record<string, Recording> = {
  completed: async (instance, file) => instance.submit(file),
  'paused-and-resumed': async (instance, file) => {
    const id = await inApply(instance, file, (running) => must(instance, running, 'pause'));
    await instance.ended(id, ['paused']);
    await must(instance, id, 'resume');
    return id;
  },
  cancelled: (instance, file) => inApply(instance, file, (id) => must(instance, id, 'cancel')),
  'failed-by-bad-input': async (instance, file) => instance.submit(file, { sha256: '0'.repeat(64) }),
  'waited-for-mapping': async (instance) => {
    const file = join(instance.data, 'foreign.csv');
    writeFileSync(file, 'colour,weight\nred,1\nblue,2\n');
    const id = await instance.submit(file);
    await instance.ended(id, ['waiting']);
    await must(instance, id, 'confirm-mapping', {
      fields: [
        { field: 'sku', column: 0 },
        { field: 'quantity', column: 1 },
      ],
    });
    return id;
  },
  'waited-for-approval': async (instance, file) => {
    const id = await instance.submit(file, { policy: 'review' });
    const { plan } = await instance.ended(id, ['waiting']);
    await must(instance, id, 'approve', { plan });
    return id;
  },
  'worker-killed': (instance, file) =>
    inApply(instance, file, async () => {
      await instance.restarted('worker', instance.signal('worker', 'SIGKILL'));
    }),
};

const wanted = process.argv.slice(2);
mkdirSync(folder, { recursive: true });
const instance = await startInstance();
try {
  await installOracle(instance);
  const file = join(instance.data, 'products.csv');
  await writeCsv(file, SPEC);
  for (const [name, record] of Object.entries(recordings)) {
    if (wanted.length > 0 && !wanted.includes(name)) continue;
    await seedTarget(instance, SPEC);
    const id = await record(instance, file);
    const { status } = await instance.ended(id);
    const handle = instance.temporal.workflow.getHandle(id);
    await handle.result();
    // Who did the work and where says nothing here.
    const json = JSON.stringify(
      JSON.parse(historyToJSON(await handle.fetchHistory())),
      (key, value: unknown) => {
        if (key === 'identity' || key === 'lastWorkerIdentity') return 'a worker';
        if (key === 'stackTrace') return '';
        return typeof value === 'string' ? value.replace(`@${hostname()}`, '@host') : value;
      },
    );
    writeFileSync(join(folder, `${name}.json`), `${json}\n`);
    console.log(
      `${name}: ${status}, ${(json.match(/"eventId"/g) ?? []).length} events, ${Math.round(json.length / 1024)} KiB`,
    );
  }
} finally {
  await instance.stop();
}
