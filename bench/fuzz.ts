import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { inspectFile } from '../intake/inspect.ts';
import { scanSegment } from '../intake/parse-segment.ts';
import { rawCells, suggestedCells } from '../intake/rejections.ts';
import { OK, recordTexts } from '../intake/scan.ts';
import { FileError } from '../intake/types.ts';

interface FuzzRun {
  seed: number;
  rounds: number;
}

interface FuzzResult {
  read: number;
  refused: number;
  records: number;
  slowestMs: number;
  /** Resident memory at the end over that after the first rounds, in MiB. */
  grownMiB: number;
}

const SLOW_MS = 10_000;
const WARM_UP = 100;

/**
 * Mutated files through inspection and reading: no crash, no file that takes for ever, no two opinions about how many
 * records there are, no record that is lost or in two segments. A failure names the seed and the round, and keeps the
 * file; the same seed makes the same files.
 */
export async function fuzz({ seed, rounds }: FuzzRun): Promise<FuzzResult> {
  const random = generator(seed);
  const folder = mkdtempSync(join(tmpdir(), 'waybill-fuzz-'));
  const result: FuzzResult = { read: 0, refused: 0, records: 0, slowestMs: 0, grownMiB: 0 };
  let warm = process.memoryUsage.rss();
  for (let round = 0; round < rounds; round++) {
    const bytes = mutated(random);
    const settings = {
      size: 1 + random(random(2) ? 50 : 100_000),
      limits: {
        segmentBytes: 1 + random(random(2) ? 100 : 100_000),
        maxRecordBytes: [50, 5000, 1 << 20][random(3)]!,
      },
    };
    const began = performance.now();
    try {
      const records = await readThrough(bytes, settings, folder);
      result.records += records;
      result.read++;
    } catch (error) {
      if (!(error instanceof FileError)) {
        const kept = join(tmpdir(), `waybill-fuzz-${seed}-${round}.bin`);
        writeFileSync(kept, bytes);
        throw new Error(
          `Round ${round} of seed ${seed} failed (${JSON.stringify(settings)}); the file is kept as ${kept}.`,
          {
            cause: error,
          },
        );
      }
      result.refused++;
    }
    const took = performance.now() - began;
    result.slowestMs = Math.max(result.slowestMs, took);
    if (took > SLOW_MS) throw new Error(`Round ${round} of seed ${seed} took ${Math.round(took)} ms.`);
    if (round === WARM_UP) warm = process.memoryUsage.rss();
  }
  rmSync(folder, { recursive: true });
  result.grownMiB = Math.round((process.memoryUsage.rss() - warm) / 1024 ** 2);
  return result;
}

interface Settings {
  size: number;
  limits: { segmentBytes: number; maxRecordBytes: number };
}

async function readThrough(bytes: Buffer, { size, limits }: Settings, folder: string): Promise<number> {
  const spool = { rawPath: join(folder, 'raw'), canonicalPath: join(folder, 'canonical') };
  const source = (async function* () {
    for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
  })();
  const manifest = await inspectFile({ source, spool, fileName: 'fuzz.csv', options: {}, limits });
  const { columns, canonicalDialect: dialect, maxRecordBytes, segments } = manifest;
  const path = manifest.canonical === 'raw' ? spool.rawPath : spool.canonicalPath;
  let record = 1;
  let end = segments[0]?.start ?? 0;
  let offset = -1;
  for (const segment of segments) {
    same([segment.start, segment.firstRecord], [end, record], 'segments tile the file');
    end = segment.end;
    const counts = { accepted: 0, rejected: 0 };
    for (const scanner of scanSegment({ path, segment, dialect, columns, maxRecordBytes })) {
      if (scanner.offset <= offset) throw new Error('A record was read twice.');
      offset = scanner.offset;
      record++;
      if (scanner.status === OK) {
        counts.accepted++;
        same(recordTexts(scanner, dialect).length, columns.length, 'an accepted record has all columns');
      } else {
        counts.rejected++;
        rawCells(scanner, dialect);
        const cells = suggestedCells(scanner, columns, dialect);
        if (cells) same(cells.length, columns.length, 'a repaired record has all columns');
      }
    }
    same(counts, { accepted: segment.accepted, rejected: segment.rejected }, 'inspection and reading agree');
  }
  same(record - 1, manifest.rows + manifest.rejected, 'every record is counted');
  return record - 1;
}

