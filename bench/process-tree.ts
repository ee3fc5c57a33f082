import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';

/** Clock ticks a second, as /proc counts processor time. */
const TICKS = 100;
const SAMPLE_MS = 25;

export interface Measured {
  wall: number;
  cpu: number;
  peak: number;
  /** Resident bytes of all its processes, evenly over its time. */
  curve: number[];
  /** By how many bytes it grew from the second quarter of its time to the last one, by their means. */
  growth: number;
}

/** A command with the processes that it starts: processor time, and resident memory all the way. Needs /proc. */
export async function measure(start: () => ChildProcess, points: number): Promise<Measured> {
  const began = performance.now();
  const child = start();
  const samples: number[] = [];
  let cpu = 0;
  const timer = setInterval(() => {
    const children = childrenOf(child.pid!);
    samples.push([child.pid!, ...children].reduce((sum, pid) => sum + residentOf(pid), 0));
    const ticks = ticksOf(child.pid!, true) + children.reduce((sum, pid) => sum + ticksOf(pid, false), 0);
    cpu = Math.max(cpu, ticks);
  }, SAMPLE_MS);
  const [code] = (await once(child, 'close')) as [number | null];
  clearInterval(timer);
  if (code !== 0) throw new Error(`It ended with exit code ${code}.`);
  const at = (share: number) => Math.floor(share * samples.length);
  const mean = (from: number, to: number) => {
    const part = samples.slice(at(from), at(to));
    return part.reduce((sum, sample) => sum + sample, 0) / (part.length || 1);
  };
  return {
    wall: (performance.now() - began) / 1000,
    cpu: cpu / TICKS,
    peak: samples.reduce((most, sample) => Math.max(most, sample), 0),
    curve: Array.from({ length: points }, (_, point) => samples[at((point + 0.5) / points)] ?? 0),
    growth: mean(0.75, 0.98) - mean(0.25, 0.5),
  };
}

export const megabytes = (bytes: number): string => (bytes / 1e6).toFixed(0);

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
