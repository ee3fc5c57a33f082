import { describe, expect, it } from 'vitest';
import type { Dataset } from '../client/index.ts';
import { confirmed, faults, proposed, type Mapping } from './mapping.ts';

const dataset = {
  fields: [
    { name: 'sku', required: true, key: true },
    { name: 'price', required: true, key: false },
    { name: 'note', required: false, key: false },
  ],
} as unknown as Dataset;
const mapping: Mapping = {
  fields: [
    { field: 'sku', column: 0, confidence: 1, reason: 'exact' },
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

describe('faults', () => {
  it('asks for required fields and refuses a column for two fields', () => {
    const choices = proposed(mapping);
    expect(faults(choices, mapping, dataset)).toEqual([{ code: 'missing', field: 'price' }]);
    expect(faults({ ...choices, price: { column: 2 } }, mapping, dataset)).toEqual([
      { code: 'twice', column: 2 },
    ]);
    expect(faults({ ...choices, price: { column: 1 } }, mapping, dataset)).toEqual([]);
  });
});

describe('confirmed', () => {
  it('keeps what was known of a column that stays and drops it for one that changes', () => {
    const fields = confirmed({ ...proposed(mapping), price: { column: 1 } }, mapping);
    expect(fields[2]).toEqual({ field: 'note', column: 2, format: { date: 'DMY' }, values: { x: 'y' } });
    expect(confirmed({ ...proposed(mapping), note: { column: 1 } }, mapping)[2]).toEqual({
      field: 'note',
      column: 1,
    });
  });
});
