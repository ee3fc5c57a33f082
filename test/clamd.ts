/** For tests: a real clamd on a free port and a socket, with a signature database of one line of our own. */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, globSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { choosePorts } from '../dev/ports.ts';

/** The test file that every scanner knows, put together here so that no scanner minds this source. */
export const EICAR = ['X5O!P%@AP[4\\PZX54(P^)7CC)7}', '$EICAR-STANDARD-', 'ANTIVIRUS-TEST-FILE!$H+H*'].join(
  '',
);

const CACHE = join(import.meta.dirname, '../node_modules/.cache/waybill/clamd');

/** Finds clamd, or fetches Debian's package and unpacks it beside the other caches: nothing is installed. */
function findClamd(): { program: string; libraries: string } | { missing: string } {
  for (const program of ['clamd', '/usr/sbin/clamd'])
    if (spawnSync(program, ['--version']).status === 0) return { program, libraries: '' };
  if (!existsSync(CACHE)) {
    if (spawnSync('apt-get', ['--version']).status !== 0)
      return { missing: 'there is no clamd, and no apt-get to fetch one' };
    const folder = mkdtempSync(join(tmpdir(), 'waybill-clamd-'));
    try {
      const archives = join(folder, 'archives');
      mkdirSync(join(archives, 'partial'), { recursive: true });
      const options = [`Dir::Cache::archives=${archives}`, 'Debug::NoLocking=1', 'APT::Sandbox::User=root'];
      const download = () =>
        spawnSync('apt-get', [
          ...['install', '-qq', '-y', '--no-install-recommends', '--download-only'],
          ...options.flatMap((option) => ['-o', option]),
          'clamav-daemon',
        ]).status === 0;
      if (!download() && (spawnSync('apt-get', ['update', '-qq']).status !== 0 || !download()))
        return { missing: 'there is no clamd, and apt-get has no clamav-daemon' };
      const unpacked = join(folder, 'unpacked');
      for (const archive of globSync(join(archives, '*.deb')))
        spawnSync('dpkg-deb', ['-x', archive, unpacked]);
      mkdirSync(join(CACHE, '..'), { recursive: true });
      spawnSync('cp', ['-r', unpacked, `${CACHE}.${process.pid}`]);
      try {
        renameSync(`${CACHE}.${process.pid}`, CACHE);
      } catch (error) {
        // Another test file was faster.
        if (!existsSync(CACHE)) throw error;
        rmSync(`${CACHE}.${process.pid}`, { recursive: true, force: true });
      }
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  }
  const libraries = globSync(join(CACHE, 'usr/lib/*-linux-*'));
  return { program: join(CACHE, 'usr/sbin/clamd'), libraries: libraries.join(':') };
}

export interface Clamd {
  port: number;
  socketPath: string;
  stop(): Promise<void>;
  /** On the same port, after `stop`. */
  start(): Promise<void>;
  remove(): Promise<void>;
}

/** @returns why it cannot be had, where it cannot. */
export async function startClamd(settings: string[] = []): Promise<Clamd | { missing: string }> {
  const found = findClamd();
  if ('missing' in found) return found;
  const { clamd: port } = await choosePorts({ clamd: 0 });
  const folder = mkdtempSync(join(tmpdir(), 'waybill-clamd-'));
  mkdirSync(join(folder, 'signatures'));
  writeFileSync(
    join(folder, 'signatures/waybill.ndb'),
    `Waybill.Test:0:*:${Buffer.from(EICAR).toString('hex')}\n`,
  );
  const socketPath = join(folder, 'socket');
  writeFileSync(
    join(folder, 'clamd.conf'),
    [
      `DatabaseDirectory ${join(folder, 'signatures')}`,
      `LocalSocket ${socketPath}`,
      `TCPSocket ${port}`,
      'TCPAddr 127.0.0.1',
      'Foreground yes',
      ...settings,
      '',
    ].join('\n'),
  );
  const run = () =>
    spawn(found.program, ['-c', join(folder, 'clamd.conf')], {
      stdio: 'ignore',
      env: { ...process.env, ...(found.libraries && { LD_LIBRARY_PATH: found.libraries }) },
    });
  let child: ReturnType<typeof run> | null = null;
  const clamd: Clamd = {
    port,
    socketPath,
    async start() {
      child = run();
      const exited = once(child, 'exit').then(([code]) => {
        throw new Error(`clamd ended with ${code as number}`);
      });
      exited.catch(() => {});
      while (!(await Promise.race([answersPing(port), exited])));
    },
    async stop() {
      if (!child || child.exitCode !== null) return;
      const exited = once(child, 'exit');
      child.kill('SIGKILL');
      await exited;
      child = null;
    },
    async remove() {
      await clamd.stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
  await clamd.start();
  return clamd;
}

/** Once, within a moment. */
async function answersPing(port: number): Promise<boolean> {
  const socket = connect({ port, host: '127.0.0.1' });
  socket.setTimeout(500, () => socket.destroy());
  socket.write('zPING\0');
  const answer = await new Promise<string>((resolve) => {
    socket.once('data', (data: Buffer) => resolve(data.toString('latin1')));
    socket.once('close', () => resolve(''));
    socket.once('error', () => resolve(''));
  });
  socket.destroy();
  if (answer === '') await new Promise((resolve) => setTimeout(resolve, 50));
  return answer === 'PONG\0';
}
