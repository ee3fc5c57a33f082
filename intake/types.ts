/** Shapes that pass between the phases of intake: bytes -> manifest -> records -> mapped, checked rows. */

import type { GuardLimits, MissingRows } from './missing.ts';
import type { CompareRule, FieldLimits } from './rules/types.ts';

/** What an operator may override; absent means "detect it". */
export interface FileOptions {
  sheet?: string;
  /** A WHATWG encoding label. */
  encoding?: string;
  delimiter?: string;
  /** One character, or '' for "no quoting". */
  quote?: string;
  /** 1-based physical line (row of the sheet); 0 says that the file has no header. */
  headerRow?: number;
  /** The last lines are records even where they look like totals or notes. */
  keepFooter?: boolean;
  /** Types of columns, by their names; the others are found in the cells. */
  types?: Record<string, ColumnType>;
}

export type ColumnType =
  'text' | 'integer' | 'decimal' | 'boolean' | 'date' | 'timestamp' | 'email' | 'url' | 'phone';

export interface ManifestColumn {
  /** Unique within the file; `column_1`... where the file has no header. */
  name: string;
  /** As it stands in the file; '' where the file has no header. */
  original: string;
  type: ColumnType;
  /** Of a text column, what more than half of its cells are: a field of that type has the other rows rejected. */
  mostly?: ColumnType;
  /** How its numbers or dates are written, where the cells allow one reading only. */
  format?: ColumnFormat;
  /** How its cells are built (`AA-9`), where they are all built in a few ways; '' is among them if some are empty. */
  shapes?: string[];
}

/** A record-aligned range of the canonical bytes: the unit of parallel staging. */
export interface Segment {
  index: number;
  /** Byte offsets into the canonical bytes, end exclusive. */
  start: number;
  end: number;
  /** Number of the first record in it; records of the file count from 1, header and preamble not counted. */
  firstRecord: number;
  /** 1-based physical line where its first record begins. */
  firstLine: number;
  /** Records that the reader accepts, and those it rejects (ragged, unclosed quote, too large ...). */
  accepted: number;
  rejected: number;
  /** What is in it belongs to another table further down in the file: every record is rejected. */
  secondTable?: true;
}

export interface SheetInfo {
  name: string;
  state: 'visible' | 'hidden' | 'veryHidden';
  rows: number;
}

export interface FileWarning {
  code: string;
  message: string;
}

export interface Dialect {
  delimiter: string;
  /** '' where the file does not quote. */
  quote: string;
  /** The quote itself where quotes are doubled, a backslash where they are escaped, '' for none. */
  escape: string;
  /** Of a canonical copy made from a sheet: a record is one row, whatever line breaks its cells hold; lines count rows. */
  rows?: true;
  /** Spaces around a delimiter belong to the file's layout: none before a value, none between a quote and a delimiter. */
  skipSpace?: true;
  /** Columns aligned with spaces: a run of delimiters divides as one does, and at both ends of a line it is nothing. */
  runs?: true;
  /** A line that begins with it is a remark, and no record. */
  comment?: string;
  /** Quotes stand inside plain values all over this file; otherwise two of them that might belong together are doubted. */
  looseQuotes?: true;
}

/** What inspection found; stored as manifest.json beside the object. Sizes in bytes. */
export interface Manifest {
  version: 1;
  fileName: string;
  type: 'csv' | 'xlsx' | 'json' | 'ndjson';
  compression: 'gzip' | null;
  encoding: string;
  bom: boolean;
  /** How sure the encoding is: 1 where a mark, an operator or the whole file being UTF-8 says it. */
  encodingConfidence?: number;
  /** In another encoding than UTF-8, but for lines that are UTF-8 and were rejected. */
  mixedEncoding?: boolean;
  dialect: Dialect | null;
  lineEnding: 'lf' | 'crlf' | 'cr' | 'mixed' | null;
  /** Lines above the table. */
  preambleRows: number;
  /** Where the column names stand: the first of `headerRows` lines. */
  headerRow: number | null;
  headerRows: number;
  /** Lines below the table (totals, notes) that are no records, and the first of them. */
  footerRows: number;
  footerRow: number | null;
  /** Line of the first record that belongs to another table. */
  secondTableRow: number | null;
  columns: ManifestColumn[];
  /** Accepted and rejected records; their sum is `input` of the accounting. */
  rows: number;
  rejected: number;
  sheets: SheetInfo[] | null;
  sheet: string | null;
  /** Of the stored object's bytes; and of the decompressed bytes. */
  sha256: string;
  contentSha256: string;
  bytes: number;
  contentBytes: number;
  /**
   * What offsets refer to. `raw`: the object itself (UTF-8 text). Otherwise a canonical copy made from it:
   * UTF-8 text in `canonicalDialect`, rebuilt from the object whenever a host does not have it.
   */
  canonical: 'raw' | 'copy';
  /** Dialect of the canonical bytes (for `raw` the file's own). */
  canonicalDialect: Dialect;
  canonicalBytes: number;
  /** Records above it were rejected; whoever reads the segments must keep to the same limit. */
  maxRecordBytes: number;
  segments: Segment[];
  /** Up to 200 accepted records, cells as text, in the order of `columns`. */
  sample: string[][];
  warnings: FileWarning[];
}

