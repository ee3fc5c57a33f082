import { FileError } from '../types.ts';
import { convertWorkbook } from './convert.ts';
import type { WorkbookReport, WorkbookTask } from './workbook.ts';

const REPORT_EVERY_MS = 100;

let reported = 0;

function report(rows: number): void {
  const now = Date.now();
  if (now - reported < REPORT_EVERY_MS) return;
  reported = now;
  process.send!({
    kind: 'progress',
    rows,
    residentBytes: process.memoryUsage.rss(),
  } satisfies WorkbookReport);
}

/** Nobody waits for the answer any more. */
process.once('disconnect', () => process.exit());
process.once('message', (task: WorkbookTask) => {
  convertWorkbook(task, report).then(
    (result) =>
      process.send!({ kind: 'done', ...result } satisfies WorkbookReport, () => process.disconnect()),
    (error: Error) => {
      const code = error instanceof FileError ? error.code : 'broken_workbook';
      const message =
        error instanceof FileError
          ? error.message
          : `The workbook cannot be read (${error.message}). Save it again in Excel and import that.`;
      process.send!({ kind: 'failed', code, message } satisfies WorkbookReport, () => process.disconnect());
    },
  );
});
