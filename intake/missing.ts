import type { Manifest } from './types.ts';

/** How a scope compares a field with a value. */
export const SCOPE_OPERATORS = [
  'is',
  'is_not',
  'one_of',
  'starts_with',
  'less',
  'at_most',
  'greater',
  'at_least',
  'empty',
  'not_empty',
] as const;
export type ScopeOperator = (typeof SCOPE_OPERATORS)[number];

type Plain = string | number | boolean;

export interface ScopeCondition {
  field: string;
  operator: ScopeOperator;
  /** None for `empty` and `not_empty`, a list for `one_of`. */
  value?: Plain | Plain[];
}

/** What becomes of records of the target that a full catalogue does not have (any more). */
export interface MissingRows {
  action: 'ignore' | 'deactivate' | 'delete';
  /** Which records the file answers for: all conditions hold, or the last write was one of this profile (or sync). */
  scope?: ScopeCondition[] | 'written_by_profile';
  /** What makes a record inactive. */
  inactive?: { field: string; value: Plain | null };
}

/** Beyond these a run under `guard` waits for a person. Shares are of 0..1; what is left out has its default. */
export interface GuardLimits {
  /** Records changed, as a share of those that were there. */
  changed?: number;
  /** Records that would be deactivated or deleted, as a share of those that the file has or should have. */
  removed?: number;
  /** Rows blocked, as a share of the file. */
  blocked?: number;
  /** How many times a numeric field's median may grow or shrink. */
  median?: number;
}

/** A field as far as a scope is concerned. */
interface KnownField {
  name: string;
  key: boolean;
}

const valueFits = ({ operator, value }: ScopeCondition): boolean => {
  if (operator === 'empty' || operator === 'not_empty') return value === undefined;
  if (operator === 'one_of') return Array.isArray(value) && value.length > 0;
  return value !== undefined && !Array.isArray(value);
};

/**
 * What in a declaration cannot be meant, for a file imported in `mode` where that is known: sentences for a person, none
 * where it can be used.
 */
export function missingFaults(said: MissingRows, fields: KnownField[], mode?: string): string[] {
  if (said.action === 'ignore') return [];
  const faults: string[] = [];
  const find = (name: string) => fields.find((field) => field.name === name);
  if (said.scope === undefined)
    faults.push(
      `To ${said.action} missing records, say which ones the file answers for: conditions, or written_by_profile.`,
    );
  if (Array.isArray(said.scope)) {
    if (said.scope.length === 0)
      faults.push(
        'The scope has no condition. For every record of the table, say that its key is not_empty.',
      );
    for (const condition of said.scope) {
      if (!find(condition.field)) faults.push(`There is no field "${condition.field}" to scope by.`);
      if (!valueFits(condition))
        faults.push(
          condition.operator === 'one_of'
            ? `${condition.field} one_of needs a list of values.`
            : condition.operator === 'empty' || condition.operator === 'not_empty'
              ? `${condition.field} ${condition.operator} takes no value.`
              : `${condition.field} ${condition.operator} needs one value.`,
        );
    }
  }
  if (said.action === 'deactivate') {
    const field = said.inactive && find(said.inactive.field);
    if (!said.inactive)
      faults.push('To deactivate records, say which field gets which value, such as active: false.');
    else if (!field) faults.push(`There is no field "${said.inactive.field}" to deactivate by.`);
    else if (field.key)
      faults.push(`${field.name} is part of the key; a record cannot be deactivated by it.`);
  }
  if (mode !== undefined && mode !== 'upsert' && mode !== 'update')
    faults.push(
      `A file imported in mode ${mode} is no full catalogue, so records cannot be missing in it. Import it in mode upsert or update, or with missing: ignore.`,
    );
  return faults;
}

/** What of a file lets nobody take a record for missing unless a person has looked. */
export interface Catalogue {
  manifest: Pick<Manifest, 'rows' | 'rejected' | 'footerRows' | 'footerRow' | 'secondTableRow'> &
    Partial<Pick<Manifest, 'sheets' | 'sheet'>>;
  /** Somebody has said which sheet is meant; else the first one with rows was taken. */
  sheetNamed?: boolean;
  /** Records of the file without a key that can be read, those that the reader rejected among them. */
  unreadable: number;
  /** Records that would be deactivated or deleted. */
  missing: number;
}

const n = (value: number): string => value.toLocaleString('en-US');

/** Why records that an older file does not have are not removed without a person: a newer one has come in since. */
export const laterWarning = (later: {
  fileName: string;
  importId: string;
  removes: number;
  seen: number;
}): string =>
  `A later import of the same source has been there since: ${later.fileName} (${later.importId}). Of the records that this older file does not have, ${n(later.seen)} ${later.seen === 1 ? 'is' : 'are'} in it and will be left alone; ${n(later.removes)} would still be deactivated or deleted.`;

/**
 * Why the missing records of this file wait for a person under every policy: it may not be the whole catalogue. Empty
 * where nothing is missing, or nothing speaks against it.
 */
export function incompleteReasons({ manifest, sheetNamed, unreadable, missing }: Catalogue): string[] {
  if (missing === 0) return [];
  const reasons: string[] = [];
  if (manifest.rows === 0) reasons.push('The file has no rows: nothing says that it is the whole catalogue.');
  if (unreadable > 0)
    reasons.push(
      `${n(unreadable)} ${unreadable === 1 ? 'record has' : 'records have'} no key that could be read, so some of the records that look missing may be in the file.`,
    );
  const others = (manifest.sheets ?? []).filter(
    ({ name, state, rows }) => state === 'visible' && rows > 0 && name !== manifest.sheet,
  );
  if (others.length > 0 && !sheetNamed)
    reasons.push(
      `Only the sheet "${manifest.sheet}" was read, and nobody said that it is the one; ${others.map(({ name }) => `"${name}"`).join(', ')} ${others.length === 1 ? 'has' : 'have'} rows too.`,
    );
  if (manifest.secondTableRow !== null && manifest.secondTableRow !== undefined)
    reasons.push(`Another table begins in line ${n(manifest.secondTableRow)}; its records were not read.`);
  if (manifest.footerRows > 0)
    reasons.push(
      `${n(manifest.footerRows)} ${manifest.footerRows === 1 ? 'line' : 'lines'} from line ${n(manifest.footerRow ?? 0)} on were taken for a footer and not read as records.`,
    );
  return reasons;
}
