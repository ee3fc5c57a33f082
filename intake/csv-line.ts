/**
 * One line of an exported CSV (RFC 4180). What a spreadsheet would take for a formula gets an apostrophe in front
 * (OWASP ASVS 5.0, 1.2.10); numbers with a sign stay numbers. Only for export: stored values are never touched.
 */
export function csvLine(cells: string[]): string {
  return cells.map(cell).join(',') + '\r\n';
}

function cell(text: string): string {
  const safe = /^[=@\t\r]|^[+-](?![\d.,\s]*%?$)/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}
