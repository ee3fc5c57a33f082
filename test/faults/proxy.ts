import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';

/** What the line does to the bytes that pass. */
export interface LineFault {
  /** Of each chunk, one way. */
  latencyMs?: number;
  /** Each way, of each connection. */
  bytesPerSecond?: number;
  /** Nothing passes and nothing ends: what a cut cable looks like. New connections are taken and not served. */
  partitioned?: boolean;
  /** After so many more bytes from the service the connection is closed in an orderly way, in mid-answer. */
  truncateAfter?: number;
  /** What the client is answered instead of the service, whatever it asks. */
  answer?: string;
}

interface Line {
  client: Socket;
  service: Socket;
  peer: number | null;
  fault: LineFault;
  /** From the service to the client. */
  passed: number;
}

/** A port between the processes of an instance and one of its services. */
export interface Proxy {
  port: number;
  /** From now on, for the connections of these processes, old and new; an empty fault heals the line. */
  fault(peers: readonly number[], fault: LineFault): void;
  /** Resets the connections of these processes; returns how many there were. */
  reset(peers: readonly number[]): number;
  /** Bytes that the service has sent to these processes. */
  passed(peers: readonly number[]): number;
  close(): Promise<void>;
}

/** The process at the other end of a loopback connection, by the socket's inode. */
function peerOf(socket: Socket): number | null {
  const from = (socket.remotePort ?? 0).toString(16).toUpperCase().padStart(4, '0');
  const to = (socket.localPort ?? 0).toString(16).toUpperCase().padStart(4, '0');
  for (const table of ['/proc/net/tcp', '/proc/net/tcp6']) {
    for (const line of readFileSync(table, 'utf8').split('\n')) {
      const fields = line.trim().split(/\s+/);
      if (!fields[1]?.endsWith(`:${from}`) || !fields[2]?.endsWith(`:${to}`)) continue;
      return ownerOf(`socket:[${fields[9]}]`);
    }
  }
  return null;
}

function ownerOf(inode: string): number | null {
  for (const pid of readdirSync('/proc').filter((name) => /^[0-9]+$/.test(name))) {
    try {
      for (const fd of readdirSync(`/proc/${pid}/fd`))
        if (readlinkSync(`/proc/${pid}/fd/${fd}`) === inode) return Number(pid);
    } catch {
      // It ended, or closed the descriptor, while we looked.
    }
  }
  return null;
}

/** Passes bytes on to `target` until told otherwise. */
export async function startProxy(target: { host: string; port: number }): Promise<Proxy> {
  const lines = new Set<Line>();
  const faults = new Map<number, LineFault>();

  const pump = async (line: Line, from: Socket, to: Socket): Promise<void> => {
    try {
      for await (const chunk of from as AsyncIterable<Buffer>) {
        let bytes = chunk;
        if (line.fault.answer !== undefined && from === line.client) {
          line.client.end(line.fault.answer);
          line.service.destroy();
          return;
        }
        if (line.fault.latencyMs) await delay(line.fault.latencyMs);
        if (line.fault.bytesPerSecond) await delay((1000 * bytes.length) / line.fault.bytesPerSecond);
        while (line.fault.partitioned && !to.destroyed) await delay(20);
        if (from === line.service) {
          const left = line.fault.truncateAfter;
          if (left !== undefined) {
            line.fault = { ...line.fault, truncateAfter: left - bytes.length };
            if (bytes.length >= left) {
              bytes = bytes.subarray(0, Math.max(left, 0));
              to.end(bytes);
              line.service.destroy();
              return;
            }
          }
          line.passed += bytes.length;
        }
        if (!to.write(bytes))
          await new Promise((resolve) => to.once('drain', resolve).once('close', resolve));
      }
      to.end();
    } catch {
      // Either side has gone: so does the other.
      to.destroy();
    }
  };

  const server: Server = createServer({ pauseOnConnect: true, allowHalfOpen: true }, (client) => {
    const peer = peerOf(client);
    const service = connect({ ...target, allowHalfOpen: true });
    const line: Line = { client, service, peer, fault: { ...faults.get(peer ?? -1) }, passed: 0 };
    lines.add(line);
    for (const socket of [client, service]) {
      socket.setNoDelay(true);
      socket.on('error', () => {
        client.destroy();
        service.destroy();
      });
      socket.once('close', () => lines.delete(line));
    }
    void pump(line, client, service);
    void pump(line, service, client);
    client.resume();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const of = (peers: readonly number[]): Line[] =>
    [...lines].filter((line) => peers.includes(line.peer ?? -1));
  return {
    port: (server.address() as { port: number }).port,
    fault(peers, fault) {
      for (const peer of peers) faults.set(peer, fault);
      for (const line of of(peers)) line.fault = { ...fault };
    },
    reset(peers) {
      const struck = of(peers);
      for (const { client, service } of struck) {
        client.resetAndDestroy();
        service.resetAndDestroy();
      }
      return struck.length;
    },
    passed: (peers) => of(peers).reduce((sum, line) => sum + line.passed, 0),
    async close() {
      const closed = new Promise((resolve) => server.close(resolve));
      for (const { client, service } of lines) {
        client.destroy();
        service.destroy();
      }
      await closed;
    },
  };
}
