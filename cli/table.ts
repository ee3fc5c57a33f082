import { plain } from './render.ts';

/** Columns wide enough for their cells, as a terminal counts them: East Asian wide characters take two. */
export function table(head: string[], body: string[][]): string {
  const clean = [head, ...body.map((row) => row.map((cell) => clip(plain(cell))))];
  const widths = head.map((_, i) => Math.max(...clean.map((row) => width(row[i] ?? ''))));
  return clean
    .map(
      (row) =>
        row
          .map((cell, i) => cell + ' '.repeat(widths[i]! - width(cell)))
          .join('  ')
          .trimEnd() + '\n',
    )
    .join('');
}

const WIDE = /[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]/u;

function width(text: string): number {
  let total = 0;
  for (const character of text) total += WIDE.test(character) ? 2 : 1;
  return total;
}

function clip(text: string): string {
  const characters = [...text];
  return characters.length <= 80 ? text : `${characters.slice(0, 79).join('')}…`;
}
