import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { parse, type Options } from 'csv-parse/sync';
import { convertCommand } from '../cli/convert.ts';
import { inspectCommand } from '../cli/inspect.ts';

/**
 * `npm run bench -- corpus`: inspects and converts every file of the public collections of broken CSV files, as the
 * command line does, and scores what came out against what should have. `WAYBILL_CORPUS` names the folder; each
 * collection in it is a folder with `csv/` and `clean/` (Pollock) or `csv/` and `json/` (csv-test-data).
 */
export async function benchCorpus(): Promise<void> {
  const root = process.env.WAYBILL_CORPUS ?? '../shared/data';
  if (!existsSync(root)) {
    console.log(
      `corpus: skipped, there is no folder ${root}. Set WAYBILL_CORPUS to one that holds csv-test-data or pollock.`,
    );
    return;
  }
  const folder = mkdtempSync(join(tmpdir(), 'waybill-corpus-'));
  try {
    for (const name of readdirSync(root).filter((entry) => existsSync(join(root, entry, 'csv')))) {
      const collection = join(root, name);
      if (existsSync(join(collection, 'clean'))) await scorePolluted(name, collection, folder);
      else if (existsSync(join(collection, 'json'))) await scoreSmall(name, collection, folder);
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
}

interface Converted {
  code: number;
  records: string[][];
  rejects: { line: number; code: string; raw: string | null; suggestion: string[] | null }[];
  repaired: string[][];
  warnings: string[];
  headerRow: number | null;
  delimiter: string | null;
  quote: string | null;
  message: string;
}

async function convertFile(path: string, folder: string): Promise<Converted> {
  const rejectsPath = join(folder, 'rejects.ndjson');
  const inspected = await run(inspectCommand, [path, '--json']);
  const converted = await run(convertCommand, [path, '--rejects', rejectsPath]);
  if (inspected.code !== converted.code) throw new Error(`inspect and convert disagree about ${path}.`);
  if (converted.code !== 0) {
    const nothing = {
      records: [],
      rejects: [],
      repaired: [],
      warnings: [],
      headerRow: null,
      delimiter: null,
      quote: null,
    };
    return { code: converted.code, message: converted.stderr.trim(), ...nothing };
  }
  const repaired = await run(convertCommand, [
    path,
    '--repair',
    '--rejects',
    join(folder, 'unrepaired.ndjson'),
  ]);
  const report = JSON.parse(inspected.stdout) as Pick<Converted, 'headerRow' | 'delimiter' | 'quote'> & {
    warnings: { code: string }[];
  };
  return {
    code: 0,
    message: '',
    records: rfc4180(converted.stdout),
    rejects: readFileSync(rejectsPath, 'utf8')
      .split('\n')
      .slice(0, -1)
      .map((line) => JSON.parse(line) as Converted['rejects'][number]),
    repaired: rfc4180(repaired.stdout),
    warnings: report.warnings.map(({ code }) => code),
    headerRow: report.headerRow,
    delimiter: report.delimiter,
    quote: report.quote,
  };
}

type Verdict = 'exact' | 'contained' | 'miss';

/** Pollock: `clean/F` holds the records of `csv/F` as they were before it was polluted. */
async function scorePolluted(name: string, collection: string, folder: string): Promise<void> {
  const tally: Record<Verdict, number> = { exact: 0, contained: 0, miss: 0 };
  const peers = { strict: 0, relaxed: 0 };
  let repaired = 0;
  const misses: string[] = [];
  const files = readdirSync(join(collection, 'csv')).filter((file) =>
    existsSync(join(collection, 'clean', file)),
  );
  for (const file of files) {
    const path = join(collection, 'csv', file);
    const expected = rfc4180(readFileSync(join(collection, 'clean', file), 'utf8'));
    const found = await convertFile(path, folder);
    const [verdict, reason] = judge(expected, found, readFileSync(path, 'utf8'));
    tally[verdict]++;
    if (same(found.repaired, expected)) repaired++;
    if (verdict === 'miss') misses.push(`${file}: ${reason}`);
    const text = readFileSync(path);
    if (same(peer(text, {}), expected)) peers.strict++;
    if (same(peer(text, { relax_quotes: true, relax_column_count: true }), expected)) peers.relaxed++;
  }
  const good = tally.exact + tally.contained;
  console.log(`${name}: ${good} of ${files.length} files right`);
  console.log(
    `  exact ${tally.exact}; all but the polluted record, rejected with its line, ${tally.contained}`,
  );
  console.log(`  exact with convert --repair: ${repaired}`);
  console.log(`  csv-parse in the same run: exact ${peers.strict} strict, ${peers.relaxed} relaxed`);
  for (const miss of misses) console.log(`  miss ${miss}`);
}

/** Is everything that is well-formed there, exact and in its place, and the rest rejected with its line? */
function judge(expected: string[][], found: Converted, source: string): [Verdict, string] {
  if (expected.length === 0)
    return found.code === 2 ? ['exact', ''] : ['miss', 'expected to be refused as empty'];
  if (found.code !== 0) return ['miss', found.message];
  const { records } = found;
  if (same(records, expected)) return ['exact', ''];
  const [delimiter, quote] = [found.delimiter ?? ',', found.quote ?? '"'];
  const lines = source.split(/\r\n|\n|\r/u);
  const lost: number[] = [];
  let at = 0;
  for (let record = 0; record < expected.length; record++) {
    if (at < records.length && same([records[at]!], [expected[record]!])) at++;
    else lost.push(record);
  }
  if (at < records.length)
    return ['miss', `record ${at + 1} is not in the clean file: ${brief(records[at]!)}`];
  for (const record of lost) {
    const wanted = expected[record]!;
    const rejected = found.rejects.find(({ line }) => holds(lines[line - 1] ?? '', wanted));
    if (!rejected) return ['miss', `record ${record + 1} is neither there nor rejected: ${brief(wanted)}`];
    const line = Buffer.from(lines[rejected.line - 1]!);
    if (same(peer(line, { delimiter, quote, escape: quote }), [wanted]))
      return ['miss', `record ${record + 1} is well-formed, and rejected (${rejected.code})`];
  }
  return ['contained', ''];
}

/** A polluted line still holds the letters of its record. */
function holds(line: string, record: string[]): boolean {
  const letters = (text: string) => text.replace(/[^\p{L}\p{N}]/gu, '');
  return letters(line) === letters(record.join(''));
}

/** csv-test-data: valid files have their cells as JSON; in a bad one every record is right, literal or rejected. */
async function scoreSmall(name: string, collection: string, folder: string): Promise<void> {
  const files = readdirSync(join(collection, 'csv'));
  const misses: string[] = [];
  for (const file of files) {
    const path = join(collection, 'csv', file);
    const found = await convertFile(path, folder);
    const json = join(collection, 'json', file.replace(/\.csv$/u, '.json'));
    const reason = existsSync(json)
      ? judgeSmall(JSON.parse(readFileSync(json, 'utf8')) as unknown[], found)
      : judgeBad(file, found, statSync(path).size);
    if (reason) misses.push(`${file}: ${reason}`);
  }
  console.log(`${name}: ${files.length - misses.length} of ${files.length} files right`);
  for (const miss of misses) console.log(`  miss ${miss}`);
}

function judgeSmall(expected: unknown[], found: Converted): string | null {
  if (found.code !== 0) return found.message;
  const { records } = found;
  const header = expected.length === 0 || !Array.isArray(expected[0]);
  const cells = header
    ? expected.map((row) => Object.values(row as object) as string[])
    : (expected as string[][]);
  const wanted = header ? [records[0] ?? [], ...cells] : cells;
  if (header && found.headerRow !== 1) return 'its header was read as data';
  return same(records, wanted) && found.rejects.length === 0
    ? null
    : `came out as ${JSON.stringify(records)}`;
}

/** What may come of the bad files: the codes of rejected records, or the one record that a literal reading gives. */
const BAD: Record<string, { reject?: string; record?: string[] }> = {
  'bad-header-less-fields.csv': { reject: 'too_few_columns' },
  'bad-header-more-fields.csv': { reject: 'too_many_columns' },
  'bad-missing-quote.csv': { reject: 'unclosed_quote' },
  'bad-quotes-with-unescaped-quote.csv': { record: ['1', 'Hey, I missed " it', '3'] },
  'bad-unescaped-quote.csv': { record: ['1', 'This "quotes" must be escaped', '3'] },
  'bad-header-wrong-header.csv': { record: ['qux', 'quux', 'quuz'] },
};

function judgeBad(file: string, found: Converted, bytes: number): string | null {
  if (bytes <= 1) return found.code === 2 ? null : 'a file without content was not refused';
  const wanted = BAD[file];
  if (!wanted) return 'nobody said what is right for this file';
  const last = found.records.at(-1);
  const right = wanted.reject
    ? found.rejects.length === 1 && found.rejects[0]!.code === wanted.reject && found.records.length === 1
    : found.rejects.length === 0 && same([last ?? []], [wanted.record!]);
  return right ? null : `came out as ${JSON.stringify([found.records, found.rejects])}`;
}

function peer(text: Buffer, options: Options): string[][] {
  try {
    return parse(text, options) as string[][];
  } catch {
    return [];
  }
}

function rfc4180(text: string): string[][] {
  return parse(text, { relax_column_count: true, skip_empty_lines: false }) as string[][];
}

function same(one: string[][], other: string[][]): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}

function brief(record: string[]): string {
  const text = JSON.stringify(record);
  return text.length > 160 ? `${text.slice(0, 160)}…` : text;
}

async function run(
  command: (argv: string[], streams: { stdout: Writable; stderr: Writable }) => Promise<number>,
  argv: string[],
): Promise<{ code: number; stdout: string; stderr: string }> {
  const written = { stdout: [] as Buffer[], stderr: [] as Buffer[] };
  const stream = (name: 'stdout' | 'stderr') =>
    new Writable({
      decodeStrings: true,
      write(chunk: Buffer, _, done) {
        written[name].push(chunk);
        done();
      },
    });
  const code = await command(argv, { stdout: stream('stdout'), stderr: stream('stderr') });
  return {
    code,
    stdout: Buffer.concat(written.stdout).toString(),
    stderr: Buffer.concat(written.stderr).toString(),
  };
}
