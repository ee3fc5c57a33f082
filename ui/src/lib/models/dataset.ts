import type { Dataset } from '../client/index.ts';

type Field = Dataset['fields'][number];
type Rule = Dataset['rules'][number];

/** A limit of one field as a short text; what needs words is asked for. */
export interface LimitWords {
  atLeast: (characters: number) => string;
  atMost: (characters: number) => string;
  digits: (precision: number, scale: number) => string;
  oneOf: (words: string[]) => string;
  pattern: (pattern: string) => string;
  warns: (limits: string) => string;
}

const LIMITS: Record<string, (field: Field, words: LimitWords) => string | null> = {
  too_short: ({ minLength }, words) => (minLength ? words.atLeast(minLength) : null),
  too_long: ({ maxLength }, words) => (maxLength === undefined ? null : words.atMost(maxLength)),
  below_minimum: ({ min, above }) =>
    min !== undefined ? `≥ ${min}` : above !== undefined ? `> ${above}` : null,
  above_maximum: ({ max, below }) =>
    max !== undefined ? `≤ ${max}` : below !== undefined ? `< ${below}` : null,
  not_in_list: (field, words) => (field.enum ? words.oneOf(field.enum) : null),
  wrong_pattern: ({ pattern }, words) => (pattern === undefined ? null : words.pattern(pattern)),
};

/** What a field's cells must keep to, beyond their type. */
export function limitsOf(field: Field, words: LimitWords): string {
  const found = Object.entries(LIMITS).flatMap(([code, say]) => {
    const text = say(field, words);
    if (text === null) return [];
    return [field.warn?.some((limit) => limit === code) ? words.warns(text) : text];
  });
  // A column that takes any number has digits beyond what anybody writes.
  if (field.precision !== undefined && field.precision <= 100)
    found.push(words.digits(field.precision, field.scale ?? 0));
  return found.join(' · ');
}

export interface RuleWords {
  unique: (fields: string) => string;
  reference: (fields: string, to: string) => string;
  type: (field: string, type: string) => string;
  warns: (rule: string) => string;
}

const SIGNS: Record<string, string> = { '<=': '≤', '>=': '≥', '<>': '≠' };

/** A rule over several fields, or over the whole file. */
export function ruleText(rule: Rule, words: RuleWords): string {
  const text = bare(rule, words);
  return 'severity' in rule && rule.severity === 'warning' ? words.warns(text) : text;
}

function bare(rule: Rule, words: RuleWords): string {
  switch (rule.kind) {
    case 'compare':
      return `${rule.left} ${SIGNS[rule.operator] ?? rule.operator} ${rule.right}`;
    case 'unique':
      return words.unique(rule.fields.join(' + '));
    case 'reference':
      return words.reference(
        rule.fields.join(' + '),
        'dataset' in rule.to ? rule.to.dataset : `${rule.to.schema}.${rule.to.table}`,
      );
    case 'type':
      return words.type(rule.field, rule.type);
  }
}
