import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { builtinDatasets } from '../../datasets/index.ts';
import { profileMapping, type ProfileDocument } from '../../datasets/profile.ts';
import { proposeMapping, rulesFrom, thresholdFrom, withHeaders } from '../mapping.ts';
import { previewRows } from '../preview.ts';
import type { CellRules, ColumnType, Manifest, Mapping } from '../types.ts';
import { compileCells } from './cells.ts';
import { countInFile, unmappedTally } from './unmapped-values.ts';

const folder = mkdtempSync(join(tmpdir(), 'intake-profile-'));
afterAll(() => rmSync(folder, { recursive: true }));

const dataset = (name: string) => builtinDatasets.find((one) => one.name === name)!;

function manifestOf(headers: string[], rows: string[][], types: ColumnType[] = []): Manifest {
  const columns = headers.map((name, index) => ({
    name,
    original: name,
    type: types[index] ?? 'text',
    format: { decimal: '.' },
  }));
  return { columns, sample: rows } as Partial<Manifest> as Manifest;
}

const profile = (document: Partial<ProfileDocument>): Mapping =>
  profileMapping({
    waybillProfile: 1,
    dataset: 'products',
    name: 'p',
    fields: {},
    ...document,
  } as ProfileDocument);

describe('cells', () => {
  it.each<[string, CellRules, string, string[], string]>([
    ['values, the very text first', { values: { a: '1', A: '2' } }, 'A', [], '2'],
    ['values, without case and width', { values: { Active: 'active' } }, ' ＡＣＴＩＶＥ ', [], 'active'],
    ['values, not where two would fit', { values: { ab: '1', AB: '2' } }, 'Ab', [], 'Ab'],
    ['values that are not known', { values: { a: 'b' } }, 'c', [], 'c'],
    ['values that mean nothing', { values: { none: '' } }, 'None', [], ''],
    ['null words', { nullWords: ['N/A', '-'] }, ' n/a ', [], ''],
    ['defaults', { default: 'EUR' }, '  ', [], 'EUR'],
    ['defaults behind null words', { nullWords: ['-'], default: 'EUR' }, '-', [], 'EUR'],
    ['case', { case: 'upper' }, 'ab-ß', [], 'AB-SS'],
    ['trimming', { trim: 'both' }, ' a  b ', [], 'a  b'],
    ['trimming inside', { trim: 'all' }, ' a \u3000 b ', [], 'a b'],
    ['the first part', { split: { separator: '/', part: 1 } }, 'A-1 / Bolt', [], 'A-1'],
    ['the last part', { split: { separator: '/', part: -1 } }, 'A-1 / Bolt', [], 'Bolt'],
    ['a part that is not there', { split: { separator: '/', part: 2 } }, 'A-1', [], ''],
    ['joined cells', { join: { columns: [1, 2], separator: ' ' } }, 'Anna', ['', 'Kern'], 'Anna Kern'],
  ])('%s', (_, rules, cell, joined, expected) => {
    expect(compileCells(rules)!(cell, joined)).toBe(expected);
  });

  it('leave the short way open where a profile says nothing of them', () => {
    expect(compileCells({ format: { decimal: '.' }, empty: 'clear', nullWords: [] })).toBeNull();
  });
});

