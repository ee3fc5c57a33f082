import { fork, spawn, type ChildProcess } from 'node:child_process';
import { closeSync, openSync, statSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { measure, megabytes, type Measured } from './process-tree.ts';
import { writeProductsWorkbook } from './xlsx-file.ts';

const CURVE_POINTS = 16;
const PEER_UP_TO = 200_000;
const BAR = { timesPeer: 2, peak: 200e6 };

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
          ? await measure(
              () => fork(step, ['exceljs', book], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] }),
              CURVE_POINTS,
            )
          : null;
      if (peer) show('exceljs', peer);
      const out = openSync('/dev/null', 'w');
      const ours: [string, () => ChildProcess][] = ['inspect', 'convert'].map((command) => [
        command,
        () => spawn(process.execPath, [cli, command, book], { stdio: ['ignore', out, 'inherit'] }),
      ]);
      for (const [name, start] of ours) {
        const measured = await measure(start, CURVE_POINTS);
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
