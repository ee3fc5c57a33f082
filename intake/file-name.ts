/**
 * A file's name as it may be shown: what cannot be seen, what turns text about and what would look like a folder is
 * written out (`\u202e`, `\u002f`). The name itself is kept as it came, and is never a path.
 */
export function shownFileName(name: string): string {
  return name.toWellFormed().replaceAll(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}/\\]/gu, (character) =>
    Array.from({ length: character.length }, (_, n) => character.charCodeAt(n))
      .map((unit) => `\\u${unit.toString(16).padStart(4, '0')}`)
      .join(''),
  );
}
