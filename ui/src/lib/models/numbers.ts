/** Numbers and sizes as they are shown. Both languages write digits the same way. */

const plain = new Intl.NumberFormat('en-US', { maximumFractionDigits: 0 });

export function number(value: number): string {
  return plain.format(value);
}

/** One text for exactly one, another for every other number. */
export function count(n: number, one: string, many: string): string {
  return n === 1 ? one : many;
}

const units = ['B', 'KB', 'MB', 'GB', 'TB'] as const;

/** 95.4 MB; three significant digits, decimal units as file managers show them. */
export function bytes(value: number): string {
  let size = value;
  let unit = 0;
  while (size >= 999.5 && unit < units.length - 1) {
    size /= 1000;
    unit += 1;
  }
  const digits = unit === 0 || size >= 100 ? 0 : size >= 10 ? 1 : 2;
  return `${size.toFixed(digits)} ${units[unit]}`;
}

/** Whole percent that only says 100 when everything is done and 0 when nothing is. */
export function percent(part: number, whole: number): number {
  if (whole <= 0 || part <= 0) return 0;
  if (part >= whole) return 100;
  return Math.min(99, Math.max(1, Math.round((part / whole) * 100)));
}

/** The share of a count, in a form that never rounds something to nothing. */
export function share(part: number, whole: number): string {
  if (whole <= 0 || part <= 0) return '0%';
  const value = (part / whole) * 100;
  if (value < 0.1) return '<0.1%';
  if (part < whole && value >= 99.5) return value >= 99.95 ? '>99.9%' : `${value.toFixed(1)}%`;
  return `${value.toFixed(value < 10 ? 1 : 0)}%`;
}
