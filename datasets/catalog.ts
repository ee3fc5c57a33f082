/** A table as the database's catalog describes it; read by `db/introspect.ts`, made a dataset by `introspect.ts`. */

export interface CatalogColumn {
  name: string;
  /** As format_type writes it, a domain resolved to what it is based on: `numeric(18,4)`. */
  type: string;
  /** pg_type's own name of that type: `varchar`, `int4`, `numeric`. An enum's or an extension's is its own. */
  typeName: string;
  kind: 'base' | 'enum' | 'other';
  /** The domain that the column is of, as SQL writes it. */
  domain: string | null;
  notNull: boolean;
  /** The database fills it: a default expression, an identity, a generated column. */
  default: string | null;
  identity: 'always' | 'by default' | null;
  generated: boolean;
  /** Its default takes the next number of a sequence or a new uuid: a surrogate, not something a file has. */
  surrogate: boolean;
  /** Of an enum, in order. */
  labels: string[] | null;
  comment: string | null;
  /** Different texts may be equal here. */
  folds: boolean;
}

export interface CatalogCheck {
  name: string;
  /** As pg_get_expr writes it. */
  expression: string;
  /** Of a domain: the column that is of it; the expression then speaks of VALUE. */
  column: string | null;
}

export interface CatalogKey {
  index: string;
  primary: boolean;
  /** Every column that its parts speak of, in order. */
  columns: string[];
  /** The parts: a column's quoted name, or an expression. */
  parts: string[];
  /** It holds for all records: neither partial nor left behind by an attempt that failed. */
  whole: boolean;
  /** Why an import cannot use it as its key; null where it can. */
  unusable: string | null;
}

export interface CatalogReference {
  name: string;
  columns: string[];
  schema: string;
  table: string;
  parentColumns: string[];
  /** The table referred to has a column tenant_id. */
  parentHasTenant: boolean;
  /** The worker may read the table referred to. */
  readable: boolean;
}

export interface CatalogTable {
  schema: string;
  table: string;
  comment: string | null;
  columns: CatalogColumn[];
  checks: CatalogCheck[];
  /** Unique indexes. */
  keys: CatalogKey[];
  references: CatalogReference[];
  /** User's own row triggers. */
  triggers: string[];
  /** Exclusion constraints. */
  exclusions: string[];
}
