import { ApplicationFailure } from '@temporalio/activity';
import { undoWhatIsNotWhole } from '../db/all-or.ts';
import { approvePlan } from '../db/approve.ts';
import {
  claimImport,
  finishImport,
  nextInLine,
  pendingBatches,
  requestStop,
  resumeImport,
  takeTurn,
  waitForPerson,
  type BatchRange,
  type TurnAnswer,
} from '../db/control.ts';
import { headerDigest, pinProfile, readAnew, type FileOptionsJson } from '../db/profiles.ts';
import { dropStaging } from '../db/staging.ts';
import { shownFileName } from '../intake/file-name.ts';
import { checkMapping, withHeaders } from '../intake/mapping.ts';
import type { Mapping } from '../intake/types.ts';
import { objectKeys } from '../storage/keys.ts';
import type { ActivityDeps } from './deps.ts';
import { refuseDuplicate } from './duplicate.ts';
import type { Planned } from './load.ts';
import { countRun, countWait } from './metrics.ts';
import { datasetOf, isHeavy, readImport, readManifest, type RunInput } from './run.ts';

/** What the workflow knows of its import after a claim; where it goes on from is in it. */
export interface Claimed {
  epoch: number;
  status: string;
  tenantId: string;
  dataset: string;
  fileName: string;
  policy: string;
  approvedWave: number | null;
  /** The plan that waits for approval, with what the guard said of it. */
  plan: Planned | null;
  heavy: boolean;
}

