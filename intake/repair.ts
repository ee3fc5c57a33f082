import { ANY_SHAPE, shapeOf, typeOf } from './header.ts';
import { isOneSign } from './scan.ts';
import type { Dialect, ManifestColumn } from './types.ts';

/** Rows beyond these are not worth the search. */
const MOST_PIECES = 80;
const MOST_COLUMNS = 48;
const MOST_BYTES = 8 * 1024;
/** A row with so many fields too few or too many has more than one mistake. */
const MOST_MISSING = 2;
const MOST_EXTRA = 4;
/** So many pieces are taken together as one value at most. */
const MOST_MERGED = 8;
const MOST_QUOTED = 24;
/** Different ways kept for each part of a row: two are enough to know that a row is ambiguous. */
const WAYS = 3;
/** What each departure from the row as it stands costs; more than one or two are guessing. */
const COST = {
  stray: 1,
  literalQuote: 1,
  strayDropped: 2,
  splitAtQuote: 2,
  dropEmpty: 3,
  insertEmpty: 3,
  split: 3,
  merge: 3,
  delimiter: 2,
  blanks: 1,
};
const MOST_COST = 12;
const OTHER_DELIMITERS = [' ', ';', '\t', ',', '|'];

interface Way {
  cost: number;
  cells: string[];
}

/**
 * The cells that a rejected row should have had, where the types and shapes of the columns allow just one: a delimiter
 * is missing or one too many, a value with a delimiter in it was not quoted, a quote opens and never closes, or the row
 * uses another delimiter. Null where none fits, or two fit as well. It is a proposal: it is never applied unasked.
 */
export function proposeRepair(
  raw: string,
  fields: number,
  dialect: Dialect,
  columns: ManifestColumn[],
): string[] | null {
  const width = columns.length;
  if (width < 2 || raw.length > MOST_BYTES || width > MOST_COLUMNS) return null;
  const fits = columns.map(fitOf);
  const quotes = dialect.quote !== '' && raw.includes(dialect.quote);
  const near = fields >= width - MOST_MISSING && fields <= width + MOST_EXTRA;
  const own = quotes || near ? search(raw, dialect.delimiter, dialect, fits) : [];
  if (own.length > 0) return unique(own);
  if (fields > width / 2) return null;
  // Hardly divided: perhaps this row alone was written with another delimiter.
  const others = OTHER_DELIMITERS.filter((delimiter) => delimiter !== dialect.delimiter).flatMap(
    (delimiter) => search(raw, delimiter, dialect, fits),
  );
  return others.length === 0 ? null : unique(cheapest(others));
}

function unique(ways: Way[]): string[] | null {
  const [best, second] = ways;
  return best && !(second && second.cost === best.cost) ? best.cells : null;
}

/** Ways to make the row's pieces the columns' cells, the cheapest first. */
function search(raw: string, delimiter: string, dialect: Dialect, fits: Fit[]): Way[] {
  if (delimiter === '') return [];
  const pieces = raw.split(delimiter);
  if (pieces.length > MOST_PIECES) return [];
  const width = fits.length;
  const quotes = dialect.quote !== '' && raw.includes(dialect.quote);
  // ways[c] after n pieces: how the first n pieces can fill the first c columns.
  const table: Way[][][] = Array.from({ length: pieces.length + 1 }, () =>
    Array.from({ length: width + 1 }, () => [] as Way[]),
  );
  table[0]![0] = [{ cost: 0, cells: [] }];
  for (let piece = 0; piece <= pieces.length; piece++) {
    const possible = piece < pieces.length ? [...readings(pieces, piece, delimiter, dialect)] : [];
    for (let column = 0; column <= width; column++) {
      const ways = table[piece]![column]!;
      if (ways.length === 0) continue;
      const extend = (toPiece: number, cells: string[], cost: number) => {
        if (cells.some((cell, index) => !fits[column + index]!(cell))) return;
        const target = table[toPiece]![column + cells.length]!;
        const missing = width - column - cells.length - (pieces.length - toPiece);
        // What is left has to be made up for: at least so much more.
        const least = missing > 0 ? missing * COST.splitAtQuote : 0;
        for (const way of ways) {
          if (way.cost + cost + least <= MOST_COST)
            keep(target, { cost: way.cost + cost, cells: [...way.cells, ...cells] });
        }
      };
      // Without quotes it is plain on which side the row is short.
      const over = pieces.length - piece - (width - column);
      if (column < width && (quotes || over < 0)) extend(piece, [''], COST.insertEmpty);
      if (piece === pieces.length) continue;
      if (pieces[piece] === '' && (quotes || over > 0)) extend(piece + 1, [], COST.dropEmpty);
      if (column === width) continue;
      for (const { cells, used, cost } of possible) {
        if (!quotes && (cells.length > 1 ? over >= 0 : used - 1 > Math.max(0, over))) continue;
        if (column + cells.length <= width) extend(piece + used, cells, cost);
      }
    }
  }
  const ways = table[pieces.length]![width]!;
  const foreign = delimiter === dialect.delimiter ? 0 : COST.delimiter;
  return ways.map((way) => ({ ...way, cost: way.cost + foreign }));
}