describe('a file read with a profile', () => {
  function read(headers: string[], lines: string[], mapping: Mapping, name = 'products') {
    const path = join(folder, 'file.csv');
    const head = `${headers.join(',')}\n`;
    const text = `${head}${lines.join('\n')}\n`;
    writeFileSync(path, text);
    const columns = headers.map((header) => ({ name: header, original: header, type: 'text' as const }));
    const segment = {
      index: 0,
      start: Buffer.byteLength(head),
      end: Buffer.byteLength(text),
      firstRecord: 1,
      firstLine: 2,
      accepted: lines.length,
      rejected: 0,
    };
    const manifest = {
      columns,
      segments: [segment],
      sample: [],
      canonicalDialect: { delimiter: ',', quote: '"', escape: '"' },
      maxRecordBytes: 1e6,
    } as Partial<Manifest> as Manifest;
    const { fields, key } = dataset(name);
    const proposal = proposeMapping(manifest, fields, mapping);
    const rules = rulesFrom(proposal, fields, key.fields);
    return { proposal, names: rules.map((rule) => rule.name), rows: previewRows({ manifest, path }, rules) };
  }

  it('values, defaults, constants, null words, joins, splits and extras in one', () => {
    const { names, rows, proposal } = read(
      ['Code', 'First', 'Second', 'State', 'Both', 'Colour'],
      ['a-1,Big,Bolt,A,5/9.50,red', 'a-2,Nut,n/a,gone,,', 'a-3,n/a,,maybe,7/1,'],
      profile({
        nullWords: ['n/a'],
        unknownColumns: { keepIn: 'description' },
        fields: {
          sku: { column: 'Code', case: 'upper' },
          name: { column: 'First', join: { columns: ['Second'], separator: ' ' } },
          active: { column: 'State', values: { A: 'true', Gone: 'false' } },
          quantity: { column: 'Both', split: { separator: '/', part: 1 }, default: '0' },
          price: { column: 'Both', split: { separator: '/', part: 2 } },
          description: null,
        },
      }),
    );
    expect(proposal.questions).toMatchObject([]);
    const row = (at: number) =>
      rows[at]!.values && Object.fromEntries(names.map((name, n) => [name, rows[at]!.values![n]]));
    expect(row(0)).toEqual({
      sku: 'A-1',
      name: 'Big Bolt',
      active: 't',
      quantity: '5',
      price: '9.50',
      description: '{"Colour":"red"}',
    });
    expect(row(1)).toEqual({
      sku: 'A-2',
      name: 'Nut',
      active: 'f',
      quantity: '0',
      price: null,
      description: null,
    });
    expect(rows[2]!.values).toBeNull();
    expect(rows[2]!.issues).toMatchObject([{ code: 'not_boolean', field: 'active', value: 'maybe' }]);
  });

  it('what could fill an empty field is said and not done', () => {
    const { rows, names } = read(
      ['email', 'company', 'contact'],
      ['a@b.co,Acme,', 'c@d.co,,', 'e@f.co,Borg,Eve'],
      profile({
        dataset: 'clients',
        suggest: [{ field: 'contact_name', from: 'company' }],
        fields: {
          email: { column: 'email' },
          company: { column: 'company' },
          contact_name: { column: 'contact' },
        },
      }),
      'clients',
    );
    const contact = names.indexOf('contact_name');
    expect(rows.map(({ values }) => values![contact])).toEqual([null, null, 'Eve']);
    expect(rows.map(({ issues }) => issues)).toMatchObject([
      [{ code: 'may_be_filled', severity: 'warning', field: 'contact_name', suggestion: 'Acme' }],
      [],
      [],
    ]);
  });

  it('an empty cell means what the profile says', () => {
    const { rows } = read(
      ['sku', 'name'],
      ['A,'],
      profile({ fields: { sku: { column: 'sku' }, name: { column: 'name', empty: 'block' } } }),
    );
    expect(rows[0]!.issues).toMatchObject([{ code: 'required', field: 'name' }]);
  });
});

describe('a header that is not the one of the profile', () => {
  const made = profile({
    headers: ['Nr', 'Titel', 'Wert', 'Farbe'],
    fields: { sku: { column: 'Nr' }, name: { column: 'Titel' }, price: { column: 'Wert' }, quantity: null },
  });
  const propose = (headers: string[], mapping = made) =>
    proposeMapping(manifestOf(headers, []), dataset('products').fields, mapping);
  const pairs = ({ fields }: Mapping) =>
    Object.fromEntries(fields.flatMap(({ field, header }) => (header ? [[field, header]] : [])));

  it('moved columns are found by their names and stop nothing', () => {
    const mapping = propose(['Wert', 'Nr', 'Titel', 'Farbe']);
    expect(mapping.questions).toEqual([]);
    expect(pairs(mapping)).toEqual({ sku: 'Nr', name: 'Titel', price: 'Wert' });
    expect(mapping.drift).toMatchObject([{ kind: 'moved', header: 'Wert', stops: false }]);
  });

  it('a name written otherwise is the same name', () => {
    const mapping = propose(['NR', 'titel', 'Wert', 'Farbe']);
    expect(mapping.drift).toBeUndefined();
    expect(pairs(mapping)).toEqual({ sku: 'NR', name: 'titel', price: 'Wert' });
  });

  it('a column that is gone stops the run, however good another looks', () => {
    const mapping = propose(['Nr', 'Titel', 'price', 'Farbe']);
    expect(mapping.questions).toMatchObject([{ field: 'price', code: 'drift' }]);
    expect(mapping.drift).toMatchObject([
      { kind: 'renamed', header: 'Wert', now: 'price', field: 'price', stops: true },
    ]);
  });

  it('gone and new are told from renamed', () => {
    const mapping = propose(['Nr', 'Titel', 'Farbe', 'EAN']);
    expect(mapping.drift).toMatchObject([
      { kind: 'gone', header: 'Wert', field: 'price', stops: true },
      { kind: 'new', header: 'EAN', stops: false },
    ]);
    expect(mapping.fields.find(({ field }) => field === 'price')).toMatchObject({ column: null });
  });

  it('a column that fed nothing may go, and a new one is left out', () => {
    const mapping = propose(['Nr', 'Titel', 'Wert', 'stock']);
    expect(mapping.questions).toEqual([]);
    expect(mapping.fields.find(({ field }) => field === 'quantity')).toMatchObject({ column: null });
    expect(mapping.drift!.every(({ stops }) => !stops)).toBe(true);
  });

  it('a new column stops the run where the profile refuses unknown ones', () => {
    const strict = { ...made, rules: { unknownColumns: 'refuse' as const } };
    expect(propose(['Nr', 'Titel', 'Wert', 'Farbe', 'EAN'], strict).questions).toMatchObject([
      { field: '', code: 'unknown_column' },
    ]);
    expect(propose(['Nr', 'Titel', 'Wert', 'Farbe'], strict).questions).toEqual([]);
  });

  it('joined columns count too', () => {
    const joined = profile({
      headers: ['sku', 'a', 'b'],
      fields: { sku: { column: 'sku' }, name: { column: 'a', join: { columns: ['b'], separator: ' ' } } },
    });
    expect(propose(['sku', 'a', 'c'], joined).questions).toMatchObject([{ field: 'name', code: 'drift' }]);
    expect(propose(['b', 'sku', 'a'], joined).fields.find(({ field }) => field === 'name')).toMatchObject({
      column: 2,
      join: { columns: [0] },
    });
  });
});