export type FieldType = 'text' | 'integer' | 'decimal' | 'boolean' | 'date' | 'timestamp' | 'email' | 'phone';

/** What intake has to know of a dataset's field to map a column to it and to check its cells. */
export interface FieldSpec extends FieldLimits {
  name: string;
  type: FieldType;
  required: boolean;
  /** What an empty cell means: leave what is there, set it to null, or block the row. */
  empty: 'keep' | 'clear' | 'block';
  /** Header names in any language that mean this field without doubt; compared after normalisation. */
  aliases: string[];
  /** Names that mean it where no column has a better one: `mobile` for a phone number. */
  seconds?: string[];
  /** Names that may mean it: a question, unless the cells settle it. */
  hints?: string[];
}

/** How one column's text is written; settled once per column, never per row. */
export interface ColumnFormat {
  decimal?: '.' | ',';
  date?: 'YMD' | 'DMY' | 'MDY';
  /** Dates are written in this way and in no other: `dd.MM.yyyy`, `yyyy/MM/dd HH:mm`. */
  pattern?: string;
}

/**
 * What a profile says of one field's cells, beside the column. Done in this order: split, join, trim, null words, value
 * map, case; an empty cell then gets the default, or is judged by `empty`.
 */
export interface CellRules {
  format?: ColumnFormat;
  /** From the text in the cell (trimmed; case and width do not matter) to the text to read instead. */
  values?: Record<string, string>;
  /** What an empty cell gets. */
  default?: string;
  /** What an empty cell means here, instead of what the dataset says. */
  empty?: 'keep' | 'clear' | 'block';
  /** Cells that mean "empty", whatever their case, besides those of the whole profile. */
  nullWords?: string[];
  /** `both`: no space around the text; `all`: neither around nor, beyond one, inside it. Absent: text stays as it is. */
  trim?: 'both' | 'all';
  case?: 'upper' | 'lower';
  /** Only one part of the cell: the first is 1, the last is -1. Fields that split may share a column. */
  split?: { separator: string; part: number };
  /** More columns whose cells stand behind this one's; empty ones leave no separator behind. */
  join?: { columns: number[]; headers?: string[]; separator: string };
}

export type MappingReason =
  'exact' | 'alias' | 'normalised' | 'similar' | 'content' | 'confirmed' | 'constant' | 'unmapped';

/** A column that could feed a field. */
export interface MappingCandidate {
  column: number;
  header: string;
  /** 0 to 1. */
  confidence: number;
  reason: MappingReason;
  /** A short sentence for a person. */
  why: string;
}

/** A text in cells of a field that only knows certain words. */
export interface UnmappedValue {
  value: string;
  /** Cells with it, among the rows that were looked at (`Mapping.valuesOf`). */
  count: number;
  /** What it probably means. Never applied without a person. */
  suggestion?: string;
}

export interface MappedField extends CellRules {
  field: string;
  /** Index into manifest.columns; null where a constant fills the field or nothing does. */
  column: number | null;
  /** Name of that column, by which a remembered mapping finds it again in a file whose columns have moved. */
  header?: string;
  constant?: string;
  confidence: number;
  reason: MappingReason;
  /** Why this column: a short sentence for a person. */
  why?: string;
  /** Columns that could feed the field, the best first, the chosen one among them. */
  candidates?: MappingCandidate[];
  /** Of boolean and enum fields (and others with a value map): values that are not understood yet. */
  unmappedValues?: UnmappedValue[];
  /** Cells with more such values than are listed. */
  unlistedValues?: number;
}

/** How a file's header differs from the one that the profile was made for. */
export interface HeaderDrift {
  kind: 'gone' | 'new' | 'renamed' | 'moved';
  /** The name in the profile; for `new` the name in the file. */
  header: string;
  /** `renamed`: the name it probably has now. */
  now?: string;
  /** The field that the profile feeds from it. */
  field: string | null;
  /** A person has to look before rows are read. */
  stops: boolean;
  message: string;
}

