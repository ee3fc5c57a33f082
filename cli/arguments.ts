import { parseArgs } from 'node:util';
import type { ParseArgsOptionsConfig } from 'node:util';
import { guardLimits, missingOptions, type MissingOptions } from './missing-arguments.ts';
import { Refusal } from './refusal.ts';

const POLICIES = ['auto', 'review', 'guard'];
const MODES = ['upsert', 'insert', 'update', 'add'];

/** The options of `complete`, as the API names them. */
export interface ImportOptions {
  policy?: string;
  profile?: string;
  mode?: string;
  allow_duplicate?: boolean;
  missing?: MissingOptions;
  guard?: Record<string, number>;
  atomic?: boolean;
  sheet?: string;
  encoding?: string;
  delimiter?: string;
  quote?: string;
  header_row?: number;
  keep_footer?: boolean;
}

export interface ImportArguments {
  file: string;
  dataset: string;
  options: ImportOptions;
  json: boolean;
}

type Values = Record<string, string | boolean | (string | boolean)[] | undefined>;

/** parseArgs with its errors as sentences, and the number of positional arguments checked. */
export function parse(
  command: string,
  argv: string[],
  options: ParseArgsOptionsConfig,
  names: string[],
): { values: Values; positionals: string[] } {
  let parsed;
  try {
    parsed = parseArgs({ args: argv, options, allowPositionals: true, strict: true });
  } catch (error) {
    const message = (error as Error).message.split('. ')[0];
    throw usage(command, `${message}.`);
  }
  const { positionals } = parsed;
  if (positionals.length < names.length) throw usage(command, `${names[positionals.length]} is missing.`);
  if (positionals.length > names.length)
    throw usage(command, `"${positionals[names.length]}" is one argument too many.`);
  return { values: parsed.values as Values, positionals };
}

export function usage(command: string, message: string): Refusal {
  return new Refusal('usage', `${message} See "waybill help ${command}".`);
}

export function oneOf(command: string, option: string, value: string, allowed: string[]): string {
  if (!allowed.includes(value)) {
    throw usage(command, `--${option} must be ${allowed.join(', ')}; "${value}" is none of them.`);
  }
  return value;
}

/** A shell cannot easily pass a tab: its names stand for it. */
function delimiter(text: string): string {
  return text === '\\t' || text.toLowerCase() === 'tab' ? '\t' : text;
}

function headerRow(command: string, text: string): number {
  if (!/^\d{1,9}$/.test(text)) {
    throw usage(
      command,
      `--header-row must be a line number, or 0 for a file without header; "${text}" is neither.`,
    );
  }
  return Number(text);
}

/** `import` and `plan`: the latter is an import that stops for review. */
export function parseImport(command: 'import' | 'plan', argv: string[]): ImportArguments {
  const { values, positionals } = parse(
    command,
    argv,
    {
      dataset: { type: 'string', short: 'd' },
      profile: { type: 'string' },
      ...(command === 'import' && { policy: { type: 'string' as const } }),
      mode: { type: 'string' },
      'allow-duplicate': { type: 'boolean' },
      missing: { type: 'string' },
      scope: { type: 'string', multiple: true },
      inactive: { type: 'string' },
      limit: { type: 'string', multiple: true },
      atomic: { type: 'boolean' },
      sheet: { type: 'string' },
      encoding: { type: 'string' },
      delimiter: { type: 'string' },
      quote: { type: 'string' },
      'header-row': { type: 'string' },
      'keep-footer': { type: 'boolean' },
      json: { type: 'boolean' },
    },
    ['FILE'],
  );
  const text = (name: string) => values[name] as string | undefined;
  const dataset = text('dataset');
  if (!dataset) throw usage(command, '--dataset NAME is missing: into which dataset should the rows go?');
  const options: ImportOptions = {};
  const policy = command === 'plan' ? 'review' : text('policy');
  if (policy !== undefined) options.policy = oneOf(command, 'policy', policy, POLICIES);
  const mode = text('mode');
  if (mode !== undefined) options.mode = oneOf(command, 'mode', mode, MODES);
  if (text('profile') !== undefined) options.profile = text('profile')!;
  if (values['allow-duplicate']) options.allow_duplicate = true;
  const missing = missingOptions(command, {
    missing: text('missing'),
    scope: values['scope'] as string[] | undefined,
    inactive: text('inactive'),
  });
  if (missing) options.missing = missing;
  if (values['limit']) options.guard = guardLimits(command, values['limit'] as string[]);
  if (values['atomic']) options.atomic = true;
  if (text('sheet') !== undefined) options.sheet = text('sheet')!;
  if (text('encoding') !== undefined) options.encoding = text('encoding')!;
  if (text('delimiter') !== undefined) options.delimiter = delimiter(text('delimiter')!);
  if (text('quote') !== undefined) options.quote = text('quote')!;
  if (text('header-row') !== undefined) options.header_row = headerRow(command, text('header-row')!);
  if (values['keep-footer']) options.keep_footer = true;
  return { file: positionals[0]!, dataset, options, json: values['json'] === true };
}

/** Commands on one run: `waybill pause ID [--json]` and its like. */
export function parseRun(command: string, argv: string[], more: ParseArgsOptionsConfig = {}) {
  const { values, positionals } = parse(command, argv, { json: { type: 'boolean' }, ...more }, ['ID']);
  return { id: positionals[0]!, json: values['json'] === true, values };
}
