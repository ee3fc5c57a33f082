import { createWriteStream } from 'node:fs';
import { once } from 'node:events';
import { finished } from 'node:stream/promises';
import { FileError, type FileWarning, type SheetInfo } from '../types.ts';
import { builtinFormat, customFormat, type NumberKind } from './cell-text.ts';
import { SharedStrings } from './shared-strings.ts';
import { readSheet } from './sheet.ts';
import type { WorkbookReport, WorkbookTask } from './workbook.ts';
import { parseXml } from './xml.ts';
import { Parts } from './zip.ts';

const WRITE_CHARACTERS = 256 * 1024;

interface SheetPart {
  name: string;
  state: SheetInfo['state'];
  part: string;
}

async function convert(
  task: WorkbookTask,
): Promise<{ sheets: SheetInfo[]; sheet: string; warnings: FileWarning[] }> {
  const parts = await Parts.open(task.path, task.limits);
  const progress = (rows: number) => {
    process.send!({ kind: 'progress', rows } satisfies WorkbookReport);
  };
  const main = await mainPart(parts);
  const { sheetParts, date1904 } = await workbookOf(parts, main);
  const stringsPart = await relatedPart(parts, main, 'sharedStrings');
  const stylesPart = await relatedPart(parts, main, 'styles');
  const strings = stringsPart
    ? await SharedStrings.read(parts.read(stringsPart), () => void progress(0))
    : null;
  const formats = stylesPart ? await formatsOf(parts, stylesPart) : [];

  const wanted = task.sheet;
  if (wanted !== null && !sheetParts.some(({ name }) => name === wanted)) {
    throw new FileError(
      'no_sheet',
      `The workbook has no sheet "${wanted}". It has: ${sheetParts.map(({ name }) => name).join(', ')}.`,
    );
  }
  const sheets: SheetInfo[] = [];
  let chosen: string | null = null;
  for (const { name, state, part } of sheetParts) {
    const mayBe = chosen === null && (wanted === null ? state === 'visible' : name === wanted);
    const file = mayBe ? createWriteStream(task.canonicalPath) : null;
    let text = '';
    const flush = async () => {
      const full = file!.write(text);
      text = '';
      if (!full) await once(file!, 'drain');
    };
    const rows = await readSheet(
      parts.read(part),
      {
        strings,
        formats,
        date1904,
        afterChunk: (count) => {
          progress(count);
          return file && text.length > WRITE_CHARACTERS ? flush() : undefined;
        },
      },
      file ? (line) => void (text += line) : null,
    );
    if (file) {
      await flush();
      file.end();
      await finished(file);
      if (rows > 0 || wanted !== null) chosen = name;
    }
    sheets.push({ name, state, rows });
  }
  parts.close();
  if (chosen === null)
    throw new FileError('empty_file', 'The workbook has no visible sheet with anything in it.');
  return { sheets, sheet: chosen, warnings: sheetWarnings(sheets, chosen, wanted) };
}

function sheetWarnings(sheets: SheetInfo[], chosen: string, wanted: string | null): FileWarning[] {
  const others = sheets.filter(({ name, rows }) => name !== chosen && rows > 0);
  if (wanted !== null || others.length === 0) return [];
  const names = others.map(({ name, state }) => (state === 'visible' ? name : `${name} (hidden)`)).join(', ');
  return [
    { code: 'other_sheets', message: `Only the sheet "${chosen}" was read. Others hold rows too: ${names}.` },
  ];
}

