import type { Messages } from '../messages/en.ts';

type Unit = 'second' | 'minute' | 'hour' | 'day';
const lengths: [Unit, number][] = [
  ['day', 86_400],
  ['hour', 3_600],
  ['minute', 60],
  ['second', 1],
];

/** A length of time in words, one or two units: '41 s', '3 min 5 s', '2 h', '4 days'. */
export function span(seconds: number, t: Messages): string {
  const whole = Math.max(0, Math.round(seconds));
  for (const [index, [unit, length]] of lengths.entries()) {
    if (whole < length && unit !== 'second') continue;
    const value = Math.floor(whole / length);
    const text = t.time.span(value, unit);
    const next = lengths[index + 1];
    // A second unit only says something while the first is small.
    if (!next || value >= 10 || unit === 'day') return text;
    const rest = Math.floor((whole - value * length) / next[1]);
    return rest > 0 ? `${text} ${t.time.span(rest, next[0])}` : text;
  }
  return t.time.moment;
}

/** A length of time that has been measured, where tenths still matter: '0.8 s', '12 s'. */
export function took(milliseconds: number, t: Messages): string {
  if (milliseconds < 9_950) return `${(Math.max(0, milliseconds) / 1000).toFixed(1)}${t.time.secondSuffix}`;
  return span(milliseconds / 1000, t);
}

/**
 * What is left, rounded the way a person would say it, so that it does not flicker: to 5 s above 20 s, to whole
 * minutes above 5 min.
 */
export function left(seconds: number, t: Messages): string {
  if (seconds < 20) return span(Math.max(1, Math.ceil(seconds)), t);
  if (seconds < 300) return span(Math.ceil(seconds / 5) * 5, t);
  return span(Math.ceil(seconds / 60) * 60, t);
}

/** 'just now', '3 min ago', 'in 2 h'. One unit is enough here: the exact time is on hover. */
export function relative(at: number, now: number, t: Messages): string {
  const seconds = Math.round((now - at) / 1000);
  const size = Math.abs(seconds);
  if (size < 10) return t.time.now;
  const [unit, length] = lengths.find(([, length]) => size >= length) ?? ['second', 1];
  const words = t.time.span(Math.floor(size / length), unit);
  return seconds >= 0 ? t.time.ago(words) : t.time.in(words);
}

/** Time of day in the reader's zone; with the date where it was not today. */
export function clock(at: number, now: number, locale: string): string {
  const date = new Date(at);
  const sameDay = date.toDateString() === new Date(now).toDateString();
  return new Intl.DateTimeFormat(locale, {
    hour: '2-digit',
    minute: '2-digit',
    hourCycle: 'h23',
    ...(sameDay ? {} : { month: 'short', day: 'numeric' }),
  }).format(date);
}

/** For the hover: date, time to the second, zone. */
export function exact(at: number, locale: string): string {
  return new Intl.DateTimeFormat(locale, { dateStyle: 'full', timeStyle: 'long' }).format(new Date(at));
}
