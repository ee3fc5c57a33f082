import { setImmediate } from 'node:timers/promises';
import { scanSegment } from '../parse-segment.ts';
import { fieldText, OK } from '../scan.ts';
import type { FieldRule, FieldSpec, Manifest, Mapping, UnmappedValue } from '../types.ts';
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

/** A person who maps words looks at so many rows at most; the rest shows in the issues of the run. */
const MOST_ROWS = 1_000_000;
const ROWS_AT_ONCE = 2_000;

/**
 * The same mapping with its words counted in the whole file instead of its first rows (up to a million), where it has
 * fields with words that are not understood. Lets other work go on between a few thousand rows.
 */
export async function countInFile(
  mapping: Mapping,
  of: { manifest: Manifest; path: string; fields: FieldSpec[]; signal?: AbortSignal },
): Promise<Mapping> {
  const { manifest, path, fields, signal } = of;
  const { columns, canonicalDialect: dialect, maxRecordBytes } = manifest;
  const tallies = mapping.fields.flatMap((mapped) => {
    const field = fields.find(({ name }) => name === mapped.field);
    const tally =
      field && mapped.column !== null && mapped.unmappedValues
        ? unmappedTally({ ...field, ...mapped, empty: field.empty })
        : null;
    return tally ? [{ mapped, column: mapped.column!, joined: mapped.join?.columns, tally }] : [];
  });
  if (tallies.length === 0) return mapping;
  let rows = 0;
  for (const segment of manifest.segments) {
    for (const scanner of scanSegment({ path, segment, dialect, columns, maxRecordBytes })) {
      if (scanner.status !== OK) continue;
      const cell = (column: number) => fieldText(scanner, column, dialect);
      for (const { column, joined, tally } of tallies) tally.add(cell(column), joined?.map(cell));
      if (++rows % ROWS_AT_ONCE === 0) {
        signal?.throwIfAborted();
        await setImmediate();
      }
      if (rows === MOST_ROWS) break;
    }
    if (rows === MOST_ROWS) break;
  }
  return {
    ...mapping,
    valuesOf: 'file',
    fields: mapping.fields.map((mapped) => {
      const found = tallies.find((one) => one.mapped === mapped);
      return found ? { ...mapped, unmappedValues: found.tally.result() } : mapped;
    }),
  };
}
