import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { inject } from 'vitest';

const here = fileURLToPath(new URL('..', import.meta.url));

/** A worker process as it runs outside tests, on this run's services. Resolves when it polls. */
export async function startTestWorker(settings: {
  databaseUrl: string;
  namespace: string;
  env?: Record<string, string>;
  /** Where another version of the code lies. */
  root?: string;
}): Promise<{ pid: number; lines(): string[]; stop(): Promise<void> }> {
  const { temporalAddress, s3 } = inject('services');
  const data = mkdtempSync(join(tmpdir(), 'waybill-worker-'));
  const root = settings.root ?? here;
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
  return {
    pid: child.pid!,
    /** What it has logged. */
    lines: () => lines.join('').split('\n').filter(Boolean),
    async stop() {
      child.kill('SIGTERM');
      const killer = setTimeout(() => child.kill('SIGKILL'), 25_000);
      await exited;
      clearTimeout(killer);
      rmSync(data, { recursive: true, force: true });
    },
  };
}
