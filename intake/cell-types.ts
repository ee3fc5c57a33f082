import {
  AT,
  COLON,
  DASH,
  DIGIT,
  HIGH,
  KINDS,
  LETTER,
  LONGEST_WORD,
  NUMERIC,
  PLUS,
  POINT,
  SLASH,
  SPACE,
  dayAndMonth,
  decimalAt,
  isInteger,
  isIsoDate,
  isIsoTime,
  isUrl,
} from './cell-bytes.ts';
import { dateOrders, isDateWord, iso, parseTimestamp, yearOf, type DateOrder } from './dates.ts';
import { decimalMark, isCurrency, normaliseNumber } from './numbers.ts';
import type { ColumnFormat, ColumnType } from './types.ts';
import { EXTENSIONS, isEmail, isPhone, parseBoolean } from './words.ts';

/** What a column must reach of its cells that are not empty for its type to be taken as settled. */
const SETTLED = 0.95;
const INTEGER = /^[+-]?(?:0|[1-9]\d{0,15})$/u;
const PLAIN_DECIMAL = /^-?(?:0|[1-9]\d*)\.\d+$/u;
/** May be three digits behind a point, or thousands. */
const THOUSANDS = /^-?[1-9]\d{0,2}\.\d{3}$/u;
const IDENTIFIER = /^(?:[+-]?0\d+|\d{17,})$/u;
/** `+6281234567890`: nobody writes the sign before a number of so many digits. */
const INTERNATIONAL = /^\+[1-9]\d{7,14}$/u;
/** `192.168.100.101`: an address, or twelve digits with marks between the thousands. */
const ADDRESS = /^(?:(?:1?\d?\d|2[0-4]\d|25[0-5])(?:\.(?!$)|$)){4}$/u;
/** `2024-01` is a month and no phone. */
const MONTH = /^(?:19|20)\d\d-(?:0[1-9]|1[0-2])$/u;
const URL_TEXT = /^(?:https?|ftp):\/\/\S+$/iu;
const SHORT_YEAR = /^(\d\d)([-/.])(\d{1,2})\2(\d\d)(?=$|[T\s])/u;
const ORDERS: DateOrder[] = ['YMD', 'DMY', 'MDY'];
/** After so many cells a column of which hardly half are of one type is text, whatever comes below. */
const ENOUGH_CELLS = 1000;
const HARDLY = 0.5;
/** Evidence for one way of writing that is less than this beside the other one is a slip of somebody's. */
const SLIPS = 0.005;

/** Gathers what the cells of one column look like, and settles its type and format once for the whole column. */
export class TypeTally {
  /** It is text, and no more of its cells need to be looked at. */
  settled = false;
  private readonly plainNumbers: boolean;
  private readonly words = new Map<number, boolean>();
  private cells = 0;
  private settleAt = ENOUGH_CELLS;
  /** The last cell looked at in all its bytes was an integer. */
  private integers = false;
  private readonly counts = {
    integer: 0,
    decimal: 0,
    boolean: 0,
    date: 0,
    timestamp: 0,
    email: 0,
    url: 0,
    phone: 0,
  };
  private addresses = 0;
  /** A cell such as `00123`, or one of 17 digits and more: the column holds identifiers, and they are text. */
  private identifier = false;
  private booleanWord = false;
  private dot = 0;
  private comma = 0;
  private unsure = 0;
  private percent = 0;
  private readonly orders = { YMD: 0, DMY: 0, MDY: 0 };
  /** Dates that are the same in every order. */
  private orderless = 0;
  private readonly shortYears = { cells: 0, first: new Set<string>(), last: new Set<string>() };

  /** `plainNumbers`: they were numbers before they were text (a sheet, JSON), so that their point is one. */
  constructor(plainNumbers = false) {
    this.plainNumbers = plainNumbers;
  }

  /** A cell in UTF-8. What is plainly of one kind never becomes a string. */
  addBytes(bytes: Buffer, from: number, to: number): void {
    if (this.settled || from === to) return;
    // Most cells are as those above them: these two kinds are told without asking what each byte is.
    const { counts } = this;
    if (this.integers && isInteger(bytes, from, to)) {
      counts.integer++;
      this.cells++;
    } else if (!this.integers && counts.decimal > 0 && this.addDecimal(bytes, from, to)) this.cells++;
    else {
      const { integer } = counts;
      if (!this.addPlain(bytes, from, to)) this.add(bytes.toString('utf8', from, to));
      else this.cells++;
      this.integers = counts.integer > integer;
    }
    if (this.cells >= this.settleAt) this.settle();
  }