function same(found: unknown, expected: unknown, what: string): void {
  const [left, right] = [JSON.stringify(found), JSON.stringify(expected)];
  if (left !== right) throw new Error(`Not so: ${what} (${left}, expected ${right}).`);
}

const SEEDS = [
  `sku,name,price\nA1,"Bolt, long",1.50\nA2,"5"" pipe",2\nA3,Nut,3.25\n`,
  `Report\n\nsku;name;price\r\nA1;"multi\r\nline";1,50\r\nA2;x;2,75\r\nTotal;;4,25\r\n`,
  `id\tname\n1\t"open\n2\tx y\n3\t5" z\n4\t"ok"\n`,
  `a||b||c\n1||2||3\n4||||6\n`,
  `Name        Qty   Price\nBolt M8     10    1.50\nNut         5     0.20\n`,
  `# remark\na|'b c'|d\n1|'x|y'|3\n# another\n4|'it\\'s'|6\n`,
  `sep=^\na^b\n1^2\n3^4\n`,
  `a,b,c\n1,2,3\n4,5,6\n\nTable 2\na,b,c,d\n1,2,3,4\n5,6,7,8\n`,
  `商品コード,商品名,価格\nA1,能力,100\nA2,ソフト,200\n`,
  `[{"a":1,"b":"x"},{"a":2,"b":"y"}]\n`,
  `\uFEFFone column\nx\n\ny, z\n`,
].map((text) => Buffer.from(text));
const PIECES = [
  ...[
    '"',
    "'",
    '""',
    '\\"',
    ',',
    ';',
    '\t',
    '|',
    '||',
    '\n',
    '\r\n',
    '\r',
    '\n\n',
    '\0',
    '\\',
    '#',
    ' ',
    '  ',
    '\uFEFF',
  ],
  ...[
    'Total',
    '日本',
    '\u{1F600}',
    '=1+1',
    '\x1F',
    '\x1b$B',
    'sep=;\n',
    '"\n"',
    '",',
    ',"',
    '-',
    '1e5',
    '00123',
  ],
].map((text) => Buffer.from(text));
const RAW = [Buffer.from([0xff]), Buffer.from([0xc3]), Buffer.from([0xe6, 0x97]), Buffer.from([0x83, 0x5c])];

type Random = (below: number) => number;

function mutated(random: Random): Buffer {
  let bytes = SEEDS[random(SEEDS.length)]!;
  if (random(3) === 0) bytes = Buffer.concat(Array.from({ length: 1 + random(400) }, () => bytes));
  for (let mutations = random(12); mutations > 0; mutations--) {
    const at = random(bytes.length + 1);
    const until = Math.min(bytes.length, at + random(random(4) ? 8 : 300));
    const [before, middle, after] = [bytes.subarray(0, at), bytes.subarray(at, until), bytes.subarray(until)];
    const piece = random(8) ? PIECES[random(PIECES.length)]! : RAW[random(RAW.length)]!;
    switch (random(7)) {
      case 0:
        bytes = Buffer.concat([before, after]);
        break;
      case 1:
        bytes = Buffer.concat([before, middle, middle, after]);
        break;
      case 2:
        bytes = Buffer.concat([before, SEEDS[random(SEEDS.length)]!, middle, after]);
        break;
      case 3:
        bytes = Buffer.concat([before, ...Array.from({ length: random(200) }, () => piece), middle, after]);
        break;
      default:
        bytes = Buffer.concat([before, piece, middle, after]);
    }
  }
  if (bytes.length === 0) return Buffer.from('\n');
  if (random(15) === 0) bytes = Buffer.from(bytes.toString(), 'utf16le');
  return random(25) === 0 ? gzipSync(bytes) : bytes;
}

/** Numbers that are the same for the same seed (mulberry32). */
function generator(seed: number): Random {
  let state = seed >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}
