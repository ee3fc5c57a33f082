import { readFileSync } from 'node:fs';
import { TypeTally } from '../cell-types.ts';
import { proposeMapping } from '../mapping.ts';
import type { FieldSpec, Manifest } from '../types.ts';

export interface HeaderRow {
  dataset: string;
  /** Language and, of exports, the program. */
  label: string;
  columns: { header: string; cells: string[]; is: string[]; may: string[] }[];
}

/** The tables under headers/; their format is said at the top of exports.txt. */
export function headerRows(file: string): HeaderRow[] {
  const lines = readFileSync(new URL(`./headers/${file}.txt`, import.meta.url), 'utf8').split('\n');
  return lines
    .filter((line) => line.trim() !== '' && !line.startsWith('# '))
    .map((line) => {
      const [, dataset, label, rest] = /^(\w+) ([^:]*): (.*)$/u.exec(line)!;
      const columns = rest!.split('|').map((part) => {
        const [, header, marks, cells] = /^(.*?)((?:[=~]\w+)*)(?:\{(.*)\})?$/u.exec(part.trim())!;
        const marked = [...marks!.matchAll(/([=~])(\w+)/gu)];
        return {
          header: header!,
          cells: (cells?.split(';') ?? []).flatMap((cell) => {
            const [, text, times] = /^(.*?)(?:\*(\d+))?$/u.exec(cell)!;
            return Array.from({ length: Number(times ?? 1) }, () => text!);
          }),
          is: marked.filter(([, sign]) => sign === '=').map(([, , field]) => field!),
          may: marked.map(([, , field]) => field!),
        };
      });
      return { dataset: dataset!, label: label!, columns };
    });
}

export interface Score {
  rows: number;
  /** Columns that are a field without doubt, and those of them that were taken for it. */
  expected: number;
  found: number;
  /** Columns taken for a field, rightly or wrongly. */
  facts: number;
  wrong: string[];
  missed: string[];
}

/** A fact is what needs no person: a field with a column and no question about it. */
export function score(rows: HeaderRow[], fieldsOf: (dataset: string) => FieldSpec[], threshold = 0.8): Score {
  const total: Score = { rows: rows.length, expected: 0, found: 0, facts: 0, wrong: [], missed: [] };
  for (const { dataset, label, columns } of rows) {
    const height = Math.max(0, ...columns.map(({ cells }) => cells.length));
    const manifest = {
      columns: columns.map(({ header, cells }) => {
        const tally = new TypeTally();
        for (const cell of cells) tally.add(cell);
        return { name: header, original: header, type: tally.type, format: { decimal: '.', date: 'YMD' } };
      }),
      sample: Array.from({ length: height }, (_, row) => columns.map(({ cells }) => cells[row] ?? '')),
    } as Partial<Manifest> as Manifest;
    const mapping = proposeMapping(manifest, fieldsOf(dataset), null, threshold);
    const asked = new Set(mapping.questions.map(({ field }) => field));
    const where = `${dataset} ${label}`;
    const taken = new Map<number, string>();
    for (const { field, column, confidence } of mapping.fields) {
      if (column === null || asked.has(field)) continue;
      taken.set(column, field);
      total.facts++;
      if (!columns[column]!.may.includes(field))
        total.wrong.push(`${where}: "${columns[column]!.header}" taken for ${field} (${confidence})`);
    }
    columns.forEach(({ header, is }, column) => {
      for (const field of is) {
        total.expected++;
        if (taken.get(column) === field) total.found++;
        else {
          const one = mapping.fields.find((mapped) => mapped.field === field);
          total.missed.push(
            `${where}: "${header}" is ${field} (proposed: ${one?.column === null ? 'none' : columns[one!.column!]!.header} ${one?.confidence})`,
          );
        }
      }
    });
  }
  return total;
}

export const shown = ({ rows, expected, found, facts, wrong }: Score): string =>
  `${rows} header rows, ${facts} facts, precision ${(((facts - wrong.length) / facts) * 100).toFixed(1)} %, ` +
  `recall ${((found / expected) * 100).toFixed(1)} % of ${expected}`;
