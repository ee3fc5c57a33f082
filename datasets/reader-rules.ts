import { settleWindows } from '../intake/rules/limits.ts';
import type { FieldLimits } from '../intake/rules/types.ts';
import type { FieldRule } from '../intake/types.ts';
import { narrow } from './check-rules.ts';
import type { Dataset } from './types.ts';

/**
 * The reader's rules as a run keeps to them: the dataset's own, their windows settled, and what the target's columns can
 * hold as they are today. `today` is the day of the import, `YYYY-MM-DD`.
 */
export const readerRules = (
  rules: FieldRule[],
  limitsOf: (rule: FieldRule) => FieldLimits,
  today: string,
): FieldRule[] => rules.map((rule) => ({ ...rule, ...narrow(settleWindows(rule, today), limitsOf(rule)) }));

/** The fields of a dataset as a scope has to know them. */
export const keyedFields = (dataset: Dataset): { name: string; key: boolean }[] =>
  dataset.fields.map(({ name }) => ({ name, key: dataset.key.fields.includes(name) }));
