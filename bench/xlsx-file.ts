import { DECLARATION, stylesXml, workbookParts, writeZip, type ZipPart } from '../intake/xlsx/zip.fixture.ts';

const NAMES = 5000;

/**
 * A price list of ten columns as Excel writes one: shared strings (a name in every row its own, two of few), whole
 * numbers, decimals, dates, booleans. Written as it is made: a million rows take no more memory than a thousand.
 */
export async function writeProductsWorkbook(path: string, rows: number): Promise<void> {
  const parts: ZipPart[] = workbookParts({
    sheets: { Products: sheet(rows) },
    strings: strings(rows),
    styles: stylesXml([0, 14]),
  });
  await writeZip(path, parts);
}

const HEADER = [
  'sku',
  'name',
  'category',
  'brand',
  'price',
  'cost',
  'quantity',
  'since',
  'active',
  'note',
] as const;
const MAIN = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"';

function* sheet(rows: number): Iterable<string> {
  yield `${DECLARATION}<worksheet ${MAIN}><dimension ref="A1:J${rows + 1}"/><sheetData><row r="1" spans="1:10">`;
  for (let column = 0; column < HEADER.length; column++)
    yield `<c r="${String.fromCharCode(65 + column)}1" t="s"><v>${column}</v></c>`;
  yield '</row>';
  let text = '';
  const own = HEADER.length + 2 * NAMES;
  for (let n = 0; n < rows; n++) {
    const r = n + 2;
    const cents = (n * 7919) % 1_000_000;
    text +=
      `<row r="${r}" spans="1:10"><c r="A${r}" t="s"><v>${own + 2 * n}</v></c><c r="B${r}" t="s"><v>${own + 2 * n + 1}</v></c>` +
      `<c r="C${r}" t="s"><v>${HEADER.length + ((n * 31) % NAMES)}</v></c><c r="D${r}" t="s"><v>${HEADER.length + NAMES + ((n * 17) % NAMES)}</v></c>` +
      `<c r="E${r}"><v>${cents / 100}</v></c><c r="F${r}"><v>${cents / 128}</v></c><c r="G${r}"><v>${n % 1000}</v></c>` +
      `<c r="H${r}" s="1"><v>${40_000 + (n % 5000)}</v></c><c r="I${r}" t="b"><v>${n & 1}</v></c><c r="J${r}" t="s"><v>9</v></c></row>`;
    if (text.length > 64 * 1024) {
      yield text;
      text = '';
    }
  }
  yield `${text}</sheetData></worksheet>`;
}

function* strings(rows: number): Iterable<string> {
  yield `${DECLARATION}<sst ${MAIN}>`;
  for (const name of HEADER) yield `<si><t>${name}</t></si>`;
  for (let n = 0; n < NAMES; n++) yield `<si><t>Category, number ${n}</t></si>`;
  for (let n = 0; n < NAMES; n++) yield `<si><t>Märke ${n} &amp; Söhne</t></si>`;
  let text = '';
  for (let n = 0; n < rows; n++) {
    text += `<si><t>SKU${String(n).padStart(8, '0')}</t></si><si><t xml:space="preserve">Product name number ${n} </t></si>`;
    if (text.length > 64 * 1024) {
      yield text;
      text = '';
    }
  }
  yield `${text}</sst>`;
}
