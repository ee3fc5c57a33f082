import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { Client } from 'minio';
import { supervise, type Supervised } from './supervisor.ts';

export interface S3Settings {
  endpoint: string;
  bucket: string;
  accessKey: string;
  secretKey: string;
  region: string;
}

/** `weed mini` is a whole cluster in one process; these parts of it cannot be switched off. */
export const STORE_PORTS = {
  s3: 8333,
  s3Grpc: 0,
  master: 0,
  masterGrpc: 0,
  volume: 0,
  volumeGrpc: 0,
  filer: 0,
  filerGrpc: 0,
  admin: 0,
  adminGrpc: 0,
};
/** The store's own maintenance looks for the admin's gRPC port at this distance, whatever its flag says. */
export const STORE_PORT_PAIRS = [{ lower: 'admin', upper: 'adminGrpc', distance: 10_000 }] as const;

export interface StoreStart {
  program: string;
  dataDir: string;
  ports: Record<keyof typeof STORE_PORTS, number>;
  bucket: string;
  accessKey: string;
  secretKey: string;
  logFile: string;
  pidFile: string;
  log: (line: string) => void;
}

const REGION = 'us-east-1';

function clientOf(settings: S3Settings): Client {
  const { hostname, port, protocol } = new URL(settings.endpoint);
  return new Client({
    endPoint: hostname,
    port: Number(port),
    useSSL: protocol === 'https:',
    accessKey: settings.accessKey,
    secretKey: settings.secretKey,
    region: settings.region,
    pathStyle: true,
  });
}

async function answers(client: Client, bucket: string): Promise<boolean> {
  try {
    await client.bucketExists(bucket);
    await readMarker(client, bucket);
    return true;
  } catch {
    // Not there yet, or its parts have not found each other; the log is shown when time is up.
    return false;
  }
}

/** Written at the first start. Large enough to lie in a volume and not in the filer's own records. */
const MARKER = { key: '.waybill/started', bytes: 64 * 1024 };

/**
 * After a restart the S3 gateway answers before the volumes have told the master where they are, and reads of what was
 * stored earlier end with 500 for about a second: only a read that comes through says that it is ready.
 */
async function readMarker(client: Client, bucket: string): Promise<void> {
  try {
    (await client.getObject(bucket, MARKER.key)).resume();
  } catch (error) {
    if (!['NoSuchKey', 'NoSuchBucket'].includes((error as { code?: string }).code ?? '')) throw error;
  }
}

/** The server makes it too, by its own flag, and may have done so between our look and our wish. */
async function makeBucket(client: Client, bucket: string): Promise<void> {
  try {
    await client.makeBucket(bucket, REGION);
  } catch (error) {
    if ((error as { code?: string }).code !== 'BucketAlreadyOwnedByYou') throw error;
  }
}

async function writeMarker(client: Client, bucket: string): Promise<boolean> {
  try {
    await client.putObject(bucket, MARKER.key, Buffer.alloc(MARKER.bytes, 'x'));
    return true;
  } catch {
    // No volume to write to yet; the log is shown when time is up.
    return false;
  }
}

/** The console uploads from the browser: it must be allowed to PUT and to read each part's ETag. */
async function checkCors(settings: S3Settings): Promise<void> {
  const answer = await fetch(`${settings.endpoint}/${settings.bucket}/preflight`, {
    method: 'OPTIONS',
    headers: { origin: 'http://localhost:3000', 'access-control-request-method': 'PUT' },
  });
  const methods = answer.headers.get('access-control-allow-methods') ?? '';
  const exposed = answer.headers.get('access-control-expose-headers') ?? '';
  if (!/\bPUT\b/.test(methods) || !/\bETag\b/i.test(exposed)) {
    throw new Error(
      `The object store at ${settings.endpoint} does not let a browser upload: CORS must allow PUT and expose ETag ` +
        `(it allows "${methods}" and exposes "${exposed}").`,
    );
  }
}

/** Starts SeaweedFS on this data folder, with its bucket, ready for uploads from a browser. */
export async function startObjectStore(
  start: StoreStart,
): Promise<{ server: Supervised; settings: S3Settings }> {
  const { ports, bucket, accessKey, secretKey } = start;
  const dir = join(start.dataDir, 's3');
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  const listening = {
    's3.port': ports.s3,
    's3.port.grpc': ports.s3Grpc,
    'master.port': ports.master,
    'master.port.grpc': ports.masterGrpc,
    'volume.port': ports.volume,
    'volume.port.grpc': ports.volumeGrpc,
    'filer.port': ports.filer,
    'filer.port.grpc': ports.filerGrpc,
    'admin.port': ports.admin,
    'admin.port.grpc': ports.adminGrpc,
  };
  const off = {
    's3.port.iceberg': 0,
    's3.port.lance': 0,
    webdav: false,
    'admin.ui': false,
    'master.telemetry': false,
  };
  const flags = { dir, ip: '127.0.0.1', 'ip.bind': '127.0.0.1', bucket, ...listening, ...off };
  const server = await supervise(
    {
      name: 'SeaweedFS',
      command: start.program,
      args: ['mini', ...Object.entries(flags).map(([name, value]) => `-${name}=${value}`)],
      env: {
        PATH: process.env['PATH'],
        HOME: dir,
        AWS_ACCESS_KEY_ID: accessKey,
        AWS_SECRET_ACCESS_KEY: secretKey,
      },
      cwd: dir,
      logFile: start.logFile,
      pidFile: start.pidFile,
      stopSignal: 'SIGTERM',
      graceMs: 10_000,
      // It writes down its options and would take last time's ports over this time's.
      prepare: async () => rmSync(join(dir, 'mini.options'), { force: true }),
    },
    start.log,
  );
  const endpoint = `http://127.0.0.1:${ports.s3}`;
  const settings = { endpoint, bucket, accessKey, secretKey, region: REGION };
  const client = clientOf(settings);
  try {
    await server.ready(() => answers(client, bucket), 60_000);
    if (!(await client.bucketExists(bucket))) await makeBucket(client, bucket);
    await server.ready(() => writeMarker(client, bucket), 60_000);
    await checkCors(settings);
  } catch (error) {
    await server.stop();
    throw error;
  }
  return { server, settings };
}
