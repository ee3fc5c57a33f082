import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { inject } from 'vitest';

const here = fileURLToPath(new URL('..', import.meta.url));

/** What a worker's start makes of its sources is kept for the next one's: bundling takes 3 s of processor time. */
const kept = join(here, 'node_modules', '.cache', 'test-worker');
const bundles = join(kept, 'bundles');

const bundlesIn = (folder: string): string[] =>
  existsSync(folder) ? readdirSync(folder).filter((name) => name.endsWith('.js')) : [];

function keepBundles(made: string): void {
  mkdirSync(bundles, { recursive: true });
  const before = bundlesIn(bundles);
  for (const name of bundlesIn(made)) {
    if (before.includes(name)) continue;
    const own = join(bundles, `${name}.${process.pid}`);
    copyFileSync(join(made, name), own);
    renameSync(own, join(bundles, name));
    for (const old of before) rmSync(join(bundles, old), { force: true });
  }
}

/** A worker process as it runs outside tests, on this run's services. Resolves when it polls. */
export async function startTestWorker(settings: {
  databaseUrl: string;
  namespace: string;
  env?: Record<string, string>;
  /** Where another version of the code lies. */
  root?: string;
}): Promise<{ pid: number; lines(): string[]; stop(): Promise<number | null> }> {
  const { temporalAddress, s3 } = inject('services');
  const data = mkdtempSync(join(tmpdir(), 'waybill-worker-'));
  const root = settings.root ?? here;
  const cache = join(data, 'cache');
  mkdirSync(cache);
  for (const name of bundlesIn(bundles)) copyFileSync(join(bundles, name), join(cache, name));
  const child = spawn(process.execPath, [join(root, 'temporal', 'worker.ts')], {
    cwd: root,
    stdio: ['ignore', 'pipe', 'inherit'],
    env: {
      ...process.env,
      DATABASE_URL: settings.databaseUrl,
      TEMPORAL_ADDRESS: temporalAddress,
      TEMPORAL_NAMESPACE: settings.namespace,
      S3_ENDPOINT: s3.endpoint,
      S3_BUCKET: s3.bucket,
      S3_ACCESS_KEY: s3.accessKey,
      S3_SECRET_KEY: s3.secretKey,
      S3_REGION: s3.region,
      WAYBILL_DATA: data,
      NODE_COMPILE_CACHE: join(kept, 'compiled'),
      ...settings.env,
      // Its line says when it polls.
      WAYBILL_LOG: 'info',
    },
  });
  const exited = once(child, 'exit');
  const lines: string[] = [];
  await new Promise<void>((resolve, reject) => {
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      lines.push(text);
      if (text.includes('"polling"')) resolve();
    });
    void exited.then(([code]) => reject(new Error(`the worker ended with ${code}: ${lines.join('')}`)));
  });
  // Another version of the code makes its own, under another name.
  if (root === here) keepBundles(cache);
  return {
    pid: child.pid!,
    /** What it has logged. */
    lines: () => lines.join('').split('\n').filter(Boolean),
    async stop() {
      child.kill('SIGTERM');
      const killer = setTimeout(() => child.kill('SIGKILL'), 25_000);
      const [code] = (await exited) as [number | null];
      clearTimeout(killer);
      rmSync(data, { recursive: true, force: true });
      return code;
    },
  };
}