describe('words that are not understood', () => {
  const rows = [...Array<string[]>(6).fill(['x', 'A']), ...Array<string[]>(2).fill(['y', 'I']), ['z', 'yes']];

  it('are counted, with what they may mean, and asked about', () => {
    const mapping = proposeMapping(manifestOf(['sku', 'active'], rows), dataset('products').fields);
    expect(mapping.fields.find(({ field }) => field === 'active')).toMatchObject({
      column: 1,
      unmappedValues: [
        { value: 'A', count: 6, suggestion: 'true' },
        { value: 'I', count: 2, suggestion: 'false' },
      ],
    });
    expect(mapping.questions).toMatchObject([{ field: 'active', code: 'unmapped_values' }]);
  });

  it('are no longer once they are mapped', () => {
    const mapping = proposeMapping(
      manifestOf(['sku', 'active'], rows),
      dataset('products').fields,
      profile({
        fields: { sku: { column: 'sku' }, active: { column: 'active', values: { a: 'true', i: 'false' } } },
      }),
    );
    expect(mapping.questions).toEqual([]);
    expect(mapping.fields.find(({ field }) => field === 'active')!.unmappedValues).toBeUndefined();
  });

  it('are no question where they are a slip', () => {
    const few = [...Array<string[]>(30).fill(['x', 'yes']), ['y', 'maybe']];
    const mapping = proposeMapping(manifestOf(['sku', 'active'], few), dataset('products').fields);
    expect(mapping.questions).toEqual([]);
    expect(mapping.fields.find(({ field }) => field === 'active')!.unmappedValues).toEqual([
      { value: 'maybe', count: 1 },
    ]);
  });
});

describe('words of a whole file', () => {
  it('are counted where the first rows did not show them, with splits and case left aside', async () => {
    const path = join(folder, 'words.csv');
    const lines = Array.from(
      { length: 5000 },
      (_, n) => `k${n},${n === 4321 ? 'seldom' : n % 5 === 0 ? 'A' : n % 5 === 1 ? '"I "' : 'yes'}`,
    );
    writeFileSync(path, `${lines.join('\n')}\n`);
    const { fields } = dataset('products');
    const manifest = {
      ...manifestOf(
        ['sku', 'active'],
        [
          ['k0', 'A'],
          ['k1', 'yes'],
        ],
      ),
      canonicalDialect: { delimiter: ',', quote: '"', escape: '"' },
      maxRecordBytes: 1e6,
      segments: [
        {
          index: 0,
          start: 0,
          end: Buffer.byteLength(lines.join('\n')) + 1,
          firstRecord: 1,
          firstLine: 1,
          accepted: 5000,
          rejected: 0,
        },
      ],
    };
    const proposal = proposeMapping(manifest, fields);
    expect(proposal.valuesOf).toBe('sample');
    const counted = await countInFile(proposal, { manifest, path, fields });
    expect(counted.valuesOf).toBe('file');
    expect(counted.fields.find(({ field }) => field === 'active')!.unmappedValues).toEqual([
      { value: 'A', count: 1000, suggestion: 'true' },
      { value: 'I', count: 999, suggestion: 'false' },
      { value: 'seldom', count: 1 },
    ]);
    // The first rows need not show a word for it to be counted.
    const plain = proposeMapping({ ...manifest, sample: [['k1', 'yes']] }, fields);
    expect(plain.fields.find(({ field }) => field === 'active')!.unmappedValues).toBeUndefined();
    const all = await countInFile(plain, { manifest, path, fields });
    expect(all.fields.find(({ field }) => field === 'active')!.unmappedValues).toHaveLength(3);
  });
});

