import { parseArgs } from 'node:util';
import { benchFairness } from './fairness.ts';
import { benchCurve } from './curve.ts';
import { benchCorpus } from './corpus.ts';
import { fuzz } from './fuzz.ts';
import { benchIntake } from './intake.ts';
import { benchLineage } from './lineage.ts';
import { benchLoad } from './load.ts';
import { benchXlsx } from './xlsx.ts';

const DEFAULT_ROWS = '100000,1000000';
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    rows: { type: 'string', default: DEFAULT_ROWS },
    runs: { type: 'string', default: '3' },
    large: { type: 'boolean', default: false },
    imports: { type: 'string', default: '1000' },
    gigabytes: { type: 'string', default: '3' },
    seed: { type: 'string' },
    rounds: { type: 'string', default: '2000' },
  },
});

switch (positionals[0] ?? 'load') {
  case 'load':
    await benchLoad({
      rows: values.rows.split(',').map(Number),
      runs: Number(values.runs),
      large: values.large,
    });
    break;
  case 'fairness':
    await benchFairness();
    break;
  case 'corpus':
    await benchCorpus();
    break;
  case 'curve':
    await benchCurve({
      csvBytes: Number(values.gigabytes) * 1e9,
      bookRows: Number(values.rows.split(',').at(-1)),
    });
    break;
  case 'fuzz': {
    const run = { seed: Number(values.seed ?? Date.now() % 1_000_000), rounds: Number(values.rounds) };
    console.log(`fuzz: ${run.rounds} files of seed ${run.seed}`);
    console.log(await fuzz(run));
    break;
  }
  case 'intake':
    await benchIntake({ rows: Number(values.rows.split(',').at(-1)), runs: Number(values.runs) });
    break;
  case 'lineage':
    await benchLineage({
      imports: Number(values.imports),
      rows: Number(values.rows === DEFAULT_ROWS ? 10_000 : values.rows),
    });
    break;
  case 'xlsx':
    await benchXlsx(values.rows === DEFAULT_ROWS ? [200_000, 1_000_000] : values.rows.split(',').map(Number));
    break;
  default:
    console.error(
      `There is no bench named ${positionals[0]}. There is: corpus, curve, fairness, fuzz, intake, lineage, load, xlsx.`,
    );
    process.exitCode = 2;
}
