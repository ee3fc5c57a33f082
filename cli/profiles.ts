import { readFileSync } from 'node:fs';
import { parse, usage } from './arguments.ts';
import { withApi, type Client } from './client.ts';
import { EXIT, Refusal } from './refusal.ts';
import { table } from './table.ts';

interface Summary {
  name: string;
  version: number;
  versions: number;
  byPerson: boolean;
  madeBy: string;
  createdAt: string;
  imports: number;
}

interface ProfileField {
  column?: string;
  constant?: string;
  [rule: string]: unknown;
}

/** As datasets/profile.ts defines it; the API checks it. */
interface Profile {
  dataset: string;
  name: string;
  version?: number;
  headers?: string[];
  fields: Record<string, ProfileField | null>;
  [rule: string]: unknown;
}

const text = { type: 'string' } as const;
const print = (value: unknown) => process.stdout.write(`${JSON.stringify(value, null, 2)}\n`);

/** `waybill profiles list|show|export|import|replay`. */
export async function profilesCommand([verb, ...argv]: string[]): Promise<number> {
  switch (verb) {
    case 'list':
      return list(argv);
    case 'show':
      return show(argv);
    case 'export':
      return exportProfile(argv);
    case 'import':
      return importProfile(argv);
    case 'replay':
      return (await import('./replay.ts')).replayCommand(argv);
    default:
      throw usage(
        'profiles',
        verb ? `There is no "profiles ${verb}".` : 'Say what to do: list, show, export, import or replay.',
      );
  }
}

/** A name of a profile says nothing without its dataset. */
export function datasetOf(values: Record<string, unknown>): string {
  const dataset = values['dataset'] as string | undefined;
  if (!dataset) throw usage('profiles', '--dataset NAME is missing: whose profile is it?');
  return dataset;
}

export function versionOf(option: string, value: unknown): number | null {
  if (value === undefined) return null;
  if (!/^[1-9]\d{0,8}$/u.test(value as string))
    throw usage('profiles', `--${option} must be the number of a version; "${value as string}" is none.`);
  return Number(value);
}

/** One version of a profile, the latest where none is named. */
export async function fetchProfile<T = Profile>(
  client: Client,
  dataset: string,
  name: string,
  version: number | null,
): Promise<{ profile: T; mapping: unknown }> {
  const path = `/datasets/${encodeURIComponent(dataset)}/profiles/${encodeURIComponent(name)}`;
  return client.get(version === null ? path : `${path}?version=${version}`);
}

function list(argv: string[]): Promise<number> {
  const { values } = parse(
    'profiles',
    argv,
    { dataset: { ...text, short: 'd' }, json: { type: 'boolean' } },
    [],
  );
  return withApi(async (client) => {
    const page = await client.get<{ items: Summary[] }>(
      `/datasets/${encodeURIComponent(datasetOf(values))}/profiles`,
    );
    if (values['json']) print(page);
    else if (page.items.length === 0) process.stdout.write('No profiles.\n');
    else {
      const rows = page.items.map((one) => [
        one.name,
        `${one.version}`,
        one.byPerson ? one.madeBy : 'by itself',
        one.createdAt.slice(0, 16).replace('T', ' '),
        `${one.imports}`,
      ]);
      process.stdout.write(table(['NAME', 'VERSION', 'MADE BY', 'MADE (UTC)', 'IMPORTS'], rows));
    }
    return EXIT.completed;
  });
}

const options = { dataset: { ...text, short: 'd' }, version: text, json: { type: 'boolean' } } as const;

function show(argv: string[]): Promise<number> {
  const { values, positionals } = parse('profiles', argv, options, ['PROFILE']);
  return withApi(async (client) => {
    const version = versionOf('version', values['version']);
    const { profile } = await fetchProfile(client, datasetOf(values), positionals[0]!, version);
    if (values['json']) print(profile);
    else process.stdout.write(described(profile));
    return EXIT.completed;
  });
}

function exportProfile(argv: string[]): Promise<number> {
  const { values, positionals } = parse('profiles', argv, options, ['PROFILE']);
  return withApi(async (client) => {
    const version = versionOf('version', values['version']);
    print((await fetchProfile(client, datasetOf(values), positionals[0]!, version)).profile);
    return EXIT.completed;
  });
}

function importProfile(argv: string[]): Promise<number> {
  const { values, positionals } = parse('profiles', argv, { json: { type: 'boolean' } }, ['FILE']);
  const profile = readProfile(positionals[0]!);
  return withApi(async (client) => {
    const kept = await client.post<{ name: string; version: number; created: boolean }>(
      `/datasets/${encodeURIComponent(profile.dataset)}/profiles`,
      profile,
    );
    if (values['json']) print(kept);
    else
      process.stdout.write(
        kept.created
          ? `Kept as ${kept.name}, version ${kept.version}.\n`
          : `${kept.name}, version ${kept.version}, says the same; it is the one in use.\n`,
      );
    return EXIT.completed;
  });
}

function readProfile(path: string): Profile {
  let content: string;
  try {
    content = readFileSync(path === '-' ? 0 : path, 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new Refusal(
      'no_file',
      code === 'ENOENT' ? `There is no file ${path}.` : `${path} cannot be read (${code}).`,
    );
  }
  let profile: unknown;
  try {
    profile = JSON.parse(content);
  } catch (error) {
    throw new Refusal('not_json', `${path} is no JSON (${(error as Error).message}).`);
  }
  if (typeof (profile as Profile | null)?.dataset !== 'string')
    throw new Refusal('not_a_profile', `${path} is no profile: it does not name its dataset.`);
  return profile as Profile;
}

function described({
  name,
  version,
  dataset,
  fields,
  headers,
  $schema: _,
  waybillProfile: _v,
  ...rules
}: Profile): string {
  const rows = Object.entries(fields).map(([field, said]) => {
    if (said === null) return [field, 'left out', ''];
    const { column, constant, ...rest } = said;
    const from = column === undefined ? `always "${constant}"` : `"${column}"`;
    return [
      field,
      from,
      Object.entries(rest)
        .map(([rule, value]) => `${rule} ${JSON.stringify(value)}`)
        .join(', '),
    ];
  });
  const whole = Object.entries(rules).map(([rule, value]) => `${rule}: ${JSON.stringify(value)}\n`);
  return [
    `${name}, version ${version}, for ${dataset}${headers ? `, made for a file of ${headers.length} columns` : ''}\n\n`,
    table(['FIELD', 'FROM', 'RULES'], rows),
    ...(whole.length > 0 ? ['\n', ...whole] : []),
  ].join('');
}
