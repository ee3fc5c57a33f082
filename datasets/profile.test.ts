import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { Mapping } from '../intake/types.ts';
import { builtinDatasets } from './index.ts';
import { profileSchema } from './profile-schema.ts';
import { profileDocument, ProfileDocument, profileFaults, profileMapping } from './profile.ts';

const products = builtinDatasets.find(({ name }) => name === 'products')!;
const price = builtinDatasets.find(({ name }) => name === 'price_list')!;

const document: ProfileDocument = {
  waybillProfile: 1,
  dataset: 'products',
  name: 'nightly',
  version: 3,
  headers: ['Nr', 'Titel', 'Zusatz', 'Wert', 'Stand'],
  fields: {
    sku: { column: 'Nr', case: 'upper', trim: 'both' },
    name: { column: 'Titel', join: { columns: ['Zusatz'], separator: ' ' } },
    price: { column: 'Wert', format: { decimal: ',' }, nullWords: ['-'], empty: 'clear' },
    active: { column: 'Stand', values: { A: 'true', 有効: 'true', I: 'false' }, default: 'true' },
    quantity: { constant: '0' },
    description: null,
  },
  nullWords: ['n/a'],
  unknownColumns: 'refuse',
  duplicates: 'refuse',
  suggest: [{ field: 'name', from: 'sku' }],
  reading: { encoding: 'shift_jis', headerRow: 3 },
};

describe('a profile as a document', () => {
  it('says what its mapping says, and the other way round', () => {
    const mapping = profileMapping(document);
    expect(profileDocument({ dataset: 'products', name: 'nightly', version: 3, mapping })).toEqual(document);
    expect(mapping.fields.find(({ field }) => field === 'name')).toMatchObject({
      column: 1,
      header: 'Titel',
      join: { columns: [2], headers: ['Zusatz'] },
    });
    expect(mapping.unmappedColumns).toEqual([]);
  });

  it('is made of what a person settled, without what was only proposed', () => {
    const mapping: Mapping = {
      fields: [
        {
          field: 'sku',
          column: 1,
          header: 'Code',
          confidence: 0.96,
          reason: 'alias',
          why: 'so',
          candidates: [],
        },
        { field: 'name', column: null, confidence: 0, reason: 'unmapped' },
      ],
      unmappedColumns: [0],
      questions: [],
      headers: ['No', 'Code'],
    };
    expect(profileDocument({ dataset: 'products', name: 'x', mapping })).toEqual({
      waybillProfile: 1,
      dataset: 'products',
      name: 'x',
      headers: ['No', 'Code'],
      fields: { sku: { column: 'Code' }, name: null },
    });
  });

  it.each<[string, object]>([
    ['an unknown member', { ...document, colums: {} }],
    ['a column and a constant', { ...document, fields: { sku: { column: 'a', constant: 'b' } } }],
    [
      'a join without a column',
      { ...document, fields: { sku: { join: { columns: ['a'], separator: '' } } } },
    ],
    ['part 0', { ...document, fields: { sku: { column: 'a', split: { separator: '/', part: 0 } } } }],
    ['another version of the format', { ...document, waybillProfile: 2 }],
    ['a name that is no name', { ...document, name: '../x' }],
  ])('is refused with %s', (_, wrong) => {
    expect(ProfileDocument.safeParse(wrong).success).toBe(false);
  });

  it('its published schema is the one that is checked', () => {
    const published = JSON.parse(
      readFileSync(new URL('../docs/profile.schema.json', import.meta.url), 'utf8'),
    ) as object;
    expect(
      published,
      'node datasets/profile-schema.ts && npx prettier --write docs/profile.schema.json',
    ).toEqual(profileSchema());
  });
});

describe('what a dataset cannot mean', () => {
  const faults = (change: Partial<ProfileDocument>, dataset = products) =>
    profileFaults({ ...document, ...change }, dataset).map(({ path }) => path);

  it('nothing is wrong with a right one', () => expect(faults({})).toEqual([]));
  it.each<[string, Partial<ProfileDocument>, string[]]>([
    ['another dataset', { dataset: 'clients' }, ['dataset']],
    [
      'an unknown field',
      { fields: { ...document.fields, colour: { column: 'Zusatz' } } },
      ['fields.colour', 'fields.colour'],
    ],
    ['a required field left out', { fields: { ...document.fields, sku: null } }, ['fields.sku']],
    [
      'neither column nor constant',
      { fields: { ...document.fields, quantity: { trim: 'both' } } },
      ['fields.quantity'],
    ],
    [
      'a column that the header has not',
      { fields: { ...document.fields, quantity: { column: 'Menge' } } },
      ['fields.quantity'],
    ],
    [
      'a column for two fields',
      { fields: { ...document.fields, quantity: { column: 'Wert' } } },
      ['fields.quantity'],
    ],
    ['extras in a field that is fed', { unknownColumns: { keepIn: 'name' } }, ['unknownColumns']],
    ['extras in a number', { unknownColumns: { keepIn: 'quantity' } }, ['unknownColumns']],
    ['a proposal for no field', { suggest: [{ field: 'x', from: 'sku' }] }, ['suggest']],
  ])('%s', (_, change, expected) => expect(faults(change)).toEqual(expected));

  it('two fields may share a column of which each takes a part', () => {
    const part = (part: number) => ({ column: 'Nr', split: { separator: '/', part } });
    expect(faults({ fields: { sku: part(1), name: part(2) } })).toEqual([]);
  });

  it('a key of several fields cannot be found by others', () => {
    const change = { dataset: 'price_list', fields: {}, suggest: [], provisionalKey: ['price'] };
    expect(faults(change, price)).toEqual(['provisionalKey']);
  });
});
