import { describe, expect, it } from 'vitest';
import type { Dataset, Mapping } from '../client/index.ts';
import {
  asksOf,
  carriedOver,
  confirmed,
  faults,
  fieldOfColumn,
  profileNameFrom,
  proposed,
  sameReading,
  withColumn,
  withConstant,
  withFormat,
  withOption,
  withType,
  withWord,
  wordsSeen,
} from './mapping.ts';

const dataset = {
  fields: [
    { name: 'sku', required: true, key: true },
    { name: 'price', required: true, key: false },
    { name: 'note', required: false, key: false },
  ],
} as unknown as Dataset;
const mapping: Mapping = {
  fields: [
    { field: 'sku', column: 0, header: 'Artikel', confidence: 1, reason: 'exact', why: 'x', candidates: [] },
    { field: 'price', column: null, confidence: 0, reason: 'unmapped' },
    {
      field: 'note',
      column: 2,
      values: { x: 'y' },
      format: { date: 'DMY' },
      confidence: 0.7,
      reason: 'similar',
    },
  ],
  unmappedColumns: [1],
  questions: [],
};
const choices = proposed(mapping);

describe('faults', () => {
  it('asks for required fields and refuses a column for two fields', () => {
    expect(faults(choices, dataset)).toEqual([{ code: 'missing', field: 'price' }]);
    expect(faults({ ...choices, price: withColumn(choices['price']!, 2) }, dataset)).toEqual([
      { code: 'twice', column: 2 },
    ]);
    expect(faults({ ...choices, price: withColumn(choices['price']!, 1) }, dataset)).toEqual([]);
  });

  it('takes a fixed value for a column, but not an empty one', () => {
    const constant = (text: string) => ({ ...choices, price: withConstant(choices['price']!, text) });
    expect(faults(constant('0'), dataset)).toEqual([]);
    expect(faults(constant(' '), dataset)).toEqual([{ code: 'missing', field: 'price' }]);
  });

  it('lets two fields share a column that is split', () => {
    const split = { separator: ' ', part: 1 };
    const shared = {
      sku: { ...choices['sku']!, split },
      price: { ...withColumn(choices['price']!, 0), split },
    };
    expect(faults({ ...choices, ...shared }, dataset)).toEqual([]);
  });
});

describe('confirmed', () => {
  it('keeps what was known of a column that stays and drops it for one that changes', () => {
    expect(confirmed(choices)).toEqual([
      { field: 'sku', column: 0 },
      { field: 'price', column: null },
      { field: 'note', column: 2, format: { date: 'DMY' }, values: { x: 'y' } },
    ]);
    expect(confirmed({ note: withColumn(choices['note']!, 1) })).toEqual([{ field: 'note', column: 1 }]);
  });

  it('carries a pattern of dates once there is one', () => {
    const note = withFormat(choices['note']!, { date: undefined, pattern: '' });
    const sent = (choice: typeof note) => JSON.parse(JSON.stringify(confirmed({ note: choice })));
    expect(sent(note)[0].format).toEqual({});
    expect(sent(withFormat(note, { pattern: ' dd.MM.yyyy ' }))[0].format).toEqual({ pattern: 'dd.MM.yyyy' });
  });

  it('carries words, formats and fixed values', () => {
    const note = withWord(withFormat(withColumn(choices['note']!, 1), { date: 'MDY' }), 'ja', 'true');
    expect(confirmed({ note, price: withConstant(choices['price']!, '5') })).toEqual([
      { field: 'note', column: 1, format: { date: 'MDY' }, values: { ja: 'true' } },
      { field: 'price', column: null, constant: '5' },
    ]);
    expect(withWord(note, 'ja', null).values).toEqual({});
  });
});

