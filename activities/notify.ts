import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { Context } from '@temporalio/activity';
import { mustBeWhole } from '../db/all-or.ts';
import { withCancellable } from '../db/connect.ts';
import { finishImport, proveImport } from '../db/control.ts';
import { recordIssues, reportRows } from '../db/issues-of-plan.ts';
import { proofChecks } from '../db/proof.ts';
import { indexLedger } from '../db/plan.ts';
import { plansAreJudged } from '../db/stored-plan.ts';
import { objectKeys } from '../storage/keys.ts';
import type { ActivityDeps } from './deps.ts';
import { countRun } from './metrics.ts';
import { errorReport } from './error-report.ts';
import { readImport, readManifest, type RunInput } from './run.ts';

/** Proves the accounting, writes the reports and ends the run. */
export function createNotifyActivities(deps: ActivityDeps) {
  const { pool, store } = deps;

  return {
    async notify(input: RunInput): Promise<{ status: string; accounting: Record<string, number> }> {
      const signal = Context.current().cancellationSignal;
      await mustBeWhole(pool, input.importId);
      const row = await readImport(deps, input.importId);
      const keys = objectKeys(row.tenant_id, row.import_id);
      const manifest = await readManifest(deps, row);

      // A pause does not wait for these: they hold no lock of the import's, and are done again.
      const proof = await withCancellable(pool, signal, async (client) => {
        // The ledger's index: look-ups by record, and the proof that no record is in it twice.
        await indexLedger(client, row.lock_key);
        return proveImport(client, input.importId);
      });
      const { accounting } = proof;
      const refused = accounting['blocked']! + accounting['stale']! + accounting['failed']!;
      // A run that was stopped right behind its planning goes on from its batches: its warnings are still to be kept.
      if (refused + accounting['duplicates']! > 0 || !(await plansAreJudged(pool, input.importId)))
        await recordIssues(pool, input.importId, row.lock_key, signal);
      if (refused > 0) {
        const rows = reportRows(pool, row.import_id, row.lock_key);
        await store.write(keys.errors, Readable.from(errorReport(deps, row, manifest, rows, signal)), {
          contentType: 'text/csv; charset=utf-8',
          signal,
        });
      }
      const document = {
        import: row.import_id,
        dataset: row.dataset,
        profile: (
          await pool.query(
            `select name, version, mapping_digest as digest from waybill.profiles
             where tenant_id = $1 and dataset = $2 and name = $3 and version = $4`,
            [row.tenant_id, row.dataset, row.profile, row.profile_version],
          )
        ).rows[0],
        file: {
          name: row.file_name,
          bytes: manifest.bytes,
          sha256: manifest.sha256,
          contentSha256: manifest.contentSha256,
        },
        manifestSha256: createHash('sha256').update(JSON.stringify(manifest)).digest('hex'),
        plan: (
          await pool.query(
            'select version, digest, counts, made_at from waybill.plans where import_id = $1 order by version',
            [input.importId],
          )
        ).rows,
        ...proof,
        receipts: (
          await pool.query(
            `select wave, batch, epoch, created, updated, unchanged, stale, failed, deactivated, deleted, gone, kept, committed_at
             from waybill.receipts where import_id = $1 order by wave, batch`,
            [input.importId],
          )
        ).rows,
        // For anybody with the database at hand: what each statement finds is what is expected.
        sql: await proofChecks(pool, { importId: row.import_id, lockKey: row.lock_key, accounting }),
      };
      await store.write(keys.proof, Buffer.from(JSON.stringify(document, null, 2)), {
        contentType: 'application/json',
        signal,
      });
      const ended = await finishImport(pool, {
        importId: input.importId,
        epoch: input.epoch,
        proof,
        proofKey: keys.proof,
        reportKey: refused > 0 ? keys.errors : null,
      });
      await countRun(pool, input.importId);
      deps.log.info(
        { import: input.importId, status: ended!.status, accounting, bytesRead: store.bytesRead },
        'import ended',
      );
      return { status: ended!.status, accounting };
    },
  };
}
