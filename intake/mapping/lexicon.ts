import { headerWords } from '../names.ts';

/**
 * Words of headers and what they mean, in English, Japanese, Indonesian and German. Only what is the same in every
 * header may stand here: `number` and `code` are two things, and so are `price` and `cost`.
 */
const MEANINGS: Record<string, string> = {
  item: `item itm product prod article art artikel produkt produk barang brg 商品 製品 品目 品 アイテム しょうひん`,
  part: `part 部品`,
  material: `material`,
  code: `code cd kode kd コード`,
  number: `number no nr num nbr nummer nomor 番号 番 ナンバー`,
  id: `id`,
  sku: `sku`,
  name: `name nama nm 名 名称 名前 namen bezeichnung bez bezeichnungen`,
  title: `title titel タイトル`,
  description: `description desc descr beschreibung deskripsi 説明`,
  price: `price preis harga hrg 価格 値段 かかく prc`,
  unit: `unit satuan einzel each`,
  unitPrice: `単価 einzelpreis`,
  sales: `sales selling jual verkaufs vk 販売 sell`,
  sale: `sale セール`,
  list: `list listen`,
  retail: `retail eceran 小売`,
  quantity: `quantity qty quant qnty menge kuantitas jumlah jml 数量 個数 anzahl qyt すうりょう`,
  count: `count 数`,
  stock: `stock stok bestand bestands lagerbestand 在庫 stk persediaan inventory ざいこ`,
  opening: `opening awal anfangs eroffnungs 期首 初期 initial`,
  serial: `serial serien seri シリアル しりある`,
  own: `our own eigene eigener unsere 自社 当社`,
  device: `device gerate`,
  currency: `currency curr ccy wahrung waehrung wahrungs valuta 通貨`,
  valid: `valid gultig gueltig`,
  effective: `effective efektif berlaku 適用`,
  from: `from ab von dari since seit sejak`,
  start: `start mulai beginn begin starting 開始`,
  date: `date datum tanggal tgl 日 dt 年月日`,
  email: `email mail surel メール eメール メル 電子メール`,
  address: `address adresse alamat アドレス`,
  phone: `phone tel telephone telefon telepon telp telpon 電話 テレフォン ph`,
  mobile: `mobile mobil cell handy handphone hp ponsel 携帯`,
  company: `company firma firmen unternehmen perusahaan 会社 企業 法人`,
  business: `business`,
  organisation: `organisation organization org instansi 団体 組織`,
  customer: `customer cust client klien pelanggan kunde kunden 顧客 得意先 取引先`,
  account: `account acct`,
  contact: `contact kontak kontakt ansprechpartner ansprechpartnerin 担当者 担当 pic`,
  person: `person`,
  status: `status ステータス 状態`,
  active: `active aktif aktiv`,
  amount: `amount amt betrag nilai`,
  rate: `rate`,
  priceList: `pricelist preisliste 価格表`,
  full: `full lengkap`,
  long: `long lang`,
  text: `text`,
};

/** Two words that are one. */
const PAIRS: Record<string, string> = {
  'e mail': 'email',
  'e post': 'email',
  'on hand': 'stock',
  'in stock': 'stock',
  'mata uang': 'currency',
  'mt uang': 'currency',
  'stock keeping': 'stockkeeping',
  'price list': 'priceList',
  'price unit': 'price ?unit',
  'daftar harga': 'priceList',
  's n': 'serial number',
  'part number': 'item number',
  'part code': 'item code',
  'material number': 'item number',
  'material code': 'item code',
};

/** Words that change nothing: manners, articles, "ours" as against a supplier's. */
const SILENT = new Set(headersOf(`the a an my our own per pro je der die das des ご お 御 様`));
/** Beside an amount of money these say what it is counted in, not what it is. */
const MONEY = new Set(headersOf(`usd eur idr jpy gbp chf sgd aud rp rupiah euro yen 円 dollar us`));

function headersOf(list: string): string[] {
  return list.split(/\s+/u).map((word) => headerWords(word).join(''));
}

const BY_WORD = new Map(
  Object.entries(MEANINGS).flatMap(([meaning, list]) =>
    headersOf(list).map((word): [string, string] => [word, meaning]),
  ),
);
const LONGEST = Math.max(...[...BY_WORD.keys()].map((word) => word.length));
const CJK = /^[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}ー]/u;

/** What a form says of a column, and not the header: `（必須）`. */
const FORM_MARK = /[(（[【](?:required|optional|mandatory|必須|任意|wajib|pflichtfeld)[)）\]】]/giu;

/** What a header says. */
export interface Meaning {
  /** In any order; a word that is not known stands for itself, with `?` before it. */
  parts: string[];
  /** Some words were read with a typing error in them. */
  typo: boolean;
  money: boolean;
}

const cache = new Map<string, Meaning>();

