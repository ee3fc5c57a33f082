import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, type TestContext } from 'vitest';
import { EICAR, startClamd, type Clamd } from '../test/clamd.ts';
import { openScanner, ScanImpossible, ScannerDown, type Scanner } from './scan.ts';

const folder = mkdtempSync(join(tmpdir(), 'waybill-scan-'));
const file = (name: string, content: string | Buffer, mode = 0o600): string => {
  const path = join(folder, name);
  writeFileSync(path, content, { mode });
  return path;
};
const clean = file('clean.csv', 'sku,name\nA-1,Pipe\n');
const infected = file('infected.csv', EICAR);
const large = file('large.csv', Buffer.alloc(8 * 1024 * 1024, 'x'));
const scanner = (setting: string, times?: { connectMs: number; silenceMs: number }): Scanner =>
  openScanner({ WAYBILL_SCAN: setting }, times)!;

let clamd: Clamd | { missing: string };
beforeAll(async () => {
  clamd = await startClamd(['StreamMaxLength 1M']);
});
afterAll(async () => {
  if ('port' in clamd) await clamd.remove();
  rmSync(folder, { recursive: true });
});

const running = (context: TestContext): Clamd => {
  if ('missing' in clamd) {
    console.log(`Skipped: ${clamd.missing}.`);
    return context.skip();
  }
  return clamd;
};

describe('clamd', () => {
  it('judges a file over TCP and over its socket', async (context) => {
    const { port, socketPath } = running(context);
    for (const setting of [`clamd://127.0.0.1:${port}`, `unix:${socketPath}`]) {
      expect(await scanner(setting).scan(clean)).toEqual({ clean: true });
      expect(await scanner(setting).scan(infected)).toEqual({
        clean: false,
        signature: 'Waybill.Test.UNOFFICIAL',
      });
    }
  });

  it('never lets a file pass that is over its limit', async (context) => {
    const { port } = running(context);
    await expect(scanner(`clamd://127.0.0.1:${port}`).scan(large)).rejects.toThrow(ScanImpossible);
  });

  it('is down where nobody listens', async (context) => {
    const { socketPath } = running(context);
    await expect(scanner('clamd://127.0.0.1:1').scan(clean)).rejects.toThrow(ScannerDown);
    await expect(scanner(`unix:${socketPath}.not`).scan(clean)).rejects.toThrow(ScannerDown);
  });
});

describe('a scanner that misbehaves is down', () => {
  const answering = async (behave: (socket: Socket) => void): Promise<unknown> => {
    const sockets: Socket[] = [];
    const server = createServer((socket) => {
      sockets.push(socket.on('error', () => {}));
      behave(socket);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    try {
      return await scanner(`clamd://127.0.0.1:${port}`, { connectMs: 500, silenceMs: 200 })
        .scan(large)
        .catch((error: unknown) => error);
    } finally {
      for (const socket of sockets) socket.destroy();
      server.close();
    }
  };

  it.each<[string, (socket: Socket) => void]>([
    ['hangs up at once', (socket) => socket.destroy()],
    ['hangs up after it took everything', (socket) => socket.resume().once('data', () => socket.end())],
    ['never reads', (socket) => socket.pause()],
    ['never answers', (socket) => socket.resume()],
    ['answers something else', (socket) => socket.resume().write('HTTP/1.1 400 Bad Request\0')],
    ['reports an error', (socket) => socket.resume().write('stream: out of memory ERROR\0')],
    ['never ends its answer', (socket) => socket.resume().write('stream: OK'.repeat(20_000))],
    ['says OK to something else', (socket) => socket.resume().write('other: OK\0')],
  ])('%s', async (_, behave) => {
    expect(await answering(behave)).toBeInstanceOf(ScannerDown);
  });

  it('and stops when it is told to', async () => {
    const server = createServer((socket) => socket.resume().on('error', () => {}));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    const scanning = scanner(`clamd://127.0.0.1:${port}`).scan(clean, AbortSignal.timeout(50));
    await expect(scanning).rejects.toMatchObject({ name: 'TimeoutError' });
    server.close();
  });
});

describe('a command', () => {
  const program = (name: string, body: string) => `command:${file(name, `#!/bin/sh\n${body}\n`, 0o700)}`;

  it('says by its exit code what it found', async () => {
    const grep = program(
      'scan',
      `if grep -q EICAR "$1"; then echo "$1: Eicar-Test FOUND"; echo Infected files: 1; exit 1; fi`,
    );
    expect(await scanner(grep).scan(clean)).toEqual({ clean: true });
    expect(await scanner(grep).scan(infected)).toEqual({ clean: false, signature: 'Eicar-Test' });
    const silent = program('silent', 'exit 1');
    expect(await scanner(silent).scan(clean)).toEqual({ clean: false, signature: 'not named' });
  });

  it('is down when it does not', async () => {
    await expect(scanner(program('fails', 'exit 2')).scan(clean)).rejects.toThrow(ScannerDown);
    await expect(scanner(program('dies', 'kill -9 $$')).scan(clean)).rejects.toThrow(ScannerDown);
    await expect(scanner('command:/does/not/exist').scan(clean)).rejects.toThrow(ScannerDown);
    const sleeps = scanner(program('sleeps', 'exec sleep 20'), { connectMs: 100, silenceMs: 100 });
    await expect(sleeps.scan(clean)).rejects.toThrow(ScannerDown);
  });

  it('gets none of our credentials', async () => {
    const curious = program('curious', 'if [ -n "$WAYBILL_SECRET_OF_TEST" ]; then exit 1; fi');
    process.env['WAYBILL_SECRET_OF_TEST'] = 'x';
    try {
      expect(await scanner(curious).scan(clean)).toEqual({ clean: true });
    } finally {
      delete process.env['WAYBILL_SECRET_OF_TEST'];
    }
  });
});

it('a setting that cannot be understood does not mean none', () => {
  expect(openScanner({})).toBeNull();
  for (const setting of [
    'clamd:127.0.0.1',
    'clamd://host',
    'clamd://host:99999',
    'unix:relative',
    'command:scan',
    'yes',
  ])
    expect(() => openScanner({ WAYBILL_SCAN: setting })).toThrow('WAYBILL_SCAN');
  expect(() => openScanner({ WAYBILL_SCAN: 'unix:/x', WAYBILL_SCAN_DOWN: 'pass' })).toThrow(
    'WAYBILL_SCAN_DOWN',
  );
});
