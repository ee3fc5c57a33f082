import { dateOrders, parseTimestamp, type DateOrder } from './dates.ts';
import { decimalMark, normaliseNumber } from './numbers.ts';
import type { ColumnFormat, ColumnType } from './types.ts';
import { isEmail, isPhone, parseBoolean } from './words.ts';

/** What a column must reach of its cells that are not empty for its type to be taken as settled. */
const SETTLED = 0.95;
const INTEGER = /^[+-]?(?:0|[1-9]\d{0,15})$/u;
const URL_TEXT = /^(?:https?|ftp):\/\/\S+$/iu;
const ORDERS: DateOrder[] = ['YMD', 'DMY', 'MDY'];

/** Gathers what the cells of one column look like, and settles its type and format once for the whole column. */
export class TypeTally {
  private cells = 0;
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
  /** A cell such as `00123`, or one of 17 digits and more: the column holds identifiers, and they are text. */
  private identifier = false;
  private booleanWord = false;
  private dot = 0;
  private comma = 0;
  private unsure = 0;
  private readonly orders = { YMD: 0, DMY: 0, MDY: 0 };

  add(text: string): void {
    const plain = text.trim();
    if (plain === '') return;
    this.cells++;
    if (/^[+-]?0\d+$/u.test(plain) || /^\d{17,}$/u.test(plain)) this.identifier = true;
    if (/\d/u.test(plain)) {
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
    const phones = counts.phone + (this.identifier ? counts.integer : 0);
    if (enough(phones) && counts.phone > 0 && counts.decimal === 0) return 'phone';
    if (!this.identifier) {
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

  /** Undefined where the cells allow two readings, or where nothing has to be known. */
  get format(): ColumnFormat | undefined {
    const type = this.type;
    if (type === 'decimal' || type === 'integer') {
      if (this.comma > 0 && this.comma >= this.dot) return { decimal: ',' };
      return this.dot > 0 || this.unsure === 0 ? { decimal: '.' } : undefined;
    }
    if (type === 'date' || type === 'timestamp') {
      const best = Math.max(...ORDERS.map((order) => this.orders[order]));
      const fitting = ORDERS.filter((order) => this.orders[order] === best);
      return fitting.length === 1 || fitting.length === 3 ? { date: fitting[0]! } : undefined;
    }
    return undefined;
  }

  private addNumber(plain: string): boolean {
    if (INTEGER.test(plain)) {
      this.counts.integer++;
      return true;
    }
    if (!/[.,]|^[^\d]|\D$/u.test(plain) || /^0\d/u.test(plain)) return false;
    const digits = plain.replace(/[^\d.,]/gu, '');
    const mark = decimalMark(digits);
    const value = normaliseNumber(plain, mark ?? '.');
    if (value === null) return false;
    if (mark === null) this.unsure++;
    else if (digits.includes(mark)) this[mark === '.' ? 'dot' : 'comma']++;
    else this[mark === '.' ? 'dot' : 'comma'] += digits.includes(mark === '.' ? ',' : '.') ? 1 : 0;
    this.counts[value.includes('.') ? 'decimal' : 'integer']++;
    return true;
  }

  private addDate(plain: string): boolean {
    const orders = dateOrders(plain);
    if (orders.length > 0) {
      this.counts.date++;
      for (const order of orders) this.orders[order]++;
      return true;
    }
    if (!plain.includes(':')) return false;
    const readable = ORDERS.filter((order) => parseTimestamp(plain, order) !== null);
    if (readable.length === 0) return false;
    this.counts.timestamp++;
    for (const order of readable) this.orders[order]++;
    return true;
  }
}