  private settle(): void {
    const { counts, cells } = this;
    this.settleAt = cells + ENOUGH_CELLS;
    const numbers = counts.integer + counts.decimal;
    const best = Math.max(
      numbers + counts.phone,
      counts.boolean,
      counts.date + counts.timestamp,
      counts.email,
      counts.url,
    );
    if (best < cells * HARDLY || (this.identifier && counts.phone === 0)) this.settled = true;
  }

  private addPlain(bytes: Buffer, from: number, to: number): boolean {
    let kinds = 0;
    for (let i = from; i < to; i++) kinds |= KINDS[bytes[i]!]!;
    const length = to - from;
    const { counts } = this;
    if ((kinds & DIGIT) === 0) {
      if ((kinds & ~(LETTER | HIGH)) === 0)
        return length <= 6 ? this.addWord(bytes, from, to) : length > LONGEST_WORD;
    } else if ((kinds & ~NUMERIC) === 0) {
      if (kinds === DIGIT || (kinds === (DIGIT | DASH) && bytes[from] === 45)) {
        if (!isInteger(bytes, from, to)) return false;
        counts.integer++;
        return true;
      }
      if ((kinds & (SLASH | COLON | SPACE | PLUS)) === 0 && this.addDecimal(bytes, from, to)) return true;
      if (length <= 10 && (kinds & COLON) === 0) return this.addNumericDate(bytes, from, to);
      if ((kinds & COLON) !== 0) return this.addMoment(bytes, from, to);
      if ((kinds & ~(DIGIT | DASH | SPACE | PLUS)) === 0 && (kinds & DASH) !== 0)
        return this.addPhone(bytes, from, to);
      return false;
    } else if ((kinds & ~(NUMERIC | LETTER)) === 0 && (kinds & COLON) !== 0) {
      return this.addMoment(bytes, from, to);
    }
    if ((kinds & AT) !== 0) return this.addAddress(bytes, from, to);
    if ((kinds & (SPACE | HIGH)) === 0 && isUrl(bytes, from, to)) {
      counts.url++;
      return true;
    }
    return false;
  }

  private addDecimal(bytes: Buffer, from: number, to: number): boolean {
    const mark = this.plainNumbers ? pointAt(bytes, from, to) : decimalAt(bytes, from, to);
    if (mark === 0) return false;
    this.counts.decimal++;
    if (mark === 46) this.dot++;
    else this.comma++;
    return true;
  }

  private addNumericDate(bytes: Buffer, from: number, to: number): boolean {
    if (to - from === 10 && isIsoDate(bytes, from)) {
      this.counts.date++;
      this.everyOrder();
      return true;
    }
    const orders = dayAndMonth(bytes, from, to);
    if (orders === 0) return false;
    this.counts.date++;
    if ((orders & 1) !== 0) this.orders.DMY++;
    if ((orders & 2) !== 0) this.orders.MDY++;
    return true;
  }

  private addMoment(bytes: Buffer, from: number, to: number): boolean {
    if (to - from < 16 || !isIsoDate(bytes, from) || !isIsoTime(bytes, from + 10, to)) return false;
    this.counts.timestamp++;
    this.everyOrder();
    return true;
  }

  private addPhone(bytes: Buffer, from: number, to: number): boolean {
    if (to - from === 7 && bytes[from + 4] === 45) return false;
    let digits = 0;
    for (let i = from; i < to; i++) {
      if (KINDS[bytes[i]!] === DIGIT) digits++;
      else if (bytes[i] === 43 && i > from) return false;
    }
    if (digits < 6 || digits > 15 || bytes[from] === 45) return false;
    this.counts.phone++;
    return true;
  }

  private everyOrder(): void {
    this.orders.YMD++;
    this.orders.DMY++;
    this.orders.MDY++;
    this.orderless++;
  }

  /** Yes and no come again and again: each is looked up as a word once. */
  private addWord(bytes: Buffer, from: number, to: number): boolean {
    let key = 0;
    for (let i = from; i < to; i++) key = key * 256 + bytes[i]!;
    let truth = this.words.get(key);
    if (truth === undefined) {
      truth = parseBoolean(bytes.toString('utf8', from, to)) !== null;
      if (this.words.size < 64) this.words.set(key, truth);
    }
    if (truth) {
      this.counts.boolean++;
      this.booleanWord = true;
    }
    return true;
  }

