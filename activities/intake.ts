import { randomUUID } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { mkdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { Context } from '@temporalio/activity';
import { noteProgress, type ImportRow } from '../db/control.ts';
import {
  confirmedMapping,
  fileOptionsOf,
  findProfile,
  headerDigest,
  pinProfile,
  pinVersion,
  readingOf,
} from '../db/profiles.ts';
import { commonIssue, recordStagedIssues, stagedReportRows, stagedTally } from '../db/staged-issues.ts';
import { createStaging, stagedSegments, stageSegment } from '../db/staging.ts';
import { turnOf } from '../db/target.ts';
import { reportColumns } from '../intake/error-report.ts';
import { inspectFile } from '../intake/inspect.ts';
import { checkMapping, proposeMapping, thresholdFrom, withHeaders } from '../intake/mapping.ts';
import { moveMapping } from '../intake/moved-mapping.ts';
import { countInFile, takesCertainWords } from '../intake/profile/unmapped-values.ts';
import { withSaidTypes } from '../intake/said-types.ts';
import { sheetQuestion } from '../intake/sheet-question.ts';
import type { Manifest } from '../intake/types.ts';
import {
  add,
  badRowsFrom,
  everyRowBadMessage,
  everyRowIsBad,
  unreadRowsNote,
} from '../intake/rules/every-row-bad.ts';
import { objectKeys } from '../storage/keys.ts';
import type { ActivityDeps } from './deps.ts';
import { refuseDuplicate } from './duplicate.ts';
import { errorReport } from './error-report.ts';
import { ImportRefused } from './guarded.ts';
import { passScanner, refuseQuarantined } from './scan.ts';
import {
  canonicalPath,
  comparisonsOf,
  datasetOf,
  inspectionOf,
  isHeavy,
  readImport,
  readManifest,
  settledFields,
  spoolOf,
  targetOf,
  type RunInput,
} from './run.ts';

/** Two connections copy at once: the second one brings more than the second parser thread (docs, hot path). */
const STAGING_LANES = 2;
const SPOOL_READ_BYTES = 256 * 1024;

/** What the workflow has to know of an inspected file. */
export interface Inspected {
  rows: number;
  rejected: number;
  heavy: boolean;
  hostQueue: string;
}

/** Bytes to records to staged rows: download, inspect, map, stage. */
export function createIntakeActivities(deps: ActivityDeps) {
  const { pool, store } = deps;
  const badRows = badRowsFrom(process.env);
  const threshold = thresholdFrom(process.env);

  /** Ends a run of which no row is good: the one reason that explains most, the first issues, and a report of what was read. */
  async function giveUp(row: ImportRow, manifest: Manifest, signal: AbortSignal): Promise<never> {
    const { import_id, lock_key, incarnation } = row;
    // Another lane may have staged more meanwhile: all of it is reported.
    const tally = await stagedTally(pool, lock_key, incarnation);
    await recordStagedIssues(pool, import_id, lock_key, incarnation);
    const rows = stagedReportRows(pool, lock_key, incarnation);
    const note = unreadRowsNote(tally, manifest.rows + manifest.rejected);
    const key = objectKeys(row.tenant_id, import_id).errors;
    await store.write(key, Readable.from(errorReport(deps, row, manifest, rows, signal, note)), {
      contentType: 'text/csv; charset=utf-8',
      signal,
    });
    await pool.query('update waybill.imports set error_report_key = $2 where import_id = $1 and epoch = $3', [
      import_id,
      key,
      row.epoch,
    ]);
    const common = await commonIssue(pool, lock_key, incarnation);
    throw new ImportRefused('every_row_bad', everyRowBadMessage(tally, common), { issue: common });
  }

  return {
    /** Makes sure that the object is there and is the one that was accepted. */
    async download(input: RunInput): Promise<{ bytes: number }> {
      const row = await readImport(deps, input.importId);
      const object = row.object_key === null ? null : await store.stat(row.object_key);
      if (!object) await refuseQuarantined(deps, row);
      if (!object)
        throw new ImportRefused(
          'object_missing',
          'The uploaded file is not there (any more). Upload it again.',
        );
      if (
        (row.object_etag !== null && object.etag !== row.object_etag) ||
        (row.file_size !== null && object.size !== row.file_size)
      ) {
        throw new ImportRefused(
          'object_changed',
          'The stored file is not the one that was uploaded. Upload it again.',
        );
      }
      await pool.query(
        'update waybill.imports set object_etag = coalesce(object_etag, $2), file_size = coalesce(file_size, $3) where import_id = $1',
        [input.importId, object.etag, object.size],
      );
      return { bytes: object.size };
    },

    async inspect(input: RunInput): Promise<Inspected> {
      const row = await readImport(deps, input.importId);
      const signal = Context.current().cancellationSignal;
      const answer = (rows: number, rejected: number, bytes: number) => ({
        rows,
        rejected,
        heavy: isHeavy(deps, rows + rejected, bytes),
        hostQueue: deps.hostQueue,
      });
      if (row.manifest_key !== null)
        return answer(row.input_accepted!, row.input_rejected!, row.file_size ?? 0);

      // Under names of its own until it is whole: a late zombie of an earlier attempt may still be writing.
      const spool = await spoolOf(deps, row);
      const attempt = join(spool.folder, randomUUID());
      await mkdir(attempt);
      let noted = 0;
      try {
        const rawPath = join(attempt, 'raw');
        const scanned = deps.scanner !== null;
        if (scanned) await refuseQuarantined(deps, row);
        let source = await store.read(row.object_key!, { etag: row.object_etag ?? undefined, signal });
        if (deps.scanner) {
          await pipeline(source, createWriteStream(rawPath), { signal });
          await passScanner(deps, deps.scanner, row, rawPath, signal);
          source = createReadStream(rawPath, { highWaterMark: SPOOL_READ_BYTES });
        }
        const options = await readingOf(pool, {
          tenantId: row.tenant_id,
          dataset: row.dataset,
          options: row.options,
        });
        const inspected = await inspectFile({
          source,
          spool: { rawPath, canonicalPath: join(attempt, 'canonical'), rawIsSource: scanned },
          fileName: row.file_name,
          options,
          signal,
          onProgress({ bytesRead, records }) {
            if (Date.now() - noted < 400) return;
            noted = Date.now();
            // A hint for the eye: if it cannot be written now the next one will.
            noteProgress(pool, input.importId, { bytesRead, bytesTotal: row.file_size, records }).catch(
              (error: unknown) => deps.log.debug({ err: error }, 'progress not noted'),
            );
          },
        });
        const manifest = withSaidTypes(inspected, options.types);
        if (row.file_sha256 !== null && row.file_sha256 !== manifest.sha256) {
          throw new ImportRefused(
            'sha256_mismatch',
            'The file arrived changed: its SHA-256 is not the one given at upload. Upload it again.',
          );
        }
        const [from, to] =
          manifest.canonical === 'raw' ? ['raw', spool.rawPath] : ['canonical', spool.canonicalPath];
        await rename(join(attempt, from), to);
        const key = objectKeys(row.tenant_id, row.import_id).manifest(inspectionOf(row));
        await store.write(key, Buffer.from(JSON.stringify(manifest)), { contentType: 'application/json' });
        await pool.query(
          `update waybill.imports set manifest_key = $3, file_sha256 = $4, content_sha256 = $5, input_accepted = $6, input_rejected = $7
           where import_id = $1 and epoch = $2 and options = $8`,
          [
            input.importId,
            input.epoch,
            key,
            manifest.sha256,
            manifest.contentSha256,
            manifest.rows,
            manifest.rejected,
            JSON.stringify(row.options),
          ],
        );
        return answer(manifest.rows, manifest.rejected, manifest.bytes);
      } finally {
        await rm(attempt, { recursive: true, force: true });
      }
    },

    /** Settles which column feeds which field, or says what a person has to answer. Ends a run that was done before. */
    async map(input: RunInput): Promise<{ settled: boolean; questions: string[] }> {
      const signal = Context.current().cancellationSignal;
      const row = await readImport(deps, input.importId);
      const dataset = await datasetOf(deps, row);
      const target = await targetOf(deps, dataset, row.tenant_id);
      const manifest = await readManifest(deps, row);
      let pinned =
        row.profile !== null && row.profile_version !== null
          ? { name: row.profile, version: row.profile_version }
          : null;
      if (!pinned) {
        const digest = headerDigest(manifest);
        const pin = { importId: row.import_id, tenantId: row.tenant_id, dataset: row.dataset, digest };
        const named = row.options['profile'] as string | undefined;
        const name = named ?? `header-${digest.slice(0, 12)}`;
        const answer = row.mapping_proposal?.answer;
        const answered = answer && moveMapping(answer.mapping, manifest.columns);
        const usable =
          answered && checkMapping(answered, dataset.fields, manifest.columns.length).length === 0;
        const chosen = named ? await findProfile(pool, row.tenant_id, row.dataset, named) : null;
        const remembered =
          answer?.mapping ??
          chosen?.mapping ??
          (await confirmedMapping(
            pool,
            row.tenant_id,
            row.dataset,
            digest,
            reportColumns(manifest.columns) > 0,
          ));
        const proposal = usable ? answered : proposeMapping(manifest, dataset.fields, remembered, threshold);
        if (answer && !usable) {
          proposal.questions.push({
            field: '',
            code: 'drift',
            message:
              'Read as you said, the whole file has other columns than its beginning showed. Look at them again.',
          });
        }
        // A person who is there is asked; elsewhere the first sheet with rows is taken, with a warning.
        const sheet =
          row.options['ask'] === true && !remembered
            ? sheetQuestion(manifest, fileOptionsOf(row.options))
            : null;
        if (sheet) proposal.questions.unshift(sheet);
        // A person will look: at the words of the whole file, not of its first rows.
        const counted =
          proposal.questions.length > 0 && takesCertainWords(proposal, dataset.fields)
            ? await countInFile(proposal, {
                manifest,
                path: await canonicalPath(deps, row, manifest, signal),
                fields: dataset.fields,
                signal,
              })
            : proposal;
        const stored = usable ? { ...proposal, answer } : counted;
        await pool.query('update waybill.imports set mapping_proposal = $2, turn = $3 where import_id = $1', [
          input.importId,
          JSON.stringify(stored),
          turnOf(target, row.tenant_id),
        ]);
        if (proposal.questions.length > 0)
          return { settled: false, questions: proposal.questions.map((question) => question.message) };
        // A profile that answers for everything stays the version that it is.
        const known = new Set(chosen?.mapping.fields.map(({ field }) => field));
        const answersAll = proposal.fields.every(({ field, column }) => column === null || known.has(field));
        if (chosen && !answer && answersAll) pinned = await pinVersion(pool, row.import_id, chosen);
        pinned ??= await pinProfile(pool, {
          ...pin,
          name: answer?.saveAs ?? name,
          mapping: withHeaders(proposal, manifest.columns),
          madeBy: answer?.actor ?? 'waybill',
          byPerson: answer !== undefined,
        });
      }
      await refuseDuplicate(pool, row, pinned);
      return { settled: true, questions: [] };
    },

    /** Stages every segment that has no mark yet. Stops at the next segment when the run is stopped. */
    async stage(input: RunInput): Promise<{ segments: number }> {
      const signal = Context.current().cancellationSignal;
      let row = await readImport(deps, input.importId);
      const dataset = await datasetOf(deps, row);
      const target = await targetOf(deps, dataset, row.tenant_id);
      const manifest = await readManifest(deps, row);
      const { rules, fields } = await settledFields(deps, row, dataset, target, manifest);
      if (row.incarnation === 0) {
        await pool.query(
          'update waybill.imports set incarnation = 1 where import_id = $1 and incarnation = 0',
          [input.importId],
        );
        row = await readImport(deps, input.importId);
      }
      await createStaging(pool, row.lock_key, row.incarnation, fields, input);
      let tally = await stagedTally(pool, row.lock_key, row.incarnation);
      if (everyRowIsBad(tally, badRows)) await giveUp(row, manifest, signal);
      const done = await stagedSegments(pool, row.lock_key, row.incarnation);
      const waiting = manifest.segments.filter((segment) => !done.has(segment.index));
      if (waiting.length === 0) return { segments: 0 };
      const path = await canonicalPath(deps, row, manifest, signal);

      // The first failure stops the other lane too: it would only find the same.
      const failed = new AbortController();
      const stop = AbortSignal.any([signal, failed.signal]);
      let next = 0;
      let givingUp: Promise<never> | null = null;
      const lane = async () => {
        for (let segment = waiting[next++]; segment !== undefined; segment = waiting[next++]) {
          stop.throwIfAborted();
          const job = {
            path,
            segment,
            dialect: manifest.canonicalDialect,
            columns: manifest.columns,
            rules,
            comparisons: comparisonsOf(dataset),
            maxRecordBytes: manifest.maxRecordBytes,
          };
          const result = await stageSegment(
            pool,
            input.importId,
            input.epoch,
            row.lock_key,
            row.incarnation,
            segment,
            fields,
            (write) => deps.segments.run(job, write, stop),
          );
          await deps.throttle.after(segment.accepted + segment.rejected, stop);
          if (result) tally = add(tally, result);
          if (everyRowIsBad(tally, badRows)) await (givingUp ??= giveUp(row, manifest, signal));
        }
      };
      const lanes = Array.from({ length: Math.min(STAGING_LANES, deps.throttle.lanes) }, () =>
        lane().catch((error: unknown) => {
          failed.abort(error);
          throw error;
        }),
      );
      const results = await Promise.allSettled(lanes);
      const fault =
        results.find((result) => result.status === 'rejected' && result.reason === failed.signal.reason) ??
        results.find((r) => r.status === 'rejected');
      if (fault?.status === 'rejected') throw fault.reason;
      return { segments: waiting.length };
    },

    /** Staging was lost or cannot be trusted: the next attempt stages into new tables. */
    async renewStaging(input: RunInput): Promise<void> {
      await pool.query(
        'update waybill.imports set incarnation = incarnation + 1 where import_id = $1 and epoch = $2',
        [input.importId, input.epoch],
      );
    },
  };
}