/** Quick, database-only activities, on the control queue: a pause must not wait behind a load. */
export function createControlActivities(deps: ActivityDeps) {
  const { pool } = deps;
  const wakeNext = async () => deps.wake(await nextInLine(pool));
  return {
    /** Takes the import for this workflow run; null where it is over. */
    async claim(input: { importId: string; runId: string }): Promise<Claimed | null> {
      const row = await claimImport(pool, input.importId, input.runId);
      if (!row) return null;
      const more = (
        await pool.query<{ wave: number | null; plan: Planned | null }>(
          `select (select max(wave) from waybill.waves w where w.import_id = $1 and w.plan_version = $2) as wave,
             (select jsonb_build_object('version', version, 'digest', digest, 'counts', counts,
                'reasons', coalesce(guard -> 'reasons', to_jsonb(hold))) from waybill.plans where import_id = $1 and version = $2
                -- A plan that was not judged yet is made again, not let pass.
                and judged_at is not null) as plan`,
          [input.importId, row.plan_version],
        )
      ).rows[0]!;
      return {
        epoch: row.epoch,
        status: row.status,
        tenantId: row.tenant_id,
        dataset: row.dataset,
        fileName: shownFileName(row.file_name),
        policy: row.policy,
        approvedWave: more.wave,
        plan: more.plan,
        heavy: isHeavy(deps, (row.input_accepted ?? 0) + (row.input_rejected ?? 0), row.file_size ?? 0),
      };
    },

    /** How the import stands, and whether this workflow run is the one that Temporal would let go on with it. */
    async look(input: {
      importId: string;
      workflowId: string;
      runId: string;
    }): Promise<{ status: string; current: boolean; error: string | null }> {
      const row = await readImport(deps, input.importId);
      const current = (await deps.currentRun(input.workflowId)) === input.runId;
      return { status: row.status, current, error: row.error?.message ?? null };
    },

    async turn(input: RunInput & { kind: 'turn' | 'slot' }): Promise<TurnAnswer> {
      const row = await readImport(deps, input.importId);
      const name = input.kind === 'slot' ? `slot:${row.tenant_id}` : row.turn!;
      const answer = await takeTurn(pool, input.importId, input.epoch, name, input.kind);
      if (answer.held) await countWait(pool, input.importId, name);
      return answer;
    },

    async stop(input: {
      importId: string;
      what: 'pause' | 'cancel';
      actor: string;
      reason?: string;
    }): Promise<string> {
      const row = await requestStop(pool, input);
      await wakeNext();
      return row?.status ?? 'unknown';
    },

    async resume(input: { importId: string; actor: string }): Promise<string> {
      return (await resumeImport(pool, input.importId, input.actor))?.status ?? 'unknown';
    },

    async wait(input: RunInput & { what: object }): Promise<void> {
      await waitForPerson(pool, input.importId, input.epoch, input.what);
      await wakeNext();
    },

    /** `null`: the outage is over. */
    async noteOutage(input: RunInput & { outage: object | null }): Promise<void> {
      await pool.query(
        `update waybill.imports set waiting_for = $3 where import_id = $1 and epoch = $2 and status in ('running', 'reverting')`,
        [input.importId, input.epoch, input.outage && JSON.stringify(input.outage)],
      );
    },

    async approve(
      input: RunInput & { plan: { version: number; digest: string }; actor: string; endsWait: boolean },
    ): Promise<void> {
      await approvePlan(pool, {
        importId: input.importId,
        epoch: input.epoch,
        ...input.plan,
        actor: input.actor,
        endsWait: input.endsWait,
      });
    },

    /**
     * Checks and pins the mapping that a person settled. A mapping that cannot be used fails with its sentences.
     * With `options` the file is read anew first, and the mapping waits for it.
     */
    async confirm(
      input: RunInput & { mapping: Mapping; actor: string; saveAs?: string; options?: FileOptionsJson },
    ): Promise<void> {
      const { importId, epoch, mapping, actor, saveAs, options } = input;
      if (options) {
        await readAnew(pool, {
          importId,
          epoch,
          options,
          answer: { mapping, actor, ...(saveAs === undefined ? {} : { saveAs }) },
        });
        return;
      }
      const row = await readImport(deps, importId);
      const dataset = await datasetOf(deps, row);
      const manifest = await readManifest(deps, row);
      const wrong = checkMapping(input.mapping, dataset.fields, manifest.columns.length);
      if (wrong.length > 0) {
        throw ApplicationFailure.nonRetryable(
          wrong.map((issue) => issue.message).join(' '),
          'MappingRefused',
          { issues: wrong },
        );
      }
      const fields = input.mapping.fields.map((field) => ({
        ...field,
        confidence: 1,
        reason: 'confirmed' as const,
      }));
      const digest = headerDigest(manifest);
      await pinProfile(pool, {
        importId: row.import_id,
        tenantId: row.tenant_id,
        dataset: row.dataset,
        name: saveAs ?? (row.options['profile'] as string | undefined) ?? `header-${digest.slice(0, 12)}`,
        digest,
        mapping: withHeaders(
          {
            fields,
            unmappedColumns: input.mapping.unmappedColumns ?? [],
            questions: [],
            ...(input.mapping.rules && { rules: input.mapping.rules }),
          },
          manifest.columns,
        ),
        madeBy: input.actor,
        byPerson: true,
        answers: { epoch: input.epoch },
      });
    },

    async pending(input: RunInput): Promise<{
      wave: number;
      lanes: number;
      ranges: BatchRange[];
      /** Of missing records, where there are any: after all of `ranges`. */
      missing?: BatchRange[];
      /** All of them in one transaction. */
      whole?: true;
    } | null> {
      const found = await pendingBatches(pool, input.importId);
      if (!found) return null;
      const { missing, ...file } = found;
      const program = (
        await pool.query<{ lanes: number; whole: boolean; begins: boolean }>(
          `select case when i.one_lane then 1 else coalesce((p.program ->> 'lanes')::int, 1) end as lanes,
             i.all_or is not distinct from 'nothing' as whole,
             i.mode = 'add' and not exists (select from waybill.receipts r where r.import_id = i.import_id) as begins
           from waybill.imports i
           join waybill.plans p on p.import_id = i.import_id and p.version = i.plan_version where i.import_id = $1`,
          [input.importId],
        )
      ).rows[0];
      // Two of the same file may both have waited for this turn. What comes second would be added once more.
      if (program?.begins) {
        const row = await readImport(deps, input.importId);
        await refuseDuplicate(pool, row, { name: row.profile!, version: row.profile_version! });
      }
      if (program?.whole) {
        const all = [...file.ranges, ...missing];
        const [first, last] = [all[0]?.first, all.at(-1)?.last];
        const rows = all.reduce((sum, range) => sum + range.rows, 0);
        const ranges = first === undefined ? [] : [{ first, last: last!, rows }];
        return { ...file, ranges, lanes: 1, whole: true };
      }
      const lanes = Math.min(program?.lanes ?? 1, deps.throttle.lanes);
      return { ...file, ...(missing.length > 0 && { missing }), lanes };
    },

    async fail(input: RunInput & { error: { code: string; message: string } }): Promise<string> {
      const ended = await finishImport(pool, input);
      await countRun(pool, input.importId);
      return ended?.status ?? 'unknown';
    },

    /** However the run ended: nothing of it stays behind but its plan, its ledger and its files. */
    async cleanUp(input: { importId: string }): Promise<{ status: string }> {
      const row = await readImport(deps, input.importId);
      await wakeNext();
      await dropStaging(pool, row.lock_key);
      await deps.spool.drop(input.importId);
      await pool.query('delete from waybill.progress where import_id = $1', [input.importId]);
      const upload = await pool.query<{ id: string }>(
        `update waybill.uploads set aborted_at = now() where import_id = $1 and completed_at is null and aborted_at is null
         returning store_upload_id as id`,
        [input.importId],
      );
      if (upload.rows[0])
        await deps.store.abortUpload(objectKeys(row.tenant_id, row.import_id).source, upload.rows[0].id);
      if (await undoWhatIsNotWhole(pool, input.importId)) await deps.startRevert(row);
      return { status: (await readImport(deps, input.importId)).status };
    },
  };
}
