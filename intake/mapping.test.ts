import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { builtinDatasets } from '../datasets/index.ts';
import { assign } from './assignment.ts';
import { checkMapping, proposeMapping, rulesFrom, withHeaders } from './mapping.ts';
import { alikeNames } from './mapping/match.ts';
import { normaliseName } from './names.ts';
import type { ColumnType, Manifest, ManifestColumn, Mapping } from './types.ts';

function manifestOf(headers: string[], types: ColumnType[] = [], sample: string[][] = []): Manifest {
  const columns: ManifestColumn[] = headers.map((name, index) => ({
    name,
    original: name,
    type: types[index] ?? 'text',
  }));
  return { columns, sample } as Partial<Manifest> as Manifest;
}

const fieldsOf = (dataset: string) => builtinDatasets.find(({ name }) => name === dataset)!.fields;
const pairs = (mapping: Mapping, headers: string[]) =>
  Object.fromEntries(
    mapping.fields.flatMap(({ field, column }) => (column === null ? [] : [[field, headers[column]]])),
  );

describe('names', () => {
  it.each([
    ['Product Name', 'product_name'],
    ['ＳＫＵ', 'sku'],
    ['Währung', 'wahrung'],
    ['productName', 'product name'],
    ['シリアル番号', 'しりある番号'],
    ['ﾒｰﾙｱﾄﾞﾚｽ', 'メールアドレス'],
    ['S/N', 'sn'],
  ])('%s and %s are one', (left, right) => {
    expect(normaliseName(left)).toBe(normaliseName(right));
  });

  it('keeps apart what voicing marks keep apart', () => {
    expect(normaliseName('ハード')).not.toBe(normaliseName('ハート'));
  });

  it('knows likely names from unlikely ones', () => {
    expect(alikeNames('Desciption', 'description')).toBeGreaterThanOrEqual(0.8);
    expect(alikeNames('qty in stock', 'quantity in stock')).toBeGreaterThanOrEqual(0.8);
    expect(alikeNames('colour', 'company')).toBeLessThan(0.55);
    expect(alikeNames('cost', 'code')).toBeLessThan(0.8);
  });
});

describe('assignment', () => {
  it('is the best in total, found by trying all', () => {
    const best = (weights: number[][], used: number[] = []): number => {
      const row = used.length;
      if (row === weights.length) return 0;
      return Math.max(
        best(weights, [...used, -1]),
        ...weights[row]!.map((weight, column) =>
          used.includes(column) ? -1 : weight + best(weights, [...used, column]),
        ),
      );
    };
    const weights = fc.integer({ min: 1, max: 5 }).chain((columns) =>
      fc.array(fc.array(fc.integer({ min: 0, max: 9 }), { minLength: columns, maxLength: columns }), {
        minLength: 1,
        maxLength: 4,
      }),
    );
    fc.assert(
      fc.property(weights, (table) => {
        const chosen = assign(table);
        const taken = chosen.filter((column) => column >= 0);
        expect(new Set(taken).size).toBe(taken.length);
        expect(chosen.reduce((sum, column, row) => sum + (column < 0 ? 0 : table[row]![column]!), 0)).toBe(
          best(table),
        );
      }),
    );
  });
});

