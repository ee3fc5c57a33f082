import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { CanonicalSheet, FurtherLeft } from './canonical-sheet.ts';
import { builtinFormat, customFormat } from './number-format.ts';
import { readSharedStrings } from './shared-strings.ts';
import { readSheet } from './sheet.ts';
import { StringStore } from './string-store.ts';
import { sheetXml, stringsXml } from './zip.fixture.ts';

const folder = mkdtempSync(join(tmpdir(), 'intake-hybrid-'));
afterAll(() => rmSync(folder, { recursive: true }));
const FORMATS = [builtinFormat(0), builtinFormat(14), customFormat('[h]:mm'), customFormat('00000')];

async function* chunksOf(bytes: Buffer, sizes: readonly number[]): AsyncGenerator<Buffer> {
  for (let at = 0, n = 0; at < bytes.length; n++) {
    const size = sizes[n % sizes.length]!;
    yield Buffer.from(bytes.subarray(at, at + size));
    at += size;
  }
}

async function strings(): Promise<StringStore> {
  const items = ['', 'plain', 'with, comma', 'ä "quoted"\nline'];
  const xml = Buffer.from(stringsXml(items.map((text) => `<si><t>${text}</t></si>`).join('')));
  return readSharedStrings(chunksOf(xml, [xml.length]), join(folder, 'spill'));
}

type Outcome = { text: string; notes?: unknown; rows?: number } | { refused: string };

async function outcome(read: () => Promise<Outcome>): Promise<Outcome> {
  try {
    return await read();
  } catch (error) {
    if (error instanceof FurtherLeft) return { refused: 'further left' };
    // Of two faults, which is met first depends on how the bytes are cut.
    return { refused: (error as { code?: string }).code ?? String(error) };
  }
}

async function sheetOutcome(xml: Buffer, plain: boolean, sizes: number[]): Promise<Outcome> {
  const store = await strings();
  const path = join(folder, 'sheet.csv');
  const file = openSync(path, 'w');
  try {
    return await outcome(async () => {
      const sheet = new CanonicalSheet(file, 'Sheet', true);
      const context = { strings: store, formats: FORMATS, date1904: false };
      const notes = await readSheet(chunksOf(xml, sizes), context, sheet, { plain });
      return { text: readFileSync(path, 'utf8'), notes, rows: sheet.filled };
    });
  } finally {
    closeSync(file);
  }
}

async function stringsOutcome(xml: Buffer, plain: boolean, sizes: number[]): Promise<Outcome> {
  return outcome(async () => {
    const store = await readSharedStrings(chunksOf(xml, sizes), join(folder, 'spill'), { plain });
    const all: string[] = [];
    for (let index = 0; index < store.count; index++) {
      store.find(index);
      all.push(store.data.toString('utf8', store.from, store.to));
    }
    store.close();
    return { text: JSON.stringify(all) };
  });
}

const pick = (...values: string[]) => fc.constantFrom(...values);
const text = fc.oneof(
  pick(
    '',
    'x',
    ' padded ',
    'a,b',
    'say "x"',
    'two\nlines',
    'a\r\nb\rc',
    '_x000D_',
    '_x005F_x0041_',
    '_xD800_',
    '_',
  ),
  pick(
    '&amp;',
    '&lt;b&gt;',
    '&#10;',
    '&#x1F600;',
    '&quot;&apos;',
    '&nbsp;',
    '&#0;',
    '&#xD800;',
    '&',
    'a]]>b',
    ']]',
    '>',
  ),
  pick('日本語', 'é', '\u{1F600}', '\uFFFE', '\uFFFD', '\u0085', '\u2028', '\u0001', '\t'),
  fc.string({ unit: 'grapheme', maxLength: 6 }).map((value) => value.replace(/[<&]/gu, '')),
);
const number = fc.oneof(
  fc.integer().map(String),
  fc.double({ noNaN: true, noDefaultInfinity: true }).map(String),
  pick(
    '0',
    '-0',
    '00',
    '007',
    '.5',
    '5.',
    '-',
    '1.',
    '-.5',
    '1e5',
    '1E-7',
    '+1',
    '0.10',
    '-0.0',
    '1..2',
    '45351',
  ),
  pick(
    '45351.75',
    '60',
    '0.30000000000000004',
    '12345678901234567',
    '12345678901234567.5',
    '1.5',
    ' 5 ',
    'x',
    '',
  ),
);
const attribute = (name: string, value: fc.Arbitrary<string>) =>
  fc.oneof(
    { weight: 4, arbitrary: fc.constant('') },
    { weight: 3, arbitrary: value.map((v) => ` ${name}="${v}"`) },
  );
