/**
 * A file's name as it may be shown: what cannot be seen, what turns text about and what would look like a folder is
 * written out (`\u202e`, `\u002f`). The name itself is kept as it came, and is never a path.
 */
export function shownFileName(name: string): string {
  return name.toWellFormed().replaceAll(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}/\\]/gu, written);
}

/** A text of a file as a terminal may get it: what would steer it, or turn text about, is written out (`\u001b`). */
export function shownText(text: string): string {
  return text.toWellFormed().replaceAll(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, written);
}

function written(character: string): string {
  return Array.from({ length: character.length }, (_, n) => character.charCodeAt(n))
    .map((unit) => `\\u${unit.toString(16).padStart(4, '0')}`)
    .join('');
}
