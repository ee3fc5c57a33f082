import type { FieldType } from '../types.ts';
import { compareValues } from './limits.ts';
import type { CompareRule } from './types.ts';

const HOLDS: Record<CompareRule['operator'], (order: number) => boolean> = {
  '<': (order) => order < 0,
  '<=': (order) => order <= 0,
  '=': (order) => order === 0,
  '<>': (order) => order !== 0,
  '>=': (order) => order >= 0,
  '>': (order) => order > 0,
};
const WORDS: Record<CompareRule['operator'], string> = {
  '<': 'less than',
  '<=': 'at most',
  '=': 'the same as',
  '<>': 'another than',
  '>=': 'at least',
  '>': 'more than',
};
const DAYS: Partial<Record<CompareRule['operator'], string>> = {
  '<': 'before',
  '<=': 'not after',
  '>=': 'not before',
  '>': 'after',
};

/** Why two values of one row do not go together; null where they do, or one of them is empty. */
export function disagreement(
  rule: CompareRule,
  type: FieldType,
  left: string | null,
  right: string | null,
): { code: 'fields_disagree'; message: string } | null {
  if (left === null || right === null) return null;
  if (HOLDS[rule.operator](compareValues(type, left, right))) return null;
  const time = type === 'date' || type === 'timestamp';
  const must = (time ? DAYS[rule.operator] : undefined) ?? WORDS[rule.operator];
  return {
    code: 'fields_disagree',
    message: `${rule.left} (${left}) must be ${must} ${rule.right} (${right}).`,
  };
}
