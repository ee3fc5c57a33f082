import type { CellRules, ManifestColumn, Mapping } from '../types.ts';
import { findColumn } from './drift.ts';

/** What a profile says of one field. */
export interface Settled {
  /** -1: to be left out, or filled by the constant. */
  column: number;
  constant?: string;
  rules: CellRules;
}

/** What a profile says of each field, with its columns found in this file; fields that it does not name are not in it. */
export function settledBefore(
  remembered: Mapping | null | undefined,
  columns: ManifestColumn[],
): Map<string, Settled> {
  const settled = new Map<string, Settled>();
  for (const mapped of remembered?.fields ?? []) {
    const {
      field,
      column,
      header,
      constant,
      confidence: _,
      reason: _r,
      why: _w,
      candidates: _c,
      unmappedValues: _u,
      ...rules
    } = mapped;
    const at =
      header !== undefined
        ? findColumn(columns, header)
        : column !== null && column < columns.length
          ? column
          : -1;
    const join = rules.join && {
      ...rules.join,
      columns: rules.join.columns.map((other, n) => {
        const name = rules.join!.headers?.[n];
        return name === undefined ? other : findColumn(columns, name);
      }),
    };
    settled.set(field, {
      column: at,
      ...(constant === undefined ? {} : { constant }),
      rules: { ...rules, ...(join && { join }) },
    });
  }
  return settled;
}
