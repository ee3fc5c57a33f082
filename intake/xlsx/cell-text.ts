/** How a number cell's format wants it read. */
export type NumberKind =
  { kind: 'number' } | { kind: 'date'; time: boolean; day: boolean } | { kind: 'padded'; width: number };

const NUMBER: NumberKind = { kind: 'number' };
const DAY_MS = 86_400_000;

/** What Excel means by a format that it does not write down. */
export function builtinFormat(id: number): NumberKind {
  if ((id >= 14 && id <= 17) || (id >= 27 && id <= 31) || id === 36 || (id >= 50 && id <= 58))
    return { kind: 'date', day: true, time: false };
  if (id === 22) return { kind: 'date', day: true, time: true };
  if ((id >= 18 && id <= 21) || (id >= 32 && id <= 35) || id === 45 || id === 47)
    return { kind: 'date', day: false, time: true };
  return NUMBER;
}

export function customFormat(code: string): NumberKind {
  const first = code.split(';')[0]!;
  if (/^0{2,}$/u.test(first)) return { kind: 'padded', width: first.length };
  // Durations such as [h]:mm count hours: they are numbers, not moments.
  if (/\[(?:h+|m+|s+)\]/iu.test(first)) return NUMBER;
  const plain = first.replace(/"[^"]*"|\\.|_.|\*.|\[[^\]]*\]/gu, '');
  if (/General/iu.test(plain)) return NUMBER;
  const day = /[yd年月日]|m(?!.*[hs])/iu.test(plain) && !/^[^yd]*[hs]/iu.test(plain.replace(/m/giu, ''));
  const time = /[hs]/iu.test(plain);
  return day || time || /[yd]/iu.test(plain)
    ? { kind: 'date', day: day || /[yd]/iu.test(plain), time }
    : NUMBER;
}

/** A number cell as text: dates by their format, everything else as exact plain decimal. */
export function numberText(value: string, format: NumberKind, date1904: boolean): string {
  if (format.kind === 'date') return dateText(Number(value), format, date1904) ?? plainNumber(value);
  const plain = plainNumber(value);
  return format.kind === 'padded' && /^\d+$/u.test(plain) ? plain.padStart(format.width, '0') : plain;
}

/**
 * Days since the workbook's epoch. Its 1900 calendar counts a 29 February 1900 that never was: that day stays what it
 * claims to be, and is no valid date to whoever checks.
 */
function dateText(serial: number, format: { day: boolean; time: boolean }, date1904: boolean): string | null {
  if (!Number.isFinite(serial) || serial < 0 || serial >= 2_958_466) return null;
  const days = Math.floor(serial);
  const ms = Math.round((serial - days) * 86_400) * 1000;
  const clock = (moment: Date) => moment.toISOString().slice(11, 19);
  if (!format.day && days === 0) return clock(new Date(ms));
  if (!date1904 && days === 60) return '1900-02-29';
  const epoch = date1904 ? Date.UTC(1904, 0, 1) : Date.UTC(1899, 11, days < 60 ? 31 : 30);
  const moment = new Date(epoch + days * DAY_MS + ms);
  const day = moment.toISOString().slice(0, 10);
  return format.time || ms !== 0 ? `${day} ${clock(moment)}` : day;
}

/** Without exponent, and without the last digits that doubles make up: a spreadsheet shows fifteen. */
export function plainNumber(value: string): string {
  const match = /^(-?)(\d*)(?:\.(\d*))?(?:e([+-]?\d+))?$/iu.exec(value.trim());
  if (!match) return value;
  const [, sign = '', whole = '', fraction = '', exponent = '0'] = match;
  if (Math.abs(Number(exponent)) > 400) return value;
  let digits = whole + fraction;
  let point = whole.length + Number(exponent);
  const leading = /^0*/u.exec(digits)![0].length;
  digits = digits.slice(leading);
  point -= leading;
  if (digits === '') return '0';
  if (fraction !== '' && digits.replace(/0+$/u, '').length > 15) {
    const [mantissa, power] = Number(`0.${digits}`).toExponential(14).split('e') as [string, string];
    digits = mantissa.replace('.', '');
    point += Number(power) + 1;
  }
  digits = digits.replace(/0+$/u, '');
  if (point <= 0) return `${sign}0.${'0'.repeat(-point)}${digits}`;
  if (digits.length <= point) return sign + digits.padEnd(point, '0');
  return `${sign}${digits.slice(0, point)}.${digits.slice(point)}`;
}

/** `_x000D_` and the like: how a workbook writes characters that XML cannot hold. */
export function unescapeText(text: string): string {
  if (!text.includes('_x')) return text;
  return text.replace(/_x([0-9A-Fa-f]{4})_/gu, (_, code: string) =>
    String.fromCharCode(Number.parseInt(code, 16)),
  );
}

/** `AB12` -> 27. */
export function columnIndex(reference: string): number {
  let column = 0;
  for (let i = 0; i < reference.length; i++) {
    const code = reference.charCodeAt(i) & 0xdf;
    if (code < 65 || code > 90) break;
    column = column * 26 + code - 64;
  }
  return column - 1;
}