  private addAddress(bytes: Buffer, from: number, to: number): boolean {
    let sign = -1;
    let dots = 0;
    for (let i = from; i < to; i++) {
      const byte = bytes[i]!;
      const kind = KINDS[byte]!;
      if (kind === DIGIT || kind === LETTER || kind === DASH || byte === 95) continue;
      if (byte === 64 && sign < 0 && i > from && i + 1 < to) sign = i;
      else if (
        kind === POINT &&
        i > from &&
        i + 1 < to &&
        i - 1 !== sign &&
        bytes[i - 1] !== 46 &&
        bytes[i + 1] !== 64
      ) {
        if (sign >= 0) dots++;
      } else return false;
    }
    if (sign < 0 || dots === 0 || sign - from > 64 || to - from > 254) return false;
    this.counts.email++;
    return true;
  }

  add(text: string): void {
    const plain = text.trim();
    if (plain === '') return;
    this.cells++;
    if (isWords(plain)) return;
    if (IDENTIFIER.test(plain)) this.identifier = true;
    if (/\d/u.test(plain)) {
      if (MONTH.test(plain)) return;
      if (ADDRESS.test(plain)) this.addresses++;
      if (INTERNATIONAL.test(plain)) {
        this.counts.phone++;
        return;
      }
      if (this.addNumber(plain)) return;
      if (this.addDate(plain)) return;
    } else if (parseBoolean(plain) !== null) {
      this.counts.boolean++;
      this.booleanWord = true;
      return;
    }
    if (isEmail(plain)) this.counts.email++;
    else if (URL_TEXT.test(plain)) this.counts.url++;
    else if (isPhone(plain)) this.counts.phone++;
  }

  get type(): ColumnType {
    const { counts, cells } = this;
    const enough = (count: number) => cells > 0 && count >= cells * SETTLED;
    if (this.settled) return 'text';
    const phones = counts.phone + (this.identifier ? counts.integer : 0);
    if (enough(phones) && counts.phone > 0 && counts.decimal === 0) return 'phone';
    // Some cells with a percent sign and some without: nobody knows whether these are hundredths.
    if (!this.identifier && !this.ofAddresses && (this.percent === 0 || enough(this.percent))) {
      if (enough(counts.integer)) return 'integer';
      if (enough(counts.integer + counts.decimal)) return 'decimal';
    }
    if (this.booleanWord && enough(counts.boolean)) return 'boolean';
    if (enough(counts.date)) return 'date';
    if (counts.timestamp > 0 && enough(counts.date + counts.timestamp)) return 'timestamp';
    if (enough(counts.email)) return 'email';
    if (enough(counts.url)) return 'url';
    return 'text';
  }

  private get ofAddresses(): boolean {
    return this.addresses * 2 > this.counts.integer + this.counts.decimal;
  }

  /** Of a column that is text as a whole, what more than half of its cells are: prices, and `on request` between them. */
  get mostly(): ColumnType | undefined {
    if (this.settled || this.identifier || this.type !== 'text') return undefined;
    const { integer, decimal, date, timestamp } = this.counts;
    if (this.percent === 0 && !this.ofAddresses && (integer + decimal) * 2 > this.cells)
      return decimal > 0 ? 'decimal' : 'integer';
    if ((date + timestamp) * 2 > this.cells) return timestamp > 0 ? 'timestamp' : 'date';
    return undefined;
  }

  /** Undefined where the cells allow two readings, or where nothing has to be known. */
  get format(): ColumnFormat | undefined {
    const type = this.mostly ?? this.type;
    if (type === 'decimal' || type === 'integer') {
      const { dot, comma, unsure } = this;
      // The point of what was a number is no slip: read with a comma, 1.125 would be 1125.
      const slips = this.plainNumbers && comma > dot ? 0 : SLIPS;
      if (Math.min(dot, comma) > Math.max(dot, comma) * slips) return undefined;
      if (comma > dot) return { decimal: ',' };
      return dot > 0 || unsure === 0 ? { decimal: '.' } : undefined;
    }
    if (type === 'date' || type === 'timestamp') {
      const { date, timestamp } = this.counts;
      const dates = date + timestamp;
      const all = ORDERS.filter((order) => this.orders[order] === dates);
      const most = ORDERS.filter((order) => this.orders[order] >= dates * (1 - SLIPS));
      // Fits all: the year comes first in every cell. Fits two: nobody knows which is the day.
      const fitting = all.length > 0 ? all : most;
      if (fitting.length === 3 || (fitting.length === 1 && !this.mayBeginWithYear(dates)))
        return { date: fitting[0]! };
    }
    return undefined;
  }