/** What a profile says of the whole file. */
export interface ProfileRules {
  /** Columns that feed no field: left out (the default), kept as JSON in a text field, or a reason to stop. */
  unknownColumns?: 'ignore' | 'refuse' | { keepIn: string };
  nullWords?: string[];
  /** Which record of a key counts; `refuse` blocks them all. Absent: what the dataset says. */
  duplicates?: 'last' | 'first' | 'refuse';
  /** The whole file or nothing of it, where the import itself does not say. */
  atomic?: boolean;
  /** A row without key takes the key of the one record of the target that is equal in these fields, with a warning. */
  provisionalKey?: string[];
  /** What to propose where `field` is empty: the row's own value of `from`. Never applied by itself. */
  suggest?: { field: string; from: string }[];
  /** What becomes of records that its files, full catalogues, do not have. */
  missing?: MissingRows;
  /** What its imports may do under `guard` without a person. */
  guard?: GuardLimits;
  /** How its files are read, where the import itself does not say. */
  reading?: FileOptions;
}

export type QuestionCode =
  | 'unmapped'
  | 'doubtful'
  /** Two columns look equally like the field. */
  | 'several'
  | 'ambiguous_format'
  /** Too many cells of a boolean or enum field hold words that are not understood. */
  | 'unmapped_values'
  /** The header is not the one that the profile was made for. */
  | 'drift'
  | 'unknown_column'
  /** The workbook has several sheets with rows, and nobody has said which one is meant. */
  | 'sheet';

/** The proposal that the map phase makes, and what a profile pins once it is settled. */
export interface Mapping {
  fields: MappedField[];
  /** Indexes into manifest.columns that go nowhere. */
  unmappedColumns: number[];
  /** Why a person has to look. `field` is '' where the question is of the whole file. */
  questions: { field: string; code: QuestionCode; message: string }[];
  /** Of the profile behind it, if there is one. */
  rules?: ProfileRules;
  /** Header of the file that the profile was made for, in order; what drift is measured against. */
  headers?: string[];
  drift?: HeaderDrift[];
  /** Which rows `unmappedValues` counts. */
  valuesOf?: 'sample' | 'file';
  /** What a proposal had to reach to be taken for a fact. */
  threshold?: number;
}

/** One field of the row to be staged: FieldSpec and MappedField brought together for the parser threads. */
export interface FieldRule extends FieldSpec, Omit<CellRules, 'empty'> {
  column: number | null;
  constant?: string;
  /** Columns whose cells this field keeps as one JSON object; `column` is then null. */
  extras?: number[];
  /** Another field, whose value is proposed where this one is empty. */
  suggestFrom?: string;
  /** Part of the natural key: an empty cell blocks the row whatever `empty` says. */
  key: boolean;
  /** The key may be found by other fields: an empty cell of it does not block the row yet. */
  provisional?: true;
}

/** An issue of one record. Errors block the row, warnings do not. */
export interface Issue {
  line: number;
  /** Header of the column, null where the issue is of the whole record. */
  column: string | null;
  field: string | null;
  /** Stable; listed in docs/issue-codes.md. */
  code: string;
  severity: 'error' | 'warning';
  value: string | null;
  message: string;
  suggestion?: string;
}

/** Work for one parser thread: everything it needs, nothing that is not plain data. */
export interface SegmentJob {
  /** Spool file that holds the canonical bytes. */
  path: string;
  segment: Segment;
  dialect: Dialect;
  /** Number of columns a record must have. */
  columns: ManifestColumn[];
  rules: FieldRule[];
  /** Fields that are compared with each other, row by row. */
  comparisons?: CompareRule[];
  /** The manifest's; absent means the default. */
  maxRecordBytes?: number;
}

/** What a segment came to; `accepted + rejected` must equal what inspection counted for it. */
export interface SegmentResult {
  accepted: number;
  rejected: number;
  /** Accepted by the reader, blocked by a rule. */
  blocked: number;
  /** Errors and warnings by code. */
  issues: Record<string, number>;
}

/**
 * Columns of a staged row in COPY order, before the fields of `SegmentJob.rules` in their order. A rejected or
 * blocked record has its issues and its cells as text (`_raw`, a JSON array), and NULL in every field.
 */
export const STAGED_COLUMNS = [
  '_record',
  '_line',
  '_offset',
  '_bytes',
  '_blocked',
  '_issues',
  '_raw',
] as const;

/** Thrown for a file that cannot be read at all; the sentence is for a person. */
export class FileError extends Error {
  readonly code: string;
  constructor(code: string, message: string) {
    super(message);
    this.name = 'FileError';
    this.code = code;
  }
}
