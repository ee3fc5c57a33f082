/** Words in headers that say nothing about which field a column is. */
const NOISE = new Set(['the', 'of', 'a', 'an', 'in', 'my', 'our', 'der', 'die', 'das', 'des']);
const SHORT: Record<string, string> = {
  qty: 'quantity',
  quant: 'quantity',
  qnty: 'quantity',
  desc: 'description',
  descr: 'description',
  no: 'number',
  num: 'number',
  nr: 'number',
  nbr: 'number',
  tel: 'phone',
  telephone: 'phone',
  ph: 'phone',
  mail: 'email',
  prod: 'product',
  cust: 'customer',
  curr: 'currency',
  amt: 'amount',
  sn: 'serial number',
  itm: 'item',
  cd: 'code',
  nm: 'name',
  dt: 'date',
};

/** A header without what differs by taste: case, width, accents, punctuation, kana's two scripts. */
export function normaliseName(name: string): string {
  return words(name).join('');
}

function words(name: string): string[] {
  return (
    name
      .normalize('NFKC')
      .replace(/([\p{Ll}\d])(\p{Lu})/gu, '$1 $2')
      .toLowerCase()
      .replace(/ß/gu, 'ss')
      .replace(/[\u3041-\u3096]/gu, (kana) => String.fromCharCode(kana.charCodeAt(0) + 0x60))
      .normalize('NFD')
      // Marks over Latin letters go; the voicing marks of kana are part of the letter.
      .replace(/[\u0300-\u036F]/gu, '')
      .normalize('NFC')
      .split(/[^\p{L}\p{N}ー]+/u)
      .filter((word) => word !== '')
  );
}

/** Abbreviations written out, noise left out. */
function meaning(name: string): string[] {
  const all = words(name).flatMap((word) => (Object.hasOwn(SHORT, word) ? SHORT[word]!.split(' ') : [word]));
  const kept = all.filter((word) => !NOISE.has(word));
  return kept.length > 0 ? kept : all;
}

/** How alike two names are, 0 to 1. Names that are equal once abbreviations are written out come to 0.9. */
export function similarity(left: string, right: string): number {
  const [leftWords, rightWords] = [meaning(left), meaning(right)];
  const [a, b] = [leftWords.join(''), rightWords.join('')];
  if (a === '' || b === '') return 0;
  if (a === b || [...leftWords].sort().join(' ') === [...rightWords].sort().join(' ')) return 0.9;
  const shared = leftWords.filter((word) => rightWords.includes(word)).length;
  const overlap = (2 * shared) / (leftWords.length + rightWords.length);
  return Math.min(0.88, Math.max(edits(a, b), overlap * 0.75));
}

/** One typing error in a name of some length is forgiven; short names that differ are different names. */
function edits(a: string, b: string): number {
  const longest = Math.max(a.length, b.length);
  const apart = distance(a, b);
  if (apart === 1 && Math.min(a.length, b.length) >= 5) return 0.85;
  return Math.max(0, 1 - (apart * 1.6) / longest);
}

/** Optimal string alignment: insertions, deletions, substitutions, swaps of neighbours. */
function distance(a: string, b: string): number {
  let before: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1];
      let cost = Math.min(last[j]! + 1, row[j - 1]! + 1, last[j - 1]! + (same ? 0 : 1));
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1])
        cost = Math.min(cost, before[j - 2]! + 1);
      row.push(cost);
    }
    before = last;
    last = row;
  }
  return last[b.length]!;
}
