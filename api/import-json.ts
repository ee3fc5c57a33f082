import type * as z from 'zod';
import { findImportDetails, type StoredImport, type StoredPhase } from '../db/imports.ts';
import { findProgress } from '../db/progress.ts';
import { retentionFrom } from '../db/retention.ts';
import { shownFileName } from '../intake/file-name.ts';
import type { ApiDeps } from './deps.ts';
import { accountingOf } from './progress.ts';
import type { Import, ImportSummary } from './schemas/imports.ts';

type ImportJson = z.input<typeof Import>;
type SummaryJson = z.input<typeof ImportSummary>;

const iso = (date: Date | null): string | null => date?.toISOString() ?? null;

const { revertSeconds } = retentionFrom(process.env);

/** True once there is a file to run on: it was accepted, or the run fetches it by itself. */
const hasFile = (i: StoredImport): boolean => i.objectEtag !== null || i.source.kind !== 'upload';

/** Its file lies in quarantine, or did: there is nothing left to run it on. */
export const isQuarantined = (i: StoredImport): boolean => i.error?.code === 'quarantined';

/** What may be asked of an import as it stands; what is not here is answered with 409. */
export function actionsOf(i: StoredImport): ImportJson['actions'] {
  switch (i.status) {
    case 'uploading':
      return ['cancel'];
    case 'queued':
    case 'running':
      return ['pause', 'cancel'];
    case 'paused':
      return ['resume', 'cancel'];
    case 'waiting':
      return i.waitingFor?.what === 'mapping'
        ? ['confirm-mapping', 'cancel', 'discard']
        : ['approve', 'discard', 'cancel'];
    case 'reverting':
      return i.waitingFor?.what === 'resume' ? ['resume', 'cancel'] : ['pause', 'cancel'];
    case 'failed':
    case 'cancelled':
    case 'unproven':
      return [...(hasFile(i) && !isQuarantined(i) ? ['retry' as const] : []), ...undoing(i)];
    default:
      return undoing(i);
  }
}

/** What was changed can be undone for a while. */
function undoing(i: StoredImport): 'revert'[] {
  const changes = ['created', 'updated', 'deactivated', 'deleted'];
  const changed = changes.reduce((sum, change) => sum + (i.accounting?.[change] ?? 0), 0);
  const ended = i.finishedAt?.getTime() ?? 0;
  return changed > 0 && Date.now() < ended + revertSeconds * 1000 ? ['revert'] : [];
}

/** An import in a list. */
export function summaryOf(i: StoredImport): SummaryJson {
  return {
    id: i.id,
    dataset: i.dataset,
    fileName: shownFileName(i.fileName),
    status: i.status as SummaryJson['status'],
    phase: i.finishedAt ? null : (i.phase as SummaryJson['phase']),
    waitingFor: i.waitingFor,
    accounting: i.accounting as SummaryJson['accounting'],
    bytes: i.bytes,
    policy: i.policy,
    mode: i.mode,
    allOr: i.allOr ?? (i.planVersion === 0 && i.options['atomic'] === true ? 'nothing' : null),
    createdBy: i.createdBy,
    createdAt: i.createdAt.toISOString(),
    startedAt: iso(i.startedAt),
    finishedAt: iso(i.finishedAt),
    updatedAt: i.updatedAt.toISOString(),
    error: i.error,
  };
}

export const phaseJson = (phase: StoredPhase): ImportJson['phases'][number] => ({
  name: phase.name as ImportJson['phases'][number]['name'],
  startedAt: phase.startedAt.toISOString(),
  finishedAt: iso(phase.finishedAt),
});

/** One import with everything that its page shows. */
export async function importJson(deps: ApiDeps, i: StoredImport): Promise<ImportJson> {
  const { temporalUi, temporalNamespace } = deps.config;
  const [details, progress] = await Promise.all([
    findImportDetails(deps.sql, i.id),
    i.accounting ? null : findProgress(deps.sql, i.id),
  ]);
  const id = encodeURIComponent(i.id);
  return {
    ...summaryOf(i),
    accounting: (i.accounting as ImportJson['accounting']) ?? (progress && accountingOf(progress)),
    profile:
      i.profile !== null && i.profileVersion !== null ? { name: i.profile, version: i.profileVersion } : null,
    sha256: i.sha256,
    contentSha256: i.contentSha256,
    phases: details.phases.map(phaseJson),
    plan: details.plan && { version: details.plan.version, digest: details.plan.digest },
    planCounts: details.plan?.counts ?? null,
    guard: details.plan?.guard ?? null,
    issues: { errors: details.errors, warnings: details.warnings },
    errorReportUrl: i.errorReportKey === null ? null : `/api/imports/${id}/issues.csv`,
    proofUrl: i.proofKey === null ? null : `/api/imports/${id}/proof`,
    workflowUrl:
      temporalUi && i.status !== 'uploading'
        ? `${temporalUi.replace(/\/$/, '')}/namespaces/${encodeURIComponent(temporalNamespace)}/workflows/${id}`
        : null,
    actions: actionsOf(i),
  };
}
