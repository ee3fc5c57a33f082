import { isUtf8 } from 'node:buffer';
import { createGunzip } from 'node:zlib';
import { Readable } from 'node:stream';
import { shownFileName } from './file-name.ts';
import { FileError, type FileWarning } from './types.ts';

export type Container = 'gzip' | 'zip' | 'text';

interface Foreign {
  magic: string;
  /** What must follow as well, so many bytes behind the beginning. */
  at?: [offset: number, hex: string];
  code: string;
  message: string;
}

const CONVERT = 'Save it as .xlsx or .csv and import that.';
const FOREIGN: Foreign[] = [
  {
    magic: 'd0cf11e0a1b11ae1',
    code: 'old_excel',
    message: `This is an Excel file of the old kind (.xls), or one with a password. ${CONVERT}`,
  },
  {
    magic: '255044462d',
    code: 'pdf',
    message: 'This is a PDF, not a table. Ask its sender for the data as .csv or .xlsx.',
  },
  {
    magic: '5041523115',
    code: 'parquet',
    message: 'This is a Parquet file. Export it as .csv and import that.',
  },
  {
    magic: '28b52ffd',
    code: 'zstd',
    message: 'This file is compressed with zstd. Unpack it, or compress it with gzip.',
  },
  {
    magic: '425a68',
    at: [4, '314159265359'],
    code: 'bzip2',
    message: 'This file is compressed with bzip2. Unpack it, or compress it with gzip.',
  },
  {
    magic: 'fd377a585a00',
    code: 'xz',
    message: 'This file is compressed with xz. Unpack it, or compress it with gzip.',
  },
  {
    magic: '377abcaf271c',
    code: 'seven_zip',
    message: 'This is a 7-Zip archive. Unpack it and import the file in it.',
  },
  {
    magic: '526172211a07',
    code: 'rar',
    message: 'This is a RAR archive. Unpack it and import the file in it.',
  },
  {
    magic: '89504e47',
    code: 'image',
    message: 'This is an image, not a table. Import a .csv or .xlsx file.',
  },
  {
    magic: '474946383',
    code: 'image',
    message: 'This is an image, not a table. Import a .csv or .xlsx file.',
  },
  {
    magic: '49492a00',
    code: 'image',
    message: 'This is an image, not a table. Import a .csv or .xlsx file.',
  },
  {
    magic: '4d4d002a',
    code: 'image',
    message: 'This is an image, not a table. Import a .csv or .xlsx file.',
  },
  {
    magic: '53514c69746520666f',
    code: 'database',
    message: 'This is an SQLite database. Export the table as .csv and import that.',
  },
  {
    magic: '000100005374616e',
    code: 'database',
    message: 'This is an Access database. Export the table as .xlsx or .csv and import that.',
  },
  { magic: '4f626a01', code: 'avro', message: 'This is an Avro file. Export it as .csv and import that.' },
  {
    magic: '4152524f57310000',
    code: 'arrow',
    message: 'This is an Arrow file. Export it as .csv and import that.',
  },
  {
    magic: '1f9d',
    code: 'compress',
    message: 'This file is packed with compress (.Z). Unpack it, or compress it with gzip.',
  },
  {
    magic: '04224d18',
    code: 'lz4',
    message: 'This file is compressed with LZ4. Unpack it, or compress it with gzip.',
  },
  { magic: 'ffd8ff', code: 'image', message: 'This is an image, not a table. Import a .csv or .xlsx file.' },
  {
    magic: '7f454c46',
    code: 'program',
    message: 'This is a program, not a table. Import a .csv or .xlsx file.',
  },
];

/** What the first bytes say a file is, whatever its name says. Refuses what can never be a table. */
export function identify(head: Buffer): Container {
  if (head.length === 0) throw emptyFile();
  const hex = head.subarray(0, 16).toString('hex');
  if (hex.startsWith('1f8b')) return 'gzip';
  if (hex.startsWith('504b0304') || hex.startsWith('504b0506')) return 'zip';
  const foreign = FOREIGN.find(
    ({ magic, at }) => hex.startsWith(magic) && (!at || hex.startsWith(at[1], at[0] * 2)),
  );
  if (foreign) throw new FileError(foreign.code, foreign.message);
  if (head.toString('latin1', 257, 262) === 'ustar')
    throw new FileError('tar', 'This is a TAR archive. Unpack it and import the file in it.');
  return 'text';
}

const WEB_PAGE = /^<(?:!doctype\s+html|html|head|body|meta|script|style|table|div|title)\b/iu;

/** `<TICKER>,<DATE>`: names of columns as programs for the stock exchange write them, and no tags. */
const NAMES_IN_BRACKETS = /^<[^<>?!\r\n]{1,60}>([,;\t|])/u;

/** Refuses text that is made for something else than tables. */
export function refuseForeignText(text: string): void {
  const start = text.slice(0, 2048).replace(/^(?:\s|<!--[^]*?-->)+/u, '');
  const refuse = (what: string, advice: string) => {
    throw new FileError('not_a_data_file', `This is ${what}, not a table. ${advice}`);
  };
  if (/urn:schemas-microsoft-com:office:spreadsheet|progid="Excel\.Sheet"/u.test(start))
    refuse('a spreadsheet in the XML format of Excel 2003', CONVERT);
  if (/^MIME-Version:/iu.test(start)) refuse('a web archive or an e-mail', CONVERT);
  const divided = NAMES_IN_BRACKETS.exec(start)?.[1];
  // Between tags a tab is a space like any other.
  if (divided !== undefined && !(divided === '\t' && WEB_PAGE.test(start))) return;
  if (WEB_PAGE.test(start)) {
    refuse(
      'a web page (HTML), perhaps a login page',
      'Download the file again; if it is an export called .xls, open it in Excel and save it as .xlsx or .csv.',
    );
  }
  if (start.startsWith('{\\rtf')) refuse('a text document (RTF)', CONVERT);
  if (/^<(?:\?xml\b|[a-z][\w.:-]*(?:\s[^>]*)?>)/iu.test(start))
    refuse('an XML file', 'Export the data as .csv or .xlsx.');
}

