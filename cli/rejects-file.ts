import { randomUUID } from 'node:crypto';
import { constants, fstatSync, type Stats } from 'node:fs';
import { access, open, realpath, rename, stat, type FileHandle } from 'node:fs/promises';
import type { Writable } from 'node:stream';
import { finished } from 'node:stream/promises';
import { FileError } from '../intake/types.ts';
import { removedAtEnd } from './leftovers.ts';
import { notWritten, PacedOutput } from './paced-output.ts';

/**
 * The file of `--rejects`: opened before anything is read, and under its own name only when it is whole. What stood there
 * is not touched before that; a device or a pipe is written as it is.
 */
export class RejectsFile {
  readonly out: PacedOutput;
  private readonly stream: Writable;
  private readonly name: string;
  private readonly temporary: { from: string; to: string; remove: () => void } | null;

  private constructor(name: string, file: FileHandle, temporary: RejectsFile['temporary']) {
    this.name = name;
    this.stream = file.createWriteStream();
    this.out = new PacedOutput(this.stream, name);
    this.temporary = temporary;
  }

  /** Refuses (`FileError`) what cannot be written, the file that is read, and where the rows go. */
  static async open(path: string, source: string, stdout: Writable): Promise<RejectsFile> {
    const name = `The file of --rejects, ${path},`;
    try {
      const there = await stat(path).catch((error: NodeJS.ErrnoException) => {
        if (error.code === 'ENOENT') return null;
        throw error;
      });
      if (there) {
        refuseSame(there, await stat(source), 'is the file that is read');
        if (stdout === process.stdout && !there.isCharacterDevice())
          refuseSame(there, fstatSync(1), 'is where the rows go');
        if (there.isDirectory()) throw Object.assign(new Error(path), { code: 'EISDIR' });
        if (!there.isFile()) return new RejectsFile(name, await open(path, 'w'), null);
        await access(path, constants.W_OK);
      }
      const to = there ? await realpath(path) : path;
      const from = `${to}.${randomUUID()}.part`;
      const file = await open(from, 'wx', there?.mode ?? 0o666);
      return new RejectsFile(name, file, { from, to, remove: removedAtEnd(from) });
    } catch (error) {
      throw notWritten(name, error as NodeJS.ErrnoException);
    }
  }

  /** Everything is in it: it gets its name. */
  async finish(): Promise<void> {
    await this.out.flush();
    try {
      this.stream.end();
      await finished(this.stream);
      if (this.temporary) await rename(this.temporary.from, this.temporary.to);
    } catch (error) {
      throw notWritten(this.name, error as NodeJS.ErrnoException);
    }
  }

  /** Whatever happened: nothing half done is left behind. */
  close(): void {
    this.stream.destroy();
    this.temporary?.remove();
  }
}

function refuseSame(one: Stats, other: Stats, what: string): void {
  if (one.ino === other.ino && one.dev === other.dev)
    throw new FileError('usage', `--rejects ${what}. Name another file for the rows that cannot be read.`);
}
