import { FileError, type SheetInfo } from '../types.ts';
import { builtinFormat, customFormat, type NumberKind } from './number-format.ts';
import { parseXml } from './xml.ts';
import type { Parts } from './zip.ts';

export interface SheetPart {
  name: string;
  state: SheetInfo['state'];
  part: string;
}

/** What the parts around the sheets say: which there are, and how to read their cells. */
export interface Workbook {
  sheets: SheetPart[];
  date1904: boolean;
  /** By the number that a cell's `s` gives. */
  formats: NumberKind[];
  /** The part with the shared strings, null where there is none. */
  strings: string | null;
}

export async function readPackage(parts: Parts): Promise<Workbook> {
  const main = await mainPart(parts);
  const relations = await relationsOf(parts, main);
  const related = (type: string): string | null => {
    const found = relations.find((relation) => relation.type === type)?.target;
    return found !== undefined && parts.has(found) ? found : null;
  };
  const { sheets, date1904 } = await sheetsOf(parts, main, relations);
  const styles = related('styles');
  return {
    sheets,
    date1904,
    formats: styles === null ? [] : await formatsOf(parts, styles),
    strings: related('sharedStrings'),
  };
}

async function mainPart(parts: Parts): Promise<string> {
  if (!parts.has('[Content_Types].xml')) {
    if (parts.has('mimetype') && parts.has('content.xml'))
      throw new FileError('ods', 'This is an OpenDocument file. Save it as .xlsx or .csv and import that.');
    const names = parts.names();
    throw new FileError(
      'zip_archive',
      `This is a ZIP archive of ${names.length} ${names.length === 1 ? 'file' : 'files'}, not a workbook. Unpack it and import the file in it.`,
    );
  }
  const target =
    (await relationsOf(parts, '')).find(({ type }) => type === 'officeDocument')?.target ?? 'xl/workbook.xml';
  if (target.endsWith('.bin'))
    throw new FileError(
      'xlsb',
      'This is a binary workbook (.xlsb). Save it as .xlsx or .csv and import that.',
    );
  if (!parts.has(target) || !/workbook/iu.test(target))
    throw new FileError(
      'not_a_workbook',
      'This is an Office file, but not a workbook. Import a .xlsx or .csv file.',
    );
  return target;
}

async function sheetsOf(
  parts: Parts,
  main: string,
  relations: Relation[],
): Promise<{ sheets: SheetPart[]; date1904: boolean }> {
  const sheets: SheetPart[] = [];
  let date1904 = false;
  await parseXml(parts.read(main), {
    open: (name, attributes) => {
      if (name === 'workbookPr') date1904 = attributes.date1904 === '1' || attributes.date1904 === 'true';
      if (name !== 'sheet') return;
      const id = Object.entries(attributes).find(([key]) => key.endsWith(':id'))?.[1];
      const related = relations.find((relation) => relation.id === id);
      // Sheets of charts and dialogs have no rows.
      if (related?.type !== 'worksheet') return;
      const state =
        attributes.state === 'hidden' || attributes.state === 'veryHidden' ? attributes.state : 'visible';
      sheets.push({ name: attributes.name ?? '', state, part: related.target });
    },
  });
  return { sheets, date1904 };
}

async function formatsOf(parts: Parts, part: string): Promise<NumberKind[]> {
  const custom = new Map<number, NumberKind>();
  const ids: number[] = [];
  let inCells = false;
  let inFormats = false;
  await parseXml(parts.read(part), {
    open: (name, attributes) => {
      if (name === 'numFmts') inFormats = true;
      // Those of conditions and table styles have numbers of their own.
      else if (name === 'numFmt' && inFormats)
        custom.set(Number(attributes.numFmtId), customFormat(attributes.formatCode ?? ''));
      else if (name === 'cellXfs') inCells = true;
      else if (name === 'xf' && inCells) ids.push(Number(attributes.numFmtId ?? 0));
    },
    close: (name) => {
      if (name === 'cellXfs') inCells = false;
      else if (name === 'numFmts') inFormats = false;
    },
  });
  return ids.map((id) => custom.get(id) ?? builtinFormat(id));
}

interface Relation {
  id: string;
  /** The last part of its name, which the transitional and the strict vocabulary share. */
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
      relations.push({
        id: attributes.Id ?? '',
        type: (attributes.Type ?? '').split('/').at(-1)!,
        target: partName(attributes.Target ?? '', folder),
      });
    },
  });
  return relations;
}

/** A target that is no proper name leads to no part. */
function partName(target: string, folder: string): string {
  try {
    return decodeURIComponent(new URL(target, `file:///${folder}`).pathname.slice(1));
  } catch {
    return '';
  }
}
