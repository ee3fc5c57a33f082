import { ALPHABETS, FREQUENT, IDEOGRAPHS, SIGNS, type EncodingModel } from './encoding-models.ts';

const SIGN = Math.log(0.01);
const POWER = Math.log(0.25);
const QUOTATION = Math.log(0.02);
const STRANGE = -9;
const IMPOSSIBLE = -16;
const ASCII = -3.2;
/** A letter that is large behind a small one, or of another alphabet than its neighbour. */
const MISFIT = -4;

/** `run`: how many letters outside ASCII stand in a row, this one the last. */
type CharacterCost = (character: string, before: string, after: string, run: number) => number;

export interface Guess {
  encoding: string;
  /** How sure against the best encoding that would read other characters; at most 0.99. */
  confidence: number;
}

/**
 * Names the encoding under which the bytes are the likeliest text. `lines` are lines of a file that are not UTF-8, and
 * hold bytes outside ASCII.
 */
export function guessEncoding(lines: Buffer[]): Guess {
  const sample = Buffer.concat(lines.flatMap((line) => [line, NEWLINE]));
  const scored = [...models()].map(([{ encoding, prior }, costs]) => {
    const text = new TextDecoder(encoding).decode(sample);
    return { encoding, text, score: prior + Math.max(...costs.map((cost) => scoreOf(text, cost))) };
  });
  scored.sort((left, right) => right.score - left.score);
  const best = scored[0]!;
  const rival = scored.find(({ text }) => text !== best.text)!;
  return {
    encoding: best.encoding,
    confidence: Math.min(surest(sample), 1 / (1 + Math.exp(rival.score - best.score))),
  };
}

/** A byte or two are little to go by, however well they fit. */
function surest(sample: Buffer): number {
  let bytes = 0;
  for (const byte of sample) if (byte >= 0x80) bytes++;
  return Math.min(0.99, (bytes + 1) / (bytes + 2));
}

const NEWLINE = Buffer.from('\n');
let made: Map<EncodingModel, CharacterCost[]> | null = null;

/** Made when a file needs them, which is seldom. */
function models(): Map<EncodingModel, CharacterCost[]> {
  made ??= new Map<EncodingModel, CharacterCost[]>([
    ...ALPHABETS.map((model) => [model, alphabetCosts(model)] as const),
    ...IDEOGRAPHS.map(
      (model) =>
        [
          model,
          model.languages.map((language) =>
            language === 'ja-half' ? halfWidthCost : ideographCost(language),
          ),
        ] as const,
    ),
  ]);
  return made;
}

function scoreOf(text: string, cost: CharacterCost): number {
  const characters = [...text];
  let score = 0;
  let run = 0;
  for (let at = 0; at < characters.length; at++) {
    const character = characters[at]!;
    if (character < '\x80') {
      score += ASCII;
      run = 0;
    } else {
      run++;
      score += cost(character, characters[at - 1] ?? '\n', characters[at + 1] ?? '\n', run);
    }
  }
  return score;
}

/** One cost a language, and one for texts in all of them together. */
function alphabetCosts({ languages, latin }: EncodingModel): CharacterCost[] {
  const tables = languages.map(frequencies);
  const together = new Map<string, number>();
  for (const table of tables)
    for (const [letter, share] of table)
      together.set(letter, (together.get(letter) ?? 0) + share / tables.length);
  return [...tables, together].map((table) => {
    const logs = new Map([...table].map(([letter, share]) => [letter, Math.log(share)]));
    return (character, before, after, run) => {
      const lower = character.toLowerCase();
      const known = logs.get(lower) ?? (lower.length > 1 ? logs.get(lower[0]!) : undefined);
      if (known === undefined) return strangeCost(character, before, after);
      const large = character !== lower;
      let cost = known + (large ? (isLarge(before) ? -0.3 : -1) : 0);
      if (large && isSmall(before)) cost += MISFIT;
      if (latin)
        cost += (run > 2 ? MISFIT : run === 2 ? -1 : 0) + (/\d/u.test(before + after) ? MISFIT / 2 : 0);
      // `5×6`: what stands alone between digits is a sign.
      else if (/[A-Za-z]/u.test(before + after) || (/\d/u.test(before) && /\d/u.test(after))) cost += MISFIT;
      return misplaced(lower, before, after) ? cost + MISFIT : cost;
    };
  });
}

