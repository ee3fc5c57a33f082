import { headerWords, normaliseName } from '../names.ts';
import type { FieldSpec, ManifestColumn, MappingReason } from '../types.ts';
import { agrees, feeds, type ColumnContent, type TextKind } from './content.ts';
import { meaningOf, oneSlip } from './lexicon.ts';

export interface Match {
  confidence: number;
  reason: MappingReason;
  /** What the name alone was worth a fact for: two equals for one field are a question. 0 for less than a fact. */
  tier: 0 | 1 | 2;
  why: string;
}

/** Everything about a field that is the same for every column. */
export interface KnownField {
  spec: FieldSpec;
  kind: TextKind;
  normal: string;
  names: Map<string, { name: string; how: 'alias' | 'second' | 'hint' }>;
  meanings: Map<string, { name: string; how: 'alias' | 'second' | 'hint' }>;
  /** What a name is compared with that is none of its own. */
  looks: { normal: string; parts: string[]; name: string }[];
  /** Is this among its names, surely or perhaps? */
  mayBe(name: string): boolean;
}

/** So many cells are no chance. */
const MANY = 20;
const CODES = /^(?:code|number|id|sku|serial)$/u;
const PROSE = /^(?:name|title|description|company|person|contact|text)$/u;

const fields = new WeakMap<FieldSpec, KnownField>();

export function knownField(spec: FieldSpec): KnownField {
  let known = fields.get(spec);
  if (!known) fields.set(spec, (known = learn(spec)));
  return known;
}

function learn(spec: FieldSpec): KnownField {
  const names: KnownField['names'] = new Map();
  const meanings: KnownField['meanings'] = new Map();
  const lists = [
    ['alias', [spec.name, ...spec.aliases]],
    ['second', spec.seconds ?? []],
    ['hint', spec.hints ?? []],
  ] as const;
  for (const [how, list] of lists) {
    for (const name of list) {
      const normal = normaliseName(name);
      if (normal !== '' && !names.has(normal)) names.set(normal, { name, how });
      const meaning = sense(name);
      if (meaning !== null && !meanings.has(meaning)) meanings.set(meaning, { name, how });
    }
  }
  const parts = meaningOf(spec.name).parts;
  const kind =
    spec.type !== 'text'
      ? null
      : parts.some((p) => CODES.test(p))
        ? 'code'
        : parts.some((p) => PROSE.test(p))
          ? 'prose'
          : null;
  const mayBe = (name: string) => names.has(normaliseName(name)) || meanings.has(sense(name) ?? '');
  const looks = [...names].flatMap(([normal, { name, how }]) =>
    how === 'hint' ? [] : [{ normal, parts: meaningOf(name).parts, name }],
  );
  return { spec, kind, normal: normaliseName(spec.name), names, meanings, looks, mayBe };
}

/** What a name says, in an order of its own; null where some of it is not known. */
function sense(name: string): string | null {
  const { parts } = meaningOf(name);
  return parts.length === 0 || parts.some((part) => part.startsWith('?'))
    ? null
    : [...parts].sort().join(' ');
}

/** How well a column suits a field, by its name and then by its cells; null where nothing speaks for it. */
export function match(
  field: KnownField,
  column: ManifestColumn,
  content: ColumnContent,
  /** Is the field the only one of its kind that such a column may be? */
  alone: (name: string) => boolean,
): Match | null {
  const { spec, kind } = field;
  const name = column.original.trim();
  const byContent =
    (spec.type === 'email' && column.type === 'email') || (spec.type === 'phone' && column.type === 'phone');
  const content70: Match = {
    confidence: 0.7,
    reason: 'content',
    tier: 0,
    why: `Its cells are ${spec.type === 'email' ? 'e-mail addresses' : 'phone numbers'}.`,
  };
  const named = name === '' ? null : matchName(field, name);
  if (!named) return byContent ? content70 : null;
  // A column that cannot hold what its name claims is asked about at most.
  if (!feeds(spec, column, content) && (spec.type !== 'boolean' || named.reason !== 'exact')) {
    const own = named.reason === 'exact' || named.reason === 'normalised';
    const confidence = own ? Math.min(named.confidence, 0.75) : named.confidence * 0.6;
    return {
      ...named,
      confidence,
      tier: 0,
      why: `${named.why} But its cells do not look like ${spec.type}.`,
    };
  }
  // Every record the same: hardly what tells records apart, and more likely whose file it is. What nobody has to fill
  // in may well be the same everywhere, under the field's own name.
  const idle = named.reason === 'exact' && !spec.required;
  if (kind !== null && !idle && content.cells.length >= MANY && new Set(content.cells).size === 1)
    return {
      ...named,
      confidence: Math.min(named.confidence, 0.75),
      tier: 0,
      why: `${named.why} But all its cells are the same.`,
    };
  const says =
    spec.type === 'boolean'
      ? column.type === 'boolean'
        ? true
        : null
      : byContent
        ? true
        : agrees(kind, content);
  if (named.hint && says === true && alone(name))
    return { ...named, confidence: 0.86, tier: 1, why: `${named.why} Its cells look like it.` };
  if (says === false && (named.hint || (kind === 'code' && named.reason !== 'exact')))
    return {
      ...named,
      confidence: Math.min(named.confidence, named.hint ? 0.4 : 0.75),
      tier: 0,
      why: `${named.why} But its cells do not look like it.`,
    };
  if (named.confidence < 0.7 && byContent) return content70;
  return named;
}

