/** Reads the expression of a check constraint as pg_get_expr writes it: fully parenthesised, so precedence hardly matters. */

export type Expression =
  | { op: 'and' | 'or'; parts: Expression[] }
  | { op: 'not'; part: Expression }
  | { op: 'compare'; operator: string; left: Expression; right: Expression }
  | { op: 'any' | 'all'; operator: string; left: Expression; list: Expression[] }
  | { op: 'is null' | 'is not null'; part: Expression }
  | { op: 'call'; name: string; parts: Expression[] }
  | { op: 'cast'; part: Expression; type: string }
  | { op: 'column'; name: string }
  | { op: 'literal'; value: string | null };

/** The expression says more than is read here; the database checks it itself. */
export class NotSimple extends Error {}

interface Token {
  kind: 'word' | 'name' | 'text' | 'number' | 'sign';
  text: string;
}

const TOKEN =
  /\s*(?:(?<text>'(?:[^']|'')*')|(?<name>"(?:[^"]|"")*")|(?<number>\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)|(?<word>[\p{L}_][\p{L}\p{N}_$]*)|(?<sign>::|[()[\],.]|[-+*/<>=~!@#%^&|`?]+))/uy;

function tokensOf(source: string): Token[] {
  const tokens: Token[] = [];
  TOKEN.lastIndex = 0;
  while (TOKEN.lastIndex < source.trimEnd().length) {
    const groups = TOKEN.exec(source)?.groups;
    if (!groups) throw new NotSimple(source);
    const [kind, text] = Object.entries(groups).find(([, found]) => found !== undefined)! as [
      Token['kind'],
      string,
    ];
    tokens.push({ kind, text });
  }
  return tokens;
}

const COMPARISONS = new Set([
  '=',
  '<>',
  '!=',
  '<',
  '<=',
  '>',
  '>=',
  '~',
  '~*',
  '!~',
  '!~*',
  '~~',
  '~~*',
  '!~~',
  '!~~*',
]);
const KEYWORDS = new Set([
  'and',
  'or',
  'not',
  'is',
  'any',
  'all',
  'array',
  'in',
  'between',
  'case',
  'row',
  'distinct',
]);

/** Throws NotSimple for what it does not know. */
export function parseCheck(source: string): Expression {
  const tokens = tokensOf(source);
  let at = 0;
  const refuse = (): never => {
    throw new NotSimple(source);
  };
  const is = (text: string): boolean => {
    const token = tokens[at];
    return (
      token !== undefined &&
      (token.kind === 'sign'
        ? token.text === text
        : token.kind === 'word' && token.text.toLowerCase() === text)
    );
  };
  const take = (text: string): boolean => is(text) && ++at > 0;
  const need = (text: string): void => void (take(text) || refuse());

  const either = (): Expression => {
    const parts = [both()];
    while (take('or')) parts.push(both());
    return parts.length === 1 ? parts[0]! : { op: 'or', parts };
  };
  const both = (): Expression => {
    const parts = [negated()];
    while (take('and')) parts.push(negated());
    return parts.length === 1 ? parts[0]! : { op: 'and', parts };
  };
  const negated = (): Expression => (take('not') ? { op: 'not', part: negated() } : comparison());
  const comparison = (): Expression => {
    const left = operand();
    if (take('is')) {
      const not = take('not');
      need('null');
      return { op: not ? 'is not null' : 'is null', part: left };
    }
    const token = tokens[at];
    if (token?.kind !== 'sign' || !COMPARISONS.has(token.text)) return left;
    at++;
    const operator = token.text === '!=' ? '<>' : token.text;
    if (is('any') || is('all')) {
      const op = is('any') ? 'any' : 'all';
      at++;
      need('(');
      const list = either();
      need(')');
      return { op, operator, left, list: elementsOf(list) };
    }
    return { op: 'compare', operator, left, right: operand() };
  };
  const elementsOf = (list: Expression): Expression[] => {
    const inner = list.op === 'cast' ? list.part : list;
    return inner.op === 'call' && inner.name === 'array' ? inner.parts : refuse();
  };
  const operand = (): Expression => {
    let found = primary();
    while (take('::')) found = { op: 'cast', part: found, type: type() };
    return found;
  };
  const primary = (): Expression => {
    const token = tokens[at++] ?? refuse();
    switch (token.kind) {
      case 'text':
        return { op: 'literal', value: token.text.slice(1, -1).replaceAll("''", "'") };
      case 'number':
        return { op: 'literal', value: token.text };
      case 'name':
        return { op: 'column', name: token.text.slice(1, -1).replaceAll('""', '"') };
      case 'sign':
        if (token.text === '-' && tokens[at]?.kind === 'number')
          return { op: 'literal', value: `-${tokens[at++]!.text}` };
        if (token.text !== '(') return refuse();
        break;
      case 'word':
        return word(token.text);
    }
    const inner = either();
    need(')');
    return inner;
  };
  const word = (text: string): Expression => {
    const lower = text.toLowerCase();
    if (lower === 'null') return { op: 'literal', value: null };
    if (lower === 'true' || lower === 'false') return { op: 'literal', value: lower };
    if (lower === 'array') {
      need('[');
      return { op: 'call', name: 'array', parts: list(']') };
    }
    if (KEYWORDS.has(lower)) return refuse();
    if (take('(')) return { op: 'call', name: lower, parts: list(')') };
    return is('.') ? refuse() : { op: 'column', name: text };
  };
  const list = (end: string): Expression[] => {
    if (take(end)) return [];
    const parts = [either()];
    while (take(',')) parts.push(either());
    need(end);
    return parts;
  };
  /** Everything up to what can follow a type. */
  const type = (): string => {
    let text = '';
    const next = (): void =>
      void (text += `${text === '' || text.endsWith('.') ? '' : ' '}${tokens[at++]!.text}`);
    const first = tokens[at];
    if (first?.kind !== 'word' && first?.kind !== 'name') return refuse();
    next();
    while (take('.')) {
      text += '.';
      next();
    }
    while (['varying', 'precision', 'with', 'without', 'time', 'zone'].some((word) => is(word))) next();
    if (take('(')) {
      text += '(';
      while (!is(')') && at < tokens.length) text += tokens[at++]!.text;
      need(')');
      text += ')';
      while (['with', 'without', 'time', 'zone'].some((word) => is(word))) next();
    }
    while (take('[')) {
      need(']');
      text += '[]';
    }
    return text;
  };

  const whole = either();
  return at === tokens.length ? whole : refuse();
}
