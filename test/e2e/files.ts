/** Files that the browser tests and the screenshots import; made here so that their counts are known. */
import ExcelJS from 'exceljs';
import { EICAR } from '../clamd.ts';

export interface TestFile {
  name: string;
  mimeType: string;
  buffer: Buffer;
}

function csv(name: string, lines: string[]): TestFile {
  return { name, mimeType: 'text/csv', buffer: Buffer.from(lines.join('\n') + '\n') };
}

const nouns = ['Kettle', 'Lamp', 'Desk', 'Chair', 'Shelf', 'Mug', 'Tray', 'Clock', 'Basket', 'Mirror'];
const makers = ['Aoyama', 'Borg', 'Castell', 'Dunmore', 'Eriksen', 'Fujita', 'Garnier'];

/** `count` products; each `brokenEvery`-th has a price that is no number. `round` changes the prices. */
export function products(
  name: string,
  count: number,
  options: { brokenEvery?: number; round?: number; prefix?: string } = {},
): TestFile {
  const { brokenEvery = 0, round = 0, prefix = 'SKU' } = options;
  const lines = ['sku,name,description,price,quantity'];
  for (let i = 1; i <= count; i += 1) {
    const broken = brokenEvery > 0 && i % brokenEvery === 0;
    const label = `${makers[i % makers.length]} ${nouns[i % nouns.length]}`;
    const price = broken ? 'on request' : (5 + ((i * 37 + round * 11) % 9000) / 100).toFixed(2);
    lines.push(
      `${prefix}-${String(i).padStart(7, '0')},${label},"${label}, boxed, colour ${i % 12}",${price},${(i * 7) % 400}`,
    );
  }
  return csv(name, lines);
}

/** A header that leaves a required field open: the run asks for a mapping. */
export function unclear(name: string): TestFile {
  const lines = ['Dings,Was es ist,Betrag,Lager'];
  for (let i = 1; i <= 40; i += 1)
    lines.push(`A-${1000 + i},${nouns[i % nouns.length]},${(i * 1.5).toFixed(2)},${i}`);
  return csv(name, lines);
}

export function japanese(name: string): TestFile {
  const lines = ['商品コード,商品名,価格,数量'];
  const words = ['湯呑み', '急須', '座布団', '風呂敷', '箸置き'];
  for (let i = 1; i <= 60; i += 1)
    lines.push(`JP-${1000 + i},${words[i % words.length]},${i * 120},${i % 9}`);
  return csv(name, lines);
}

/**
 * From a source that nobody knows: Polish letters in a single byte each, too few of them to be recognised, a key under
 * a name of its own, words of its own for yes and no.
 */
export function oldMill(name: string, from: number): TestFile {
  const lines = ['Dings,Was es ist,Betrag,Da'];
  for (let i = from; i < from + 30; i += 1)
    lines.push(
      `M-${i},${i === from ? 'Lampe \u00a3\u00f3d\u009f' : 'Lampe'},${i}.50,${i % 3 ? 'da' : 'weg'}`,
    );
  return { name, mimeType: 'text/csv', buffer: Buffer.from(`${lines.join('\n')}\n`, 'latin1') };
}

/** Every day is one of the first twelve of its month: day first or month first, nothing tells. */
export function eitherDate(name: string): TestFile {
  const lines = ['item_code,currency,valid_from,price'];
  for (let i = 1; i <= 20; i += 1)
    lines.push(`P-${i},EUR,0${(i % 9) + 1}/0${((i * 2) % 9) + 1}/2026,${i}.25`);
  return csv(name, lines);
}

/** Two sheets with rows; the one that is meant is the second, below a title. */
export async function twoSheets(name: string): Promise<TestFile> {
  const book = new ExcelJS.Workbook();
  book.addWorksheet('Read me').addRows([['Please look at the sheet Prices'], ['Thank you']]);
  const prices = book.addWorksheet('Prices');
  prices.addRows([['Spring 2026'], [], ['SKU', 'Name', 'Price', 'Quantity']]);
  for (let i = 1; i <= 25; i += 1) prices.addRow([`S-${i}`, nouns[i % nouns.length], i * 1.25, i]);
  return {
    name,
    mimeType: 'application/vnd.openxmlformats-officedocument.spreadsheetml.sheet',
    buffer: Buffer.from(await book.xlsx.writeBuffer()),
  };
}

/** What every virus scanner takes for a virus, and is none. */
export const infected = (name: string): TestFile => csv(name, ['sku,name', `V-1,${EICAR}`]);