const style = attribute('s', pick('0', '1', '2', '3', '9', ''));
const formula = fc.oneof(
  { weight: 5, arbitrary: fc.constant('') },
  pick(
    '<f>A1+B1</f>',
    '<f>A1&amp;"é"</f>',
    '<f t="shared" si="0"/>',
    '<f/>',
    '<f>&bad;</f>',
    '<f t="a" t="a">1</f>',
  ),
);
const wrapped = (type: string, value: fc.Arbitrary<string>) =>
  fc
    .tuple(style, formula, value)
    .map(([s, f, v]) => ({ attributes: `${s}${type}`, inner: `${f}<v>${v}</v>` }));
const cell = fc.oneof(
  { weight: 4, arbitrary: wrapped('', number) },
  { weight: 2, arbitrary: wrapped(' t="n"', number) },
  { weight: 4, arbitrary: wrapped(' t="s"', pick('0', '1', '2', '3', '3', '99', '-1', ' 1', '', '1x')) },
  { weight: 2, arbitrary: wrapped(' t="str"', text) },
  wrapped(' t="b"', pick('0', '1', 'true', '2', '')),
  wrapped(' t="e"', pick('#REF!', ' #N/A ', '#NAME?', '')),
  wrapped(' t="d"', pick('2024-02-29', '2024-02-29T10:00:00', '2024-02-29T00:00:00Z', 'x')),
  text.map((value) => ({ attributes: ' t="inlineStr"', inner: `<is><t xml:space="preserve">${value}</t></is>` })),
  text.map((value) => ({
    attributes: ' t="inlineStr"',
    inner: `<is><r><rPr><b/></rPr><t>${value}</t></r><rPh sb="0" eb="1"><t>no</t></rPh></is>`,
  })),
  pick(
    '<f>1+1</f>', '<v/>', '', ' ', '<v>1</v><v>2</v>', '<v>1</v><f>2</f>', '<f>1</f><v></v>', '<v><![CDATA[7]]></v>',
    '<!-- <v>1</v> --><v>2</v>', '<extLst><ext><v>9</v></ext></extLst><v>1</v>', '<v>1</v>x', '<v xml:space="preserve">3</v>',
    '<x:v xmlns:x="y">5</x:v>', '<c><v>1</v></c>', '<is><t>a</t></is>',
  ).map((inner) => ({ attributes: '', inner })),
); // prettier-ignore

const COLUMNS = ['A', 'B', 'C', 'D', 'Z', 'AA', 'XFD'];
const row = fc
  .record({
    cells: fc.array(cell, { maxLength: 5 }),
    skip: fc.integer({ min: 0, max: 2 }),
    referenced: fc.boolean(),
    attributes: pick(
      '',
      '',
      ' spans="1:5"',
      ' hidden="1"',
      ' ht="15" customHeight="1"',
      " s='1'",
      ' a="1" a="1"',
    ),
    between: pick('', '', '', '\r\n  ', '<!-- a comment with <row> and </row> -->', '<?pi ?>', 'text'),
  })
  .map((parts) => (number: number) => {
    const cells = parts.cells.map(({ attributes, inner }, index) => {
      const reference = parts.referenced ? ` r="${COLUMNS[index]}${number}"` : '';
      return `<c${reference}${attributes}>${inner}</c>`;
    });
    return `<row r="${number}"${parts.attributes}>${cells.join('')}</row>${parts.between}`;
  });

