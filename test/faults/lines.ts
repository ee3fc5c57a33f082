import { setTimeout as delay } from 'node:timers/promises';
import { repeated, type Bench, type Case, type Strike } from './case.ts';
import type { ServiceName } from '../../dev/services.ts';
import type { LineFault } from './proxy.ts';
import { caughtAt, closeGate, freshBatch, objectRead, until } from './moments.ts';

/** The worker's end of a line, or the API's. */
const ends = ({ instance }: Bench, role: 'worker' | 'api'): number[] => [instance.run().pids[role]];

function line(bench: Bench, service: ServiceName) {
  const { lines } = bench.instance;
  if (!lines) throw new Error('this instance reaches its services directly');
  return lines[service];
}

/** The line does this for a while, beginning at the moment, and heals. */
const forAWhile =
  (service: ServiceName, fault: LineFault, ms: number, role: 'worker' | 'api' = 'worker'): Strike =>
  async (bench, id, seen) => {
    const found = await seen(freshBatch(bench.instance, id));
    if (found === null) return null;
    const peers = ends(bench, role);
    line(bench, service).fault(peers, fault);
    await delay(ms);
    line(bench, service).fault(peers, {});
    return found;
  };

const resetNow =
  (service: ServiceName, role: 'worker' | 'api' = 'worker'): Strike =>
  async (bench, id, seen) => {
    const found = await seen(freshBatch(bench.instance, id));
    if (found === null) return null;
    line(bench, service).reset(ends(bench, role));
    return found;
  };

/** The batches commit, and nobody hears of it. */
const acknowledgementLost: Strike = async (bench) => {
  const gate = await closeGate(bench.instance);
  try {
    const found = await until('batches at the gate', caughtAt(gate, 2));
    line(bench, 'postgres').reset(ends(bench, 'worker'));
    return found;
  } finally {
    await gate.release();
  }
};

/** While the object is read: does something to the worker's line to the store. */
const inRead =
  (fault: LineFault | 'reset', ms: number): Strike =>
  async (bench, id) => {
    const store = line(bench, 's3');
    const peers = ends(bench, 'worker');
    // Slow enough to be caught in the middle.
    store.fault(peers, { bytesPerSecond: 20_000_000 });
    const found = await until('the object being read', objectRead(bench.instance, id, bench.wideBytes));
    if (fault === 'reset') store.reset(peers);
    else store.fault(peers, fault);
    await delay(ms);
    store.fault(peers, {});
    return found;
  };

const SLOW_DOWN = 'HTTP/1.1 503 Slow Down\r\nContent-Length: 0\r\nConnection: close\r\n\r\n';

const inApply = (kind: string, name: string, times: number, strike: Strike): Case =>
  repeated({ kind, name, times, strike, slow: 0.25, proxied: true, scenarios: 'any' });

const reading = (kind: string, name: string, strike: Strike): Case =>
  repeated({ kind, name, times: 1, strike, wide: true, proxied: true });

/** Between the processes and the services, at the sockets. */
export const lineFaults: Case[] = [
  inApply('connection reset', "worker's connections to PostgreSQL reset", 3, resetNow('postgres')),
  inApply('connection reset', "worker's connections to Temporal reset", 3, resetNow('temporal')),
  inApply('connection reset', "API's connections to PostgreSQL reset", 3, resetNow('postgres', 'api')),
  inApply('acknowledgement lost', 'batches commit, their answer is lost on the way', 1, acknowledgementLost),
  inApply(
    'partition',
    'worker cut off from PostgreSQL for 7 s',
    1,
    forAWhile('postgres', { partitioned: true }, 7000),
  ),
  inApply(
    'partition',
    'worker cut off from Temporal for 7 s',
    1,
    forAWhile('temporal', { partitioned: true }, 7000),
  ),
  inApply(
    'partition',
    'API cut off from PostgreSQL and Temporal for 5 s',
    1,
    async (bench, id, seen, before) => {
      line(bench, 'temporal').fault(ends(bench, 'api'), { partitioned: true });
      const found = await forAWhile('postgres', { partitioned: true }, 5000, 'api')(bench, id, seen, before);
      line(bench, 'temporal').fault(ends(bench, 'api'), {});
      return found;
    },
  ),
  inApply(
    'slow line',
    '60 ms each way between worker and PostgreSQL for 3 s',
    1,
    forAWhile('postgres', { latencyMs: 60 }, 3000),
  ),
  inApply(
    'slow line',
    '10 KB/s between worker and PostgreSQL for 3 s',
    1,
    forAWhile('postgres', { bytesPerSecond: 10_000 }, 3000),
  ),
  reading('object store', 'reset in the middle of the object', inRead('reset', 0)),
  reading('object store', 'the object ends in the middle', inRead({ truncateAfter: 100_000 }, 500)),
  reading(
    'object store',
    'cut off from the store for 5 s in the middle',
    inRead({ partitioned: true }, 5000),
  ),
  reading('object store', '50 KB/s for 4 s in the middle', inRead({ bytesPerSecond: 50_000 }, 4000)),
  reading('object store', '503 Slow Down for 4 s in the middle', async (bench, id, seen, before) => {
    const found = await inRead('reset', 0)(bench, id, seen, before);
    const peers = ends(bench, 'worker');
    line(bench, 's3').fault(peers, { answer: SLOW_DOWN });
    await delay(4000);
    line(bench, 's3').fault(peers, {});
    return found;
  }),
];
