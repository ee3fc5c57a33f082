import type { FieldRule, FieldSpec, UnmappedValue } from '../types.ts';
import { parseBoolean, sameWord } from '../words.ts';
import { compileCells } from './cells.ts';

/** More different texts than this are no list that somebody would map. */
const MOST = 100;

type KnownWords = Pick<FieldSpec, 'type' | 'enum'> & Partial<FieldRule>;

/**
 * Counts the texts of a field that only knows certain words (yes and no, an enum, a value map) which it does not
 * understand. Null for fields that take any text.
 */
export function unmappedTally(
  rule: KnownWords,
): { add(text: string, joined?: string[]): void; result(): UnmappedValue[]; filled(): number } | null {
  const understood = wordsOf(rule);
  if (!understood) return null;
  const prepare = compileCells({ ...rule, default: undefined, empty: undefined });
  const counts = new Map<string, number>();
  let filled = 0;
  return {
    add(text, joined = []) {
      const cell = (prepare ? prepare(text, joined) : text).trim();
      if (cell === '') return;
      filled++;
      if (understood(cell)) return;
      const value = text.trim().slice(0, 1000);
      if (counts.has(value) || counts.size < MOST) counts.set(value, (counts.get(value) ?? 0) + 1);
    },
    filled: () => filled,
    result: () =>
      [...counts]
        .sort(([a, many], [b, few]) => few - many || (a < b ? -1 : 1))
        .map(([value, count]) => {
          const suggestion = suggested(rule, value);
          return { value, count, ...(suggestion === null ? {} : { suggestion }) };
        }),
  };
}

function wordsOf(rule: KnownWords): ((cell: string) => boolean) | null {
  if (rule.type === 'boolean') return (cell) => parseBoolean(cell) !== null;
  if (rule.type !== 'text') return null;
  const known = rule.enum ?? (rule.values && Object.values(rule.values));
  if (!known || known.length === 0) return null;
  const set = new Set(known);
  return (cell) => set.has(cell);
}

/** A word that means the same in another language or shorter. */
function suggested(rule: KnownWords, value: string): string | null {
  if (rule.type === 'boolean')
    return sameWord(value, 'active') ? 'true' : sameWord(value, 'inactive') ? 'false' : null;
  const known = rule.enum ?? [...new Set(Object.values(rule.values ?? {}))];
  const alike = known.filter((word) => sameWord(value, word));
  return alike.length === 1 ? alike[0]! : null;
}
