import { readRecord } from '../intake/record-values.ts';
import { csvLine, importedText } from '../intake/csv-line.ts';
import { REPORT_COLUMNS, reportColumns } from '../intake/error-report.ts';
import type { ReportRow } from '../db/issues-of-plan.ts';
import type { ImportRow } from '../db/control.ts';
import type { Manifest } from '../intake/types.ts';
import type { ActivityDeps } from './deps.ts';
import { canonicalPath } from './run.ts';

/**
 * Records that did not go in, in the file's own columns, to be corrected and imported again.
 * @param note said above the columns, where the report does not speak of the whole file.
 */
export async function* errorReport(
  deps: ActivityDeps,
  row: ImportRow,
  manifest: Manifest,
  pages: AsyncIterable<ReportRow[]>,
  signal: AbortSignal,
  note?: string,
): AsyncGenerator<string> {
  const path = await canonicalPath(deps, row, manifest, signal);
  // The report of a corrected report: its columns once, and what an export put before formulas taken off again.
  const added = reportColumns(manifest.columns);
  const columns = manifest.columns.slice(added).map((column) => column.original || column.name);
  yield `\ufeff${note === undefined ? '' : csvLine([note])}${csvLine([...REPORT_COLUMNS, ...columns])}`;
  for await (const page of pages) {
    signal.throwIfAborted();
    let text = '';
    for (const { line, codes, messages, raw, offset, bytes } of page) {
      const read = raw ?? (await readRecord({ path, offset, bytes, dialect: manifest.canonicalDialect }));
      const cells = added > 0 ? read.slice(added).map(importedText) : read;
      text += csvLine([String(line), codes.join(' '), messages.join(' '), ...cells]);
    }
    yield text;
  }
}
