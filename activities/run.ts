import { Context } from '@temporalio/activity';
import { withCancellable } from '../db/connect.ts';
import { findImport, type ImportRow } from '../db/control.ts';
import { fileOptionsOf, findProfile } from '../db/profiles.ts';
import type { WrittenField } from '../db/apply-program.ts';
import { describeTarget, type Target } from '../db/target.ts';
import type { MissingRequest } from '../db/missing.ts';
import type { PlanRequest } from '../db/plan.ts';
import type { ProvisionalKey } from '../db/provisional-key.ts';
import type { Dataset } from '../datasets/types.ts';
import { findDataset } from '../db/datasets.ts';
import { fieldFits } from '../datasets/field-fits.ts';
import { keyedFields, readerRules } from '../datasets/reader-rules.ts';
import { planRules } from '../db/rules-of-plan.ts';
import { rulesFrom } from '../intake/mapping.ts';
import { missingFaults, type GuardLimits, type MissingRows } from '../intake/missing.ts';
import type { CompareRule } from '../intake/rules/types.ts';
import { moveMapping } from '../intake/moved-mapping.ts';
import type { FieldRule, Manifest, ProfileRules } from '../intake/types.ts';
import { rebuildCanonical } from '../intake/ensure-canonical.ts';
import { access } from 'node:fs/promises';
import { ImportRefused } from './guarded.ts';
import type { ActivityDeps } from './deps.ts';

/** Over either of these an import takes its tenant's slot for heavy ones. */
const HEAVY = { rows: 100_000, bytes: 50 * 1024 * 1024 };

export const isHeavy = ({ fair }: ActivityDeps, rows: number, bytes: number): boolean =>
  fair && (rows > HEAVY.rows || bytes > HEAVY.bytes);

/** What every activity of a run is called with. */
export interface RunInput {
  importId: string;
  epoch: number;
  /** Where the run is, and the number of phases since its claim: the first activity of a phase makes it known. */
  phase?: { name: string; nth: number };
}

export async function readImport(deps: ActivityDeps, importId: string): Promise<ImportRow> {
  const row = await findImport(deps.pool, importId);
  if (!row) throw new ImportRefused('unknown_import', `There is no import ${importId}.`);
  return row;
}

export async function datasetOf(deps: ActivityDeps, row: ImportRow): Promise<Dataset> {
  const dataset = await findDataset(deps.pool, row.tenant_id, row.dataset, row.dataset_version);
  if (!dataset) throw new ImportRefused('unknown_dataset', `There is no dataset ${row.dataset}.`);
  return dataset;
}

/** In an activity: where somebody has locked the table, it lets go when the activity has to. */
export const targetOf = (deps: ActivityDeps, dataset: Dataset, tenantId: string): Promise<Target> =>
  withCancellable(deps.pool, Context.current().cancellationSignal, (client) =>
    describeTarget(client, dataset.target.schema, dataset.target.table, dataset.key.index, tenantId),
  );

export async function readManifest(deps: ActivityDeps, row: ImportRow): Promise<Manifest> {
  const chunks: Buffer[] = [];
  for await (const chunk of await deps.store.read(row.manifest_key!)) chunks.push(chunk);
  return JSON.parse(Buffer.concat(chunks).toString('utf8')) as Manifest;
}

/** Rules for the reader and fields for the writer, from the profile that is pinned to the import. */
export async function settledFields(
  deps: ActivityDeps,
  row: ImportRow,
  dataset: Dataset,
  target: Target,
  manifest: Manifest,
): Promise<{ rules: FieldRule[]; fields: WrittenField[]; profile: ProfileRules }> {
  const profile =
    row.profile &&
    (await findProfile(deps.pool, row.tenant_id, row.dataset, row.profile, row.profile_version));
  if (!profile) throw new Error(`import ${row.import_id} has no profile yet`);
  const mapping = moveMapping(profile.mapping, manifest.columns);
  if (!mapping)
    throw new ImportRefused(
      'profile_mismatch',
      `The file has not all the columns of profile ${profile.name}, version ${profile.version}. Import it again, to be asked about them.`,
    );
  const columnOf = (rule: FieldRule) => {
    const { column } = dataset.fields.find((field) => field.name === rule.name)!;
    const found = target.columns.find((c) => c.name === column);
    if (found && fieldFits(rule.type, found.shape)) return found;
    throw new ImportRefused(
      'target_changed',
      found
        ? `The column ${column} of ${target.schema}.${target.table} is ${found.type} now; the dataset takes it for ${rule.type}. Save the dataset anew.`
        : `The table ${target.schema}.${target.table} has no column ${column} (any more).`,
    );
  };
  // Beside the dataset's own rules the reader keeps to what the columns can hold as they are today.
  const today = row.created_at.toISOString().slice(0, 10);
  const rules = readerRules(
    rulesFrom(mapping, dataset.fields, dataset.key.fields),
    (rule) => columnOf(rule).shape.limits,
    today,
  );
  const fields = rules.map((rule): WrittenField => {
    const { name: column, type, shape } = columnOf(rule);
    const number = rule.type === 'integer' || rule.type === 'decimal';
    return {
      column,
      type,
      ...(shape.known ? {} : { staged: 'text' }),
      empty: rule.empty === 'clear' ? 'clear' : 'keep',
      key: rule.key,
      add: row.mode === 'add' && number && !rule.key,
    };
  });
  return { rules, fields, profile: mapping.rules ?? {} };
}

