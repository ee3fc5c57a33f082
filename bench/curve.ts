import { spawn } from 'node:child_process';
import { closeSync, openSync, statSync } from 'node:fs';
import { mkdtemp, rm, statfs } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { measure, megabytes } from './process-tree.ts';
import { writeProductsFile } from './products-file.ts';
import { writeProductsWorkbook } from './xlsx-file.ts';

const POINTS = 24;
/** A row of `writeProductsFile`, with room to spare. */
const ROW_BYTES = 100;
const BAR = { peak: 200e6, growth: 10e6 };

/**
 * Large files through the real `inspect` and `convert`, in processes of their own: resident memory over time, which has
 * to stay flat. The files are written to a temporary folder and deleted at the end.
 */
export async function benchCurve({
  csvBytes,
  bookRows,
}: {
  csvBytes: number;
  bookRows: number;
}): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'waybill-bench-curve-'));
  const { bavail, bsize } = await statfs(folder);
  if (bavail * bsize < csvBytes * 1.5) {
    await rm(folder, { recursive: true });
    throw new Error(
      `There is too little room in ${tmpdir()}: ${megabytes(csvBytes * 1.5)} MB are needed. Free some, or name another folder in TMPDIR.`,
    );
  }
  const cli = fileURLToPath(new URL('../cli/waybill.mjs', import.meta.url));
  const out = openSync('/dev/null', 'w');
  const missed: string[] = [];
  try {
    const csv = join(folder, 'products.csv');
    await writeProductsFile(csv, Math.ceil(csvBytes / ROW_BYTES));
    const book = join(folder, 'products.xlsx');
    await writeProductsWorkbook(book, bookRows);
    for (const file of [csv, book]) {
      const size = statSync(file).size;
      console.log(`\n${file === csv ? 'CSV' : `workbook of ${bookRows} rows`}, ${megabytes(size)} MB`);
      console.log('              cpu s  wall s  peak MB  growth MB  resident MB over time');
      for (const command of ['inspect', 'convert']) {
        const start = () =>
          spawn(process.execPath, [cli, command, file], { stdio: ['ignore', out, 'inherit'] });
        const { cpu, wall, peak, growth, curve } = await measure(start, POINTS);
        console.log(
          `${command.padEnd(12)} ${cpu.toFixed(1).padStart(6)} ${wall.toFixed(1).padStart(7)} ${megabytes(peak).padStart(8)} ${megabytes(growth).padStart(10)}  ${curve.map(megabytes).join(' ')}`,
        );
        const what = `${file === csv ? 'CSV' : 'workbook'}, ${command}`;
        if (peak > BAR.peak)
          missed.push(`${what}: ${megabytes(peak)} MB resident, the bar is ${megabytes(BAR.peak)}`);
        // A workbook is unpacked, read and inspected one after another: its curve has steps.
        if (file === csv && growth > BAR.growth) missed.push(`${what}: grows by ${megabytes(growth)} MB`);
      }
    }
    console.log(missed.length === 0 ? '\nAll bars are reached.' : `\nMissed:\n${missed.join('\n')}`);
    if (missed.length > 0) process.exitCode = 1;
  } finally {
    closeSync(out);
    await rm(folder, { recursive: true });
  }
}