function matchName(field: KnownField, name: string): (Match & { hint?: true }) | null {
  const { spec, normal } = field;
  if (name === spec.name)
    return { confidence: 1, reason: 'exact', tier: 2, why: 'It has the very name of the field.' };
  const mine = normaliseName(name);
  if (mine === '') return null;
  // A question in a header is answered with yes or no.
  if (/[?？]\s*$/u.test(name) && spec.type !== 'boolean') return null;
  if (mine === normal)
    return {
      confidence: 0.98,
      reason: 'normalised',
      tier: 2,
      why: 'It has the name of the field, written in another way.',
    };
  const known = field.names.get(mine);
  if (known) {
    const why = `"${known.name}" is a name of it.`;
    if (known.how === 'hint')
      return {
        confidence: 0.7,
        reason: 'alias',
        tier: 0,
        hint: true,
        why: `"${known.name}" may be a name of it.`,
      };
    if (known.how === 'second') return { confidence: 0.88, reason: 'alias', tier: 1, why };
    return { confidence: known.name === name ? 0.98 : 0.96, reason: 'alias', tier: 2, why };
  }
  return bySense(field, name) ?? bySlip(field, mine, name) ?? byParts(field, name) ?? byLooks(field, name);
}

function bySense(field: KnownField, name: string): (Match & { hint?: true }) | null {
  const meaning = sense(name);
  const same = meaning === null ? undefined : field.meanings.get(meaning);
  if (!same) return null;
  const { typo } = meaningOf(name);
  // One letter more may turn yes into no.
  if (typo && field.spec.type === 'boolean') return null;
  const why = `It says the same as "${same.name}"${typo ? ', with a typing error' : ''}.`;
  if (same.how === 'hint') return { confidence: 0.68, reason: 'similar', tier: 0, hint: true, why };
  const second = same.how === 'second';
  return {
    confidence: (second ? 0.86 : 0.9) - (typo ? 0.06 : 0),
    reason: 'similar',
    tier: second ? 1 : 2,
    why,
  };
}

function bySlip(field: KnownField, mine: string, name: string): Match | null {
  // Of several words each is looked at by itself (lexicon.ts): "last price" is not "list price".
  const single = (text: string) => headerWords(text).length === 1;
  if (!single(name) || field.spec.type === 'boolean') return null;
  for (const [known, { name: alias, how }] of field.names) {
    if (how === 'alias' && oneSlip(mine, known) && single(alias))
      return { confidence: 0.82, reason: 'similar', tier: 2, why: `It is "${alias}" with a typing error.` };
  }
  return null;
}

/** `Kode Produk / SKU`, `品番（SKU）`: two names of the same thing. */
function byParts(field: KnownField, name: string): Match | null {
  const parts = name
    .split(/[/(（)）]/u)
    .map((part) => part.trim())
    .filter((part) => part !== '');
  if (parts.length < 2) return null;
  const found = parts.map((part) => {
    const known = field.names.get(normaliseName(part));
    return known ? known.how === 'alias' : bySense(field, part)?.tier === 2;
  });
  if (!found.every(Boolean)) return null;
  return { confidence: 0.9, reason: 'similar', tier: 2, why: 'All its parts are names of it.' };
}

/** Never a fact: words in common, letters in common. */
function byLooks(field: KnownField, name: string): Match | null {
  const { parts } = meaningOf(name);
  const normal = normaliseName(name);
  let best = { confidence: 0, name: '' };
  for (const { normal: known, parts: theirs, name: alias } of field.looks) {
    const shared = parts.filter((part) => theirs.includes(part)).length;
    const overlap = (2 * shared) / Math.max(1, parts.length + theirs.length);
    const confidence = Math.min(0.78, Math.max(letters(normal, known, best.confidence), overlap * 0.75));
    if (confidence > best.confidence) best = { confidence, name: alias };
  }
  return best.confidence === 0
    ? null
    : {
        confidence: best.confidence,
        reason: 'similar',
        tier: 0,
        why: `It looks a little like "${best.name}".`,
      };
}

/** How alike two headers are, 0 to 1, as words and as letters. */
export function alikeNames(a: string, b: string): number {
  const [left, right] = [meaningOf(a).parts, meaningOf(b).parts];
  const shared = left.filter((part) => right.includes(part)).length;
  const overlap = (2 * shared) / Math.max(1, left.length + right.length);
  return Math.max(letters(normaliseName(a), normaliseName(b)), overlap * 0.9);
}

function letters(a: string, b: string, least = 0): number {
  const longest = Math.max(a.length, b.length);
  // Too different in length to come to more: saves the work.
  if (1 - (Math.abs(a.length - b.length) * 1.6) / longest <= least) return 0;
  return Math.max(0, 1 - (distance(a, b) * 1.6) / longest);
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