async function mainPart(parts: Parts): Promise<string> {
  if (!parts.has('[Content_Types].xml')) {
    const names = parts.names();
    if (parts.has('mimetype') && parts.has('content.xml'))
      throw new FileError('ods', 'This is an OpenDocument file. Save it as .xlsx or .csv and import that.');
    throw new FileError(
      'zip_archive',
      `This is a ZIP archive of ${names.length} files, not a workbook. Unpack it and import the file in it.`,
    );
  }
  const target =
    (await relationsOf(parts, '')).find(({ type }) => type === 'officeDocument')?.target ?? 'xl/workbook.xml';
  if (target.endsWith('.bin'))
    throw new FileError(
      'xlsb',
      'This is a binary workbook (.xlsb). Save it as .xlsx or .csv and import that.',
    );
  if (!parts.has(target) || !/workbook/u.test(target))
    throw new FileError(
      'not_a_workbook',
      'This is an Office file, but not a workbook. Import a .xlsx or .csv file.',
    );
  return target;
}

async function workbookOf(
  parts: Parts,
  main: string,
): Promise<{ sheetParts: SheetPart[]; date1904: boolean }> {
  const relations = await relationsOf(parts, main);
  const sheetParts: SheetPart[] = [];
  let date1904 = false;
  await parseXml(parts.read(main), {
    open: (name, attributes) => {
      if (name === 'workbookPr') date1904 = attributes.date1904 === '1' || attributes.date1904 === 'true';
      if (name !== 'sheet') return;
      const id = Object.entries(attributes).find(([key]) => key === 'r:id' || key.endsWith(':id'))?.[1];
      const related = relations.find((relation) => relation.id === id);
      if (!related || related.type !== 'worksheet') return;
      const state =
        attributes.state === 'hidden' || attributes.state === 'veryHidden' ? attributes.state : 'visible';
      sheetParts.push({ name: attributes.name ?? '', state, part: related.target });
    },
  });
  return { sheetParts, date1904 };
}

async function formatsOf(parts: Parts, part: string): Promise<NumberKind[]> {
  const custom = new Map<number, NumberKind>();
  const formats: NumberKind[] = [];
  let inCells = false;
  await parseXml(parts.read(part), {
    open: (name, attributes) => {
      if (name === 'numFmt')
        custom.set(Number(attributes.numFmtId), customFormat(attributes.formatCode ?? ''));
      else if (name === 'cellXfs') inCells = true;
      else if (name === 'xf' && inCells) {
        const id = Number(attributes.numFmtId ?? 0);
        formats.push(custom.get(id) ?? builtinFormat(id));
      }
    },
    close: (name) => {
      if (name === 'cellXfs') inCells = false;
    },
  });
  return formats;
}

interface Relation {
  id: string;
  type: string;
  target: string;
}

async function relationsOf(parts: Parts, part: string): Promise<Relation[]> {
  const slash = part.lastIndexOf('/');
  const folder = slash < 0 ? '' : part.slice(0, slash + 1);
  const name = `${folder}_rels/${part.slice(slash + 1)}.rels`;
  const relations: Relation[] = [];
  if (!parts.has(name)) return relations;
  await parseXml(parts.read(name), {
    open: (tag, attributes) => {
      if (tag !== 'Relationship' || attributes.TargetMode === 'External') return;
      const target = new URL(attributes.Target ?? '', `file:///${folder}`).pathname.slice(1);
      relations.push({
        id: attributes.Id ?? '',
        type: (attributes.Type ?? '').split('/').at(-1)!,
        target: decodeURIComponent(target),
      });
    },
  });
  return relations;
}

async function relatedPart(parts: Parts, main: string, type: string): Promise<string | null> {
  const found = (await relationsOf(parts, main)).find((relation) => relation.type === type)?.target;
  return found && parts.has(found) ? found : null;
}

process.once('message', (task: WorkbookTask) => {
  convert(task).then(
    (result) =>
      process.send!({ kind: 'done', ...result } satisfies WorkbookReport, () => process.disconnect()),
    (error: Error) => {
      const code = error instanceof FileError ? error.code : 'broken_workbook';
      const message =
        error instanceof FileError
          ? error.message
          : `The workbook cannot be read (${error.message}). Save it again in Excel and import that.`;
      process.send!({ kind: 'failed', code, message } satisfies WorkbookReport, () => process.disconnect());
    },
  );
});
