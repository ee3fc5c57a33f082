import { closeSync, openSync, writeSync } from 'node:fs';
import { constants, crc32, createDeflateRaw } from 'node:zlib';

export interface ZipPart {
  name: string;
  /** Taken as it is needed: a part may be larger than memory. */
  content: string | Iterable<string | Buffer>;
  /** What the archive claims instead of the truth. */
  claims?: { size?: number; crc?: number; flags?: number; method?: number };
}

/** Writes a ZIP archive: one of a workbook's size in constant memory, or one that lies. */
export async function writeZip(path: string, parts: ZipPart[]): Promise<void> {
  const file = openSync(path, 'w');
  let at = 0;
  const put = (bytes: Buffer) => {
    for (let done = 0; done < bytes.length;)
      done += writeSync(file, bytes, done, bytes.length - done, at + done);
    at += bytes.length;
  };
  const directory: Buffer[] = [];
  for (const { name, content, claims } of parts) {
    const start = at;
    const title = Buffer.from(name);
    at += 30 + title.length;
    const deflate = createDeflateRaw({ level: constants.Z_BEST_SPEED, chunkSize: 64 * 1024 });
    let size = 0;
    let checksum = 0;
    const feed = (async () => {
      for (const piece of typeof content === 'string' ? [content] : content) {
        const bytes = Buffer.from(piece as string);
        size += bytes.length;
        checksum = crc32(bytes, checksum);
        if (!deflate.write(bytes)) await new Promise((resolve) => deflate.once('drain', resolve));
      }
      deflate.end();
    })();
    for await (const chunk of deflate as AsyncIterable<Buffer>) put(chunk);
    await feed;
    const head = Buffer.alloc(26);
    head.writeUInt16LE(20, 0);
    head.writeUInt16LE((claims?.flags ?? 0) | 0x800, 2);
    head.writeUInt16LE(claims?.method ?? 8, 4);
    head.writeUInt32LE(claims?.crc ?? checksum, 10);
    head.writeUInt32LE(at - start - 30 - title.length, 14);
    head.writeUInt32LE(claims?.size ?? size, 18);
    head.writeUInt16LE(title.length, 22);
    writeSync(
      file,
      Buffer.concat([Buffer.from('504b0304', 'hex'), head, title]),
      0,
      30 + title.length,
      start,
    );
    const rest = Buffer.alloc(14);
    rest.writeUInt32LE(start, 10);
    directory.push(Buffer.concat([Buffer.from('504b01021400', 'hex'), head, rest, title]));
  }
  const start = at;
  const all = Buffer.concat(directory);
  put(all);
  const end = Buffer.alloc(22);
  end.writeUInt32LE(0x06054b50, 0);
  end.writeUInt16LE(parts.length, 8);
  end.writeUInt16LE(parts.length, 10);
  end.writeUInt32LE(all.length, 12);
  end.writeUInt32LE(start, 16);
  put(end);
  closeSync(file);
}

export interface WorkbookParts {
  /** Sheet XML by sheet name, as it stands between the XML declaration and the end of the part. */
  sheets: Record<string, ZipPart['content']>;
  states?: Record<string, 'hidden' | 'veryHidden'>;
  strings?: ZipPart['content'];
  styles?: string;
  date1904?: boolean;
  /** Further parts, or other versions of the usual ones. */
  more?: ZipPart[];
}

const MAIN = 'http://schemas.openxmlformats.org/spreadsheetml/2006/main';
const RELATIONS = 'http://schemas.openxmlformats.org/package/2006/relationships';
const OFFICE = 'http://schemas.openxmlformats.org/officeDocument/2006/relationships';
export const DECLARATION = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n';

/** Parts of a workbook around sheets that are given as XML. */
export function workbookParts(book: WorkbookParts): ZipPart[] {
  const names = Object.keys(book.sheets);
  const relation = (id: string, type: string, target: string) =>
    `<Relationship Id="${id}" Type="${OFFICE}/${type}" Target="${target}"/>`;
  const parts: ZipPart[] = [
    {
      name: '[Content_Types].xml',
      content: `${DECLARATION}<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"><Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/><Default Extension="xml" ContentType="application/xml"/></Types>`,
    },
    {
      name: '_rels/.rels',
      content: `${DECLARATION}<Relationships xmlns="${RELATIONS}">${relation('rId1', 'officeDocument', 'xl/workbook.xml')}</Relationships>`,
    },
    {
      name: 'xl/workbook.xml',
      content: `${DECLARATION}<workbook xmlns="${MAIN}" xmlns:r="${OFFICE}"><workbookPr${book.date1904 ? ' date1904="1"' : ''}/><sheets>${names
        .map(
          (name, index) =>
            `<sheet name="${name}" sheetId="${index + 1}" state="${book.states?.[name] ?? 'visible'}" r:id="rId${index + 1}"/>`,
        )
        .join('')}</sheets></workbook>`,
    },
    {
      name: 'xl/_rels/workbook.xml.rels',
      content: `${DECLARATION}<Relationships xmlns="${RELATIONS}">${names.map((_, index) => relation(`rId${index + 1}`, 'worksheet', `worksheets/sheet${index + 1}.xml`)).join('')}${relation('rIdS', 'styles', 'styles.xml')}${relation('rIdT', 'sharedStrings', 'sharedStrings.xml')}</Relationships>`,
    },
    ...names.map((name, index) => ({
      name: `xl/worksheets/sheet${index + 1}.xml`,
      content: book.sheets[name]!,
    })),
  ];
  if (book.strings !== undefined) parts.push({ name: 'xl/sharedStrings.xml', content: book.strings });
  if (book.styles !== undefined) parts.push({ name: 'xl/styles.xml', content: book.styles });
  const replaced = new Set(book.more?.map(({ name }) => name));
  return [...parts.filter(({ name }) => !replaced.has(name)), ...(book.more ?? [])];
}

/** A sheet with these rows. */
export function sheetXml(rows: string, behind = ''): string {
  return `${DECLARATION}<worksheet xmlns="${MAIN}"><sheetData>${rows}</sheetData>${behind}</worksheet>`;
}

export function stringsXml(items: string): string {
  return `${DECLARATION}<sst xmlns="${MAIN}">${items}</sst>`;
}

/** Cell formats by number; a text is a format of its own. */
export function stylesXml(formats: (number | string)[]): string {
  const own = formats.map((format, index) =>
    typeof format === 'string'
      ? `<numFmt numFmtId="${200 + index}" formatCode="${format.replaceAll('&', '&amp;').replaceAll('"', '&quot;')}"/>`
      : '',
  );
  const cells = formats.map(
    (format, index) =>
      `<xf numFmtId="${typeof format === 'string' ? 200 + index : format}" fontId="0" applyNumberFormat="1"/>`,
  );
  return `${DECLARATION}<styleSheet xmlns="${MAIN}"><numFmts>${own.join('')}</numFmts><cellStyleXfs><xf numFmtId="9"/></cellStyleXfs><cellXfs>${cells.join('')}</cellXfs></styleSheet>`;
}