  /** `24/01/31`, `24/02/15`: days change from row to row, years hardly. What changes less may be the year. */
  private mayBeginWithYear(dates: number): boolean {
    const { cells, first, last } = this.shortYears;
    return cells > 0 && cells >= (dates - this.orderless) * (1 - SLIPS) && first.size <= last.size;
  }

  private addNumber(plain: string): boolean {
    if (INTEGER.test(plain)) {
      this.counts.integer++;
      return true;
    }
    if (PLAIN_DECIMAL.test(plain) && (this.plainNumbers || !THOUSANDS.test(plain))) {
      this.counts.decimal++;
      this.dot++;
      return true;
    }
    if (!/[.,'’\s]|^[^\d]|\D$/u.test(plain) || /^0\d/u.test(plain)) return false;
    // The point of `Rp.` is none of the number's.
    const digits = plain.replace(/[A-Za-z]+\.|[^\d.,]/gu, '');
    // What was a number has no comma: a cell with one was a text, and says how its writer writes numbers.
    const mark = this.plainNumbers && /^\d*\.?\d*$/u.test(digits) ? '.' : markOf(digits);
    const value = normaliseNumber(plain, mark ?? '.');
    if (value === null) return false;
    if (mark === null) this.unsure++;
    else if (digits.includes(mark)) this[mark === '.' ? 'dot' : 'comma']++;
    else this[mark === '.' ? 'dot' : 'comma'] += digits.includes(mark === '.' ? ',' : '.') ? 1 : 0;
    if (/[%％]/u.test(plain)) this.percent++;
    this.counts[value.includes('.') || /[%％]/u.test(plain) ? 'decimal' : 'integer']++;
    return true;
  }

  /** Of two digits, it may stand first. */
  private lookForYear(plain: string): void {
    const [, first, , month, last] = SHORT_YEAR.exec(plain) ?? [];
    if (first === undefined || iso(yearOf(first), Number(month), Number(last)) === null) return;
    const years = this.shortYears;
    years.cells++;
    years.first.add(first);
    years.last.add(last!);
  }

  private addDate(plain: string): boolean {
    let orders = dateOrders(plain);
    if (orders.length > 0) this.counts.date++;
    else if (plain.includes(':')) {
      orders = ORDERS.filter((order) => parseTimestamp(plain, order) !== null);
      if (orders.length > 0) this.counts.timestamp++;
    }
    for (const order of orders) this.orders[order]++;
    if (orders.length === ORDERS.length) this.orderless++;
    else if (orders.length > 0) this.lookForYear(plain);
    return orders.length > 0;
  }
}

/** The point of a number that was one before it was text; 0 where it is written in any other way. */
function pointAt(bytes: Buffer, from: number, to: number): number {
  const first = bytes[from] === 45 ? from + 1 : from;
  // Leading zeros may be an identifier's.
  if (bytes[first] === 48 && bytes[first + 1] !== 46) return 0;
  let points = 0;
  for (let i = first; i < to; i++) {
    const byte = bytes[i]!;
    if (byte === 46) points++;
    else if (byte < 48 || byte > 57) return 0;
  }
  return points === 1 && bytes[first] !== 46 && bytes[to - 1] !== 46 ? 46 : 0;
}

/** As `decimalMark`, but that `1.234` may be thousands as well as `1,234`. */
function markOf(digits: string): '.' | ',' | null {
  return /^[1-9]\d{0,2}\.\d{3}$/u.test(digits) ? null : decimalMark(digits);
}

/**
 * Is an ASCII text certainly of no kind, by its first letters alone? Looking at the head of a file takes hardly half the
 * time with it.
 */
function isWords(text: string): boolean {
  let from = -1;
  let to = -1;
  let digits = false;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code >= 128 || code === 58 || code === 64) return false;
    const kind = KINDS[code]!;
    if (kind === LETTER) {
      if (from < 0) from = i;
    } else {
      if (from >= 0 && to < 0) to = i;
      if (kind === DIGIT) digits = true;
    }
  }
  if (from < 0) return false;
  if (!digits) return text.length > LONGEST_WORD;
  const first = to < 0 ? text.slice(from) : text.slice(from, to);
  return !isCurrency(first, text) && !isDateWord(first) && !EXTENSIONS.has(first.toLowerCase());
}
