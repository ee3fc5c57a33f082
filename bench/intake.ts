import { fork } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { detectEncoding } from '../intake/encoding.ts';
import { encodeAs } from '../test/encode.ts';
import { ENCODED_TEXTS } from '../test/encoded-texts.ts';
import { writeLinesFile, writeQuotedFile } from './intake-files.ts';
import type { StepReport } from './intake-step.ts';
import { writeProductsFile } from './products-file.ts';
import { writeProductsWorkbook } from './xlsx-file.ts';

interface Bar {
  /** MB of the file for a second of processor time. */
  rate?: number;
  /** Times as fast as exceljs. */
  timesPeer?: number;
  /** Peak resident MB. */
  peak?: number;
}

/** They take seconds, in which their compiling does not count. */
const PEERS = new Set(['csv-parse', 'papaparse', 'udsv', 'exceljs', 'JSON.parse']);
/** Larger workbooks are not given to exceljs: 200,000 rows take it 15 s. */
const PEER_ROWS = 200_000;

/**
 * How fast files are read, and how large the reader grows, beside other readers in the same run. Every line is a process
 * of its own, as a worker's lives long: ours reads the file so many times, and the best counts; the first is shown too.
 */
export async function benchIntake({ rows, runs }: { rows: number; runs: number }): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'waybill-bench-intake-'));
  const path = (name: string) => join(folder, name);
  const missed: string[] = [];
  try {
    await writeProductsFile(path('products.csv'), rows);
    await writeQuotedFile(path('quoted.csv'), rows);
    await writeLinesFile(path('products.ndjson'), rows);
    const group = async (title: string, file: string, steps: [step: string, bar?: Bar][]) => {
      console.log(
        `\n${title}\n${'step'.padEnd(40)}  MB/s a core  first   MB/s   rows/s  cpu s  wall s  peak MB  bars`,
      );
      const reports = new Map<string, StepReport>();
      for (const [step, bar] of steps) {
        const report = await runStep(step, file, PEERS.has(step) ? 1 : runs);
        reports.set(step, report);
        const misses = judge(report, bar, reports.get('exceljs'));
        console.log(`${line(step, report)}  ${bar ? misses.join('; ') || 'met' : ''}`);
        for (const miss of misses) missed.push(`${title}: ${step}: ${miss}`);
      }
    };
    await group(`five columns, ${rows} rows`, path('products.csv'), [
      ['sha256 + UTF-8 check'],
      ['inspect', { rate: 300 }],
      ['parse'],
      ['parse + map + validate + COPY', { rate: 120 }],
      ['csv-parse'],
      ['papaparse'],
      ['udsv'],
    ]);
    await group(`every field quoted, keys outside ASCII, value maps, ${rows} rows`, path('quoted.csv'), [
      ['inspect', { rate: 300 }],
      ['parse'],
      ['parse + map + validate + COPY, quoted', { rate: 40 }],
      ['csv-parse'],
      ['papaparse'],
      ['udsv'],
    ]);
    await group(`lines of JSON, ${rows} rows`, path('products.ndjson'), [['inspect'], ['JSON.parse']]);
    for (const count of [Math.min(PEER_ROWS, rows), ...(rows > PEER_ROWS ? [rows] : [])]) {
      const book = path(`book-${count}.xlsx`);
      await writeProductsWorkbook(book, count);
      await group(`workbook of ten columns, ${count} rows`, book, [
        ...(count <= PEER_ROWS ? [['exceljs'] as [string]] : []),
        ['inspect', { timesPeer: 2, peak: 200 }],
      ]);
    }
    await benchEncodings(path('text'));
    console.log(missed.length === 0 ? '\nAll bars are reached.' : `\nMissed:\n${missed.join('\n')}`);
    if (missed.length > 0) process.exitCode = 1;
  } finally {
    await rm(folder, { recursive: true });
  }
}

function line(step: string, { rows, bytes, wall, cpu, first, peak }: StepReport): string {
  const mb = bytes / 1e6;
  const cells = [mb / cpu, mb / wall, rows / wall, cpu, wall, peak / 1e6];
  const [core, rate, perSecond, ...rest] = cells.map((cell, index) =>
    cell.toFixed(index === 3 || index === 4 ? 2 : 0),
  );
  return `${step.padEnd(40)}  ${core!.padStart(11)}  ${(mb / first).toFixed(0).padStart(5)}  ${rate!.padStart(5)}  ${perSecond!.padStart(7)}  ${rest[0]!.padStart(5)}  ${rest[1]!.padStart(6)}  ${rest[2]!.padStart(7)}`;
}

function judge(
  { bytes, cpu, peak }: StepReport,
  bar: Bar | undefined,
  peer: StepReport | undefined,
): string[] {
  if (!bar) return [];
  const missed: string[] = [];
  const rate = bytes / 1e6 / cpu;
  if (bar.rate && rate < bar.rate)
    missed.push(
      `missed by ${percent(rate / bar.rate - 1)}: ${rate.toFixed(0)} MB/s a core, the bar is ${bar.rate}`,
    );
  if (bar.peak && peak > bar.peak * 1e6)
    missed.push(
      `missed by ${percent(peak / 1e6 / bar.peak - 1)}: ${(peak / 1e6).toFixed(0)} MB resident, the bar is ${bar.peak}`,
    );
  if (bar.timesPeer && peer && peer.cpu / cpu < bar.timesPeer)
    missed.push(
      `missed: ${(peer.cpu / cpu).toFixed(1)} times as fast as exceljs, the bar is ${bar.timesPeer}`,
    );
  return missed;
}

const percent = (share: number) => `${Math.abs(share * 100).toFixed(0)} %`;

function runStep(step: string, file: string, times: number): Promise<StepReport> {
  const child = fork(
    fileURLToPath(new URL('./intake-step.ts', import.meta.url)),
    [step, file, String(times)],
    {
      execArgv: ['--max-semi-space-size=4'],
    },
  );
  return new Promise((resolve, reject) => {
    let report: StepReport | null = null;
    child.on('message', (message) => (report = message as StepReport));
    child.on('close', (code) =>
      report ? resolve(report) : reject(new Error(`${step} ended with exit code ${code}.`)),
    );
  });
}

/** Short texts in many encodings: how many come out as they were, beside another detector. */
async function benchEncodings(path: string): Promise<void> {
  const peer = createRequire(import.meta.url)('jschardet') as {
    detect(bytes: Buffer, options: { minimumThreshold: number }): { encoding: string | null };
  };
  const named: Record<string, string> = { CP932: 'shift_jis', CP949: 'euc-kr', CP874: 'windows-874' };
  let ours = 0;
  let theirs = 0;
  for (const [encoding, text] of ENCODED_TEXTS) {
    const bytes = encodeAs(text, encoding);
    await writeFile(path, bytes);
    const read = (label: string) => {
      try {
        return new TextDecoder(label).decode(bytes) === text;
      } catch {
        return false;
      }
    };
    if (read((await detectEncoding(path)).encoding)) ours++;
    const found = peer.detect(bytes, { minimumThreshold: 0 }).encoding ?? '';
    if (read(named[found] ?? found)) theirs++;
  }
  console.log(`\nencodings of ${ENCODED_TEXTS.length} short texts: ${ours} read right, jschardet ${theirs}`);
}