/** What the pieces from one on can be: a plain cell, a quoted one, two cells without a delimiter, several merged. */
function* readings(
  pieces: string[],
  from: number,
  delimiter: string,
  { quote, escape }: Dialect,
): Generator<{ cells: string[]; used: number; cost: number }> {
  const first = pieces[from]!;
  const opens = quote !== '' && first.startsWith(quote);
  const strays = quote === '' ? 0 : first.split(quote).length - 1;
  yield {
    cells: [first],
    used: 1,
    cost: strays === 0 ? 0 : opens ? COST.literalQuote * strays : strays % 2 ? COST.stray : 0,
  };
  if (opens && strays === 1) yield { cells: [first.slice(1)], used: 1, cost: COST.strayDropped };
  for (let at = 1; at < first.length && first.length <= 200; at++) {
    const atQuote = first[at] === quote && opens === false && quote !== '';
    if (atQuote) continue;
    const [left, right] = [first.slice(0, at), first.slice(at)];
    if (isBoundary(left, right)) yield { cells: [left, right], used: 1, cost: COST.split };
  }
  const most = Math.min(pieces.length - from, strays === 0 ? MOST_MERGED : MOST_QUOTED);
  for (let used = 1; used <= most; used++) {
    const text = pieces.slice(from, from + used).join(delimiter);
    const closed = text.trimEnd();
    if (opens && closed.length > 1 && closed.endsWith(quote)) {
      const { value, strays: inner } = unquote(closed.slice(1, -1), quote, escape);
      const blanks = closed === text ? 0 : COST.blanks;
      yield { cells: [value], used, cost: (inner === 0 ? 0 : COST.stray) + blanks };
    }
    const opening = quote === '' || opens ? -1 : text.indexOf(quote);
    if (opening > 0 && text.endsWith(quote) && opening < text.length - 1) {
      const { value, strays: inner } = unquote(text.slice(opening + 1, -1), quote, escape);
      if (inner === 0) yield { cells: [text.slice(0, opening), value], used, cost: COST.splitAtQuote };
    }
    const joint = quote === '' || !opens ? -1 : text.indexOf(quote + quote, 1);
    if (joint > 0 && text.endsWith(quote) && joint + 2 < text.length) {
      const left = unquote(text.slice(1, joint), quote, escape);
      const right = unquote(text.slice(joint + 2, -1), quote, escape);
      if (left.strays + right.strays === 0)
        yield { cells: [left.value, right.value], used, cost: COST.splitAtQuote };
    }
    const closing = quote === '' || !opens ? -1 : text.indexOf(quote, 1);
    if (closing > 0 && closing < text.length - 1 && text[closing + 1] !== quote) {
      const { value } = unquote(text.slice(1, closing), quote, escape);
      if (!text.includes(quote, closing + 1))
        yield { cells: [value, text.slice(closing + 1)], used, cost: COST.splitAtQuote };
    }
    if (
      used > 1 &&
      strays === 0 &&
      !pieces.slice(from, from + used).some((piece) => quote !== '' && piece.includes(quote))
    )
      yield { cells: [text], used, cost: COST.merge };
  }
}

/** Where two values can have grown together: not inside a word, nor inside a number. */
function isBoundary(left: string, right: string): boolean {
  const [before, after] = [left.at(-1)!, right[0]!];
  if (/\d/u.test(before) && /\d/u.test(after)) return false;
  if (/\p{L}/u.test(before) && /\p{L}/u.test(after)) return /\p{Ll}/u.test(before) && /\p{Lu}/u.test(after);
  return true;
}

function unquote(text: string, quote: string, escape: string): { value: string; strays: number } {
  let value = '';
  let strays = 0;
  for (let i = 0; i < text.length; i++) {
    if (i + 1 < text.length && isOneSign(text[i], text[i + 1], quote, escape)) i++;
    else if (text[i] === quote) strays++;
    value += text[i];
  }
  return { value, strays };
}

function keep(ways: Way[], way: Way): void {
  const same = ways.find(
    ({ cells }) => cells.length === way.cells.length && cells.every((cell, at) => cell === way.cells[at]),
  );
  if (same) {
    if (same.cost <= way.cost) return;
    ways.splice(ways.indexOf(same), 1);
  }
  ways.push(way);
  ways.sort((left, right) => left.cost - right.cost);
  if (ways.length > WAYS) ways.length = WAYS;
}

function cheapest(ways: Way[]): Way[] {
  const kept: Way[] = [];
  for (const way of ways) keep(kept, way);
  return kept;
}

type Fit = (cell: string) => boolean;

/** Could the text be a cell of the column? */
function fitOf({ type, shapes = [ANY_SHAPE] }: ManifestColumn): Fit {
  const known = new Map<string, boolean>();
  const any = shapes.includes(ANY_SHAPE);
  const judge = (cell: string): boolean => {
    if (cell === '') return shapes.includes('');
    if (!any && !shapes.includes(shapeOf(cell))) return false;
    if (type === 'text') return true;
    const own = typeOf([cell]);
    return (
      own === type || (type === 'decimal' && own === 'integer') || (type === 'timestamp' && own === 'date')
    );
  };
  return (cell) => {
    const seen = known.get(cell);
    if (seen !== undefined) return seen;
    const fits = judge(cell);
    known.set(cell, fits);
    return fits;
  };
}
