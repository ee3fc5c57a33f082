import type { Messages } from './messages/en.ts';

export type Locale = 'en' | 'ja';
export const locales: { code: Locale; name: string }[] = [
  { code: 'en', name: 'English' },
  { code: 'ja', name: '日本語' },
];

/** The messages of the chosen language; set before anything is drawn, and again only by a reload. */
export let t: Messages;
export let locale: Locale = 'en';

/** Loads the one language that is needed; static/theme.js has chosen it before the first paint. */
export async function loadMessages(): Promise<void> {
  locale = document.documentElement.lang === 'ja' ? 'ja' : 'en';
  t = locale === 'ja' ? (await import('./messages/ja.ts')).ja : (await import('./messages/en.ts')).en;
}

export function chooseLocale(next: Locale): void {
  localStorage.setItem('waybill.locale', next);
  location.reload();
}
