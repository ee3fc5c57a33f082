import type { DatasetRule, FieldLimits } from '../intake/rules/types.ts';
import { compareDecimals } from '../intake/numbers.ts';
import type { CatalogCheck, CatalogColumn } from './catalog.ts';
import { NotSimple, parseCheck, type Expression } from './check-expression.ts';
import { ignoringCase, likePattern, regexPattern } from './check-patterns.ts';

/** What one check constraint comes to: limits of fields, and rules over several. */
export interface CheckRules {
  limits: { column: string; limits: FieldLimits & { required?: true } }[];
  rules: DatasetRule[];
}

type Kind = 'number' | 'date' | 'text';
type Comparison = Extract<Expression, { op: 'compare' }>;
const OPPOSITE: Record<string, string> = { '<': '>', '<=': '>=', '>': '<', '>=': '<=', '=': '=', '<>': '<>' };
const LENGTHS = new Set(['length', 'char_length', 'character_length']);
const NUMBERS = new Set(['int2', 'int4', 'int8', 'numeric', 'float4', 'float8']);

export function kindOf(column: CatalogColumn): Kind | null {
  if (NUMBERS.has(column.typeName)) return 'number';
  if (column.typeName === 'date') return 'date';
  return ['text', 'varchar', 'bpchar'].includes(column.typeName) && !column.folds ? 'text' : null;
}

/**
 * A check constraint as rules that mean the same: comparisons, lists, lengths, patterns, of one column or between two,
 * joined by AND. Null where it says anything else: then the database is asked, row by row.
 */
export function rulesOfCheck(check: CatalogCheck, columns: CatalogColumn[]): CheckRules | null {
  const rules: CheckRules = { limits: [], rules: [] };
  try {
    translate(parseCheck(check.expression), { check, columns, rules });
    return rules;
  } catch (error) {
    if (error instanceof NotSimple) return null;
    throw error;
  }
}

interface Context {
  check: CatalogCheck;
  columns: CatalogColumn[];
  rules: CheckRules;
}

const refuse = (): never => {
  throw new NotSimple();
};

function translate(node: Expression, context: Context): void {
  switch (node.op) {
    case 'and':
      for (const part of node.parts) translate(part, context);
      return;
    case 'or':
      return anyOf(node.parts, context);
    case 'compare':
      return compare(node, context);
    case 'any': {
      if (node.operator !== '=') return refuse();
      const column = columnOf(node.left, context) ?? refuse();
      return limit(context, column, { enum: node.list.map((one) => wordOf(one, column)) });
    }
    case 'is not null': {
      const column = columnOf(node.part, context) ?? refuse();
      return limit(context, column, { required: true });
    }
    default:
      return refuse();
  }
}

/** `a = 'x' OR a = 'y'` is a list; `a IS NULL OR ...` adds nothing where the rest is about `a` alone: a check passes on NULL. */
function anyOf(parts: Expression[], context: Context): void {
  const rest = parts.filter((part) => part.op !== 'is null');
  const inner: Context = { ...context, rules: { limits: [], rules: [] } };
  const words: string[] = [];
  if (rest.length === 1) translate(rest[0]!, inner);
  else {
    for (const part of rest)
      translate(part.op === 'compare' && part.operator === '=' ? listOf(part) : part, inner);
    for (const { limits } of inner.rules.limits) {
      if (Object.keys(limits).join() !== 'enum') refuse();
      words.push(...limits.enum!);
    }
    inner.rules.limits = inner.rules.limits
      .slice(0, 1)
      .map(({ column }) => ({ column, limits: { enum: words } }));
  }
  const about = new Set(inner.rules.limits.map(({ column }) => column));
  for (const part of parts) {
    if (part.op === 'is null') about.add((columnOf(part.part, context) ?? refuse()).name);
  }
  if (
    about.size !== 1 ||
    inner.rules.rules.length > 0 ||
    inner.rules.limits.some(({ limits }) => limits.required)
  )
    refuse();
  context.rules.limits.push(...inner.rules.limits);
}

const listOf = ({ left, right }: Comparison): Expression => ({
  op: 'any',
  operator: '=',
  left,
  list: [right],
});

function compare(node: Comparison, context: Context): void {
  const { operator } = node;
  if (operator.includes('~')) return matches(node, context);
  const [left, right] = [columnOf(node.left, context), columnOf(node.right, context)];
  if (left && right) {
    const kind = kindOf(left);
    if (kind === null || kind === 'text' || kind !== kindOf(right) || left === right) return refuse();
    context.rules.rules.push({
      kind: 'compare',
      left: left.name,
      operator: operator as '<',
      right: right.name,
    });
    return;
  }
  if (isLiteral(node.left)) return side(node.right, OPPOSITE[operator] ?? refuse(), node.left, context);
  return side(node.left, operator, node.right, context);
}

/** `column operator literal`, or `length(column) operator literal`. */
function side(of: Expression, operator: string, literal: Expression, context: Context): void {
  const text = literalOf(literal) ?? refuse();
  const bare = strip(of);
  if (bare.op === 'call' && LENGTHS.has(bare.name) && bare.parts.length === 1) {
    return length(bare.parts[0]!, operator, text, context);
  }
  if (bare.op === 'call' && isTrim(bare) && operator === '<>' && text === '') {
    return length(of, '>', '0', context);
  }
  const column = columnOf(of, context) ?? refuse();
  const kind = kindOf(column);
  if (kind === 'text') {
    if (operator === '=') return limit(context, column, { enum: [wordOf(literal, column)] });
    if (operator === '<>' && text === '') return limit(context, column, { minLength: 1 });
    return refuse();
  }
  if (kind === null) return refuse();
  if (kind === 'number' && !/^-?\d+(?:\.\d+)?$/.test(text)) return refuse();
  if (kind === 'date' && !/^\d{4}-\d{2}-\d{2}$/.test(text)) return refuse();
  const bound = { '>=': 'min', '<=': 'max', '>': 'above', '<': 'below' }[operator];
  if (bound) return limit(context, column, { [bound]: text });
  if (operator === '=') return limit(context, column, { min: text, max: text });
  return refuse();
}