const BINARY_BYTES = 1024;
const BINARY_SHARE = 0.05;

/** Refuses what is neither UTF-8 nor, by its NULs and control characters, text in any other encoding of single bytes. */
export function refuseBinary(head: Buffer): void {
  const bytes = head.subarray(0, BINARY_BYTES);
  if (!bytes.includes(0)) return;
  let controls = 0;
  for (const byte of bytes) if (byte < 9 || (byte > 13 && byte < 32 && byte !== 27)) controls++;
  // Of a longer head the last character may be cut.
  const cut = head.length > bytes.length ? [0, 1, 2, 3] : [0];
  const valid = cut.some((less) => isUtf8(bytes.subarray(0, bytes.length - less)));
  if (valid || controls < 8 || controls < bytes.length * BINARY_SHARE) return;
  throw new FileError(
    'not_a_data_file',
    'This is no text, but the file of some program in a form of its own. Export the data as .csv or .xlsx.',
  );
}

export function emptyFile(): FileError {
  return new FileError('empty_file', 'The file is empty. Check that it was saved and uploaded completely.');
}

const CLAIMS: Record<string, 'csv' | 'xlsx' | 'json' | 'other'> = {
  xlsx: 'xlsx',
  xlsm: 'xlsx',
  xltx: 'xlsx',
  csv: 'csv',
  tsv: 'csv',
  tab: 'csv',
  txt: 'csv',
  json: 'json',
  ndjson: 'json',
  jsonl: 'json',
};
for (const extension of [
  'xls',
  'xlsb',
  'ods',
  'pdf',
  'html',
  'htm',
  'xml',
  'parquet',
  'zip',
  'doc',
  'docx',
  'png',
  'jpg',
])
  CLAIMS[extension] = 'other';
const FOUND = {
  csv: 'text in columns',
  xlsx: 'an Excel workbook',
  json: 'JSON',
  ndjson: 'JSON, one record a line',
};

/** Says it where a file is not what its name claims. */
export function nameWarning(
  fileName: string,
  type: 'csv' | 'xlsx' | 'json' | 'ndjson',
  compression: 'gzip' | null,
): FileWarning | null {
  const [, first, second] = /\.([a-z0-9]+)(?:\.([a-z0-9]+))?$/iu.exec(fileName) ?? [];
  if (!first) return null;
  const last = (second ?? first).toLowerCase();
  const gzip = last === 'gz' || last === 'gzip';
  const inner = (gzip && second ? first : last).toLowerCase();
  const claimed = CLAIMS[inner];
  const agrees = claimed === undefined || claimed === (type === 'ndjson' ? 'json' : type);
  if (agrees && gzip === (compression === 'gzip')) return null;
  return {
    code: 'name_disagrees',
    message: `The file is called ${shownFileName(fileName)}, but its content is ${FOUND[type]}${compression ? ', compressed with gzip' : ''}; it was read as that.`,
  };
}

export interface UnpackLimits {
  maxUnpackedBytes: number;
  /** Refused where more than so many bytes come out of one, past the first 100 KiB. */
  maxRatio: number;
}
const RATIO_FROM = 100 * 1024;

/** Unpacks every member; what comes out is counted as it comes, not as the file claims. */
export async function* gunzip(packed: AsyncIterable<Buffer>, limits: UnpackLimits): AsyncGenerator<Buffer> {
  let taken = 0;
  let produced = 0;
  /** Where the last byte stands that is more than padding. */
  let content = 0;
  const counted = async function* () {
    for await (const chunk of packed) {
      let last = chunk.length;
      while (last > 0 && chunk[last - 1] === 0) last--;
      if (last > 0) content = taken + last;
      taken += chunk.length;
      // It may be used again, and the stream keeps it for a while.
      yield Buffer.from(chunk);
    }
  };
  const input = Readable.from(counted(), { objectMode: false, highWaterMark: 256 * 1024 });
  const unpacked = createGunzip({ chunkSize: 256 * 1024 });
  input.on('error', (error) => unpacked.destroy(error));
  input.pipe(unpacked);
  try {
    for await (const chunk of unpacked as AsyncIterable<Buffer>) {
      produced += chunk.length;
      if (
        produced > limits.maxUnpackedBytes ||
        (produced > RATIO_FROM && produced > taken * limits.maxRatio)
      ) {
        throw new FileError(
          'unpacks_too_large',
          `The compressed file unpacks to far more than it should (over ${Math.floor(produced / 1e6)} MB from ${taken} bytes). It was not read further.`,
        );
      }
      yield chunk;
    }
    // The unpacker ends at the first byte that begins no member: a member behind padding would be lost without a word.
    input.unpipe(unpacked);
    for await (const _rest of input) continue;
    if (content > unpacked.bytesWritten)
      throw new FileError(
        'broken_gzip',
        `The gzip file goes on behind its end, after ${unpacked.bytesWritten} bytes, with what is not packed. Compress and upload it again.`,
      );
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === 'Z_BUF_ERROR')
      throw new FileError('truncated_gzip', 'The gzip file ends in the middle. Upload it again, completely.');
    if (code?.startsWith('Z_'))
      throw new FileError(
        'broken_gzip',
        'The gzip file is damaged and cannot be unpacked. Compress and upload it again.',
      );
    throw error;
  } finally {
    input.destroy();
    unpacked.destroy();
  }
}
