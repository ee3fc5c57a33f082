import { lookup as systemLookup } from 'node:dns';
import type { LookupAddress } from 'node:dns';
import { isIP } from 'node:net';
import type { Readable } from 'node:stream';
import { TLSSocket } from 'node:tls';
import ipaddr from 'ipaddr.js';
import { Agent, buildConnector, request } from 'undici';

type Range = [ipaddr.IPv4 | ipaddr.IPv6, number];

/** Why a request to somebody else's address came to nothing. */
export class OutboundError extends Error {
  /** `address_refused`, `bad_url` and `too_many_redirects` stay as they are however often one tries. */
  readonly code:
    | 'bad_url'
    | 'address_refused'
    | 'too_many_redirects'
    | 'unreachable'
    | 'timeout'
    | 'bad_certificate'
    | 'cut_off'
    | 'too_large';
  constructor(code: OutboundError['code'], message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'OutboundError';
    this.code = code;
  }
}

/** `127.0.0.0/8, 10.1.2.3, fd00::/8`: what WAYBILL_ALLOW_NETWORKS holds. */
export function parseNetworks(text: string | undefined): Range[] {
  return (text ?? '')
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '')
    .map((part) => {
      try {
        if (part.includes('/')) return ipaddr.parseCIDR(part);
        const address = ipaddr.parse(part);
        return [address, address.kind() === 'ipv4' ? 32 : 128];
      } catch {
        throw new Error(`WAYBILL_ALLOW_NETWORKS: "${part}" is no network. Write it like 10.0.0.0/8.`);
      }
    });
}

/**
 * Whether we may connect to an address: public unicast, or in one of the networks that the deployment allows.
 * An IPv4 address in IPv6 clothing counts as what it is.
 */
export function mayConnect(address: string, allowed: Range[]): boolean {
  let parsed;
  try {
    parsed = ipaddr.process(address.replace(/%.*$/, ''));
  } catch {
    return false;
  }
  if (parsed.range() === 'unicast') return true;
  return allowed.some(([network, bits]) => parsed.kind() === network.kind() && parsed.match(network, bits));
}

/** An http or https address without credentials in it. */
export function checkUrl(text: string): URL {
  let url;
  try {
    url = new URL(text);
  } catch {
    throw new OutboundError('bad_url', 'This is not a web address.');
  }
  if (url.protocol !== 'http:' && url.protocol !== 'https:') {
    throw new OutboundError('bad_url', `Only http and https addresses are taken, not ${url.protocol}`);
  }
  if (url.username || url.password) {
    throw new OutboundError('bad_url', 'An address must not carry a user name or password.');
  }
  return url;
}

export interface OutboundSettings {
  /** Networks that are allowed although they are not public. */
  allow: Range[];
  /** Stands in for DNS in tests. */
  lookup?: typeof systemLookup;
}

export interface Answer {
  status: number;
  headers: Record<string, string | string[] | undefined>;
  /** The first bytes of the body, as text. */
  excerpt: string;
}

export interface Source {
  status: number;
  headers: Record<string, string | string[] | undefined>;
  /** After redirects. */
  url: string;
  body: Readable;
}

const CONNECT_MS = 10_000;
const EXCERPT_BYTES = 1024;
const EXCERPT_MS = 2_000;
const REDIRECTS = 5;

export type Outbound = ReturnType<typeof createOutbound>;

/**
 * Requests to addresses that users name. Each connection is checked when it is made, on the address that it goes
 * to: names that resolve to a private address, and names that resolve differently the second time, are no way in.
 */
