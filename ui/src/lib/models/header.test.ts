import { describe, expect, it } from 'vitest';
import { guessDataset, headerOf } from './header.ts';

const bytes = (text: string) => new TextEncoder().encode(text);
const field = (name: string, required: boolean, aliases: string[] = [], ja = name) => ({
  name,
  required,
  aliases,
  title: { en: name, ja },
});
const datasets = [
  {
    name: 'products',
    fields: [field('sku', true, ['商品コード', 'item code']), field('name', true), field('price', false)],
  },
  {
    name: 'opening_stock',
    fields: [
      field('serial_number', true, ['serial no', 'sn']),
      field('item_code', true, ['kode item']),
      field('qty', true, ['jumlah']),
    ],
  },
];

describe('headerOf', () => {
  it('reads quotes, semicolons, a byte order mark and a preamble', () => {
    expect(headerOf(bytes('\uFEFFsku;"the; name";price\r\n1;2;3\r\n'))).toEqual([
      'sku',
      'the; name',
      'price',
    ]);
    expect(headerOf(bytes('Export of 3 May\n\nsku,name\n1,2\n'))).toEqual(['sku', 'name']);
  });
  it('reads Shift_JIS and UTF-16', () => {
    // 商品コード,名前 in Shift_JIS
    const sjis = Uint8Array.from([
      0x8f, 0xa4, 0x95, 0x69, 0x83, 0x52, 0x81, 0x5b, 0x83, 0x68, 0x2c, 0x96, 0xbc, 0x91, 0x4f, 0x0a,
    ]);
    expect(headerOf(sjis)).toEqual(['商品コード', '名前']);
    const utf16 = Uint8Array.from([0xff, 0xfe, ...[...'sku,qty\n'].flatMap((c) => [c.charCodeAt(0), 0])]);
    expect(headerOf(utf16)).toEqual(['sku', 'qty']);
  });
});

describe('guessDataset', () => {
  it('knows a dataset by its names in any language and spelling', () => {
    expect(guessDataset(['商品コード', 'NAME', 'Price'], datasets)).toEqual({
      dataset: 'products',
      known: 3,
      columns: 3,
    });
    expect(guessDataset(['Serial No.', 'Kode_Item', 'Jumlah'], datasets)?.dataset).toBe('opening_stock');
  });
  it('says nothing rather than something wrong', () => {
    expect(guessDataset(['colour', 'weight', 'height'], datasets)).toBeNull();
    expect(guessDataset(['a', 'b', 'c', 'd', 'price'], datasets)).toBeNull();
  });
});
