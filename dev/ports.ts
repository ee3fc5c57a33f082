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
  const anyFree = async (port: number): Promise<Server> => {
    const server = (await listen(port)) ?? (await listen(0));
    if (!server) throw new Error('The system has no free port on 127.0.0.1 left. Close some programs.');
    return server;
  };
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