describe('a column of very many words', () => {
  const words = (count: number, text: (n: number) => string) => {
    const tally = unmappedTally({ type: 'boolean' })!;
    for (let n = 0; n < count; n++) tally.add(text(n));
    tally.add(text(0));
    tally.add('yes');
    tally.add(' ');
    return tally;
  };

  it('lists the first thousand with exact counts, and counts the rest', () => {
    const tally = words(3000, (n) => `word ${n}`);
    expect(tally.result()).toHaveLength(1000);
    expect(tally.result()[0]).toEqual({ value: 'word 0', count: 2 });
    expect([tally.unlisted(), tally.filled()]).toEqual([2000, 3002]);
  });

  it('keeps no more than 64 K characters', () => {
    const tally = words(500, (n) => `${n} ${'x'.repeat(5000)}`);
    expect(tally.result().length).toBeLessThan(70);
    expect(tally.result().reduce((sum, { count }) => sum + count, 0) + tally.unlisted()).toBe(501);
  });
});

describe('the threshold', () => {
  it('is the deployment’s, and nothing odd', () => {
    expect(thresholdFrom({})).toBe(0.8);
    expect(thresholdFrom({ WAYBILL_MAPPING_THRESHOLD: '0.95' })).toBe(0.95);
    for (const wrong of ['', 'high', '0.4', '1.1'])
      expect(() => thresholdFrom({ WAYBILL_MAPPING_THRESHOLD: wrong })).toThrow(/WAYBILL_MAPPING_THRESHOLD/u);
  });

  it('decides what is a fact', () => {
    const manifest = manifestOf(['Artikelnummer', 'Preis'], []);
    const codes = (threshold: number) =>
      proposeMapping(manifest, dataset('products').fields, null, threshold).questions.map(
        ({ field, code }) => [field, code],
      );
    expect(codes(0.8)).toEqual([]);
    expect(codes(0.99)).toEqual([
      ['sku', 'doubtful'],
      ['price', 'doubtful'],
    ]);
  });
});

describe('two columns for one field', () => {
  const rows = [
    ['A-1', '9.50', '8.00'],
    ['A-2', '1.50', '1.00'],
  ];
  it('are asked about, both named', () => {
    const mapping = proposeMapping(
      manifestOf(['sku', 'List price', 'Sales price'], rows, ['text', 'decimal', 'decimal']),
      dataset('products').fields,
    );
    expect(mapping.questions).toMatchObject([{ field: 'price', code: 'several' }]);
    expect(mapping.questions[0]!.message).toMatch(/List price.*Sales price|Sales price.*List price/u);
    expect(
      mapping.fields
        .find(({ field }) => field === 'price')!
        .candidates!.map(({ header }) => header)
        .sort(),
    ).toEqual(['List price', 'Sales price']);
  });

  it('are one where their cells are the same', () => {
    const same = rows.map(([a, b]) => [a!, b!, b!]);
    const mapping = proposeMapping(
      manifestOf(['sku', 'List price', 'Sales price'], same, ['text', 'decimal', 'decimal']),
      dataset('products').fields,
    );
    expect(mapping.questions).toEqual([]);
  });
});

it('a settled mapping remembers the whole header, and what a person left out stays out', () => {
  const manifest = manifestOf(['sku', 'price'], []);
  const settled = withHeaders(
    {
      fields: [
        { field: 'sku', column: 0, confidence: 1, reason: 'confirmed' },
        { field: 'price', column: null, confidence: 1, reason: 'unmapped' },
      ],
      unmappedColumns: [1],
      questions: [],
    },
    manifest.columns,
  );
  expect(settled.headers).toEqual(['sku', 'price']);
  const again = proposeMapping(manifest, dataset('products').fields, settled);
  expect(again.fields.find(({ field }) => field === 'price')).toMatchObject({ column: null });
});
