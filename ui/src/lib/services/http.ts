import type { Problem } from '../client/index.ts';

/** Anything but a good answer, with the sentence that the person is to see. */
export class ApiError extends Error {
  readonly status: number;
  readonly code: string;
  readonly importId: string | undefined;
  constructor(status: number, code: string, message: string, importId?: string) {
    super(message);
    this.name = 'ApiError';
    this.status = status;
    this.code = code;
    this.importId = importId;
  }
}

/** The shape of an operation in the generated types: its path, and what it takes. */
interface Operation {
  url: string;
  body?: unknown;
  path?: object;
  query?: object;
}

type Input<T extends Operation> = {
  [K in 'body' | 'path' | 'query' as T[K] extends undefined ? never : K]: T[K];
};

export type Fetch = typeof fetch;
export interface CallOptions {
  fetch?: Fetch;
  signal?: AbortSignal;
}

function address(template: string, path: object | undefined, query: object | undefined): string {
  const parameters = path as Record<string, unknown> | undefined;
  const filled = template.replace(/\{(\w+)\}/g, (_, name: string) =>
    encodeURIComponent(String(parameters?.[name])),
  );
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(query ?? {})) {
    if (value !== undefined && value !== null && value !== '') search.set(name, String(value));
  }
  return search.size > 0 ? `${filled}?${search}` : filled;
}

async function problem(response: Response): Promise<ApiError> {
  try {
    const body = (await response.json()) as Problem;
    if (typeof body.code === 'string') {
      return new ApiError(response.status, body.code, body.detail || body.title, body.importId);
    }
  } catch {
    // Not JSON: whatever stands between the browser and the API has answered instead of it.
  }
  return new ApiError(response.status, 'unreadable_answer', `${response.status} ${response.statusText}`);
}

/**
 * One request to the API. `T` is the operation's generated type, which fixes path, parameters and body;
 * `R` is what it answers.
 */
export async function call<T extends Operation, R>(
  method: 'GET' | 'POST' | 'PATCH' | 'DELETE',
  url: T['url'],
  input: Input<T>,
  options: CallOptions = {},
): Promise<R> {
  const { body, path, query } = input as { body?: unknown; path?: object; query?: object };
  let response: Response;
  try {
    response = await (options.fetch ?? fetch)(address(url, path, query), {
      method,
      signal: options.signal,
      credentials: 'same-origin',
      headers:
        body === undefined
          ? { accept: 'application/json' }
          : { accept: 'application/json', 'content-type': 'application/json' },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch (error) {
    if (options.signal?.aborted) throw error;
    throw new ApiError(0, 'unreachable', error instanceof Error ? error.message : String(error));
  }
  if (!response.ok) throw await problem(response);
  if (response.status === 204) return undefined as R;
  return (await response.json()) as R;
}