describe('carriedOver', () => {
  it('finds a chosen column by its name in another reading, and falls back where it is gone', () => {
    const chosen = {
      ...choices,
      price: withColumn(choices['price']!, 1),
      note: withColumn(choices['note']!, 0),
    };
    const now = { mapping, columns: [{ name: 'B' }, { name: 'C' }, { name: 'D' }] } as never;
    const carried = carriedOver(chosen, [{ name: 'A' }, { name: 'B' }, { name: 'C' }], now);
    expect(carried['price']).toMatchObject({ column: 0, changed: true });
    expect(carried['note']).toMatchObject({ column: 2, changed: false });
  });
});

it('knows which field a column fills', () => {
  expect(fieldOfColumn(choices, 2)).toBe('note');
  expect(fieldOfColumn(choices, 1)).toBeNull();
});

it('tells readings apart by what was said, not by what is left to detection', () => {
  const said = withOption({}, 'encoding', 'shift_jis');
  expect(sameReading(said, { encoding: 'shift_jis' })).toBe(true);
  expect(sameReading(withOption(said, 'encoding', undefined), {})).toBe(true);
  expect(sameReading(withOption(said, 'header_row', 0), said)).toBe(false);
});

it.each([
  ['Catalogue Nov 2026.csv', 'catalogue'],
  ['müller-preise_v2.csv.gz', 'muller-preise'],
  ['2026-11-23 stock.xlsx', 'stock'],
  ['新商品.csv', ''],
])('%s is kept as %s', (file, name) => {
  expect(profileNameFrom(file)).toBe(name);
});

describe('asksOf', () => {
  const shown = {
    mapping: { ...mapping, questions: [{ field: 'note', code: 'doubtful' as const, message: '' }] },
    readings: [
      {
        field: 'note',
        text: '01/02/2026',
        readings: [{ format: { date: 'DMY' as const }, value: '2026-02-01' }],
      },
    ],
  };
  const words = { note: [{ value: 'weg', count: 3 }] };
  const codes = (chosen: typeof choices) =>
    [...asksOf(shown, chosen, words, dataset)].map(([field, open]) => [field, open.map(({ code }) => code)]);

  it('lists what is missing, doubtful, not understood, and can be read in two ways', () => {
    const note = { ...choices['note']!, format: undefined };
    expect(codes({ ...choices, note })).toEqual([
      ['price', ['missing']],
      ['note', ['doubtful', 'ambiguous', 'words']],
    ]);
  });

  it('is silent where the person has said it', () => {
    const price = withConstant(choices['price']!, '1');
    for (const format of [{ date: 'DMY' as const }, { date: undefined, pattern: 'dd.MM.yy' }]) {
      const note = withWord(withFormat(choices['note']!, format), 'weg', '');
      expect(codes({ ...choices, price, note })).toEqual([]);
    }
  });
});

it('keeps the words that were seen, with the counts of the whole file where there are some', () => {
  const unmappedValues = [{ value: 'weg', count: 900, suggestion: 'false' }];
  const whole = { ...mapping, valuesOf: 'file' as const };
  whole.fields = mapping.fields.map((field) =>
    field.field === 'note' ? { ...field, unmappedValues } : field,
  );
  const seen = wordsSeen(
    {},
    { mapping: whole, unknown: [{ field: 'note', values: [{ value: 'weg', count: 2 }] }] },
  );
  expect(seen).toEqual({ note: unmappedValues });
  expect(wordsSeen(seen, { mapping, unknown: [] })).toEqual(seen);
  // A later look at the beginning takes nothing from it.
  expect(
    wordsSeen(seen, { mapping, unknown: [{ field: 'note', values: [{ value: 'weg', count: 2 }] }] }),
  ).toEqual(seen);
});

it('says the type of a column, and takes it back', () => {
  const said = withType({ encoding: 'utf-8' }, 'A', 'text');
  expect(said).toEqual({ encoding: 'utf-8', types: { A: 'text' } });
  expect(withType(said, 'A', null)).toEqual({ encoding: 'utf-8' });
  expect(sameReading(said, { encoding: 'utf-8' })).toBe(false);
});