const si = fc.oneof(
  { weight: 3, arbitrary: text.map((value) => `<si><t>${value}</t></si>`) },
  fc.tuple(text, text).map(
    ([a, b]) => `<si><r><t>${a}</t></r><r><rPr><sz val="11"/><color theme="1"/></rPr><t xml:space="preserve">${b}</t></r></si>`,
  ),
  fc.tuple(text, text).map(
    ([a, b]) => `<si><t>${a}</t><rPh sb="0" eb="2"><t>${b}</t></rPh><phoneticPr fontId="1"/></si>`,
  ),
  pick(
    '<si/>', '<si></si>', '<si><t/></si>', '<si><t><![CDATA[a<b]]></t></si>', '<si><!-- <si><t>no</t></si> --><t>y</t></si>',
    '<si><r><rPr/><t>a</t></r></si>', '<!-- <si><t>no</t></si> -->', '<si><si/></si>', '\n', '<si ><t>a</t></si>',
    '<si><t>_x00</t><r><t>0D_</t></r></si>', '<x:si xmlns:x="y"><x:t>no</x:t></x:si>', '<si><t>a</t></si ><si><t>b</t></si>',
  ),
); // prettier-ignore

/** Damage: a piece taken out, doubled, or put elsewhere, or a byte changed. */
const damage = fc.record({
  at: fc.nat(),
  length: fc.integer({ min: 0, max: 12 }),
  put: pick(
    '',
    '',
    '<',
    '>',
    '"',
    '&',
    '</row>',
    '<row>',
    '</c>',
    '<c>',
    '<!--',
    '-->',
    ']]>',
    '<![CDATA[',
    '\0',
    '\xFF',
    '/',
    ' ',
  ),
  to: fc.nat(),
});

function damaged(xml: Buffer, changes: { at: number; length: number; put: string; to: number }[]): Buffer {
  return changes.reduce((bytes, { at, length, put }) => {
    const from = at % bytes.length;
    return Buffer.concat([
      bytes.subarray(0, from),
      Buffer.from(put, 'latin1'),
      bytes.subarray(from + length),
    ]);
  }, xml);
}

const sizes = fc.array(fc.integer({ min: 1, max: 400 }), { minLength: 1, maxLength: 4 });
/** More of them, with `WAYBILL_FUZZ_RUNS`, when this code changes. */
const RUNS = { numRuns: Number(process.env['WAYBILL_FUZZ_RUNS'] ?? 120) };

async function agree(
  bytes: Buffer,
  cut: number[],
  read: (xml: Buffer, plain: boolean, sizes: number[]) => Promise<Outcome>,
): Promise<Outcome> {
  const parsed = await read(bytes, false, [bytes.length]);
  expect(await read(bytes, true, cut)).toEqual(parsed);
  return parsed;
}

describe('rows and strings read as bytes are what the parser makes of them', () => {
  it('in sheets of every kind', async () => {
    let readable = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(row, { maxLength: 6 }), sizes, async (rows, cut) => {
        const xml = sheetXml(
          rows.map((make, index) => make(index + 1)).join(''),
          '<mergeCells><mergeCell ref="A1:B2"/></mergeCells>',
        );
        if ('text' in (await agree(Buffer.from(xml), cut, sheetOutcome))) readable++;
      }),
      RUNS,
    );
    expect(readable).toBeGreaterThan(RUNS.numRuns / 10);
  });

  it('in damaged sheets', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(row, { minLength: 1, maxLength: 4 }),
        fc.array(damage, { minLength: 1, maxLength: 2 }),
        sizes,
        async (rows, changes, cut) => {
          const xml = Buffer.from(sheetXml(rows.map((make, index) => make(index + 1)).join('')));
          await agree(damaged(xml, changes), cut, sheetOutcome);
        },
      ),
      RUNS,
    );
  });

  it('in shared strings', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(si, { maxLength: 6 }),
        fc.array(damage, { maxLength: 1 }),
        sizes,
        async (items, changes, cut) => {
          await agree(damaged(Buffer.from(stringsXml(items.join(''))), changes), cut, stringsOutcome);
        },
      ),
      RUNS,
    );
  });
});

it('most rows of an ordinary sheet never reach the parser', async () => {
  const rows = Array.from(
    { length: 200 },
    (_, n) => `<row r="${n + 1}"><c r="A${n + 1}"><v>${n}</v></c></row>`,
  );
  const broken = sheetXml(`${rows.join('')}<row r="201">`).replace('</sheetData>', '');
  await expect(sheetOutcome(Buffer.from(broken), true, [1000])).resolves.toMatchObject({
    refused: 'broken_workbook',
  });
});
