import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { access, mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { bundleWorkflowCode } from '@temporalio/worker';

const workflows = fileURLToPath(new URL('../workflows/', import.meta.url));
const lock = fileURLToPath(new URL('../package-lock.json', import.meta.url));

/**
 * Path of the workflows' bundle for the sources as they are; made once and kept. In a process of its own: bundling
 * leaves 100 MB behind (272 against 160 MB resident, docs/architecture.md).
 */
export async function workflowBundle(cacheFolder: string): Promise<string> {
  const hash = createHash('sha256');
  for (const name of (await readdir(workflows)).sort()) {
    if (name.endsWith('.ts') && !name.endsWith('.test.ts'))
      hash.update(name).update(await readFile(join(workflows, name)));
  }
  hash.update(await readFile(lock));
  const path = join(cacheFolder, `workflows-${hash.digest('hex').slice(0, 16)}.js`);
  try {
    await access(path);
  } catch {
    await mkdir(cacheFolder, { recursive: true });
    await promisify(execFile)(process.execPath, [fileURLToPath(import.meta.url), path], {
      // The bundler's own code is not what the worker's start is to find compiled.
      env: { ...process.env, NODE_DISABLE_COMPILE_CACHE: '1' },
    });
    for (const name of await readdir(cacheFolder)) {
      if (/^workflows-.*\.js$/.test(name) && join(cacheFolder, name) !== path)
        await rm(join(cacheFolder, name), { force: true });
    }
  }
  return path;
}

async function main(path: string): Promise<void> {
  const { code } = await bundleWorkflowCode({
    workflowsPath: join(workflows, 'index.ts'),
    logger: { log() {}, trace() {}, debug() {}, info() {}, warn: console.warn, error: console.error },
  });
  // The worker wants a source map but gains little from it; kept in memory it costs 8 MB.
  const slim = code.replace(/\/\/# sourceMappingURL=data:application\/json[^\n]*/, () => {
    const empty = Buffer.from('{"version":3,"sources":[],"names":[],"mappings":""}').toString('base64');
    return `//# sourceMappingURL=data:application/json;charset=utf-8;base64,${empty}`;
  });
  await writeFile(`${path}.${process.pid}`, slim);
  await rename(`${path}.${process.pid}`, path);
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) await main(process.argv[2]!);
