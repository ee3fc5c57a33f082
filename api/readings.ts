import { randomUUID } from 'node:crypto';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { createReadStream, createWriteStream } from 'node:fs';
import { buffer, json } from 'node:stream/consumers';
import type { StoredImport } from '../db/imports.ts';
import { inspectFile } from '../intake/inspect.ts';
import { asInspected, PREVIEW_BYTES, readBeginning, type Reading } from '../intake/preview.ts';
import { withSaidTypes } from '../intake/said-types.ts';
import type { FileOptions, Manifest } from '../intake/types.ts';
import type { ObjectStore } from '../storage/objects.ts';

/** Kept so long after they were last asked for; a person who tries options asks again within seconds. */
const KEPT_MS = 5 * 60_000;
const MOST_KEPT = 24;
/** A workbook that takes longer to read is not shown before it is confirmed. */
const SLOW_MS = 20_000;

/**
 * Files as they look when they are read in one way or another: their beginning, on this host, for as long as somebody
 * tries options. The run is not touched by it.
 */
export interface Readings {
  /** What inspection found. */
  manifest(stored: StoredImport): Promise<Manifest>;
  /** The beginning of the file, as it was inspected (null) or with other options. FileError where it cannot be read so. */
  read(stored: StoredImport, options: FileOptions | null): Promise<Reading>;
  close(): Promise<void>;
}

interface Kept<T> {
  value: Promise<T>;
  folder?: string;
  usedAt: number;
}

/** The sample of an inspected file, as a file of its own: nothing else of it has to be fetched. */
async function fromSample(manifest: Manifest, folder: string): Promise<Reading> {
  await mkdir(folder, { recursive: true });
  const path = join(folder, 'canonical');
  const quoted = (cell: string) => `"${cell.replaceAll('"', '""')}"`;
  const bytes = Buffer.from(manifest.sample.map((cells) => `${cells.map(quoted).join(',')}\n`).join(''));
  await writeFile(path, bytes);
  const [first] = manifest.segments;
  const dialect = {
    delimiter: ',',
    quote: '"',
    escape: '"',
    ...(manifest.canonicalDialect.rows && { rows: true as const }),
  };
  return {
    manifest: {
      ...manifest,
      canonicalDialect: dialect,
      segments: first ? [{ ...first, start: 0, end: bytes.length }] : [],
    },
    path,
  };
}

export function createReadings(store: ObjectStore): Readings {
  const kept = new Map<string, Kept<unknown>>();
  let root: Promise<string> | null = null;

  const folderFor = async (): Promise<string> => {
    root ??= mkdtemp(join(tmpdir(), 'waybill-readings-'));
    return join(await root, randomUUID());
  };
  const drop = async (key: string) => {
    const entry = kept.get(key);
    kept.delete(key);
    if (!entry?.folder) return;
    await entry.value.catch(() => undefined);
    await rm(entry.folder, { recursive: true, force: true });
  };
  const sweep = setInterval(() => {
    for (const [key, { usedAt }] of kept) if (Date.now() - usedAt > KEPT_MS) void drop(key);
  }, KEPT_MS / 5);
  sweep.unref();

  /** Made once however many ask at the same time; what failed is tried again. */
  function keep<T>(key: string, make: (folder: string) => Promise<T>): Promise<T> {
    const found = kept.get(key) as Kept<T> | undefined;
    if (found) {
      found.usedAt = Date.now();
      kept.delete(key);
      kept.set(key, found);
      return found.value;
    }
    const entry: Kept<T> = { usedAt: Date.now(), value: Promise.resolve(null as T) };
    entry.value = folderFor().then((folder) => {
      entry.folder = folder;
      return make(folder);
    });
    entry.value.catch(() => drop(key));
    kept.set(key, entry);
    for (const oldest of kept.keys()) {
      if (kept.size <= MOST_KEPT) break;
      void drop(oldest);
    }
    return entry.value;
  }

  const nameOf = (stored: StoredImport) => `${stored.id} ${stored.objectEtag ?? ''}`;

  const manifest = (stored: StoredImport): Promise<Manifest> =>
    keep(
      `manifest ${stored.manifestKey}`,
      async () => (await json(await store.read(stored.manifestKey!))) as Manifest,
    );

  const head = (stored: StoredImport): Promise<{ head: Buffer; whole: boolean }> =>
    keep(`head ${nameOf(stored)}`, async () => {
      const bytes = await buffer(
        await store.read(stored.objectKey!, {
          etag: stored.objectEtag ?? undefined,
          start: 0,
          end: Math.min(stored.bytes ?? PREVIEW_BYTES, PREVIEW_BYTES),
        }),
      );
      return { head: bytes, whole: bytes.length >= (stored.bytes ?? Infinity) };
    });

  /** What has its directory at its end (a workbook) is fetched once, and read as a whole. */
  async function wholeFile(stored: StoredImport, options: FileOptions, folder: string): Promise<Reading> {
    const { path } = await keep(`file ${nameOf(stored)}`, async (own) => {
      await mkdir(own, { recursive: true });
      const file = join(own, 'raw');
      const content = await store.read(stored.objectKey!, { etag: stored.objectEtag ?? undefined });
      await pipeline(content, createWriteStream(file));
      return { path: file };
    });
    await mkdir(folder, { recursive: true });
    const canonicalPath = join(folder, 'canonical');
    const manifest = await inspectFile({
      source: createReadStream(path) as AsyncIterable<Buffer>,
      spool: { rawPath: path, canonicalPath, rawIsSource: true },
      fileName: stored.fileName,
      options,
      signal: AbortSignal.timeout(SLOW_MS),
    });
    return { manifest: withSaidTypes(manifest, options.types), path: canonicalPath };
  }

  return {
    manifest,

    async read(stored, options) {
      const inspected = await manifest(stored);
      const as = options === null ? 'inspected' : JSON.stringify(options);
      return keep(`reading ${nameOf(stored)} ${as}`, async (folder) => {
        if (inspected.type !== 'csv')
          return options === null ? fromSample(inspected, folder) : wholeFile(stored, options, folder);
        const beginning = { ...(await head(stored)), folder };
        if (options === null) return asInspected({ ...beginning, manifest: inspected });
        const reading = await readBeginning({ ...beginning, fileName: stored.fileName, options });
        return { ...reading, manifest: withSaidTypes(reading.manifest, options.types) };
      });
    },

    async close() {
      clearInterval(sweep);
      await Promise.all([...kept.keys()].map(drop));
      if (root) await rm(await root, { recursive: true, force: true });
    },
  };
}
