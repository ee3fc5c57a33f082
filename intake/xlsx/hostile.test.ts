import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { crc32 } from 'node:zlib';
import { afterAll, describe, expect, it, vi } from 'vitest';
import { createConverter } from './convert.fixture.ts';
import { readWorkbook, type WorkbookInput } from './workbook.ts';
import {
  DECLARATION,
  sheetXml,
  stringsXml,
  workbookParts,
  writeZip,
  type WorkbookParts,
  type ZipPart,
} from './zip.fixture.ts';

vi.setConfig({ testTimeout: 30_000 });
const { path, canonicalPath, convert, remove } = createConverter();
afterAll(remove);

const input = (more: Partial<WorkbookInput> = {}): WorkbookInput => ({
  path,
  canonicalPath,
  sheet: null,
  maxUnpackedBytes: 1e9,
  ...more,
});

describe('a workbook made to do harm, or damaged,', () => {
  const sheets = { S: sheetXml('<row r="1"><c r="A1"><v>1</v></c></row>') };
  const whole = (more: Partial<WorkbookParts> = {}) => workbookParts({ sheets, ...more });
  const sheetPart = 'xl/worksheets/sheet1.xml';

  it.each<[string, string, () => ZipPart[]]>([
    [
      'with entities that multiply',
      'document_type',
      () =>
        whole({
          sheets: {
            S: `<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>${sheetXml('').slice(DECLARATION.length)}`,
          },
        }),
    ],
    [
      'whose strings have a document type',
      'document_type',
      () => whole({ strings: `<!DOCTYPE sst SYSTEM "file:///etc/passwd"><sst/>` }),
    ],
    [
      'with an entity of its own',
      'broken_workbook',
      () => whole({ strings: stringsXml('<si><t>&x;</t></si>') }),
    ],
    [
      'that nests without end',
      'broken_workbook',
      () => whole({ sheets: { S: sheetXml('', '<a>'.repeat(100_000)) } }),
    ],
    [
      'that ends in the middle',
      'broken_workbook',
      () => whole({ sheets: { S: sheetXml('<row r="1">').slice(0, -30) } }),
    ],
    [
      'whose cells repeat one endless text',
      'unpacks_too_large',
      () =>
        whole({
          strings: stringsXml(`<si><t>${'long '.repeat(6_400)}</t></si>`),
          sheets: {
            S: sheetXml(
              Array.from(
                { length: 5_000 },
                (_, row) => `<row r="${row + 1}"><c r="A${row + 1}" t="s"><v>0</v></c></row>`,
              ).join(''),
            ),
          },
        }),
    ],
    [
      'that is not UTF-8',
      'broken_workbook',
      () => whole({ sheets: { S: [sheetXml('').slice(0, -30), Buffer.from([0xff])] } }),
    ],
    [
      'with a row twice',
      'broken_workbook',
      () => whole({ sheets: { S: sheetXml('<row r="1"><c><v>1</v></c></row>'.repeat(2)) } }),
    ],
    [
      'with rows beyond the last',
      'broken_workbook',
      () => whole({ sheets: { S: sheetXml('<row r="1048577"><c><v>1</v></c></row>') } }),
    ],
    [
      'with a cell of another row',
      'broken_workbook',
      () => whole({ sheets: { S: sheetXml('<row r="1"><c r="A2"><v>1</v></c></row>') } }),
    ],
    [
      'with a cell twice',
      'broken_workbook',
      () =>
        whole({ sheets: { S: sheetXml('<row r="1"><c r="A1"><v>1</v></c><c r="A1"><v>2</v></c></row>') } }),
    ],
    [
      'with a column beyond the last',
      'broken_workbook',
      () => whole({ sheets: { S: sheetXml('<row r="1"><c r="XFE1"><v>1</v></c></row>') } }),
    ],
    [
      'that says it is smaller than it is',
      'broken_zip',
      () => whole({ more: [{ name: sheetPart, content: sheets.S, claims: { size: 10 } }] }),
    ],
    [
      'that says it is larger than it is',
      'broken_zip',
      () => whole({ more: [{ name: sheetPart, content: sheets.S, claims: { size: 1e6 } }] }),
    ],
    [
      'whose checksum is wrong',
      'broken_zip',
      () => whole({ more: [{ name: sheetPart, content: sheets.S, claims: { crc: 1 + crc32(sheets.S) } }] }),
    ],
    [
      'packed in another way',
      'broken_zip',
      () => whole({ more: [{ name: sheetPart, content: sheets.S, claims: { method: 12 } }] }),
    ],
    ['with one part twice', 'broken_zip', () => [...whole(), { name: 'xl/Workbook.xml', content: '<x/>' }]],
    [
      'with a password',
      'encrypted',
      () => whole({ more: [{ name: sheetPart, content: sheets.S, claims: { flags: 1 } }] }),
    ],
    [
      'that unpacks a thousandfold',
      'unpacks_too_large',
      () => whole({ sheets: { S: Array.from({ length: 20 }, () => ' '.repeat(1 << 20)) } }),
    ],
    ['that is an archive', 'zip_archive', () => [{ name: 'a.csv', content: 'a' }]],
    [
      'that is an OpenDocument',
      'ods',
      () => [
        { name: 'mimetype', content: '' },
        { name: 'content.xml', content: '' },
      ],
    ],
    [
      'that is a document of text',
      'not_a_workbook',
      () => [
        { name: '[Content_Types].xml', content: '' },
        { name: 'word/document.xml', content: '' },
      ],
    ],
  ])('%s is refused', async (_, code, parts) => {
    await expect(convert(parts())).rejects.toMatchObject({ code });
  });

  it('of 65,000 parts is refused before they are listed', async () => {
    await writeZip(path, whole());
    const bytes = readFileSync(path);
    bytes.writeUInt16LE(65_000, bytes.length - 22 + 10);
    writeFileSync(path, bytes);
    await expect(readWorkbook(input())).rejects.toMatchObject({ code: 'too_many_parts' });
  });

  it('whose bytes are cut is refused', async () => {
    await writeZip(path, whole());
    writeFileSync(path, readFileSync(path).subarray(0, statSync(path).size - 30));
    await expect(readWorkbook(input())).rejects.toMatchObject({ code: 'broken_zip' });
  });
});