function length(of: Expression, operator: string, text: string, context: Context): void {
  if (!/^\d+$/.test(text)) return refuse();
  const count = Number(text);
  const bare = strip(of);
  if (bare.op === 'call' && isTrim(bare)) {
    const column = columnOf(bare.parts[0]!, context) ?? refuse();
    if (
      kindOf(column) !== 'text' ||
      !((operator === '>' && count === 0) || (operator === '>=' && count === 1))
    )
      return refuse();
    return limit(context, column, { pattern: '[^]*[^ ][^]*' });
  }
  const column = columnOf(of, context) ?? refuse();
  if (kindOf(column) !== 'text') return refuse();
  switch (operator) {
    case '>=':
      return limit(context, column, { minLength: count });
    case '>':
      return limit(context, column, { minLength: count + 1 });
    case '<=':
      return limit(context, column, { maxLength: count });
    case '<':
      return count > 0 ? limit(context, column, { maxLength: count - 1 }) : refuse();
    case '=':
      return limit(context, column, { minLength: count, maxLength: count });
    default:
      return refuse();
  }
}

const isTrim = (node: Expression): boolean =>
  node.op === 'call' && (node.name === 'btrim' || node.name === 'trim') && node.parts.length === 1;

function matches({ operator, left, right }: Comparison, context: Context): void {
  const column = columnOf(left, context) ?? refuse();
  const text = literalOf(right);
  if (text === null || kindOf(column) !== 'text') return refuse();
  const like = operator.includes('~~');
  let pattern = (like ? likePattern(text) : regexPattern(text)) ?? refuse();
  if (operator.endsWith('*')) pattern = ignoringCase(pattern);
  if (operator.startsWith('!')) pattern = `(?!(?:${pattern})$)[^]*`;
  return limit(context, column, { pattern });
}

const SAME: Record<Kind, RegExp> = {
  number: /^(?:numeric|bigint|integer|smallint)$/,
  date: /^date$/,
  text: /^(?:text|character varying|bpchar|character)$/,
};

/** Without what changes nothing: a cast of a column to a type that holds all of it, any cast of a literal. */
function strip(node: Expression): Expression {
  return node.op === 'cast' ? strip(node.part) : node;
}

function columnOf(node: Expression, context: Context): CatalogColumn | null {
  const casts: string[] = [];
  let bare = node;
  for (; bare.op === 'cast'; bare = bare.part) casts.push(bare.type);
  if (bare.op !== 'column') return null;
  const { column } = context.check;
  const name = column !== null && bare.name.toUpperCase() === 'VALUE' ? column : bare.name;
  const found = context.columns.find((one) => one.name === name);
  if (!found) return refuse();
  const kind = kindOf(found);
  // An integer made of a numeric is rounded first: another question than the one that the limits answer.
  const whole =
    casts.some((cast) => cast !== 'numeric') && kind === 'number' && !found.typeName.startsWith('int');
  if (casts.length > 0 && (kind === null || whole || !casts.every((cast) => SAME[kind].test(cast)))) refuse();
  return found;
}

const isLiteral = (node: Expression): boolean => strip(node).op === 'literal';

function literalOf(node: Expression): string | null {
  const bare = strip(node);
  return bare.op === 'literal' ? bare.value : null;
}

/** A word of a list, of a column whose values are written in one way only. */
function wordOf(node: Expression, column: CatalogColumn): string {
  const exact = kindOf(column) === 'text' || column.typeName.startsWith('int') || column.kind === 'enum';
  return (exact ? literalOf(node) : null) ?? refuse();
}

function limit(
  context: Context,
  column: CatalogColumn,
  limits: CheckRules['limits'][number]['limits'],
): void {
  context.rules.limits.push({ column: column.name, limits });
}

const narrower = (sign: 1 | -1) => (left: string, right: string) => {
  const order =
    /^-?[\d.]+$/.test(left) && /^-?[\d.]+$/.test(right)
      ? compareDecimals(left, right)
      : left < right
        ? -1
        : 1;
  return order * sign > 0 ? left : right;
};

/** Both sets of limits at once: what a value must be if it has to be the one and the other. */
export function narrow(one: FieldLimits, other: FieldLimits): FieldLimits {
  const joined: FieldLimits = { ...one, ...other };
  const both = <K extends keyof FieldLimits>(
    key: K,
    join: (a: NonNullable<FieldLimits[K]>, b: NonNullable<FieldLimits[K]>) => FieldLimits[K],
  ): void => {
    const a = one[key];
    const b = other[key];
    if (a !== undefined && b !== undefined) joined[key] = join(a, b);
  };
  both('minLength', Math.max);
  both('maxLength', Math.min);
  both('min', narrower(1));
  both('above', narrower(1));
  both('max', narrower(-1));
  both('below', narrower(-1));
  both('pattern', (a, b) => (a === b ? a : `(?=(?:${a})$)(?:${b})`));
  if (one.precision !== undefined && other.precision !== undefined) {
    joined.scale = Math.min(one.scale ?? 0, other.scale ?? 0);
    const whole = Math.min(one.precision - (one.scale ?? 0), other.precision - (other.scale ?? 0));
    joined.precision = whole + joined.scale;
  }
  both('enum', (a, b) => a.filter((word) => b.includes(word)));
  return joined;
}
