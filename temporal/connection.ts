import { readFileSync } from 'node:fs';

/** Where Temporal is, from the environment; the same for clients and workers. */
export function temporalSettings(env: NodeJS.ProcessEnv) {
  const file = (name: string) => (env[name] ? readFileSync(env[name]) : undefined);
  const cert = file('TEMPORAL_TLS_CERT');
  const key = file('TEMPORAL_TLS_KEY');
  const ca = file('TEMPORAL_TLS_CA');
  const tls =
    cert && key
      ? {
          clientCertPair: { crt: cert, key },
          serverRootCACertificate: ca,
          serverNameOverride: env['TEMPORAL_TLS_SERVER_NAME'],
        }
      : ca
        ? { serverRootCACertificate: ca, serverNameOverride: env['TEMPORAL_TLS_SERVER_NAME'] }
        : env['TEMPORAL_API_KEY'] !== undefined || env['TEMPORAL_TLS'] === 'true';
  return {
    address: env['TEMPORAL_ADDRESS'] ?? '127.0.0.1:7233',
    namespace: env['TEMPORAL_NAMESPACE'] ?? 'default',
    tls,
    apiKey: env['TEMPORAL_API_KEY'],
  };
}
