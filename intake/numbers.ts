/** Numbers as people write them, made exact decimal text. Nothing here ever passes through a float. */

const SIGNS = 'US\\$|A\\$|C\\$|HK\\$|NT\\$|S\\$|R\\$|[$€£¥₩₹฿₽₺₫₱₦₴₪]|Rp\\.?|RM|Fr\\.|kr\\.?|zł|Kč|Ft|円|元';
const CODES =
  'USD|EUR|JPY|GBP|IDR|CHF|AUD|CAD|CNY|HKD|SGD|NZD|SEK|NOK|DKK|PLN|CZK|HUF|TRY|BRL|MXN|INR|KRW|THB|MYR|PHP|VND|ZAR|TWD|RUB';
const CURRENCY = new RegExp(`^(?:${SIGNS}|${CODES})\\s*|\\s*(?:${SIGNS}|${CODES})$`, 'giu');
const lettersOf = (signs: string[]) =>
  new Set(
    signs.map((sign) => sign.toLowerCase().replace(/[^a-z]/gu, '')).filter((letters) => letters !== ''),
  );
const ALL_SIGNS = `${SIGNS}|${CODES}`.split('|');
const CURRENCY_LETTERS = lettersOf(ALL_SIGNS);
const WITHOUT_DOLLAR = lettersOf(ALL_SIGNS.filter((sign) => !sign.includes('$')));

/** Can letters that stand together in that text be those of a currency? */
export const isCurrency = (letters: string, text: string): boolean =>
  (text.includes('$') ? CURRENCY_LETTERS : WITHOUT_DOLLAR).has(letters.toLowerCase());

/** Marks that stand between thousands, besides point and comma: spaces of all widths, apostrophes. */
const SPACES = /[\s\u00A0\u2009\u202F'’]/gu;

/**
 * By threes; with commas also as in India, by twos above the thousand (`12,34,567`). No zero leads: `0,125` in a column
 * of points is a slip, and not 125.
 */
const GROUPS = /^(?:[1-9]\d{0,2}(?:[ ,]\d{3})+|[1-9]\d?(?:,\d{2})+,\d{3})$/u;

/**
 * Plain decimal text (`-1234.50`), or null where the text is no number or could be read in two ways. Without a
 * decimal mark that is known, marks are read only where just one reading is possible. A percent sign divides by 100.
 */
export function normaliseNumber(text: string, decimal?: '.' | ','): string | null {
  let plain = text
    .normalize('NFKC')
    .trim()
    .replace(/^[\u2212▲△]/u, '-');
  let negative = false;
  if (/^\(.*\)$/u.test(plain)) {
    negative = true;
    plain = plain.slice(1, -1).trim();
  }
  plain = plain.replace(CURRENCY, '').trim();
  const percent = plain.endsWith('%');
  if (percent) plain = plain.slice(0, -1).trim();
  const sign = /^([+-])\s*(.*)$/u.exec(plain) ?? /^(.*?)\s*([+-])$/u.exec(plain);
  if (sign) {
    const leading = sign[1] === '+' || sign[1] === '-';
    if (negative) return null;
    negative = (leading ? sign[1] : sign[2]) === '-';
    plain = (leading ? sign[2]! : sign[1]!).replace(CURRENCY, '').trim();
  }
  if (!/^[\d.,\s\u00A0\u2009\u202F'’]*$/u.test(plain) || !/\d/u.test(plain)) return null;
  const mark = decimal ?? decimalMark(plain);
  if (!mark) return null;
  const [whole = '', fraction, ...more] = plain.split(mark);
  if (more.length > 0 || (fraction !== undefined && /\D/u.test(fraction))) return null;
  const compact = whole.replace(SPACES, (found) => (found === "'" || found === '’' ? "'" : ' '));
  const groups = compact.split(/[ ',.]/u);
  if (groups.length > 1) {
    const oneMark = new Set(compact.replace(/\d/gu, '')).size === 1;
    if (!oneMark || !GROUPS.test(groups.join(compact.includes(',') ? ',' : ' '))) return null;
  }
  const digits = groups.join('').replace(/^0+(?=\d)/u, '') || '0';
  const number = fraction ? `${digits}.${fraction}` : digits;
  const value = percent ? hundredth(number) : number;
  return negative && /[1-9]/u.test(value) ? `-${value}` : value;
}

/** `12.5` as `0.125`. */
function hundredth(number: string): string {
  const [whole = '', fraction = ''] = number.split('.');
  const digits = whole.padStart(3, '0');
  const value = `${digits.slice(0, -2)}.${digits.slice(-2)}${fraction}`.replace(/0+$/u, '');
  return value.replace(/\.$/u, '').replace(/^0+(?=\d)/u, '');
}

/** The decimal mark of one text where the text itself settles it. */
export function decimalMark(text: string): '.' | ',' | null {
  const dot = text.lastIndexOf('.');
  const comma = text.lastIndexOf(',');
  if (dot >= 0 && comma >= 0) return dot > comma ? '.' : ',';
  if (comma < 0) return (text.match(/\./gu) ?? []).length > 1 ? ',' : '.';
  if ((text.match(/,/gu) ?? []).length > 1) return '.';
  // `1,234` may be a thousand or one and a bit; `1,5` and `0,500` can only be the latter.
  return /^\d{1,3},\d{3}$/u.test(text) && !text.startsWith('0,') ? null : ',';
}

/** Compares plain decimal texts: negative, zero or positive. */
export function compareDecimals(left: string, right: string): number {
  const leftNegative = left.startsWith('-');
  if (leftNegative !== right.startsWith('-')) return leftNegative ? -1 : 1;
  const [leftWhole, leftFraction] = parts(left);
  const [rightWhole, rightFraction] = parts(right);
  const width = Math.max(leftFraction.length, rightFraction.length);
  const order =
    leftWhole.length - rightWhole.length ||
    compareText(leftWhole, rightWhole) ||
    compareText(leftFraction.padEnd(width, '0'), rightFraction.padEnd(width, '0'));
  return leftNegative ? -order : order;
}

function parts(text: string): [string, string] {
  const [whole = '', fraction = ''] = text.replace(/^[+-]/u, '').split('.');
  return [whole.replace(/^0+(?=\d)/u, ''), fraction];
}

function compareText(left: string, right: string): number {
  return left < right ? -1 : left > right ? 1 : 0;
}

/** Does plain decimal text fit `numeric(precision, scale)` without rounding? */
export function decimalFits(
  text: string,
  precision?: number,
  scale?: number,
): 'ok' | 'too_large' | 'too_precise' {
  if (precision === undefined) return 'ok';
  const [whole, fraction] = parts(text);
  if (fraction.replace(/0+$/u, '').length > (scale ?? 0)) return 'too_precise';
  return whole.replace(/^0$/u, '').length > precision - (scale ?? 0) ? 'too_large' : 'ok';
}
