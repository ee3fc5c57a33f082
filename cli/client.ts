import http from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { findInstance } from './instance.ts';
import type { Instance } from './instance.ts';
import { EXIT, Refusal } from './refusal.ts';

/** Nothing answered, or the connection broke: worth another try. */
export class Unreachable extends Error {
  override name = 'Unreachable';
}

/** The API answered, and the answer is no. */
export class ApiError extends Error {
  readonly status: number;
  readonly code: string;
  readonly body: Record<string, unknown>;
  constructor(status: number, body: Record<string, unknown>) {
    const said = body['detail'] ?? body['title'] ?? http.STATUS_CODES[status] ?? `status ${status}`;
    super(String(said));
    this.name = 'ApiError';
    this.status = status;
    this.code = typeof body['code'] === 'string' ? body['code'] : `http_${status}`;
    this.body = body;
  }
}

const ANSWER_MS = 30_000;
const agent = new http.Agent({ keepAlive: true, maxSockets: 8 });
let secureAgent: http.Agent | undefined;

/** Opens a request and resolves with the response as soon as its headers are here. */
export async function open(
  method: string,
  address: string,
  headers: Record<string, string | number>,
  body?: Buffer | string,
  options: { signal?: AbortSignal; silentMs?: number } = {},
): Promise<http.IncomingMessage> {
  const secure = address.startsWith('https:');
  // https costs 20 ms to load: only where it is used.
  const module = secure ? await import('node:https') : http;
  if (secure)
    secureAgent ??= new (module as typeof import('node:https')).Agent({ keepAlive: true, maxSockets: 8 });
  return new Promise((resolve, reject) => {
    const request = module.request(
      address,
      {
        method,
        headers,
        agent: secure ? secureAgent : agent,
        ...(options.signal && { signal: options.signal }),
      },
      resolve,
    );
    request.setTimeout(options.silentMs ?? ANSWER_MS, () => request.destroy(new Error('no answer in time')));
    request.on('error', (error: Error) => reject(new Unreachable(error.message || error.name)));
    request.end(body);
  });
}

export async function readAll(response: http.IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  try {
    for await (const chunk of response) chunks.push(chunk as Buffer);
  } catch (error) {
    throw new Unreachable((error as Error).message);
  }
  return Buffer.concat(chunks).toString('utf8');
}

/** The API of one instance. Connection trouble is waited out where a request may safely be sent twice. */
export class Client {
  #instance: Instance;

  constructor(instance: Instance = findInstance()) {
    this.#instance = instance;
  }

  get url(): string {
    return this.#instance.url;
  }

  /** A restarted supervisor listens elsewhere and mints another token. */
  lookAgain(): void {
    if (!this.#instance.local) return;
    try {
      this.#instance = findInstance();
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      // Not up yet: the next attempt says so.
    }
  }

  async stream(path: string, accept: string, signal?: AbortSignal): Promise<http.IncomingMessage> {
    const { url, token } = this.#instance;
    return open('GET', `${url}/api${path}`, { authorization: `Bearer ${token}`, accept }, undefined, {
      ...(signal && { signal }),
    });
  }

  /** One attempt. */
  async #once<T>(
    method: string,
    path: string,
    body?: unknown,
    headers: Record<string, string> = {},
  ): Promise<T> {
    const { url, token } = this.#instance;
    const text = body === undefined ? undefined : JSON.stringify(body);
    const response = await open(
      method,
      `${url}/api${path}`,
      {
        authorization: `Bearer ${token}`,
        accept: 'application/json',
        ...(text !== undefined && {
          'content-type': 'application/json',
          'content-length': Buffer.byteLength(text),
        }),
        ...headers,
      },
      text,
    );
    const answer = await readAll(response);
    const status = response.statusCode ?? 0;
    if (status === 204 || (status < 300 && answer === '')) return undefined as T;
    let json: unknown;
    try {
      json = JSON.parse(answer);
    } catch {
      throw new ApiError(status < 300 ? 502 : status, {
        title: `${url} answered ${status} with something that is not JSON.`,
      });
    }
    if (status >= 300) throw new ApiError(status, (json ?? {}) as Record<string, unknown>);
    return json as T;
  }

  /**
   * Sends a request that does no harm when it arrives twice (reads, requests with an idempotency key, changes
   * that set a state), and waits out an API that restarts for up to `patienceMs`.
   */
  async request<T>(
    method: string,
    path: string,
    body?: unknown,
    options: { headers?: Record<string, string>; patienceMs?: number } = {},
  ): Promise<T> {
    const until = Date.now() + (options.patienceMs ?? 20_000);
    for (let attempt = 0; ; attempt++) {
      let wait = Math.min(100 * 2 ** attempt, 2_000);
      try {
        return await this.#once<T>(method, path, body, options.headers);
      } catch (error) {
        const again =
          error instanceof Unreachable ||
          (error instanceof ApiError &&
            ([429, 502, 503, 504].includes(error.status) || this.#staleToken(error)));
        if (error instanceof ApiError && typeof error.body['retryAfter'] === 'number') {
          wait = error.body['retryAfter'] * 1000;
        }
        if (!again || Date.now() + wait > until) throw error;
      }
      await sleep(wait);
      this.lookAgain();
    }
  }

  get<T>(path: string): Promise<T> {
    return this.request<T>('GET', path);
  }

  post<T>(path: string, body: unknown = {}, headers: Record<string, string> = {}): Promise<T> {
    return this.request<T>('POST', path, body, { headers });
  }

  /** 401 of a local instance: its supervisor may have started anew with another token. */
  #staleToken(error: ApiError): boolean {
    if (error.status !== 401 || !this.#instance.local) return false;
    const before = this.#instance.token;
    this.lookAgain();
    return this.#instance.token !== before;
  }
}

/** What the API or the network said, as the end of this command. */
export function asRefusal(error: unknown, client: Client): unknown {
  if (error instanceof Unreachable) {
    return new Refusal(
      'unreachable',
      `${client.url} does not answer (${error.message}). Is Waybill running there? An import that has begun goes on without this command.`,
    );
  }
  if (error instanceof ApiError) {
    const hint = error.status === 401 ? ' Sign in again, or set WAYBILL_TOKEN to a valid token.' : '';
    return new Refusal(error.code, error.message + hint, error.status >= 500 ? EXIT.failed : EXIT.refused);
  }
  return error;
}

/** Runs a command with the API; its errors end as one sentence. */
export async function withApi(run: (client: Client) => Promise<number>): Promise<number> {
  const client = new Client();
  try {
    return await run(client);
  } catch (error) {
    throw asRefusal(error, client);
  }
}
