import { setImmediate } from 'node:timers/promises';
import { scanSegment } from '../parse-segment.ts';
import { fieldText, OK } from '../scan.ts';
import type { FieldRule, FieldSpec, Manifest, Mapping, UnmappedValue } from '../types.ts';
import { parseBoolean, sameWord } from '../words.ts';
import { compileCells } from './cells.ts';

/** More different texts than this, or longer ones in all, are no list that somebody would map: the rest is counted. */
const MOST = 1000;
const MOST_CHARACTERS = 64 * 1024;
/** Of one of them so much is kept. */
const VALUE_CHARACTERS = 1000;

type KnownWords = Pick<FieldSpec, 'type' | 'enum'> & Partial<FieldRule>;

/**
 * Counts the texts of a field that only knows certain words (yes and no, an enum, a value map) which it does not
 * understand. Null for fields that take any text.
 */
export function unmappedTally(rule: KnownWords): UnmappedTally | null {
  const understood = wordsOf(rule);
  if (!understood) return null;
  const prepare = compileCells({ ...rule, default: undefined, empty: undefined });
  const counts = new Map<string, number>();
  /** Such columns hold few different texts: what became of them, so that each is judged once. Null: understood. */
  const seen = new Map<string, string | null>();
  let room = MOST_CHARACTERS;
  let filled = 0;
  let unlisted = 0;
  const judge = (text: string, joined: string[]): string | null | undefined => {
    const cell = (prepare ? prepare(text, joined) : text).trim();
    if (cell === '') return undefined;
    return understood(cell) ? null : text.trim().slice(0, VALUE_CHARACTERS).toWellFormed();
  };
  return {
    add(text, joined = []) {
      let value = joined.length === 0 ? seen.get(text) : undefined;
      if (value === undefined) {
        value = judge(text, joined);
        if (value === undefined) return;
        if (joined.length === 0 && text.length <= VALUE_CHARACTERS && seen.size < MOST) seen.set(text, value);
      }
      filled++;
      if (value === null) return;
      const count = counts.get(value);
      if (count !== undefined) counts.set(value, count + 1);
      else if (counts.size < MOST && value.length <= room) {
        counts.set(value, 1);
        room -= value.length;
      } else unlisted++;
    },
    filled: () => filled,
    unlisted: () => unlisted,
    result: () =>
      [...counts]
        .sort(([a, many], [b, few]) => few - many || (a < b ? -1 : 1))
        .map(([value, count]) => {
          const suggestion = suggested(rule, value);
          return { value, count, ...(suggestion === null ? {} : { suggestion }) };
        }),
  };
}

interface UnmappedTally {
  add(text: string, joined?: string[]): void;
  /** The most frequent first; the first of many are kept, with exact counts. */
  result(): UnmappedValue[];
  /** Cells with words that are not understood and not in the list. */
  unlisted(): number;
  /** Cells that are not empty. */
  filled(): number;
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

/** Is there a column that feeds a field which only knows certain words? */
export const takesCertainWords = (mapping: Mapping, fields: FieldSpec[]): boolean =>
  mapping.fields.some((mapped) => {
    const field = fields.find(({ name }) => name === mapped.field);
    return (
      field !== undefined &&
      mapped.column !== null &&
      wordsOf({ ...field, ...mapped, empty: field.empty }) !== null
    );
  });

const ROWS_AT_ONCE = 2_000;

/**
 * The same mapping with the words of its fields that only know certain ones counted in the whole file instead of its
 * first rows: one more reading, for a person who is asked. Lets other work go on between a few thousand rows.
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
      field && mapped.column !== null ? unmappedTally({ ...field, ...mapped, empty: field.empty }) : null;
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
    }
  }
  return {
    ...mapping,
    valuesOf: 'file',
    fields: mapping.fields.map((mapped) => {
      const found = tallies.find((one) => one.mapped === mapped);
      if (!found) return mapped;
      const { unmappedValues: _, ...rest } = mapped;
      const words = found.tally.result();
      const unlisted = found.tally.unlisted();
      return {
        ...rest,
        ...(words.length > 0 && { unmappedValues: words }),
        ...(unlisted > 0 && { unlistedValues: unlisted }),
      };
    }),
  };
}
