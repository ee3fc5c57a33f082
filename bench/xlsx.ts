import { fork, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync, statSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { writeProductsWorkbook } from './xlsx-file.ts';

const SAMPLE_MS = 25;
const CURVE_POINTS = 16;
const PEER_UP_TO = 200_000;
const BAR = { timesPeer: 2, peak: 200e6 };
/** Clock ticks a second, as /proc counts processor time. */
const TICKS = 100;

interface Measured {
  wall: number;
  cpu: number;
  peak: number;
  /** Resident bytes of all its processes, evenly over its time. */
  curve: number[];
}

/**
 * Workbooks through `inspect` and `convert`, and through exceljs's reader: processor time, and resident memory of the
 * process and the reader that it starts, all the way. Needs /proc.
 */
export async function benchXlsx(rows: number[]): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'waybill-bench-xlsx-'));
  const step = fileURLToPath(new URL('./intake-step.ts', import.meta.url));
  const cli = fileURLToPath(new URL('../cli/waybill.mjs', import.meta.url));
  const missed: string[] = [];
  try {
    for (const count of rows) {
      const book = join(folder, `book-${count}.xlsx`);
      await writeProductsWorkbook(book, count);
      console.log(`\n${count} rows of ten columns, ${(statSync(book).size / 1e6).toFixed(1)} MB`);
      console.log('               cpu s  wall s  peak MB  resident MB over time');
      const show = (name: string, { cpu, wall, peak, curve }: Measured) =>
        console.log(
          `${name.padEnd(14)} ${cpu.toFixed(2).padStart(5)} ${wall.toFixed(2).padStart(7)} ${megabytes(peak).padStart(8)}  ${curve.map(megabytes).join(' ')}`,
        );
      const peer =
        count <= PEER_UP_TO
          ? await measure(() =>
              fork(step, ['exceljs', book], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] }),
            )
          : null;
      if (peer) show('exceljs', peer);
      const out = openSync('/dev/null', 'w');
      const ours: [string, () => ChildProcess][] = ['inspect', 'convert'].map((command) => [
        command,
        () => spawn(process.execPath, [cli, command, book], { stdio: ['ignore', out, 'inherit'] }),
      ]);
      for (const [name, start] of ours) {
        const measured = await measure(start);
        show(name, measured);
        if (measured.peak > BAR.peak)
          missed.push(`${count} rows, ${name}: ${megabytes(measured.peak)} MB resident`);
        if (!peer) continue;
        const times = (value: 'cpu' | 'wall') => peer[value] / measured[value];
        console.log(
          `${''.padEnd(14)} ${times('cpu').toFixed(1)} x exceljs by processor time, ${times('wall').toFixed(1)} x by the clock`,
        );
        if (times('wall') < BAR.timesPeer)
          missed.push(`${count} rows, ${name}: ${times('wall').toFixed(1)} x exceljs`);
      }
      closeSync(out);
    }
    console.log(missed.length === 0 ? '\nAll bars are reached.' : `\nMissed:\n${missed.join('\n')}`);
    if (missed.length > 0) process.exitCode = 1;
  } finally {
    await rm(folder, { recursive: true });
  }
}

async function measure(start: () => ChildProcess): Promise<Measured> {
  const began = performance.now();
  const child = start();
  const samples: number[] = [];
  let cpu = 0;
  const timer = setInterval(() => {
    const tree = [child.pid!, ...childrenOf(child.pid!)];
    samples.push(tree.reduce((sum, pid) => sum + residentOf(pid), 0));
    cpu = Math.max(
      cpu,
      ticksOf(child.pid!, true) + childrenOf(child.pid!).reduce((sum, pid) => sum + ticksOf(pid, false), 0),
    );
  }, SAMPLE_MS);
  const [code] = (await once(child, 'close')) as [number | null];
  clearInterval(timer);
  if (code !== 0) throw new Error(`It ended with exit code ${code}.`);
  const curve = Array.from(
    { length: CURVE_POINTS },
    (_, point) => samples[Math.floor(((point + 0.5) * samples.length) / CURVE_POINTS)] ?? 0,
  );
  return {
    wall: (performance.now() - began) / 1000,
    cpu: cpu / TICKS,
    peak: samples.reduce((most, sample) => Math.max(most, sample), 0),
    curve,
  };
}

function childrenOf(pid: number): number[] {
  return read(`/proc/${pid}/task/${pid}/children`).split(' ').filter(Boolean).map(Number);
}

function residentOf(pid: number): number {
  return Number(/^VmRSS:\s+(\d+) kB/mu.exec(read(`/proc/${pid}/status`))?.[1] ?? 0) * 1024;
}

/** Of a process, with those of its children that have ended where asked for. */
function ticksOf(pid: number, withEnded: boolean): number {
  const fields = read(`/proc/${pid}/stat`).split(') ')[1]?.split(' ') ?? [];
  const [user, system, endedUser, endedSystem] = fields.slice(11, 15).map(Number);
  if (system === undefined) return 0;
  return user! + system + (withEnded ? endedUser! + endedSystem! : 0);
}

/** '' where the process has gone. */
function read(path: string): string {
  try {
    return readFileSync(path, 'latin1').trim();
  } catch {
    return '';
  }
}

function megabytes(bytes: number): string {
  return (bytes / 1e6).toFixed(0);
}
