/** Rules of a dataset that are about more than one cell. Those about one cell stand with the field (`FieldSpec`). */

export type Severity = 'error' | 'warning';

/** Two fields of one row against each other: `valid_from <= valid_to`. Holds where either of them is empty. */
export interface CompareRule {
  kind: 'compare';
  left: string;
  operator: '<' | '<=' | '=' | '<>' | '>=' | '>';
  right: string;
  /** An error blocks the row, a warning does not. Absent: error. */
  severity?: Severity;
}

/** No two records of the file have the same values here (rows of one key are one record). Empty values are never the same. */
export interface UniqueRule {
  kind: 'unique';
  fields: string[];
  /** Unique index of the target whose expressions say what "the same" means; absent: plain equality. */
  index?: string;
  severity?: Severity;
}

/** The values are those of a record elsewhere. Holds where one of them is empty. */
export interface ReferenceRule {
  kind: 'reference';
  fields: string[];
  to: ReferencedTable | ReferencedDataset;
  severity?: Severity;
}

export interface ReferencedTable {
  schema: string;
  table: string;
  /** Its columns, in the order of `fields`. */
  columns: string[];
  /** Its column that holds the tenant, where the reference is one within the tenant. */
  tenantColumn?: string;
}

/** The key of another dataset, compared as its key index compares. */
export interface ReferencedDataset {
  dataset: string;
}

/**
 * The database itself is asked whether the text is one of a type: for domains whose checks the reader does not know.
 * (Of columns whose whole type it does not know it is asked without a rule.)
 */
export interface TypeRule {
  kind: 'type';
  field: string;
  /** As SQL writes it: `public.postal_code`, `jsonb`. */
  type: string;
}

export type DatasetRule = CompareRule | UniqueRule | ReferenceRule | TypeRule;

/** What a value of one field must be, beyond its type. All of it is checked where the cell is read. */
export interface FieldLimits {
  /** In characters (code points). */
  minLength?: number;
  maxLength?: number;
  /** Of a decimal: digits in all and after the point, as the target's column has them. */
  precision?: number;
  scale?: number;
  /**
   * Least and greatest value: a plain number, or a date (`2026-01-31`, or from the day of the import: `today`,
   * `today-30`, `today+365`).
   */
  min?: string;
  max?: string;
  /** The value is more, or less, than this. */
  above?: string;
  below?: string;
  /** A regular expression that the whole value must match. */
  pattern?: string;
  enum?: string[];
  /**
   * Writes e-mail addresses and phone numbers in one way: `a@EXAMPLE.com` as `a@example.com`, `03-1234-5678` as
   * `+81312345678`. Otherwise values stay as they are written.
   */
  normalise?: boolean;
  /** Of phone numbers without country code that are normalised: ISO 3166, `JP`. */
  country?: string;
  /** Codes of limits that only warn: `below_minimum`, `wrong_pattern` ... */
  warn?: LimitCode[];
}

export const LIMIT_CODES = [
  'too_short',
  'too_long',
  'not_in_list',
  'wrong_pattern',
  'below_minimum',
  'above_maximum',
] as const;
export type LimitCode = (typeof LIMIT_CODES)[number];
