/** The run is stopped, taken over or of an older epoch: the caller must touch nothing. */
export const isFenced = (error: unknown): boolean => codeOf(error) === 'WB001';

/** The import cannot be undone as it stands; `hint` is its code, the message a sentence for a person. */
export const isNotRevertable = (error: unknown): boolean => codeOf(error) === 'WB409';

/** The plan that was approved is not the plan that is there. */
export const isPlanLost = (error: unknown): boolean => codeOf(error) === 'WB002';

/** The target, or our right to it, is no longer what the run was made for. */
export const isTargetChanged = (error: unknown): boolean =>
  /^(42P01|42703|42501|42704|42P10|42804|3F000|0A000)$/.test(codeOf(error) ?? '');

const TRANSIENT = /^(08|25|40|53|57|58)|^55P03$|^55006$/;
const SOCKET = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'EPIPE',
  'ETIMEDOUT',
  'ENOTFOUND',
  'EHOSTUNREACH',
  'EAI_AGAIN',
  'CONNECTION_CLOSED',
  'CONNECTION_ENDED',
  'CONNECTION_DESTROYED',
  'CONNECT_TIMEOUT',
]);
const WORDS =
  /Connection terminated|timeout exceeded when trying to connect|Client has encountered a connection error|not queryable|read ECONN|write EPIPE/;

/** The database is away or overloaded, or the transaction met others: the same again may go through. */
export function isDatabaseUnavailable(error: unknown): boolean {
  const code = codeOf(error);
  if (code !== undefined && (TRANSIENT.test(code) || SOCKET.has(code))) return true;
  return error instanceof Error && WORDS.test(error.message);
}

function codeOf(error: unknown): string | undefined {
  if (typeof error !== 'object' || error === null) return undefined;
  const code = (error as { code?: unknown }).code;
  return typeof code === 'string' ? code : undefined;
}
