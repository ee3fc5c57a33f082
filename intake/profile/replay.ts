import { parseSegment } from '../parse-segment.ts';
import { fromCopy } from '../preview.ts';
import type { CompareRule } from '../rules/types.ts';
import type { FieldRule, Issue, Manifest } from '../types.ts';

/** One way to read a file: what inspection found of it, and the rules that a version of a profile makes. */
export interface ReplaySide {
  manifest: Manifest;
  /** Its canonical bytes. */
  path: string;
  rules: FieldRule[];
  comparisons?: CompareRule[];
}

export interface ReplayCounts {
  /** Records that would go in, that a rule blocks, that the reader rejects. */
  accepted: number;
  blocked: number;
  rejected: number;
  /** Errors and warnings by code. */
  issues: Record<string, number>;
}

/** A record that comes out differently. */
export interface ReplayDifference {
  record: number;
  line: number;
  /** Fields whose values differ; null: empty, or not written at all where the row is blocked. */
  fields: { field: string; before: string | null; after: string | null }[];
  before: ReplayedIssue[];
  after: ReplayedIssue[];
}

type ReplayedIssue = Pick<Issue, 'field' | 'code' | 'severity' | 'message'>;

export interface Replayed {
  before: ReplayCounts;
  after: ReplayCounts;
  /** Records that come out differently in all. */
  changed: number;
  /** The first of them. */
  differences: ReplayDifference[];
}

interface Row {
  record: number;
  line: number;
  blocked: boolean;
  issues: Issue[];
  values: Map<string, string | null>;
}

/**
 * Reads a file in two ways, record beside record, as it would be staged, and says where the outcome differs. Nothing is
 * written; memory stays at two chunks of rows whatever the file.
 */
export function replay(before: ReplaySide, after: ReplaySide, shown = 20): Replayed {
  const result: Replayed = { before: noCounts(), after: noCounts(), changed: 0, differences: [] };
  const rows = [staged(before, result.before), staged(after, result.after)] as const;
  let [left, right] = rows.map((side) => next(side));
  while (left || right) {
    // Read in two ways the file may have more records in one than in the other.
    const record = Math.min(left?.record ?? Infinity, right?.record ?? Infinity);
    const one = left?.record === record ? left : null;
    const other = right?.record === record ? right : null;
    const found = difference(one, other);
    if (found) {
      result.changed++;
      if (result.differences.length < shown) result.differences.push(found);
    }
    if (one) left = next(rows[0]);
    if (other) right = next(rows[1]);
  }
  return result;
}

const noCounts = (): ReplayCounts => ({ accepted: 0, blocked: 0, rejected: 0, issues: {} });

function next(rows: Generator<Row>): Row | null {
  const step = rows.next();
  return step.done ? null : step.value;
}

function* staged(side: ReplaySide, counts: ReplayCounts): Generator<Row> {
  const { manifest, path, rules, comparisons } = side;
  const { canonicalDialect: dialect, columns, maxRecordBytes } = manifest;
  for (const segment of manifest.segments) {
    const chunks = parseSegment({ path, segment, dialect, columns, rules, comparisons, maxRecordBytes });
    let rest = '';
    for (;;) {
      const step = chunks.next();
      if (step.done) {
        const { accepted, blocked, rejected, issues } = step.value;
        counts.accepted += accepted - blocked;
        counts.blocked += blocked;
        counts.rejected += rejected;
        for (const [code, count] of Object.entries(issues))
          counts.issues[code] = (counts.issues[code] ?? 0) + count;
        break;
      }
      // A row is never cut within a character: chunks end with a row.
      const lines = (rest + step.value.toString('utf8')).split('\n');
      rest = lines.pop()!;
      for (const line of lines) yield rowOf(line, rules);
    }
  }
}

function rowOf(text: string, rules: FieldRule[]): Row {
  const [record, line, , , blocked, issues, , ...values] = text.split('\t').map(fromCopy);
  return {
    record: Number(record),
    line: Number(line),
    blocked: blocked === 't',
    issues: issues ? (JSON.parse(issues) as Issue[]) : [],
    values: new Map(rules.map(({ name }, index) => [name, values[index] ?? null])),
  };
}

function difference(before: Row | null, after: Row | null): ReplayDifference | null {
  const names = new Set([...(before?.values.keys() ?? []), ...(after?.values.keys() ?? [])]);
  const value = (row: Row | null, name: string) =>
    row === null || row.blocked ? null : (row.values.get(name) ?? null);
  const fields = [...names].flatMap((field) => {
    const [old, now] = [value(before, field), value(after, field)];
    return old === now ? [] : [{ field, before: old, after: now }];
  });
  const [old, now] = [issuesOf(before), issuesOf(after)];
  if (before && after && fields.length === 0 && JSON.stringify(old) === JSON.stringify(now)) return null;
  const { record, line } = (after ?? before)!;
  return { record, line, fields, before: old, after: now };
}

const issuesOf = (row: Row | null): ReplayedIssue[] =>
  row?.issues.map(({ field, code, severity, message }) => ({ field, code, severity, message })) ?? [];
