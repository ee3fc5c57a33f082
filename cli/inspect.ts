import { shownText } from '../intake/file-name.ts';
import type { Manifest } from '../intake/types.ts';
import { offline, offlineArguments, withFile, type Streams } from './offline.ts';

/** `waybill inspect FILE [--json]`: what a file is and what is in it; offline, in bounded memory. */
export function inspectCommand(argv: string[], streams: Streams = process): Promise<number> {
  return offline(streams, async () => {
    const args = offlineArguments(argv, 'inspect');
    await withFile(args, async ({ manifest }) => {
      const report = reportOf(manifest);
      streams.stdout.write(args.json ? `${JSON.stringify(report, null, 2)}\n` : describe(manifest));
    });
  });
}

function reportOf(manifest: Manifest) {
  const { dialect } = manifest;
  return {
    type: manifest.type,
    compression: manifest.compression,
    encoding: manifest.encoding,
    bom: manifest.bom,
    delimiter: dialect?.delimiter || null,
    quote: dialect?.quote || null,
    escape: dialect?.escape || null,
    lineEnding: manifest.lineEnding,
    preambleRows: manifest.preambleRows,
    headerRow: manifest.headerRow,
    headerRows: manifest.headerRows,
    footerRows: manifest.footerRows,
    footerRow: manifest.footerRow,
    secondTableRow: manifest.secondTableRow,
    columns: manifest.columns.map(({ name, original, type }) => ({ name, original, type })),
    rows: manifest.rows,
    rejected: manifest.rejected,
    sheets: manifest.sheets,
    sha256: manifest.sha256,
    warnings: manifest.warnings,
  };
}

function describe(manifest: Manifest): string {
  const { dialect, columns } = manifest;
  const names: Record<string, string> = { '\t': 'tab', ' ': 'space', '\x1F': '0x1F', '': 'none' };
  const shown = (character: string) => names[character] ?? shownText(character);
  const shownColumns = columns.map(({ name, type }) => ({ name: shownText(name), type }));
  const facts: [string, string][] = [
    ['Type', `${manifest.type}${manifest.compression ? `, ${manifest.compression}` : ''}`],
    ['Encoding', `${manifest.encoding}${manifest.bom ? ' with byte order mark' : ''}`],
    ...(dialect
      ? [
          ['Delimiter', shown(dialect.delimiter)] as [string, string],
          ['Quote', shown(dialect.quote)] as [string, string],
        ]
      : []),
    ...(manifest.sheet === null ? [] : [['Sheet', shownText(manifest.sheet)] as [string, string]]),
    ['Header', manifest.headerRow === null ? 'none' : `row ${manifest.headerRow}`],
    ['Rows', `${manifest.rows}${manifest.rejected ? `, and ${manifest.rejected} that cannot be read` : ''}`],
    ['SHA-256', manifest.sha256],
  ];
  const width = shownColumns.reduce((most, { name }) => Math.max(most, name.length), 7);
  return [
    ...facts.map(([name, value]) => `${name.padEnd(10)}${value}`),
    'Columns',
    ...shownColumns.map(({ name, type }) => `  ${name.padEnd(width)}  ${type}`),
    ...manifest.warnings.map(({ message }) => `! ${shownText(message)}`),
    '',
  ].join('\n');
}
