import type { DatasetRule } from '../intake/rules/types.ts';
import type { FieldSpec } from '../intake/types.ts';

export interface DatasetField extends FieldSpec {
  /** Column of the target table. */
  column: string;
  title: { en: string; ja: string };
}

/** Where rows go: a target table, its fields, its natural key, its policies. */
export interface Dataset {
  name: string;
  version: number;
  title: { en: string; ja: string };
  target: { schema: string; table: string };
  /** Fields of the natural key, and the full unique index that makes it one. */
  key: { fields: string[]; index: string };
  fields: DatasetField[];
  /** What is about more than one cell. */
  rules?: DatasetRule[];
  /** Which record of a key wins within one file; `refuse`: none does, all of them are blocked. */
  duplicates: 'last' | 'first' | 'refuse';
}

export type ImportPolicy = 'auto' | 'review' | 'guard';
export type ImportMode = 'upsert' | 'insert' | 'update' | 'add';
