import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const root = join(import.meta.dirname, '..', '..');

export interface Instance {
  url: string;
  /** The sign-in link that the start printed; it works once. */
  link: string;
  /** The database, as its owner. */
  databaseUrl: string;
  stop: () => Promise<void>;
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === 'string') throw new Error('No port was given.');
  return address.port;
}

/** A whole Waybill on data of its own, started the way a person starts it. */
export async function startInstance(): Promise<Instance> {
  const data = mkdtempSync(join(tmpdir(), 'waybill-e2e-'));
  const env: NodeJS.ProcessEnv = { ...process.env, WAYBILL_DATA: data, PORT: String(await freePort()) };
  // None of the usual ports: another instance that starts at this moment would find the same ones free.
  writeFileSync(join(data, 'ports.json'), JSON.stringify({ postgres: 0, temporal: 0, temporalUi: 0, s3: 0 }));
  // A scanner as its simplest: a program that knows one virus.
  const scanner = join(data, 'scanner');
  writeFileSync(
    scanner,
    '#!/bin/sh\ngrep -q EICAR-STANDARD "$1" || exit 0\necho "$1: Eicar-Test-Signature FOUND"\nexit 1\n',
    { mode: 0o755 },
  );
  env['WAYBILL_SCAN'] = `command:${scanner}`;
  for (const name of ['DATABASE_URL', 'TEMPORAL_ADDRESS', 'S3_ENDPOINT']) delete env[name];
  const child = spawn(process.execPath, ['dev/start.ts', '--no-sample'], {
    cwd: root,
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()));
  const link = await new Promise<string>((resolve, reject) => {
    const read = (chunk: Buffer) => {
      output += chunk.toString();
      const found = /(http:\/\/\S+\/sign-in\?token=\S+)/.exec(output)?.[1];
      if (found) resolve(found);
    };
    child.stdout.on('data', read);
    child.stderr.on('data', read);
    void ended.then(() => reject(new Error(`Waybill did not start:\n${output}`)));
  });
  return {
    url: new URL(link).origin,
    link,
    databaseUrl: (JSON.parse(readFileSync(join(data, 'run.json'), 'utf8')) as { databaseUrl: string })
      .databaseUrl,
    async stop() {
      child.kill('SIGINT');
      await ended;
      rmSync(data, { recursive: true, force: true });
    },
  };
}
