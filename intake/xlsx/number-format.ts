/** How a number cell's format wants it read. */
export type NumberKind =
  | { kind: 'number' }
  /** `fraction`: digits of a second that are shown. */
  | { kind: 'date'; day: boolean; time: boolean; fraction: number }
  | { kind: 'elapsed' }
  /** Zeros of the format stand for digits; everything else in it is literal. */
  | { kind: 'padded'; mask: string };

export const NUMBER: NumberKind = { kind: 'number' };
const ELAPSED: NumberKind = { kind: 'elapsed' };
const date = (day: boolean, time: boolean, fraction = 0): NumberKind => ({
  kind: 'date',
  day,
  time,
  fraction,
});

/**
 * What Excel means by a format that it does not write down. 34 and 35 are dates in some languages of Excel and times
 * in others: the number itself tells.
 */
export function builtinFormat(id: number): NumberKind {
  if ((id >= 14 && id <= 17) || (id >= 27 && id <= 31) || id === 36 || (id >= 50 && id <= 58))
    return date(true, false);
  if (id === 22) return date(true, true);
  if ((id >= 18 && id <= 21) || id === 32 || id === 33 || id === 45) return date(false, true);
  if (id === 47) return date(false, true, 1);
  if (id === 34 || id === 35) return date(false, false);
  return id === 46 ? ELAPSED : NUMBER;
}

/** The first section of a format decides: positive numbers, and so dates, are shown by it. */
export function customFormat(code: string): NumberKind {
  const first = firstSection(code);
  const mask = first.replace(/\\(.)|"([^"]*)"/gu, '$1$2');
  if (/^0[-0 ()/]*0$/u.test(mask)) return { kind: 'padded', mask };
  const letters = first
    .replace(/"[^"]*"|\\.|_.|\*./gu, '')
    .replace(/\[(?!h+\]|m+\]|s+\])[^\]]*\]/giu, '')
    .replace(/General|G\/(?:標準|通用格式|一般|표준)|E[+-]/giu, '');
  if (/\[[hms]+\]/iu.test(letters)) return ELAPSED;
  const time = /[hs]|AM\/PM|A\/P/iu.test(letters);
  const rest = letters.replace(/AM\/PM|A\/P/giu, '');
  // `m` is a month, unless hours or seconds stand beside it and no day or year does.
  const day = /[ydgeb年月日]/iu.test(rest) || (/m/iu.test(rest) && !time);
  const fraction = /s\.(0+)/iu.exec(rest)?.[1]!.length ?? 0;
  if (/[#0?]/u.test(rest.replace(/s\.0+/giu, ''))) return NUMBER;
  return day || time ? date(day, time, Math.min(fraction, 3)) : NUMBER;
}

function firstSection(code: string): string {
  const end = /^(?:"[^"]*"|\\.|\[[^\]]*\]|[^;])*/u.exec(code);
  return end?.[0] ?? code;
}
