import { describe, expect, it } from 'vitest';
import { builtinDatasets } from '../../datasets/index.ts';
import { knownField, match } from './match.ts';
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
  ['found-later', 0.97],
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

  const latin =
    `supplier vendor old new previous reserved ordered minimum min total last expected billing shipping parent
    alternative other cost purchase returned planned target sold group type owner manager created end delivery order not
    non without net discount average competitor manufacturer Lieferanten alte Mindest Soll Gesamt letzte Rechnungs
    bestellte Hersteller nicht pemasok lama minimum tagihan dipesan beli modal tidak`.split(/\s+/u);
  const japanese = [
    '仕入先',
    '旧',
    '新',
    '最低',
    '合計',
    '請求先',
    '前回',
    '代替',
    '予定',
    '引当',
    '発注',
    'メーカー',
    '非',
    '無',
  ];

  it('one word more that it does not know makes of no name a fact', () => {
    const wrong: string[] = [];
    let turn = 0;
    for (const { fields } of builtinDatasets) {
      for (const spec of fields) {
        const field = knownField(spec);
        for (const name of [spec.name, ...spec.aliases, ...(spec.seconds ?? [])]) {
          const words = /[^\u0000-\u024F]/u.test(name) ? japanese : latin;
          // Each name with one of the words in turn: all of them with all take minutes, and were tried once.
          const word = words[turn++ % words.length]!;
          for (const header of [`${word} ${name}`, `${name} (${word})`]) {
            if (field.mayBe(header)) continue;
            const column = { name: header, original: header, type: 'text' as const };
            const found = match(field, column, { cells: [], codes: 0, prose: 0 }, () => true);
            if (found && found.confidence >= 0.8) wrong.push(`${header}: ${spec.name}, ${found.why}`);
          }
        }
      }
    }
    expect(wrong).toEqual([]);
  });
});
