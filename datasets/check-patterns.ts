import { mayRunAway } from '../intake/rules/pattern-cost.ts';

/** PostgreSQL's patterns as regular expressions of ours, which have to match the whole value. Null: it cannot be said. */

/** Outside what both dialects read alike: look-around, back references, classes by name, PostgreSQL's own escapes. */
const FOREIGN = /\(\?|\\[^dswDSW.\-+*?()[\]{}|^$/\\]|\[[[.=:]|^\*\*\*|\{,/;

/** `~`: anywhere in the value unless anchored. A dot is any character, a line break too. */
export function regexPattern(source: string): string | null {
  if (FOREIGN.test(source)) return null;
  let pattern = '';
  let depth = 0;
  let inClass = false;
  let choice = false;
  for (let i = 0; i < source.length; i++) {
    const character = source[i]!;
    if (character === '\\') {
      const next = source[++i];
      if (next === undefined) return null;
      // Whether digits and letters of other scripts count is the database's locale's business: here they pass.
      const wide: Record<string, string> = {
        d: '\\p{Nd}',
        D: '\\P{Nd}',
        w: '[\\p{L}\\p{M}\\p{N}_]',
        W: '[^\\p{L}\\p{M}\\p{N}_]',
      };
      if (inClass && /[wW]/.test(next)) return null;
      // An escape that needs none is an error here.
      pattern += wide[next] ?? (next === '-' && !inClass ? '-' : `\\${next}`);
      continue;
    }
    if (inClass) {
      if (character === ']') inClass = false;
      else if (character === '[') return null;
    } else if (character === '[') {
      // A bracket as the first of a class is meant as a character there.
      if (/^\[\^?\]/.test(source.slice(i))) return null;
      inClass = true;
    } else if (character === '(') depth++;
    else if (character === ')') depth--;
    else if (character === '|' && depth === 0) choice = true;
    else if (character === '.') {
      pattern += '[^]';
      continue;
    }
    pattern += character;
  }
  const begins = !choice && pattern.startsWith('^');
  const ends = !choice && /(?:^|[^\\])(?:\\\\)*\$$/.test(pattern);
  if (begins) pattern = pattern.slice(1);
  if (ends) pattern = pattern.slice(0, -1);
  pattern = `${begins ? '' : '[^]*'}(?:${pattern})${ends ? '' : '[^]*'}`;
  return valid(pattern);
}

/** `LIKE`. */
export function likePattern(source: string): string | null {
  let pattern = '';
  const characters = [...source];
  for (let i = 0; i < characters.length; i++) {
    let character = characters[i]!;
    if (character === '%') pattern += '[^]*';
    else if (character === '_') pattern += '[^]';
    else {
      if (character === '\\') {
        const next = characters[++i];
        if (next === undefined) return null;
        character = next;
      }
      pattern += /[\\^$.*+?()[\]{}|/]/.test(character) ? `\\${character}` : character;
    }
  }
  return valid(pattern);
}

export const ignoringCase = (pattern: string): string => `(?i:${pattern})`;

function valid(pattern: string): string | null {
  try {
    new RegExp(`^(?:${pattern})$`, 'u');
    // PostgreSQL runs it in a time that grows evenly; we would not.
    return mayRunAway(pattern) ? null : pattern;
  } catch {
    return null;
  }
}
