import { mkdtemp, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import type { Writable } from 'node:stream';
import { parseArgs } from 'node:util';
import { shownText } from '../intake/file-name.ts';
import { inspectFile } from '../intake/inspect.ts';
import { readChunks } from '../intake/read-chunks.ts';
import { FileError, type FileOptions, type Manifest } from '../intake/types.ts';
import { removedAtEnd } from './leftovers.ts';

/** A file that was read where it lies, with what had to be made from it in a folder of its own. */
export interface OfflineFile {
  path: string;
  canonicalPath: string;
  manifest: Manifest;
}

export interface OfflineArguments {
  path: string;
  json: boolean;
  rejects: string | null;
  repair: boolean;
  options: FileOptions;
}

/** The arguments that `inspect` and `convert` share. */
export function offlineArguments(argv: string[], command: 'inspect' | 'convert'): OfflineArguments {
  const text = { type: 'string' } as const;
  let parsed;
  try {
    parsed = parseArgs({
      args: argv,
      allowPositionals: true,
      options: {
        sheet: text,
        encoding: text,
        delimiter: text,
        quote: text,
        'header-row': text,
        'keep-footer': { type: 'boolean' },
        json: { type: 'boolean' },
        ...(command === 'convert' ? { rejects: text, repair: { type: 'boolean' as const } } : {}),
      },
    });
  } catch (error) {
    throw new FileError('usage', (error as Error).message.split('\n')[0]!);
  }
  const { positionals } = parsed;
  const values = parsed.values as Record<string, string | boolean | undefined>;
  const given = (name: string) => values[name] as string | undefined;
  if (positionals.length !== 1) {
    throw new FileError(
      'usage',
      `Name one file: waybill ${command} FILE${command === 'inspect' ? ' [--json]' : ' [--rejects FILE] [--repair]'}`,
    );
  }
  const headerRow = given('header-row');
  if (headerRow !== undefined && !/^\d{1,9}$/u.test(headerRow)) {
    throw new FileError(
      'usage',
      `--header-row is the number of a line, or 0 for a file without header; "${headerRow}" is neither.`,
    );
  }
  const delimiter = given('delimiter');
  const quote = given('quote');
  return {
    path: positionals[0]!,
    json: values.json === true,
    rejects: given('rejects') ?? null,
    repair: values.repair === true,
    options: {
      sheet: given('sheet'),
      encoding: given('encoding'),
      delimiter: delimiter === undefined ? undefined : delimiterOf(delimiter),
      quote:
        quote === undefined || quote === '' || quote === 'none'
          ? quote && ''
          : oneCharacter('--quote', quote),
      headerRow: headerRow === undefined ? undefined : Number(headerRow),
      keepFooter: values['keep-footer'] === true || undefined,
    },
  };
}

/** Where a command writes: the process, or a test. */
export interface Streams {
  stdout: Writable;
  stderr: Writable;
}

/** Runs an offline command: a file that cannot be read is one clear line and exit code 2. */
export async function offline({ stderr }: Streams, work: () => Promise<void>): Promise<number> {
  try {
    await work();
    return 0;
  } catch (error) {
    const { code, syscall, message } = error as NodeJS.ErrnoException;
    if (code === 'EPIPE') return 0;
    // What the system refuses (a full disk, a file that is not ours) is nothing that a stack would explain.
    if (!(error instanceof FileError) && syscall === undefined) throw error;
    stderr.write(`waybill: ${shownText(message)}\n`);
    return 2;
  }
}

export async function withFile(
  args: OfflineArguments,
  use: (file: OfflineFile) => Promise<void>,
): Promise<void> {
  await assertReadable(args.path);
  const folder = await mkdtemp(join(tmpdir(), 'waybill-'));
  const canonicalPath = join(folder, 'canonical');
  const remove = removedAtEnd(folder);
  try {
    const manifest = await inspectFile({
      source: readChunks(args.path),
      spool: { rawPath: args.path, canonicalPath, rawIsSource: true },
      fileName: basename(args.path),
      options: args.options,
    });
    await use({ path: args.path, canonicalPath, manifest });
  } finally {
    remove();
  }
}

/** Refuses (`FileError`) what is no file, in a sentence. */
export async function assertReadable(path: string): Promise<void> {
  const found = await stat(path).catch((error: NodeJS.ErrnoException) => {
    throw new FileError(
      'no_file',
      error.code === 'ENOENT' ? `There is no file ${path}.` : `${path} cannot be read (${error.code}).`,
    );
  });
  if (!found.isFile()) throw new FileError('no_file', `${path} is not a file.`);
}

/** One or a few characters, or the names a shell makes easier to type. */
function delimiterOf(value: string): string {
  const named: Record<string, string> = {
    tab: '\t',
    '\\t': '\t',
    comma: ',',
    semicolon: ';',
    pipe: '|',
    space: ' ',
    colon: ':',
    caret: '^',
    '0x1f': '\x1F',
    '\\x1f': '\x1F',
  };
  const delimiter = named[value.toLowerCase()] ?? value;
  if (delimiter === '' || delimiter.length > 8 || /[\r\n\0"]/u.test(delimiter)) {
    throw new FileError('usage', `--delimiter must be one to eight characters (or tab), not "${value}".`);
  }
  return delimiter;
}

function oneCharacter(flag: string, character: string): string {
  if (character.length !== 1 || character.charCodeAt(0) > 0x7f || /[\r\n\0]/u.test(character)) {
    throw new FileError('usage', `${flag} must be one ASCII character, not "${character}".`);
  }
  return character;
}
