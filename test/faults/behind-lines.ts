import { join } from 'node:path';
import { removeCluster } from '../../dev/postgres.ts';
import { startServices, type ServiceName, type Services } from '../../dev/services.ts';
import { startProxy, type Proxy } from './proxy.ts';

/** One between the processes and each service. */
export type Lines = Record<ServiceName, Proxy>;

/** The services of an instance that reaches them through lines of ours. */
export interface Behind {
  services: Services;
  lines: Lines;
  stop(): Promise<void>;
}

/** Services in this folder, and the variables by which an instance is led to them through lines. */
export async function startBehindLines(data: string): Promise<{ behind: Behind; env: NodeJS.ProcessEnv }> {
  const services = await startServices({ dataDir: join(data, 'services'), usualPorts: false, log: () => {} });
  const database = new URL(services.databaseUrl);
  const store = new URL(services.s3.endpoint);
  const [temporalHost, temporalPort] = services.temporalAddress.split(':');
  const [postgres, temporal, s3] = await Promise.all([
    startProxy({ host: database.hostname, port: Number(database.port) }),
    startProxy({ host: temporalHost!, port: Number(temporalPort) }),
    startProxy({ host: store.hostname, port: Number(store.port) }),
  ]);
  database.host = `127.0.0.1:${postgres.port}`;
  const lines = { postgres, temporal, s3 };
  return {
    behind: {
      services,
      lines,
      async stop() {
        await Promise.all(Object.values(lines).map((line) => line.close()));
        await services.stop();
        removeCluster(join(data, 'services'));
      },
    },
    env: {
      DATABASE_URL: database.href,
      TEMPORAL_ADDRESS: `127.0.0.1:${temporal.port}`,
      S3_ENDPOINT: `http://127.0.0.1:${s3.port}`,
      S3_BUCKET: services.s3.bucket,
      S3_ACCESS_KEY: services.s3.accessKey,
      S3_SECRET_KEY: services.s3.secretKey,
      S3_REGION: services.s3.region,
    },
  };
}
