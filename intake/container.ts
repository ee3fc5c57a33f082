import { createGunzip } from 'node:zlib';
import { Readable } from 'node:stream';
import { FileError, type FileWarning } from './types.ts';

export type Container = 'gzip' | 'zip' | 'text';

interface Foreign {
  magic: string;
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
    magic: '50415231',
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
  const hex = head.subarray(0, 8).toString('hex');
  if (hex.startsWith('1f8b')) return 'gzip';
  if (hex.startsWith('504b0304') || hex.startsWith('504b0506')) return 'zip';
  const foreign = FOREIGN.find(({ magic }) => hex.startsWith(magic));
  if (foreign) throw new FileError(foreign.code, foreign.message);
  const text = head
    .subarray(0, 1024)
    .toString('latin1')
    .replace(/^\xEF\xBB\xBF/u, '')
    .trimStart()
    .toLowerCase();
  if (/^<(?:!doctype html|html|head|body|\?xml|table)/u.test(text)) {
    const what = text.startsWith('<?xml') ? 'an XML file' : 'a web page (HTML), perhaps a login page';
    throw new FileError(
      'not_a_data_file',
      `This is ${what}, not a table. Download the file again, or save it as .csv or .xlsx.`,
    );
  }
  if (/^(?:\{\s*"|\[\s*[[{])/u.test(text)) {
    throw new FileError(
      'json',
      'This is JSON, which cannot be imported yet. Export the data as .csv or .xlsx.',
    );
  }
  return 'text';
}

export function emptyFile(): FileError {
  return new FileError('empty_file', 'The file is empty. Check that it was saved and uploaded completely.');
}

/** Says it where a file is not what its name claims. */
export function nameWarning(
  fileName: string,
  container: Container,
  packed: 'csv' | 'xlsx',
): FileWarning | null {
  const extension = /\.([a-z0-9]+)(\.gz)?$/iu.exec(fileName);
  if (!extension) return null;
  const inner = extension[1]!.toLowerCase();
  const gzip = extension[2] !== undefined || inner === 'gz';
  const claimed = ['xlsx', 'xlsm', 'xls'].includes(inner)
    ? 'xlsx'
    : ['csv', 'tsv', 'txt'].includes(inner)
      ? 'csv'
      : packed;
  if (claimed === packed && gzip === (container === 'gzip')) return null;
  const found =
    packed === 'xlsx' ? 'an Excel workbook' : container === 'gzip' ? 'text compressed with gzip' : 'text';
  return {
    code: 'name_disagrees',
    message: `The file is called ${fileName}, but its content is ${found}; it was read as that.`,
  };
}

export interface UnpackLimits {
  maxUnpackedBytes: number;
  /** Refused where more than so many bytes come out of one, past the first 64 MiB. */
  maxRatio: number;
}
const RATIO_FROM = 64 * 1024 * 1024;

/** Unpacks every member; what comes out is counted as it comes, not as the file claims. */
export async function* gunzip(packed: AsyncIterable<Buffer>, limits: UnpackLimits): AsyncGenerator<Buffer> {
  let taken = 0;
  let produced = 0;
  const counted = async function* () {
    for await (const chunk of packed) {
      taken += chunk.length;
      yield chunk;
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