describe('the process that reads a workbook', () => {
  const children = (): number[] =>
    readFileSync(`/proc/${process.pid}/task/${process.pid}/children`, 'latin1')
      .trim()
      .split(' ')
      .filter(Boolean)
      .map(Number);

  /** A workbook that takes its reader seconds, and what can be done to it as soon as it reads. */
  async function whileReading(act: (pid: number) => void, watch: WorkbookInput['watch'] = {}) {
    await writeZip(path, workbookParts({ sheets: { S: manyRows() } }));
    const before = children();
    let acted = false;
    return readWorkbook(
      input({
        watch,
        onRows: () => {
          if (acted) return;
          acted = true;
          act(children().find((pid) => !before.includes(pid))!);
        },
      }),
    );
  }
  function* manyRows(): Iterable<string> {
    yield sheetXml('').replace('</sheetData></worksheet>', '');
    for (let n = 1; n <= 100_000; n += 100)
      yield Array.from(
        { length: 100 },
        (_, m) => `<row r="${n + m}"><c r="A${n + m}"><v>${n * 7919 + m}</v></c></row>`,
      ).join('');
    yield '</sheetData></worksheet>';
  }

  it('answers like the same code in this one', async () => {
    const one = sheetXml('<row r="1"><c r="A1"><v>1</v></c></row>');
    const book = workbookParts({ sheets: { Items: one, Other: one } });
    const { csv: _, ...here } = await convert(book);
    expect(await readWorkbook(input())).toEqual(here);
    expect(await readWorkbook(input({ sheet: 'Other', onlySheet: true }))).toMatchObject({
      sheets: [{ name: 'Other', rows: 1 }],
    });
  });

  it('may crash: that is a clear error', async () => {
    await expect(whileReading((pid) => process.kill(pid, 'SIGKILL'))).rejects.toMatchObject({
      code: 'workbook_crashed',
    });
  });

  it('may stand still: it is ended', async () => {
    let stopped = 0;
    const reading = whileReading(
      (pid) => {
        process.kill(pid, 'SIGSTOP');
        stopped = pid;
      },
      { stuckAfterMs: 400, everyMs: 20 },
    );
    await expect(reading).rejects.toMatchObject({ code: 'workbook_stuck' });
    expect(children()).not.toContain(stopped);
  });

  it('may eat memory: it is ended', async () => {
    // One value of an attribute, of text that does not pack: the parser has to hold all of it.
    const random = randomBytes(45_000).toString('base64');
    const noise = function* () {
      yield `${DECLARATION}<worksheet xmlns="x" a="`;
      for (let n = 0; n < 600; n++) yield random;
      yield '"><sheetData/></worksheet>';
    };
    await writeZip(path, workbookParts({ sheets: { S: noise() } }));
    const watch = { maxResidentBytes: 90 * 1024 * 1024, everyMs: 10 };
    await expect(readWorkbook(input({ watch }))).rejects.toMatchObject({ code: 'workbook_too_complex' });
  });

  it('ends when nobody wants its answer any more', async () => {
    await writeZip(path, workbookParts({ sheets: { S: manyRows() } }));
    await expect(readWorkbook(input({ signal: AbortSignal.timeout(150) }))).rejects.toMatchObject({
      name: 'TimeoutError',
    });
    await expect(readWorkbook(input({ signal: AbortSignal.abort() }))).rejects.toMatchObject({
      name: 'AbortError',
    });
    const listed = execFileSync('ps', ['-o', 'pid=,args=', '--ppid', String(process.pid)], {
      encoding: 'utf8',
    });
    expect(listed).not.toContain('child.ts');
  });
});
