/** Encodings that can be chosen, by their WHATWG labels; the ones that files really come in first. */
export const ENCODINGS: [label: string, name: string][] = [
  ['utf-8', 'UTF-8'],
  ['shift_jis', 'Shift_JIS (CP932)'],
  ['euc-jp', 'EUC-JP'],
  ['iso-2022-jp', 'ISO-2022-JP'],
  ['windows-1252', 'Windows-1252'],
  ['iso-8859-15', 'ISO-8859-15'],
  ['utf-16le', 'UTF-16 LE'],
  ['utf-16be', 'UTF-16 BE'],
  ['windows-1250', 'Windows-1250'],
  ['iso-8859-2', 'ISO-8859-2'],
  ['windows-1251', 'Windows-1251'],
  ['koi8-r', 'KOI8-R'],
  ['windows-1253', 'Windows-1253'],
  ['windows-1254', 'Windows-1254'],
  ['windows-1255', 'Windows-1255'],
  ['windows-1256', 'Windows-1256'],
  ['windows-1257', 'Windows-1257'],
  ['windows-874', 'Windows-874'],
  ['gb18030', 'GB18030'],
  ['big5', 'Big5'],
  ['euc-kr', 'EUC-KR (CP949)'],
];

const names = new Map(ENCODINGS);
export const encodingName = (label: string): string => names.get(label) ?? label;
