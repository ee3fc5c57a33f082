import { createWriteStream } from 'node:fs';
import { once } from 'node:events';
import type { FieldRule } from '../intake/types.ts';

type Rule = Partial<FieldRule> & Pick<FieldRule, 'name' | 'type' | 'column'>;

const rule = (given: Rule): FieldRule => ({
  required: false,
  empty: 'keep',
  aliases: [],
  key: false,
  ...given,
});

/** What the five columns of `writeProductsFile` are checked by: the built-in data set's own rules. */
export const PRODUCT_RULES: FieldRule[] = [
  rule({ name: 'sku', type: 'text', column: 0, key: true, required: true, maxLength: 200 }),
  rule({ name: 'name', type: 'text', column: 1, required: true, maxLength: 500 }),
  rule({ name: 'description', type: 'text', column: 2 }),
  rule({ name: 'price', type: 'decimal', column: 3, precision: 18, scale: 4, format: { decimal: '.' } }),
  rule({ name: 'quantity', type: 'integer', column: 4, format: { decimal: '.' } }),
];

/** What the columns of `writeQuotedFile` are checked by: two of them by value maps. */
export const QUOTED_RULES: FieldRule[] = [
  rule({ name: 'sku', type: 'text', column: 0, key: true, required: true, maxLength: 200 }),
  rule({ name: 'name', type: 'text', column: 1, required: true, maxLength: 500 }),
  rule({
    name: 'status',
    type: 'text',
    column: 2,
    enum: ['active', 'inactive', 'ended'],
    values: { 有効: 'active', 無効: 'inactive', 終了: 'ended' },
  }),
  rule({ name: 'price', type: 'decimal', column: 3, precision: 18, scale: 4, format: { decimal: '.' } }),
  rule({ name: 'listed', type: 'boolean', column: 4, values: { 掲載: 'true', 非掲載: 'false' } }),
];

/** Every field in quotes, keys and words outside ASCII, one field in fifty with a doubled quote; about 100 bytes a row. */
export async function writeQuotedFile(path: string, rows: number): Promise<void> {
  await write(path, '"品番","商品名","状態","単価","掲載区分"\r\n', rows, (n) => {
    const name = n % 50 === 0 ? `ボルト ""特製"" ${n}` : `六角ボルト 長さ ${n % 900} ミリ 表面処理`;
    const status = n % 3 === 0 ? '有効' : n % 3 === 1 ? '無効' : '終了';
    return `"品${String(n).padStart(8, '0')}","${name}","${status}","${(n % 10_000) / 100}","${n % 2 ? '掲載' : '非掲載'}"\r\n`;
  });
}

/** The five columns as lines of JSON. */
export async function writeLinesFile(path: string, rows: number): Promise<void> {
  await write(path, '', rows, (n) => {
    const price = ((n % 10_000) / 100).toFixed(2);
    return `{"sku":"SKU${String(n).padStart(8, '0')}","name":"Product name ${n}","description":"A description of the product number ${n} which is long","price":${price},"quantity":${n % 1000}}\n`;
  });
}

async function write(path: string, head: string, rows: number, line: (n: number) => string): Promise<void> {
  const out = createWriteStream(path, { highWaterMark: 1 << 20 });
  let text = head;
  for (let n = 0; n < rows; n++) {
    text += line(n);
    if (text.length > 1 << 18) {
      if (!out.write(text)) await once(out, 'drain');
      text = '';
    }
  }
  out.end(text);
  await once(out, 'close');
}
