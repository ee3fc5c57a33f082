import { DIALLING, INTERNATIONAL } from './dialling.ts';

/**
 * An e-mail address as it is usually written: without `mailto:`, full-width letters as plain ones, its domain in small
 * letters. The part before the @ stays: only its own server knows whether case matters there.
 */
export function normaliseEmail(text: string): string {
  const plain = text
    .normalize('NFKC')
    .trim()
    .replace(/^mailto:/iu, '');
  const at = plain.lastIndexOf('@');
  return at < 0 ? plain : plain.slice(0, at + 1) + plain.slice(at + 1).toLowerCase();
}

/**
 * A phone number as E.164 has it (`+81312345678`, an extension behind it), or null where it is none or its country is
 * not known. A number without country code is one of `country` (ISO 3166).
 */
export function normalisePhone(text: string, country?: string): string | null {
  const plain = text.normalize('NFKC').trim().replace(/^tel:/iu, '');
  const [, body = '', extension] = /^(.*?)(?:\s*(?:;ext=|ext\.?|x|内線)\s*(\d{1,6}))?$/iu.exec(plain) ?? [];
  if (!/^\+?[\d\s().\-/‐–−]+$/u.test(body)) return null;
  const home = country === undefined ? undefined : DIALLING[country];
  let digits: string;
  if (body.startsWith('+')) digits = body.replace(/\(0\)/u, '').replaceAll(/\D/gu, '');
  else {
    const dialled = body.replaceAll(/\D/gu, '');
    const prefix = (home?.international ?? INTERNATIONAL).find((one) => dialled.startsWith(one));
    if (prefix !== undefined && dialled.length - prefix.length >= 8) digits = dialled.slice(prefix.length);
    else if (home) digits = home.code + national(dialled, home);
    else return null;
  }
  if (digits.length < 8 || digits.length > 15 || digits.startsWith('0')) return null;
  return `+${digits}${extension === undefined ? '' : ` ext. ${extension}`}`;
}

/** Without the digit that is dialled inside the country only. */
function national(dialled: string, { trunk, length }: (typeof DIALLING)[string]): string {
  if (trunk === '' || !dialled.startsWith(trunk)) return dialled;
  // `1` of North America and `8` of Russia begin numbers as well: only a digit too many tells.
  if (length !== undefined && dialled.length !== length + trunk.length) return dialled;
  return dialled.slice(trunk.length);
}
