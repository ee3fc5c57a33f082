/** `*`, `+`, `{2,}`: as often as it likes. `{2,5}` and `?` are not. */
const WITHOUT_END = /^(?:[*+]|\{\d+,\})/;

interface Group {
  /** Something in it repeats without end, or it is a choice. */
  manyWays: boolean;
}

/**
 * Can the pattern take time that doubles with each character of a value? It can where a group that matches one text in
 * several ways (by a repetition or a choice in it) is itself repeated without end: `(a+)+b` takes 2.6 s for 28 letters.
 * Some harmless ones are caught as well, such as `(?:a|b)+`, which `[ab]+` says too.
 */
export function mayRunAway(pattern: string): boolean {
  const open: Group[] = [{ manyWays: false }];
  for (let i = 0; i < pattern.length; i++) {
    const character = pattern[i]!;
    let closed: Group | null = null;
    if (character === '\\') {
      // `\p{L}` and `\u{1F600}` are one character each.
      const braces = /^\\[pPu]\{[^}]*\}/.exec(pattern.slice(i));
      i += braces ? braces[0].length - 1 : 1;
    } else if (character === '[') {
      for (i++; i < pattern.length && pattern[i] !== ']'; i++) if (pattern[i] === '\\') i++;
    } else if (character === '(') {
      open.push({ manyWays: false });
      continue;
    } else if (character === ')') {
      closed = open.length > 1 ? open.pop()! : null;
    } else if (character === '|') {
      open.at(-1)!.manyWays = true;
      continue;
    }
    const repeated = WITHOUT_END.test(pattern.slice(i + 1));
    if (closed?.manyWays && repeated) return true;
    if (closed?.manyWays || repeated) open.at(-1)!.manyWays = true;
  }
  return false;
}