/** Letters that words of their languages hold in certain places only. */
function misplaced(letter: string, before: string, after: string): boolean {
  const starts = !/\p{L}/u.test(before);
  const ends = !/\p{L}/u.test(after);
  switch (letter) {
    case 'ñ':
      return !/[aeiouáéíóú]/iu.test(after);
    case 'ð':
    case 'ß':
      return starts;
    case 'þ':
    case 'æ':
      return ends && !starts;
    case 'è':
    case 'ì':
    case 'ò':
    case 'ù':
      return starts && !ends;
    default:
      return false;
  }
}

function isSmall(character: string): boolean {
  return character !== character.toUpperCase() && character === character.toLowerCase();
}

function isLarge(character: string): boolean {
  return character !== character.toLowerCase();
}

function strangeCost(character: string, before: string, after: string): number {
  if ('’‘“”„–—…'.includes(character)) return QUOTATION;
  // `50 m²`, `3 cm³`
  if (/[²³]/u.test(character) && before === 'm' && !/\p{L}/u.test(after)) return POWER;
  if (SIGNS.includes(character))
    return !UNITS.includes(character) && /\p{L}/u.test(before) ? SIGN + MISFIT : SIGN;
  if (character === '\uFFFD' || /[\p{Cc}\p{Co}\p{Cn}]/u.test(character)) return IMPOSSIBLE;
  return STRANGE;
}

/** Signs that stand behind letters as they do behind numbers: `m²`, `Acme®`, `«Alpha»`. */
const UNITS = '²³½¼±®™©«»º°ª';

function frequencies(letters: string): Map<string, number> {
  const weights = [...letters].map((_, rank) => 1 / (rank + 2));
  const sum = weights.reduce((total, weight) => total + weight, 0);
  return new Map([...letters].map((letter, rank) => [letter, (0.9 * weights[rank]!) / sum]));
}

/** Of a character that is none of the frequent: how common its kind is in the language, spread over the kind. */
const KINDS: Record<string, (code: number) => number> = {
  ja: (code) =>
    code >= 0x3040 && code <= 0x309f
      ? 0.4 / 70
      : code >= 0x30a0 && code <= 0x30ff
        ? 0.25 / 80
        : code >= 0xff61 && code <= 0xff9f
          ? 0.02 / 63
          : 0,
  'zh-Hans': () => 0,
  'zh-Hant': () => 0,
  ko: (code) => (code >= 0xac00 && code <= 0xd7a3 ? 0.4 / 2350 : 0),
};

function ideographCost(language: string): CharacterCost {
  const frequent = new Set(FREQUENT[language]!);
  const own = ranked(language);
  const isFrequent = Math.log(0.45 / frequent.size);
  const kind = KINDS[language]!;
  return (character, before, after) => {
    const code = character.codePointAt(0)!;
    // Rare where the rest is full-width; but where one stands, the next is another.
    if (language === 'ja' && code >= 0xff61 && code <= 0xff9f)
      return halfWidthCost(character, before, after) + (isHalfWidth(before) ? -0.3 : HALF_WIDTH_BEGINS);
    const share = kind(code);
    // A lone ideograph behind a letter is a quotation mark of Windows and the letter after it, taken together.
    const misfit = /[A-Za-z]/u.test(before) ? MISFIT : 0;
    if (frequent.has(character)) return isFrequent + misfit;
    if (share > 0) return Math.log(share) + misfit;
    if (own.has(code)) return Math.log(0.4 / 3500) + misfit;
    if (code >= 0x3000 && code <= 0x303f)
      return Math.log(0.05 / 20) + (/[A-Za-z]/u.test(before + after) ? MISFIT : 0);
    if (code >= 0xff01 && code <= 0xff5e) return Math.log(0.05 / 94);
    if (code >= 0x4e00 && code <= 0x9fff) return Math.log(0.02 / 6000) + misfit;
    if (character === '\uFFFD' || /[\p{Cc}\p{Co}\p{Cn}]/u.test(character)) return IMPOSSIBLE;
    return /[\u2010-\u266F]/u.test(character) ? Math.log(0.02 / 150) : STRANGE - 2;
  };
}

