import { createReadStream, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { createInterface } from 'node:readline';
import { join } from 'node:path';
import { createHash } from 'node:crypto';
import { isUtf8 } from 'node:buffer';
import { parse as csvParse } from 'csv-parse';
import ExcelJS from 'exceljs';
import { inferSchema, initParser } from 'udsv';
import { inspectFile } from '../intake/inspect.ts';
import { parseSegment, scanSegment } from '../intake/parse-segment.ts';
import { readChunks } from '../intake/read-chunks.ts';
import type { Manifest } from '../intake/types.ts';
import { PRODUCT_RULES, QUOTED_RULES } from './intake-files.ts';

/** One step of the bench in a process of its own: what it costs and how large it grows is this process's alone. */

export interface StepReport {
  rows: number;
  bytes: number;
  /** Seconds by the clock, and of processor time over all threads, children included where there are any. */
  wall: number;
  cpu: number;
  /** Processor seconds of the first time: with the compiler at work. */
  first: number;
  /** Peak resident bytes of this process, or of a child of it if that is more. */
  peak: number;
}

const [step, path, times] = process.argv.slice(2) as [string, string, string?];
const folder = mkdtempSync(join(tmpdir(), 'waybill-bench-'));
const spool = { rawPath: path, canonicalPath: join(folder, 'canonical'), rawIsSource: true };
const read = () => readChunks(path);
const inspect = () => inspectFile({ source: read(), spool, fileName: path, options: {} });

const STEPS: Record<string, () => Promise<number>> = {
  async inspect() {
    const manifest = await inspect();
    return manifest.rows + manifest.rejected;
  },
  async 'sha256 + UTF-8 check'() {
    const hash = createHash('sha256');
    let bytes = 0;
    for await (const chunk of read()) {
      hash.update(chunk);
      isUtf8(chunk);
      bytes += chunk.length;
    }
    hash.digest();
    return bytes > 0 ? 0 : -1;
  },
  async 'csv-parse'() {
    let rows = -1;
    for await (const _ of createReadStream(path).pipe(csvParse({ columns: false }))) rows++;
    return rows;
  },
  async 'JSON.parse'() {
    let rows = 0;
    for await (const text of createInterface({ input: createReadStream(path) })) if (JSON.parse(text)) rows++;
    return rows;
  },
  papaparse() {
    const papa = createRequire(import.meta.url)('papaparse') as Papa;
    return new Promise((resolve, reject) => {
      let rows = -1;
      papa.parse(createReadStream(path), {
        chunk: ({ data }) => (rows += data.length),
        complete: () => resolve(rows),
        error: reject,
      });
    });
  },
  async udsv() {
    let rows = 0;
    let parser: ReturnType<typeof initParser> | null = null;
    const decoder = new TextDecoder();
    const count = () => void rows++;
    for await (const chunk of read()) {
      const text = decoder.decode(chunk, { stream: true });
      parser ??= initParser(inferSchema(text));
      parser.chunk<string[]>(text, parser.stringArrs, count);
    }
    parser?.end();
    return rows;
  },
  async exceljs() {
    let rows = 0;
    const book = new ExcelJS.stream.xlsx.WorkbookReader(path, {
      sharedStrings: 'cache',
      styles: 'ignore',
      worksheets: 'emit',
    });
    for await (const sheet of book) for await (const row of sheet) if (row.values) rows++;
    return rows - 1;
  },
};

interface Papa {
  parse(
    source: NodeJS.ReadableStream,
    options: { chunk(result: { data: unknown[] }): void; complete(): void; error(error: Error): void },
  ): void;
}

/** The steps behind inspection: what it found is no part of what they cost. */
const BEHIND: Record<string, (manifest: Manifest) => number> = {
  parse(manifest) {
    let rows = 0;
    for (const segment of manifest.segments) for (const _ of scanSegment(jobOf(manifest, segment))) rows++;
    return rows;
  },
  'parse + map + validate + COPY': (manifest) => load(manifest, PRODUCT_RULES),
  'parse + map + validate + COPY, quoted': (manifest) => load(manifest, QUOTED_RULES),
};

function jobOf(manifest: Manifest, segment: Manifest['segments'][number]) {
  const { columns, canonicalDialect: dialect } = manifest;
  return { path, segment, dialect, columns };
}

function load(manifest: Manifest, rules: typeof PRODUCT_RULES): number {
  let rows = 0;
  for (const segment of manifest.segments) {
    const chunks = parseSegment({ ...jobOf(manifest, segment), rules });
    for (;;) {
      const next = chunks.next();
      if (!next.done) continue;
      const { accepted, rejected, blocked } = next.value;
      if (blocked > 0 || rejected > 0)
        throw new Error(`${blocked + rejected} records of the bench are not good.`);
      rows += accepted;
      break;
    }
  }
  return rows;
}

let childPeak = 0;

/** The reader of workbooks is a process of its own. Linux only: elsewhere only this process is seen. */
function lookAtChildren(): void {
  try {
    const children = readFileSync(`/proc/self/task/${process.pid}/children`, 'latin1');
    for (const pid of children.trim().split(' ')) {
      const status = readFileSync(`/proc/${pid}/status`, 'latin1');
      childPeak = Math.max(childPeak, Number(/^VmHWM:\s+(\d+) kB/mu.exec(status)?.[1] ?? 0) * 1024);
    }
  } catch {
    // Ended in between, or there are none.
  }
}

/** Processor time of children that have ended, in the kernel's hundredths. */
function childSeconds(): number {
  try {
    const fields = readFileSync('/proc/self/stat', 'latin1').split(') ')[1]!.split(' ');
    return (Number(fields[13]) + Number(fields[14])) / 100;
  } catch {
    return 0;
  }
}

try {
  const behind = BEHIND[step];
  const manifest = behind ? await inspect() : null;
  const watch = setInterval(lookAtChildren, 20);
  const runs: Pick<StepReport, 'rows' | 'wall' | 'cpu'>[] = [];
  for (let time = 0; time < Number(times ?? 1); time++) {
    const from = process.cpuUsage();
    const ended = childSeconds();
    const started = performance.now();
    const rows = behind ? behind(manifest!) : await STEPS[step]!();
    const wall = (performance.now() - started) / 1000;
    const { user, system } = process.cpuUsage(from);
    runs.push({ rows, wall, cpu: (user + system) / 1e6 + childSeconds() - ended });
  }
  clearInterval(watch);
  const best = runs.reduce((least, run) => (run.cpu < least.cpu ? run : least));
  const report: StepReport = {
    ...best,
    first: runs[0]!.cpu,
    bytes: statSync(path).size,
    peak: Math.max(process.resourceUsage().maxRSS * 1024, childPeak),
  };
  process.send?.(report);
} finally {
  rmSync(folder, { recursive: true });
}
