import { randomInt } from 'node:crypto';
import { createServer, type Server } from 'node:net';

function listen(port: number): Promise<Server | null> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRINUSE' || error.code === 'EACCES') resolve(null);
      else reject(error);
    });
    server.listen({ port, host: '127.0.0.1', exclusive: true }, () => resolve(server));
  });
}

/**
 * Where a port of no particular number is taken from: below what systems give to outgoing connections (Linux from
 * 32768, others from 49152), one of which would otherwise sit on it by the time the server binds it.
 */
const LOWEST = 20_000;
const HIGHEST = 32_000;
const TRIES = 200;

async function listenAnywhere(): Promise<Server> {
  for (let attempt = 0; attempt < TRIES; attempt++) {
    const server = await listen(randomInt(LOWEST, HIGHEST));
    if (server) return server;
  }
  throw new Error(
    `No free port on 127.0.0.1 was found between ${LOWEST} and ${HIGHEST}. Close some programs.`,
  );
}

/** Two names whose ports have to be this far apart. */
interface PortPair<Name> {
  lower: Name;
  upper: Name;
  distance: number;
}

/**
 * A free loopback port for each name: the preferred one where it is free, else any (0 prefers none). All are
 * held until every one is found, so that no two names get the same.
 */
export async function choosePorts<Name extends string>(
  preferred: Record<Name, number>,
  pairs: readonly PortPair<NoInfer<Name>>[] = [],
): Promise<Record<Name, number>> {
  const held: Server[] = [];
  const chosen = {} as Record<Name, number>;
  const take = (name: Name, server: Server): void => {
    held.push(server);
    chosen[name] = (server.address() as { port: number }).port;
  };
  const anyFree = async (port: number): Promise<Server> =>
    (port === 0 ? null : await listen(port)) ?? (await listenAnywhere());
  try {
    for (const { lower, upper, distance } of pairs) {
      while (!(lower in chosen)) {
        const above = await anyFree(preferred[upper]);
        const below = await listen((above.address() as { port: number }).port - distance);
        if (!below) {
          held.push(above);
          preferred = { ...preferred, [upper]: 0 };
          continue;
        }
        take(lower, below);
        take(upper, above);
      }
    }
    for (const [name, port] of Object.entries(preferred) as [Name, number][]) {
      if (!(name in chosen)) take(name, await anyFree(port));
    }
  } finally {
    await Promise.all(held.map((server) => new Promise((resolve) => server.close(resolve))));
  }
  return chosen;
}
