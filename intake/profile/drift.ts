import { normaliseName } from '../names.ts';
import type { HeaderDrift, ManifestColumn, Mapping } from '../types.ts';

/** Finds columns by the names that a profile has for them: the very name, else the only one that differs in writing. */
export function findColumn(columns: ManifestColumn[], header: string): number {
  const exact = columns.findIndex(({ name }) => name === header);
  if (exact >= 0) return exact;
  const normal = normaliseName(header);
  const alike = columns.flatMap(({ name }, index) => (normaliseName(name) === normal ? [index] : []));
  return normal !== '' && alike.length === 1 ? alike[0]! : -1;
}

/**
 * How a header differs from the one that a profile was made for. Names decide: a column that has only moved is said,
 * and does not stop a run; one that fed a field and is gone does.
 */
export function headerDrift(
  profile: Mapping,
  columns: ManifestColumn[],
  /** How likely a column has what this header had, 0 to 1. */
  likeness: (header: string, column: number, field: string | null) => number,
): HeaderDrift[] {
  const fields = new Map<string, string>();
  for (const { field, header, join } of profile.fields)
    for (const name of [header, ...(join?.headers ?? [])]) if (name !== undefined) fields.set(name, field);
  const known = profile.headers ?? [...fields.keys()];
  const places = known.map((header) => findColumn(columns, header));
  const missing = known.filter((_, index) => places[index]! < 0);
  const found = new Set(places);
  // Without the whole header of its file a profile cannot know what is new.
  const added = profile.headers
    ? columns.map(({ name }, index) => ({ name, index })).filter(({ index }) => !found.has(index))
    : [];

  const drift: HeaderDrift[] = [];
  const pairs = missing
    .flatMap((header) =>
      added.map(({ name, index }) => ({
        header,
        name,
        score: Math.max(
          likeness(header, index, fields.get(header) ?? null),
          // One column less and one more, in the same place.
          known.length === columns.length && known.indexOf(header) === index ? 0.6 : 0,
        ),
      })),
    )
    .filter(({ score }) => score >= 0.6)
    .sort((a, b) => b.score - a.score);
  const renamed = new Map<string, string>();
  for (const { header, name } of pairs)
    if (!renamed.has(header) && ![...renamed.values()].includes(name)) renamed.set(header, name);

  for (const header of missing) {
    const field = fields.get(header) ?? null;
    const now = renamed.get(header);
    const fed = field === null ? 'It fed no field.' : `It fed ${field}.`;
    drift.push({
      kind: now === undefined ? 'gone' : 'renamed',
      header,
      ...(now === undefined ? {} : { now }),
      field,
      stops: field !== null,
      message:
        now === undefined
          ? `Column "${header}" is gone. ${fed}`
          : `Column "${header}" is gone; it may be called "${now}" now. ${fed}`,
    });
  }
  const refused = profile.rules?.unknownColumns === 'refuse';
  for (const { name } of added) {
    if ([...renamed.values()].includes(name)) continue;
    const fate = refused
      ? 'The profile refuses unknown columns.'
      : typeof profile.rules?.unknownColumns === 'object'
        ? `It is kept in ${profile.rules.unknownColumns.keepIn}.`
        : 'It is left out.';
    drift.push({
      kind: 'new',
      header: name,
      field: null,
      stops: refused,
      message: `Column "${name}" is new. ${fate}`,
    });
  }
  for (const header of moved(known, places))
    drift.push({
      kind: 'moved',
      header,
      field: fields.get(header) ?? null,
      stops: false,
      message: `Column "${header}" stands elsewhere now. It was found by its name.`,
    });
  return drift;
}

/** Columns that are no longer in their order: those outside the longest run that still is. */
function moved(known: string[], places: number[]): string[] {
  const there = known
    .map((header, index) => ({ header, place: places[index]! }))
    .filter(({ place }) => place >= 0);
  const length = there.map(() => 1);
  const before = there.map(() => -1);
  there.forEach(({ place }, index) => {
    for (let other = 0; other < index; other++)
      if (there[other]!.place < place && length[other]! + 1 > length[index]!) {
        length[index] = length[other]! + 1;
        before[index] = other;
      }
  });
  const kept = new Set<number>();
  for (let at = length.indexOf(Math.max(0, ...length)); at >= 0; at = before[at]!) kept.add(at);
  return there.filter((_, index) => !kept.has(index)).map(({ header }) => header);
}
