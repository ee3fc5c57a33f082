/**
 * One line of an exported CSV (RFC 4180). What a spreadsheet would take for a formula gets an apostrophe in front
 * (OWASP ASVS 5.0, 1.2.10); numbers with a sign stay numbers. Only for export: stored values are never touched.
 */
export function csvLine(cells: string[]): string {
  return cells.map(cell).join(',') + '\r\n';
}

/** Cells as a line of RFC 4180 without its end, untouched. */
export function csvText(cells: string[]): string {
  return cells.map(quoteIfNeeded).join(',');
}

function quoteIfNeeded(text: string): string {
  return /[",\r\n]/u.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** Full-width signs begin a formula too where Japanese is typed. */
const FORMULA = /^'*(?:[=@\t\r＝＠＋－]|[+-](?![\d.,\s]*%?$))/u;

function cell(text: string): string {
  return quoteIfNeeded(FORMULA.test(text) ? `'${text}` : text);
}

/** A cell of an export that comes back, as it was before `csvLine`: without the one apostrophe that it got. */
export const importedText = (text: string): string =>
  text.startsWith("'") && FORMULA.test(text) ? text.slice(1) : text;
