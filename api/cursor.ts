import { createHash } from 'node:crypto';
import type * as z from 'zod';
import { ApiError } from './problem.ts';

const checkOf = (list: string, text: string): string =>
  createHash('sha256').update(`${list}\n${text}`).digest('base64url').slice(0, 12);

/** Where the next page of a list begins. `list` names the list and its filters: a cursor is good for that list alone. */
export function writeCursor(list: unknown, place: unknown): string {
  const text = JSON.stringify(place);
  return `${Buffer.from(text).toString('base64url')}.${checkOf(JSON.stringify(list), text)}`;
}

/** The place that a cursor names; 400 if it is not one of ours for this list. */
export function readCursor<T extends z.ZodType>(
  list: unknown,
  cursor: string | undefined,
  place: T,
): z.output<T> | undefined {
  if (cursor === undefined) return undefined;
  const [body = '', check] = cursor.split('.', 2);
  const text = Buffer.from(body, 'base64url').toString('utf8');
  if (check === checkOf(JSON.stringify(list), text)) {
    try {
      const parsed = place.safeParse(JSON.parse(text));
      if (parsed.success) return parsed.data;
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error;
    }
  }
  throw new ApiError(400, 'invalid_cursor', 'The cursor is not one of this list. Begin with the first page.');
}