const HALF_WIDTH_BEGINS = Math.log(0.05);
const isHalfWidth = (character: string): boolean => /[\uFF61-\uFF9F]/u.test(character);

/** Texts in half-width kana alone, as banks exchange them. */
const HALF_WIDTH = new Map(
  [...frequencies('ﾝｲｶｼﾞﾄｷｱﾀｳﾏｻﾙｸﾐﾃﾘｽﾗｵﾉｹｺｰﾁｴﾂﾛﾖﾔﾜﾊﾋﾌﾍﾎﾅﾆﾈﾒﾓﾕﾚｾｿﾑﾇﾟｮｭｬｯｧｨｩｪｫｦ')].map(([kana, share]) => [
    kana,
    Math.log(share),
  ]),
);

/** After which kana a mark of voicing, or a small kana of a diphthong, may stand; and how often it does. */
const BEHIND = new Map<string, { may: RegExp; often: number }>([
  ['ﾞ', { may: /[ｳｶ-ﾄﾊ-ﾎ]/u, often: Math.log(0.25) }],
  ['ﾟ', { may: /[ﾊ-ﾎ]/u, often: Math.log(0.2) }],
  ...[...'ｬｭｮ'].map((small) => [small, { may: /[ｷｼﾁﾆﾋﾐﾘﾞﾟ]/u, often: Math.log(0.1) }] as const),
  ...[...'ｧｨｪｫ'].map((small) => [small, { may: /[ﾌｳﾃﾁﾂｼﾞ]/u, often: Math.log(0.03) }] as const),
  ['ｯ', { may: /[ｱ-ﾝﾞﾟｧ-ｮ]/u, often: Math.log(0.04) }],
  ['ｰ', { may: /[ｱ-ﾝﾞﾟｧ-ｮ]/u, often: Math.log(0.06) }],
]);

function halfWidthCost(character: string, before: string, after: string): number {
  const known = HALF_WIDTH.get(character);
  // A word has more than one.
  if (known !== undefined && !isHalfWidth(before) && !isHalfWidth(after)) return known + MISFIT;
  if (known === undefined) {
    if (!/[｡｢｣､･]/u.test(character)) return IMPOSSIBLE;
    // Words do not end in their middle.
    const inside = character === '｢' ? isHalfWidth(before) : /[｣｡]/u.test(character) && isHalfWidth(after);
    return QUOTATION - 1 + (inside ? MISFIT : 0);
  }
  // As the long vowel of `ﾄｳｷｮｳ` and `ｼﾞｭｳ`.
  if (character === 'ｳ' && /[ｭｮ]/u.test(before)) return Math.log(0.4);
  const behind = BEHIND.get(character);
  if (behind) return behind.may.test(before) ? behind.often : known + MISFIT;
  // Sizes and models stand before a word: `M6ﾎﾞﾙﾄ`.
  return known - 0.3 + (/[A-Za-z]/u.test(before) ? MISFIT / 2 : 0);
}

/** Ideographs of a language's everyday set: in each national code they stand together, before the rare ones. */
function ranked(language: string): Set<number> {
  const [encoding, first, last] = {
    ja: ['euc-jp', 0xb0, 0xcf],
    'zh-Hans': ['gbk', 0xb0, 0xd7],
    'zh-Hant': ['big5', 0xa4, 0xc6],
    ko: ['euc-kr', 0xb0, 0xc8],
  }[language] as [string, number, number];
  const bytes: number[] = [];
  for (let lead = first; lead <= last; lead++) {
    if (encoding === 'big5') for (let trail = 0x40; trail <= 0x7e; trail++) bytes.push(lead, trail);
    for (let trail = 0xa1; trail <= 0xfe; trail++) bytes.push(lead, trail);
  }
  const text = new TextDecoder(encoding).decode(Uint8Array.from(bytes));
  return new Set([...text].map((character) => character.codePointAt(0)!));
}