export function meaningOf(name: string): Meaning {
  let found = cache.get(name);
  if (!found) {
    if (cache.size > 5000) cache.clear();
    cache.set(name, (found = read(name)));
  }
  return found;
}

function read(name: string): Meaning {
  const meaning: Meaning = { parts: [], typo: false, money: false };
  const all = headerWords(name.replace(FORM_MARK, ' ').replace(/[€$¥£]/gu, ' usd '));
  // One short word is no abbreviation of anything: `No`, `Art`, `ID` may be a row number or a kind.
  if (all.length === 1 && all[0]!.length <= (CJK.test(all[0]!) ? 1 : 3)) {
    return { ...meaning, parts: [BY_WORD.get(all[0]!) === all[0] ? all[0]! : `?${all[0]}`] };
  }
  for (let at = 0; at < all.length; at++) {
    const pair = PAIRS[`${all[at]} ${all[at + 1]}`];
    if (pair !== undefined) {
      meaning.parts.push(...pair.split(' '));
      at++;
    } else add(all[at]!, meaning);
  }
  if (meaning.money && !meaning.parts.some((part) => /price|Price|amount/u.test(part)))
    meaning.parts.push('?money');
  return meaning;
}

function add(word: string, meaning: Meaning): void {
  if (SILENT.has(word)) return;
  if (MONEY.has(word)) {
    meaning.money = true;
    return;
  }
  const known = BY_WORD.get(word);
  if (known !== undefined) return void meaning.parts.push(...spelled(known));
  const parts = divide(word);
  if (parts) {
    for (const part of parts) add(part, meaning);
    return;
  }
  const near = mistyped(word);
  if (near !== null) {
    meaning.typo = true;
    meaning.parts.push(...spelled(near));
  } else meaning.parts.push(`?${word}`);
}

const spelled = (meaning: string): string[] => (meaning === 'unitPrice' ? ['unit', 'price'] : [meaning]);

/** Words written as one, where all of it is known: `Artikelnummer`, `商品コード`, `kodebarang`. Null where it is not. */
function divide(word: string): string[] | null {
  const cjk = CJK.test(word[0]!) || CJK.test(word.at(-1)!);
  if (!cjk && word.length < 5) return null;
  // Of what is not known in Japanese the rest still says something; a German compound is known as a whole or not at all.
  if (cjk) return divideJapanese(word);
  const from = (at: number): string[] | null => {
    if (at === word.length) return [];
    for (let end = Math.min(word.length, at + LONGEST); end > at; end--) {
      const part = word.slice(at, end);
      const short = part.length < 3;
      if (!BY_WORD.has(part) || (short && (end !== word.length || !/^(?:nr|no|id|cd)$/u.test(part))))
        continue;
      const rest = from(end) ?? (word[end] === 's' ? from(end + 1) : null);
      if (rest) return [part, ...rest];
    }
    return null;
  };
  const parts = from(0);
  return parts && parts.length > 1 ? parts : null;
}

function divideJapanese(word: string): string[] | null {
  const parts: string[] = [];
  let unknown = '';
  for (let at = 0; at < word.length;) {
    let end = Math.min(word.length, at + LONGEST);
    while (
      end > at &&
      !BY_WORD.has(word.slice(at, end)) &&
      !SILENT.has(word.slice(at, end)) &&
      !MONEY.has(word.slice(at, end))
    )
      end--;
    if (end === at) unknown += word[at++];
    else {
      if (unknown !== '') parts.push(unknown);
      unknown = '';
      parts.push(word.slice(at, end));
      at = end;
    }
  }
  if (unknown !== '') parts.push(unknown);
  return parts.length > 1 ? parts : null;
}

/** The one known word that this is with a single typing error; long enough that it cannot well be another word. */
function mistyped(word: string): string | null {
  const found = new Set<string>();
  for (const [known, meaning] of BY_WORD) if (oneSlip(word, known)) found.add(meaning);
  return found.size === 1 ? [...found][0]! : null;
}

/**
 * One letter too many, too few, wrong or swapped with its neighbour. Short words that differ are different words
 * (`Contract` and `Contact`, `Kreis` and `Preis`), except where two letters have only changed places.
 */
export function oneSlip(a: string, b: string): boolean {
  const shorter = Math.min(a.length, b.length);
  if (!/^[a-z]+$/u.test(a) || a === b || Math.abs(a.length - b.length) > 1 || a[0] !== b[0] || shorter < 5)
    return false;
  let start = 0;
  while (start < shorter && a[start] === b[start]) start++;
  let end = 0;
  while (end < shorter - start && a[a.length - 1 - end] === b[b.length - 1 - end]) end++;
  const [left, right] = [a.slice(start, a.length - end), b.slice(start, b.length - end)];
  if (!/^[a-z]*$/u.test(right)) return false;
  if (left.length === 2 && right.length === 2) return left[0] === right[1] && left[1] === right[0];
  return shorter >= 8 && left.length <= 1 && right.length <= 1;
}
