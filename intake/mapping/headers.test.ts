import { describe, expect, it } from 'vitest';
import { builtinDatasets } from '../../datasets/index.ts';
import { headerRows, score, shown } from './headers.fixture.ts';

const fieldsOf = (dataset: string) => builtinDatasets.find(({ name }) => name === dataset)!.fields;

/** Least recall: a question where there was an answer costs a person's minute; a wrong fact is never allowed. */
const TABLES: [string, number][] = [
  ['products', 0.97],
  ['clients', 0.97],
  ['opening_stock', 0.97],
  ['price_list', 0.96],
  // Not tuned for: exports of programs, and headers found in other people's code.
  ['exports', 0.92],
  ['found', 0.97],
];

describe('headers of the world', () => {
  it.each(TABLES)('%s: nothing wrong above the threshold', (table, recall) => {
    const rows = headerRows(table);
    const result = score(rows, fieldsOf);
    console.log(`${table}: ${shown(result)}`);
    expect(result.wrong).toEqual([]);
    expect(result.found / result.expected, result.missed.join('\n')).toBeGreaterThanOrEqual(recall);
  });

  it('has 60 and more for each dataset, in four languages', () => {
    for (const dataset of ['products', 'clients', 'opening_stock', 'price_list']) {
      const rows = headerRows(dataset);
      expect(rows.length).toBeGreaterThanOrEqual(60);
      expect([...new Set(rows.map(({ label }) => label))].sort()).toEqual(['de', 'en', 'id', 'ja']);
    }
  });

  it('finds what it is made to find: with every likeness taken for a fact there are wrong ones', () => {
    expect(score(headerRows('exports'), fieldsOf, 0.3).wrong.length).toBeGreaterThan(0);
  });
});