export function createOutbound({ allow, lookup = systemLookup }: OutboundSettings) {
  const refuse = (host: string) =>
    new OutboundError(
      'address_refused',
      `${host} is not a public address. Whoever runs Waybill can allow its network with WAYBILL_ALLOW_NETWORKS.`,
    );

  const checkedLookup: typeof systemLookup = ((
    hostname: string,
    options: object,
    done: (error: Error | null, address?: LookupAddress[] | string, family?: number) => void,
  ) => {
    lookup(hostname, { ...options, all: true }, (error, found) => {
      const addresses = found as LookupAddress[];
      if (error) return done(error);
      // One bad address spoils the name: which one a connection takes is chance.
      if (addresses.length === 0 || addresses.some(({ address }) => !mayConnect(address, allow))) {
        return done(refuse(hostname));
      }
      if ((options as { all?: boolean }).all) return done(null, addresses);
      return done(null, addresses[0]!.address, addresses[0]!.family);
    });
  }) as typeof systemLookup;

  const connector = buildConnector({ timeout: CONNECT_MS, lookup: checkedLookup, allowH2: false });
  const agent = new Agent({
    // Kept connections would outlive the check of what their name resolves to.
    pipelining: 1,
    keepAliveTimeout: 1_000,
    keepAliveMaxTimeout: 1_000,
    connect(options, done) {
      // No lookup is made for an address that is written out.
      const host = options.hostname.replace(/^\[|\]$/g, '');
      if (isIP(host) && !mayConnect(host, allow)) return done(refuse(host), null);
      connector(options, (error, socket) => {
        if (error) return done(error, null);
        if (!mayConnect(socket.remoteAddress ?? '', allow)) {
          socket.destroy();
          return done(refuse(host), null);
        }
        return done(null, socket as TLSSocket);
      });
    },
  });

  async function send(
    url: URL,
    method: 'GET' | 'POST',
    headers: Record<string, string>,
    body: string | undefined,
    signal: AbortSignal,
    silentMs: number,
  ) {
    try {
      return await request(url, {
        method,
        headers,
        body,
        dispatcher: agent,
        signal,
        headersTimeout: silentMs,
        bodyTimeout: silentMs,
      });
    } catch (error) {
      throw asOutboundError(error, url.host, signal);
    }
  }

  return {
    /** Redirects are not followed, and no more of the answer is read than its first bytes. */
    async post(
      address: string,
      headers: Record<string, string>,
      body: string,
      { timeoutMs, signal }: { timeoutMs: number; signal?: AbortSignal },
    ): Promise<Answer> {
      const limit = AbortSignal.any([AbortSignal.timeout(timeoutMs), ...(signal ? [signal] : [])]);
      const answer = await send(checkUrl(address), 'POST', headers, body, limit, timeoutMs);
      return { status: answer.statusCode, headers: answer.headers, excerpt: await excerptOf(answer.body) };
    },

    /** A download; each redirect is checked like the first address. The caller reads the body or destroys it. */
    async get(
      address: string,
      headers: Record<string, string>,
      { timeoutMs, silentMs, signal }: { timeoutMs: number; silentMs: number; signal?: AbortSignal },
    ): Promise<Source> {
      const limit = AbortSignal.any([AbortSignal.timeout(timeoutMs), ...(signal ? [signal] : [])]);
      let url = checkUrl(address);
      for (let hop = 0; hop <= REDIRECTS; hop++) {
        const answer = await send(url, 'GET', headers, undefined, limit, silentMs);
        const location = answer.headers.location;
        if (answer.statusCode >= 300 && answer.statusCode < 400 && answer.statusCode !== 304 && location) {
          await answer.body.dump({ limit: 64 * 1024 });
          url = checkUrl(new URL(String(location), url).href);
          continue;
        }
        return { status: answer.statusCode, headers: answer.headers, url: url.href, body: answer.body };
      }
      throw new OutboundError('too_many_redirects', `${address} redirects more than ${REDIRECTS} times.`);
    },

    /** What broke a body in the middle, in our words. */
    asError: (error: unknown, host: string): Error => asOutboundError(error, host),

    close: () => agent.destroy(),
  };
}

/** A receiver that drips or never ends costs two seconds and a kilobyte. */
async function excerptOf(body: Readable): Promise<string> {
  const timer = setTimeout(() => body.destroy(), EXCERPT_MS);
  const chunks: Buffer[] = [];
  let length = 0;
  try {
    for await (const chunk of body as AsyncIterable<Buffer>) {
      chunks.push(chunk);
      length += chunk.length;
      if (length >= EXCERPT_BYTES) break;
    }
  } catch {
    // The status has arrived, and only that decides; what is left of the body is for the eye.
  } finally {
    clearTimeout(timer);
    body.destroy();
  }
  return Buffer.concat(chunks).subarray(0, EXCERPT_BYTES).toString('utf8').replaceAll('\u0000', '\ufffd');
}

function asOutboundError(error: unknown, host: string, signal?: AbortSignal): Error {
  if (error instanceof OutboundError) return error;
  // undici and Happy Eyeballs wrap what a connection failed with.
  const inner =
    error instanceof AggregateError ? error.errors : [error instanceof Error ? error.cause : undefined];
  for (const each of inner) if (each instanceof OutboundError) return each;
  const { name, code, message } = error as NodeJS.ErrnoException;
  const cause = { cause: error };
  if (signal?.aborted && signal.reason?.name !== 'TimeoutError') return signal.reason as Error;
  if (name === 'TimeoutError' || /TIMEOUT|ETIMEDOUT/.test(code ?? '') || signal?.aborted) {
    return new OutboundError('timeout', `${host} did not answer in time.`, cause);
  }
  if (/CERT|SSL|TLS|ALTNAME|SELF_SIGNED|UNABLE_TO_VERIFY/.test(code ?? '')) {
    return new OutboundError(
      'bad_certificate',
      `The certificate of ${host} is not valid: ${message}.`,
      cause,
    );
  }
  if (
    code === 'UND_ERR_SOCKET' ||
    code === 'ECONNRESET' ||
    code === 'UND_ERR_ABORTED' ||
    /terminated|other side closed|content.length/i.test(message)
  ) {
    return new OutboundError('cut_off', `${host} closed the connection in the middle.`, cause);
  }
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN') {
    return new OutboundError('unreachable', `The name ${host} cannot be found.`, cause);
  }
  return new OutboundError('unreachable', `${host} cannot be reached: ${message || code || name}.`, cause);
}
