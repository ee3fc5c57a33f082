import type { FieldType } from '../intake/types.ts';
import type { FieldLimits } from '../intake/rules/types.ts';

/** What the reader has to know of a column's type so that everything it lets pass can be stored. */
export interface ColumnShape {
  type: FieldType;
  limits: FieldLimits;
  /** False where only the database can tell whether a text is a value of the type: it is then asked while planning. */
  known: boolean;
}

const INTEGERS: Record<string, [string, string]> = {
  int2: ['-32768', '32767'],
  int4: ['-2147483648', '2147483647'],
};
/** As many digits as never overflow and never vanish. */
const FLOATS: Record<string, [number, number]> = { float4: [75, 37], float8: [600, 300] };
const NUMERIC_DIGITS = { precision: 147_454, scale: 16_383 };
const UUID = '[0-9A-Fa-f]{8}-(?:[0-9A-Fa-f]{4}-){3}[0-9A-Fa-f]{12}';
const TEXTS = ['text', 'citext'];

/** From pg_type's name of the type, and the type as format_type writes it: `varchar`, `character varying(20)`. */
export function shapeOf(typeName: string, type: string, labels: string[] | null): ColumnShape {
  const known = (field: FieldType, limits: FieldLimits = {}): ColumnShape => ({
    type: field,
    limits,
    known: true,
  });
  const [first, second] = (/\((\d+)(?:,(-?\d+))?\)/.exec(type)?.slice(1) ?? []).map(Number);
  if (labels) return known('text', { enum: labels });
  if (TEXTS.includes(typeName)) return known('text');
  if (typeName === 'varchar' || typeName === 'bpchar') {
    return known('text', first === undefined || Number.isNaN(first) ? {} : { maxLength: first });
  }
  const whole = INTEGERS[typeName];
  // The reader lets no whole number pass that is larger than a bigint.
  if (typeName === 'int8') return known('integer');
  if (whole) return known('integer', { min: whole[0], max: whole[1] });
  const float = FLOATS[typeName];
  if (float) return known('decimal', { precision: float[0], scale: float[1] });
  if (typeName === 'numeric') {
    if (first === undefined) return known('decimal', NUMERIC_DIGITS);
    const scale = second === undefined || Number.isNaN(second) ? 0 : second;
    if (scale >= 0 && scale <= first) return known('decimal', { precision: first, scale });
  }
  if (typeName === 'bool') return known('boolean');
  if (typeName === 'date') return known('date');
  if (typeName === 'timestamp' || typeName === 'timestamptz') return known('timestamp');
  if (typeName === 'uuid') return known('text', { pattern: UUID });
  return { type: 'text', limits: {}, known: false };
}
