import { createWriteStream } from 'node:fs';
import { once } from 'node:events';

/**
 * A catalogue of five columns, about 95 bytes a row, keys unique and in no order, every 50th description quoted with a
 * line break in it. The same arguments write the same file.
 * @param changed every so many-th price differs from the file without it; 0 for none.
 * @param apart the numbers in the keys lie so far apart: 20 spreads 1M rows over the keys of 20M.
 */
export async function writeProductsFile(path: string, rows: number, changed = 0, apart = 1): Promise<void> {
  const out = createWriteStream(path, { highWaterMark: 1 << 20 });
  let text = 'sku,name,description,price,quantity\n';
  // A step that shares no factor with the count visits every number once, far apart.
  const step = coprime(Math.floor(rows * 0.618_034), rows);
  for (let n = 0, at = 0; n < rows; n++, at = (at + step) % rows) {
    const price = (at % 10_000) / 100 + (changed > 0 && at % changed === 0 ? 1 : 0);
    const description =
      n % 50 === 0
        ? `"Quoted, with a comma and\na line break, product number ${at}"`
        : `A description of the product number ${at} which is long`;
    text += `SKU${String(at * apart).padStart(8, '0')},Product name ${at},${description},${price.toFixed(2)},${at % 1000}\n`;
    if (text.length > 1 << 18) {
      if (!out.write(text)) await once(out, 'drain');
      text = '';
    }
  }
  out.end(text);
  await once(out, 'close');
}

function coprime(from: number, to: number): number {
  const divisor = (a: number, b: number): number => (b === 0 ? a : divisor(b, a % b));
  for (let n = Math.max(1, from); ; n++) if (divisor(n, to) === 1) return n;
}
