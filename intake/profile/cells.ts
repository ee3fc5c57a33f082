import type { CellRules } from '../types.ts';

/** Makes of a field's cell, and of those joined to it, the text that is then checked. */
export type PrepareCell = (text: string, joined: string[]) => string;

/**
 * What a profile says of a field's cells as one function: split, join, trim, null words, value map, case, default. Null
 * where it says nothing, so that plain cells keep their short way.
 */
export function compileCells(rules: CellRules): PrepareCell | null {
  const { split, join, trim, nullWords, values, case: letters } = rules;
  const nothing = nullWords && new Set(nullWords.map(folded));
  const known = values && valueMap(values);
  const filler = rules.default;
  if (!split && !join && !trim && !nothing?.size && !known && !letters && filler === undefined) return null;
  return (text, joined) => {
    let cell = split ? partOf(text, split) : text;
    if (join) {
      const parts = [cell, ...joined].filter((part) => part.trim() !== '' && !nothing?.has(folded(part)));
      cell = parts.join(join.separator);
    }
    if (trim) cell = trim === 'all' ? cell.trim().replace(/\s+/gu, ' ') : cell.trim();
    if (nothing?.has(folded(cell))) cell = '';
    if (known) cell = known(cell) ?? cell;
    if (letters) cell = letters === 'upper' ? cell.toUpperCase() : cell.toLowerCase();
    return filler !== undefined && cell.trim() === '' ? filler : cell;
  };
}

const MOST_SEEN = 1000;

function partOf(text: string, { separator, part }: NonNullable<CellRules['split']>): string {
  const parts = text.split(separator);
  return parts.at(part > 0 ? part - 1 : part)?.trim() ?? '';
}

/** What does not count when words are compared: case, width, space around. */
export function folded(text: string): string {
  return text.normalize('NFKC').trim().toLowerCase();
}

/** The very text first; then without case and width, where that leaves no two answers. Null where it is not known. */
export function valueMap(values: Record<string, string>): (cell: string) => string | null {
  const exact = new Map<string, string>();
  const loose = new Map<string, string | null>();
  for (const [from, to] of Object.entries(values)) {
    exact.set(from.trim(), to);
    const key = folded(from);
    loose.set(key, loose.has(key) && loose.get(key) !== to ? null : to);
  }
  // A column that has words to map has few different ones.
  const seen = new Map<string, string | null>();
  return (cell) => {
    const plain = cell.trim();
    if (plain === '') return null;
    const known = seen.get(plain);
    if (known !== undefined) return known;
    const found = exact.get(plain) ?? loose.get(folded(plain)) ?? null;
    if (seen.size < MOST_SEEN) seen.set(plain, found);
    return found;
  };
}