describe('proposals', () => {
  it.each<[string, string[], Record<string, string>]>([
    [
      'products',
      ['sku', 'name', 'description', 'price', 'quantity'],
      { sku: 'sku', name: 'name', description: 'description', price: 'price', quantity: 'quantity' },
    ],
    [
      'products',
      ['商品コード', '商品名', '単価', '在庫数', '備考'],
      { sku: '商品コード', name: '商品名', price: '単価', quantity: '在庫数', description: '備考' },
    ],
    [
      'products',
      ['Kode Barang', 'Nama Barang', 'Harga', 'Stok', 'Keterangan'],
      {
        sku: 'Kode Barang',
        name: 'Nama Barang',
        price: 'Harga',
        quantity: 'Stok',
        description: 'Keterangan',
      },
    ],
    [
      'products',
      ['Artikel-Nr.', 'Bezeichnung', 'Preis', 'Bestand'],
      { sku: 'Artikel-Nr.', name: 'Bezeichnung', price: 'Preis', quantity: 'Bestand' },
    ],
    [
      'products',
      ['Item No.', 'Prod. Name', 'Unit Price', 'Qty', 'Colour', 'Brand'],
      { sku: 'Item No.', name: 'Prod. Name', price: 'Unit Price', quantity: 'Qty' },
    ],
    [
      'opening_stock',
      ['SN', 'kode item', 'jumlah'],
      { serial_number: 'SN', item_code: 'kode item', qty: 'jumlah' },
    ],
    [
      'opening_stock',
      ['製造番号', '品番', '数量', '倉庫'],
      { serial_number: '製造番号', item_code: '品番', qty: '数量' },
    ],
    [
      'clients',
      ['E-Mail-Adresse', 'Firma', 'Ansprechpartner', 'Telefon', 'Status', 'PLZ'],
      {
        email: 'E-Mail-Adresse',
        company: 'Firma',
        contact_name: 'Ansprechpartner',
        phone: 'Telefon',
        status: 'Status',
      },
    ],
    [
      'clients',
      ['会社名', '担当者名', 'メールアドレス', '電話番号'],
      { company: '会社名', contact_name: '担当者名', email: 'メールアドレス', phone: '電話番号' },
    ],
    [
      'price_list',
      ['item_code', 'currency', 'valid_from', 'valid_to', 'price'],
      { item_code: 'item_code', currency: 'currency', valid_from: 'valid_from', price: 'price' },
    ],
    [
      'price_list',
      ['kode barang', 'mata uang', 'berlaku dari', 'harga'],
      { item_code: 'kode barang', currency: 'mata uang', valid_from: 'berlaku dari', price: 'harga' },
    ],
  ])('%s: %j', (dataset, headers, expected) => {
    const mapping = proposeMapping(manifestOf(headers), fieldsOf(dataset));
    expect(pairs(mapping, headers)).toEqual(expected);
    expect(mapping.questions).toEqual([]);
    expect(mapping.unmappedColumns.map((column) => headers[column])).toEqual(
      headers.filter((header) => !Object.values(expected).includes(header)),
    );
  });

  it('prefer the certain column to the likely one, wherever they stand', () => {
    for (const headers of [
      ['sku', 'Prise', 'price'],
      ['sku', 'price', 'Prise'],
    ]) {
      expect(pairs(proposeMapping(manifestOf(headers), fieldsOf('products')), headers)).toEqual({
        sku: 'sku',
        price: 'price',
      });
    }
  });

  it('ask about a required field that is missing or in doubt', () => {
    expect(proposeMapping(manifestOf(['price', 'colour']), fieldsOf('products')).questions).toMatchObject([
      { field: 'sku', code: 'unmapped' },
    ]);
    const doubtful = proposeMapping(manifestOf(['sku', 'Prce']), fieldsOf('products'));
    expect(doubtful.questions).toMatchObject([{ field: 'price', code: 'doubtful' }]);
  });

  it('go by content where the name says nothing', () => {
    const mapping = proposeMapping(
      manifestOf(['column_1', 'company'], ['email', 'text'], [['a@b.co', 'x']]),
      fieldsOf('clients'),
    );
    expect(mapping.fields[0]).toMatchObject({ field: 'email', column: 0, reason: 'content' });
    expect(mapping.questions).toMatchObject([{ field: 'email', code: 'doubtful' }]);
  });

  it('do not feed a switch from words that are none', () => {
    const sample = [
      ['A', 'shipped'],
      ['B', 'packed'],
    ];
    const mapping = proposeMapping(
      manifestOf(['sku', 'status'], ['text', 'text'], sample),
      fieldsOf('products'),
    );
    expect(mapping.fields.find(({ field }) => field === 'active')).toMatchObject({ column: null });
    const yes = proposeMapping(
      manifestOf(['sku', 'status'], ['text', 'boolean'], [['A', 'yes']]),
      fieldsOf('products'),
    );
    expect(yes.fields.find(({ field }) => field === 'active')).toMatchObject({ column: 1 });
  });

  it('ask how numbers are written although words stand between them', () => {
    const manifest = manifestOf(['sku', 'price'], ['text', 'text']);
    manifest.columns[1]!.mostly = 'decimal';
    expect(proposeMapping(manifest, fieldsOf('products')).questions).toMatchObject([
      { field: 'price', code: 'ambiguous_format' },
    ]);
    manifest.columns[1]!.format = { decimal: ',' };
    const mapping = proposeMapping(manifest, fieldsOf('products'));
    expect(mapping.questions).toEqual([]);
    expect(mapping.fields.find(({ field }) => field === 'price')!.format).toEqual({ decimal: ',' });
  });

  it('ask how dates are written where the column can be read in two ways', () => {
    const manifest = manifestOf(
      ['item_code', 'currency', 'valid_from', 'price'],
      ['text', 'text', 'date', 'decimal'],
    );
    manifest.columns[3]!.format = { decimal: ',' };
    const mapping = proposeMapping(manifest, fieldsOf('price_list'));
    expect(mapping.questions).toMatchObject([{ field: 'valid_from', code: 'ambiguous_format' }]);
    expect(mapping.fields.find(({ field }) => field === 'price')!.format).toEqual({ decimal: ',' });
  });

  it('keep what was confirmed, wherever the columns have moved to', () => {
    const before = manifestOf(['Ref', 'Wert', 'sku'], ['text', 'decimal', 'text']);
    const settled = withHeaders(
      {
        fields: [
          { field: 'sku', column: 0, confidence: 1, reason: 'confirmed' },
          { field: 'price', column: 1, format: { decimal: ',' }, confidence: 1, reason: 'confirmed' },
        ],
        unmappedColumns: [2],
        questions: [],
      },
      before.columns,
    );
    const headers = ['sku', 'Wert', 'Ref'];
    const mapping = proposeMapping(
      manifestOf(headers, ['text', 'decimal', 'text']),
      fieldsOf('products'),
      settled,
    );
    expect(pairs(mapping, headers)).toEqual({ sku: 'Ref', price: 'Wert' });
    expect(mapping.fields.find(({ field }) => field === 'price')).toMatchObject({
      reason: 'confirmed',
      format: { decimal: ',' },
    });
    expect(mapping.questions).toEqual([]);
  });
});

