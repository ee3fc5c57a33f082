import type { FieldType } from '../intake/types.ts';
import type { ColumnShape } from './column-types.ts';

/** Types of field whose values a column can hold, by the type that the column itself makes. */
const HOLDS: Record<FieldType, FieldType[]> = {
  text: ['text', 'integer', 'decimal', 'boolean', 'date', 'timestamp', 'email', 'phone'],
  integer: ['integer'],
  decimal: ['decimal', 'integer'],
  boolean: ['boolean'],
  date: ['date'],
  timestamp: ['timestamp', 'date'],
  email: ['email'],
  phone: ['phone'],
};

/** Can a column hold what the reader makes of a field of this type? Of a column it does not know the database is asked. */
export const fieldFits = (type: FieldType, shape: ColumnShape): boolean =>
  !shape.known || HOLDS[shape.type].includes(type);
