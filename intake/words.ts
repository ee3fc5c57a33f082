/** Words that mean yes and no in the languages headers and cells come in (English, Japanese, Indonesian, German). */
const YES = [
  'true',
  't',
  'yes',
  'y',
  '1',
  'on',
  'active',
  'enabled',
  'はい',
  '真',
  '有効',
  '有',
  '○',
  '〇',
  'ya',
  'benar',
  'aktif',
  'ja',
  'wahr',
  'aktiv',
];
const NO = [
  'false',
  'f',
  'no',
  'n',
  '0',
  'off',
  'inactive',
  'disabled',
  'いいえ',
  '偽',
  '無効',
  '無',
  '×',
  '✕',
  'tidak',
  'salah',
  'nonaktif',
  'non-aktif',
  'tidak aktif',
  'nein',
  'falsch',
  'inaktiv',
];

const BOOLEANS = new Map<string, boolean>([
  ...YES.map((word) => [word, true] as const),
  ...NO.map((word) => [word, false] as const),
]);

export function parseBoolean(text: string): boolean | null {
  return BOOLEANS.get(text.normalize('NFKC').trim().toLowerCase()) ?? null;
}

/** Words of a state that mean the same, in the same languages, with the letters that stand for them. */
const STATES = [
  [
    'active',
    'a',
    'act',
    'enabled',
    'live',
    'current',
    'open',
    'ok',
    '有効',
    '稼働',
    '稼働中',
    '取引中',
    '販売中',
    '公開',
    'aktif',
    'aktiv',
    'yes',
    'true',
    'ya',
    'ja',
  ],
  [
    'inactive',
    'i',
    'in',
    'disabled',
    'closed',
    'discontinued',
    'obsolete',
    'archived',
    '無効',
    '停止',
    '休止',
    '取引停止',
    '販売終了',
    '廃番',
    '非公開',
    'nonaktif',
    'non-aktif',
    'tidak aktif',
    'inaktiv',
    'no',
    'false',
    'tidak',
    'nein',
  ],
  ['blocked', 'b', 'locked', 'on hold', 'suspended', '保留', 'gesperrt', 'diblokir', 'diblok'],
  ['prospect', 'p', 'lead', 'potential', '見込み', '見込客', 'interessent', 'calon', 'prospek'],
  ['new', 'neu', 'baru', '新規'],
].map((words) => new Set(words));

/** Do two words mean the same state? */
export function sameWord(left: string, right: string): boolean {
  const [a, b] = [left, right].map((word) => word.normalize('NFKC').trim().toLowerCase()) as [string, string];
  return a === b || STATES.some((words) => words.has(a) && words.has(b));
}

const EMAIL = /^[^\s@<>()[\]",;:\\]+@[^\s@.<>()[\]",;:\\]+(?:\.[^\s@.<>()[\]",;:\\]+)+$/u;

export function isEmail(text: string): boolean {
  if (text.length > 254 || !EMAIL.test(text)) return false;
  const local = text.slice(0, text.indexOf('@'));
  return local.length <= 64 && !local.startsWith('.') && !local.endsWith('.') && !local.includes('..');
}

/** What may stand between a telephone number and its extension. */
export const EXTENSIONS = new Set(['ext', 'x']);

/** Digits with the marks people put between them; at least six and at most fifteen digits. */
export function isPhone(text: string): boolean {
  const plain = text.normalize('NFKC');
  if (!/^\+?[\d\s().\-/‐–−]+(?:\s*(?:ext\.?|x|内線)\s*\d{1,6})?$/iu.test(plain)) return false;
  const digits = plain.replace(/(?:ext\.?|x|内線).*$/iu, '').replace(/\D/gu, '').length;
  return digits >= 6 && digits <= 15;
}