describe('rules', () => {
  it('are made of what the file carries or a constant fills, and of nothing else', () => {
    const mapping = proposeMapping(manifestOf(['sku', 'price']), fieldsOf('products'));
    mapping.fields.find(({ field }) => field === 'active')!.constant = 'yes';
    const rules = rulesFrom(mapping, fieldsOf('products'), ['sku']);
    expect(rules.map(({ name, column, constant, key }) => [name, column, constant, key])).toEqual([
      ['sku', 0, undefined, true],
      ['price', 1, undefined, false],
      ['active', null, 'yes', false],
    ]);
  });
});

describe('checks', () => {
  const mapped = (field: string, column: number | null, constant?: string) => ({
    field,
    column,
    constant,
    confidence: 1,
    reason: 'confirmed' as const,
  });
  it.each<[string, ReturnType<typeof mapped>[], string[]]>([
    ['nothing', [mapped('sku', 0), mapped('price', 1)], []],
    ['an unknown field', [mapped('sku', 0), mapped('weight', 1)], ['unknown_field']],
    ['a column that is not there', [mapped('sku', 2)], ['unknown_column']],
    ['a column used twice', [mapped('sku', 0), mapped('name', 0)], ['column_twice']],
    ['a field mapped twice', [mapped('sku', 0), mapped('sku', 1)], ['field_twice']],
    ['a required field left out', [mapped('price', 0)], ['required_unmapped']],
    ['a required field with a fixed value', [mapped('sku', null, 'X')], []],
  ])('find %s', (_, fields, expected) => {
    const issues = checkMapping({ fields }, fieldsOf('products'), 2);
    expect(issues.map(({ code }) => code)).toEqual(expected);
    for (const { message } of issues) expect(message).toMatch(/[.)]$/u);
  });
});
