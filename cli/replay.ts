import { createReadStream, createWriteStream } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { inspectFile } from '../intake/inspect.ts';
import { proposeMapping, rulesFrom } from '../intake/mapping.ts';
import { replay, type Replayed, type ReplayCounts, type ReplaySide } from '../intake/profile/replay.ts';
import { settleWindows } from '../intake/rules/limits.ts';
import type { CompareRule } from '../intake/rules/types.ts';
import type { FieldSpec, FileOptions, Manifest, Mapping } from '../intake/types.ts';
import { parse, usage } from './arguments.ts';
import { open, withApi, type Client } from './client.ts';
import { datasetOf, fetchProfile, versionOf } from './profiles.ts';
import { EXIT, Refusal } from './refusal.ts';

interface Source {
  url: string;
  fileName: string;
  options: Record<string, unknown>;
}

interface Dataset {
  key: string[];
  fields: FieldSpec[];
  rules?: ({ kind: string } & object)[];
}

interface Side {
  version: number;
  /** What a run with this version would stop for. */
  questions: Mapping['questions'];
  drift: NonNullable<Mapping['drift']>;
}

interface Answer extends Replayed {
  profile: string;
  import: string;
  from: Side;
  to: Side;
}

/**
 * `waybill profiles replay PROFILE --dataset NAME --import ID`: the file of an old import read with two versions of a
 * profile, here, and what would come out differently. Nothing is written anywhere.
 */
export function replayCommand(argv: string[]): Promise<number> {
  const text = { type: 'string' } as const;
  const { values, positionals } = parse(
    'profiles',
    argv,
    {
      dataset: { ...text, short: 'd' },
      import: text,
      from: text,
      to: text,
      limit: text,
      json: { type: 'boolean' },
    },
    ['PROFILE'],
  );
  const name = positionals[0]!;
  const importId = values['import'] as string | undefined;
  if (!importId) throw usage('profiles', '--import ID is missing: which import brought the file?');
  const limit = Number(values['limit'] ?? 20);
  if (!Number.isInteger(limit) || limit < 0) throw usage('profiles', '--limit must be a number of rows.');
  return withApi(async (client) => {
    const dataset = datasetOf(values);
    const to = await fetchVersion(client, dataset, name, versionOf('to', values['to']));
    const from = await fetchVersion(
      client,
      dataset,
      name,
      versionOf('from', values['from']) ?? (await versionBefore(client, importId, name, to.version)),
    );
    const answer = await replayImport(client, { dataset, name, importId, from, to, limit });
    if (values['json']) process.stdout.write(`${JSON.stringify(answer, null, 2)}\n`);
    else process.stdout.write(described(answer));
    return EXIT.completed;
  });
}

interface Version {
  version: number;
  mapping: Mapping;
}

async function fetchVersion(
  client: Client,
  dataset: string,
  name: string,
  version: number | null,
): Promise<Version> {
  const { profile, mapping } = await fetchProfile<{ version: number }>(client, dataset, name, version);
  return { version: profile.version, mapping: mapping as Mapping };
}

/** The version that the import was read with; where that was another profile, the one before the newer. */
async function versionBefore(client: Client, importId: string, name: string, newer: number): Promise<number> {
  const { profile } = await client.get<{ profile: { name: string; version: number } | null }>(
    `/imports/${encodeURIComponent(importId)}`,
  );
  if (profile?.name === name) return profile.version;
  if (newer > 1) return newer - 1;
  throw new Refusal(
    'one_version',
    `${name} has one version, and the import did not use it. Name the version to compare with: --from N.`,
  );
}