/** Only where one field alone is the key, and the file carries what is asked instead. */
function provisionalKey(
  dataset: Dataset,
  rules: FieldRule[],
  { provisionalKey: by }: ProfileRules,
): ProvisionalKey | null {
  const carried = (name: string) => {
    const field = dataset.fields.find((one) => one.name === name);
    return field && rules.some((rule) => rule.name === name) ? [{ field: name, column: field.column }] : [];
  };
  const [key, ...more] = dataset.key.fields.flatMap(carried);
  const fields = by?.flatMap(carried) ?? [];
  return key && more.length === 0 && fields.length > 0 && fields.length === by!.length
    ? { key, by: fields }
    : null;
}

/** Rules over several fields of one row, for the reader. */
export const comparisonsOf = (dataset: Dataset): CompareRule[] =>
  (dataset.rules ?? []).filter((rule) => rule.kind === 'compare');

/** Counts how often the file was inspected: a person may say that it has to be read in another way. */
export const inspectionOf = (row: ImportRow): number => Number(row.options['inspection'] ?? 1);

/** This host's copies of the file. What an earlier inspection made of it in another encoding is none of this one. */
export async function spoolOf(deps: ActivityDeps, row: ImportRow) {
  const spool = await deps.spool.open(row.import_id);
  const inspection = inspectionOf(row);
  return inspection === 1 ? spool : { ...spool, canonicalPath: `${spool.canonicalPath}-${inspection}` };
}

/** Path of the canonical bytes on this host; spooled anew where they are not there. */
export async function canonicalPath(
  deps: ActivityDeps,
  row: ImportRow,
  manifest: Manifest,
  signal?: AbortSignal,
): Promise<string> {
  const spool = await spoolOf(deps, row);
  const path = manifest.canonical === 'raw' ? spool.rawPath : spool.canonicalPath;
  try {
    await access(path);
    return path;
  } catch {
    const source = await deps.store.read(row.object_key!, { etag: row.object_etag ?? undefined, signal });
    return rebuildCanonical({ source, manifest, spool, signal });
  }
}

/** What the import does with records that its file does not have; null where it leaves them alone. */
function missingOf(row: ImportRow, dataset: Dataset, profile: ProfileRules): MissingRequest | null {
  const said = (row.options['missing'] as MissingRows | undefined) ?? profile.missing;
  if (!said || said.action === 'ignore') return null;
  const [fault] = missingFaults(said, keyedFields(dataset), row.mode);
  if (fault !== undefined) throw new ImportRefused('missing_not_possible', fault);
  const columnOf = (name: string) => dataset.fields.find((field) => field.name === name)!.column;
  const { action, scope, inactive } = said;
  return {
    action,
    scope: Array.isArray(scope)
      ? scope.map(({ field, ...condition }) => ({ ...condition, column: columnOf(field) }))
      : { profile: row.profile, syncId: row.sync_id },
    inactive:
      action === 'deactivate'
        ? {
            column: columnOf(inactive!.field),
            value: inactive!.value === null ? null : String(inactive!.value),
          }
        : null,
  };
}

/** Everything that planning and rebasing ask for. */
export async function planRequest(
  deps: ActivityDeps,
  input: RunInput,
  manifest?: Manifest,
): Promise<PlanRequest & { atomic: boolean; limits: GuardLimits }> {
  const row = await readImport(deps, input.importId);
  const whole = await datasetOf(deps, row);
  const target = await targetOf(deps, whole, row.tenant_id);
  const file = manifest ?? (await readManifest(deps, row));
  const { rules, fields, profile } = await settledFields(deps, row, whole, target, file);
  const dataset = { ...whole, duplicates: profile.duplicates ?? whole.duplicates };
  const headerOf = (field: string): string | null => {
    const column = rules.find(({ name }) => name === field)?.column ?? null;
    return column === null ? null : (file.columns[column]?.name ?? null);
  };
  return {
    importId: row.import_id,
    lockKey: row.lock_key,
    tenantId: row.tenant_id,
    epoch: input.epoch,
    incarnation: row.incarnation,
    dataset,
    fields,
    target,
    provisional: provisionalKey(dataset, rules, profile),
    rules: await planRules(deps.pool, { tenantId: row.tenant_id, dataset, target, fields, headerOf }),
    manifest: file,
    mode: row.mode,
    policy: row.policy,
    missing: missingOf(row, dataset, profile),
    sheetNamed: (fileOptionsOf(row.options).sheet ?? profile.reading?.sheet) !== undefined,
    limits: (row.options['guard'] as GuardLimits | undefined) ?? profile.guard ?? {},
    atomic: (row.options['atomic'] as boolean | undefined) ?? profile.atomic ?? false,
  };
}
