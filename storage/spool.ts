import { mkdir, readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';

/** This host's copies of files that are being imported: a cache. The object store is the truth. */
export interface Spool {
  paths(importId: string): { folder: string; rawPath: string; canonicalPath: string };
  /** Makes the import's folder, and room for it by dropping what was used longest ago. */
  open(importId: string): Promise<{ folder: string; rawPath: string; canonicalPath: string }>;
  drop(importId: string): Promise<void>;
  /** Drops what nobody has touched for `olderThanMs`. */
  sweep(olderThanMs: number): Promise<void>;
}

/** @param quotaBytes what all copies together may take; an import that is larger by itself still gets its room. */
export function openSpool(root: string, quotaBytes: number): Spool {
  const paths = (importId: string) => {
    const folder = join(root, importId);
    return { folder, rawPath: join(folder, 'raw'), canonicalPath: join(folder, 'canonical') };
  };
  const drop = async (importId: string) => rm(paths(importId).folder, { recursive: true, force: true });
  const entries = async () => {
    const names = await readdir(root).catch(() => []);
    const found = await Promise.all(
      names.map(async (importId) => {
        const files = await readdir(join(root, importId)).catch(() => []);
        const stats = await Promise.all(
          files.map((file) => stat(join(root, importId, file)).catch(() => null)),
        );
        const folder = await stat(join(root, importId)).catch(() => null);
        return {
          importId,
          bytes: stats.reduce((sum, s) => sum + (s?.size ?? 0), 0),
          touched: Math.max(
            folder?.mtimeMs ?? 0,
            ...stats.map((s) => Math.max(s?.mtimeMs ?? 0, s?.atimeMs ?? 0)),
          ),
        };
      }),
    );
    return found.sort((a, b) => a.touched - b.touched);
  };
  return {
    paths,
    drop,
    async open(importId) {
      const all = await entries();
      let used = all.reduce((sum, entry) => sum + entry.bytes, 0);
      for (const entry of all) {
        if (used <= quotaBytes) break;
        if (entry.importId === importId) continue;
        await drop(entry.importId);
        used -= entry.bytes;
      }
      const own = paths(importId);
      await mkdir(own.folder, { recursive: true });
      return own;
    },
    async sweep(olderThanMs) {
      for (const entry of await entries()) {
        if (Date.now() - entry.touched > olderThanMs) await drop(entry.importId);
      }
    },
  };
}