async function replayImport(
  client: Client,
  of: { dataset: string; name: string; importId: string; from: Version; to: Version; limit: number },
): Promise<Answer> {
  const dataset = await client.get<Dataset>(`/datasets/${encodeURIComponent(of.dataset)}`);
  const source = await client.get<Source>(`/imports/${encodeURIComponent(of.importId)}/source`);
  const folder = await mkdtemp(join(tmpdir(), 'waybill-replay-'));
  try {
    const path = join(folder, 'file');
    await download(source.url, path);
    // Where both read the file in the same way it is inspected once.
    const readings = new Map<string, Promise<{ manifest: Manifest; path: string }>>();
    const read = (mapping: Mapping) => {
      const options = { ...mapping.rules?.reading, ...optionsOf(source.options) };
      const key = JSON.stringify(options);
      const found =
        readings.get(key) ?? inspected(path, join(folder, `copy-${readings.size}`), source.fileName, options);
      readings.set(key, found);
      return found;
    };
    const side = async ({ version, mapping }: Version): Promise<{ said: Side; side: ReplaySide }> => {
      const reading = await read(mapping);
      const proposal = proposeMapping(reading.manifest, dataset.fields, mapping);
      const today = new Date().toISOString().slice(0, 10);
      return {
        said: { version, questions: proposal.questions, drift: proposal.drift ?? [] },
        side: {
          ...reading,
          rules: rulesFrom(proposal, dataset.fields, dataset.key).map((rule) => settleWindows(rule, today)),
          comparisons: (dataset.rules ?? []).filter(({ kind }) => kind === 'compare') as CompareRule[],
        },
      };
    };
    const from = await side(of.from);
    const to = await side(of.to);
    const replayed = replay(from.side, to.side, of.limit);
    return { profile: of.name, import: of.importId, from: from.said, to: to.said, ...replayed };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function download(url: string, path: string): Promise<void> {
  const response = await open('GET', url, {});
  if (response.statusCode !== 200)
    throw new Refusal(
      'object_missing',
      `The file cannot be fetched (the store answered ${response.statusCode}).`,
    );
  await pipeline(response, createWriteStream(path));
}

async function inspected(
  path: string,
  canonicalPath: string,
  fileName: string,
  options: FileOptions,
): Promise<{ manifest: Manifest; path: string }> {
  const manifest = await inspectFile({
    source: createReadStream(path, { highWaterMark: 256 * 1024 }) as AsyncIterable<Buffer>,
    spool: { rawPath: path, canonicalPath, rawIsSource: true },
    fileName,
    options,
  });
  return { manifest, path: manifest.canonical === 'raw' ? path : canonicalPath };
}

/** How the import was told to read the file. */
function optionsOf(options: Record<string, unknown>): FileOptions {
  const { sheet, encoding, delimiter, quote, header_row: headerRow, keep_footer: keepFooter } = options;
  return JSON.parse(
    JSON.stringify({ sheet, encoding, delimiter, quote, headerRow, keepFooter }),
  ) as FileOptions;
}

function described({ profile, import: id, from, to, before, after, changed, differences }: Answer): string {
  const counted = ({ version }: Side, { accepted, blocked, rejected }: ReplayCounts) =>
    `  version ${version}: ${accepted} rows would go in, ${blocked} are blocked, ${rejected} cannot be read\n`;
  const codes = [...new Set([...Object.keys(before.issues), ...Object.keys(after.issues)])].sort();
  const moved = codes
    .filter((code) => before.issues[code] !== after.issues[code])
    .map((code) => `  ${code}: ${before.issues[code] ?? 0} -> ${after.issues[code] ?? 0}\n`);
  const stops = to.questions.map(({ message }) => `! ${message}\n`);
  const shown = differences.map(({ line, fields, before: old, after: now }) => {
    const values = fields.map((one) => `    ${one.field}: ${said(one.before)} -> ${said(one.after)}\n`);
    const issues = [
      ...old
        .filter((one) => !now.some((other) => other.message === one.message))
        .map((one) => `    no longer: ${one.message}\n`),
      ...now
        .filter((one) => !old.some((other) => other.message === one.message))
        .map((one) => `    now: ${one.message}\n`),
    ];
    return [`  line ${line}\n`, ...values, ...issues].join('');
  });
  return [
    `${profile} on the file of import ${id}\n`,
    counted(from, before),
    counted(to, after),
    ...moved,
    `${changed} rows come out differently${changed > differences.length ? `, the first ${differences.length}` : ''}${changed > 0 ? ':' : '.'}\n`,
    ...shown,
    ...stops,
  ].join('');
}

const said = (value: string | null): string => (value === null ? 'nothing' : JSON.stringify(value));
