import type { SegmentResult } from '../types.ts';

/** So many records without one good among them, and nothing better is expected of the rest. */
const ENOUGH = 10_000;

/** Records of a file as far as they have been read. */
export interface Tally {
  records: number;
  /** Neither rejected nor blocked. */
  good: number;
}

/** From the environment: after how many bad records a run without a good one stops; 0 never stops it. */
export function badRowsFrom(env: Record<string, string | undefined>): number {
  const text = env['WAYBILL_STOP_AFTER_BAD_ROWS'] ?? String(ENOUGH);
  if (!/^\d{1,12}$/u.test(text))
    throw new Error(`WAYBILL_STOP_AFTER_BAD_ROWS has to be a number of rows, or 0; "${text}" is neither.`);
  return Number(text);
}

export const add = (tally: Tally, { accepted, rejected, blocked }: SegmentResult): Tally => ({
  records: tally.records + accepted + rejected,
  good: tally.good + accepted - blocked,
});

export const everyRowIsBad = ({ records, good }: Tally, enough: number): boolean =>
  enough > 0 && good === 0 && records >= enough;

/** What most of the bad rows have in common. */
export interface CommonIssue {
  code: string;
  column: string | null;
  field: string | null;
  message: string;
  rows: number;
}

/** What stands above the error report of a run that stopped early. */
export const unreadRowsNote = ({ records }: Tally, all: number): string =>
  `The import was stopped after ${records.toLocaleString('en')} rows without a good one. ${
    all > records
      ? `The other ${(all - records).toLocaleString('en')} rows of the file were not looked at and are not listed here.`
      : 'These are all rows of the file.'
  }`;

/** Why the run stopped, for a person. */
export function everyRowBadMessage({ records }: Tally, common: CommonIssue | null): string {
  const begun = `None of the first ${records.toLocaleString('en')} rows can be taken, so the import was stopped before anything was written.`;
  if (!common) return begun;
  const where = common.column === null ? '' : ` (column "${common.column}")`;
  return `${begun} Most often: ${common.message.replace(/\.$/u, '')}${where}. Correct the file or its mapping, then import it again.`;
}
