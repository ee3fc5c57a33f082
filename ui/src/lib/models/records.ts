/**
 * How many decimals a column of numbers needs, so that its values stand under each other: the database pads each to
 * the column's scale, and `1171.0000` says no more than `1171`.
 */
export function decimalsOf(values: (string | null | undefined)[]): number {
  let most = 0;
  for (const value of values) {
    const fraction = /^-?\d+\.(\d+)$/.exec(value ?? '')?.[1] ?? '';
    most = Math.max(most, fraction.replace(/0+$/, '').length);
  }
  return most;
}

/** The number with just so many decimals; digits are cut off only where they are zeros. */
export function withDecimals(value: string, decimals: number): string {
  const match = /^(-?\d+)(?:\.(\d+))?$/.exec(value);
  if (!match) return value;
  const [, whole, fraction = ''] = match;
  const grouped = whole!.replace(/\B(?=(\d{3})+$)/g, ',');
  return decimals === 0 ? grouped : `${grouped}.${fraction.padEnd(decimals, '0').slice(0, decimals)}`;
}
