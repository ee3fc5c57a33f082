import { readFileSync } from 'node:fs';
import { parse, parseRun, usage } from './arguments.ts';
import { ApiError, withApi, type Client } from './client.ts';
import { EXIT, Refusal } from './refusal.ts';
import { table } from './table.ts';

interface Field {
  name: string;
  column: string;
  type: string;
  required: boolean;
  key: boolean;
  enum?: string[];
  [limit: string]: unknown;
}
interface Rule {
  kind: string;
  [part: string]: unknown;
}
interface Dataset {
  name: string;
  version: number;
  builtIn: boolean;
  title: { en: string };
  target: { schema: string; table: string };
  key: string[];
  keyIndex: string;
  fields: Field[];
  rules: Rule[];
}
interface Introspection {
  dataset: Dataset;
  keys: { index: string; columns: string[] }[];
  notes: { code: string; message: string }[];
}

const print = (value: unknown) => process.stdout.write(`${JSON.stringify(value, null, 2)}\n`);
const pathOf = (name: string) => `/datasets/${encodeURIComponent(name)}`;

/** `waybill datasets list|show|introspect|add|remove`. */
export async function datasetsCommand([verb, ...argv]: string[]): Promise<number> {
  switch (verb) {
    case 'list':
      return list(argv);
    case 'show':
      return show(argv);
    case 'introspect':
      return introspect(argv);
    case 'add':
      return add(argv);
    case 'remove':
      return remove(argv);
    default:
      throw usage(
        'datasets',
        verb ? `There is no "datasets ${verb}".` : 'Say what to do: list, show, introspect, add or remove.',
      );
  }
}

function list(argv: string[]): Promise<number> {
  const { values } = parse('datasets', argv, { json: { type: 'boolean' } }, []);
  return withApi(async (client) => {
    const page = await client.get<{ items: Dataset[] }>('/datasets');
    if (values['json']) print(page);
    else {
      const body = page.items.map((one) => [
        one.name,
        one.builtIn ? 'built in' : `version ${one.version}`,
        `${one.target.schema}.${one.target.table}`,
        one.key.join(', '),
      ]);
      process.stdout.write(table(['NAME', '', 'TABLE', 'KEY'], body));
    }
    return EXIT.completed;
  });
}

function show(argv: string[]): Promise<number> {
  const { values, positionals } = parse('datasets', argv, { json: { type: 'boolean' } }, ['NAME']);
  return withApi(async (client) => {
    const dataset = await client.get<Dataset>(pathOf(positionals[0]!));
    if (values['json']) print(dataset);
    else process.stdout.write(described(dataset));
    return EXIT.completed;
  });
}

const PROPOSAL = { name: { type: 'string' }, key: { type: 'string' } } as const;

async function propose(
  client: Client,
  target: string,
  values: Record<string, unknown>,
): Promise<Introspection> {
  const dot = target.indexOf('.');
  const [schema, name] = dot < 0 ? ['public', target] : [target.slice(0, dot), target.slice(dot + 1)];
  return client.post<Introspection>('/datasets/introspect', {
    schema,
    table: name,
    ...(values['name'] !== undefined && { name: values['name'] }),
    ...(values['key'] !== undefined && { key: values['key'] }),
  });
}

function introspect(argv: string[]): Promise<number> {
  const { values, positionals } = parse('datasets', argv, { ...PROPOSAL, json: { type: 'boolean' } }, [
    'SCHEMA.TABLE',
  ]);
  return withApi(async (client) => {
    const found = await propose(client, positionals[0]!, values);
    if (values['json']) print(found.dataset);
    else process.stdout.write(described(found.dataset) + remarks(found));
    return EXIT.completed;
  });
}

/** A definition from a file (`-`: standard input), or straight from a table. */
function add(argv: string[]): Promise<number> {
  const options = { ...PROPOSAL, replace: { type: 'boolean' }, json: { type: 'boolean' } } as const;
  const { values, positionals } = parse('datasets', argv, options, ['FILE.json or SCHEMA.TABLE']);
  const source = positionals[0]!;
  return withApi(async (client) => {
    const proposal =
      source === '-' || source.endsWith('.json') ? null : await propose(client, source, values);
    const definition = proposal?.dataset ?? fromFile(source);
    const saved = await save(client, definition, values['replace'] === true);
    if (values['json']) print(saved);
    else {
      process.stdout.write(
        `${saved.name}, version ${saved.version}: ${saved.fields.length} fields, ${saved.rules.length} rules.\n` +
          (proposal ? remarks(proposal) : '') +
          `Import into it: waybill import FILE --dataset ${saved.name}\n`,
      );
    }
    return EXIT.completed;
  });
}

function fromFile(path: string): Dataset {
  let text;
  try {
    text = readFileSync(path === '-' ? 0 : path, 'utf8');
  } catch (error) {
    throw new Refusal('not_readable', `${path} cannot be read: ${(error as Error).message}.`);
  }
  try {
    return JSON.parse(text) as Dataset;
  } catch (error) {
    throw new Refusal('not_json', `${path} is not JSON: ${(error as Error).message}.`);
  }
}

async function save(client: Client, definition: Dataset, replace: boolean): Promise<Dataset> {
  if (replace) {
    try {
      return await client.request<Dataset>('PUT', pathOf(definition.name), definition);
    } catch (error) {
      if (!(error instanceof ApiError) || error.status !== 404) throw error;
    }
  }
  try {
    return await client.post<Dataset>('/datasets', definition);
  } catch (error) {
    if (!(error instanceof ApiError) || error.code !== 'dataset_exists') throw error;
    throw new Refusal(
      error.code,
      `There is a dataset ${definition.name} already. --replace saves this as its next version; --name gives it another name.`,
    );
  }
}

function remove(argv: string[]): Promise<number> {
  const { id } = parseRun('datasets', argv);
  return withApi(async (client) => {
    await client.request('DELETE', pathOf(id));
    process.stdout.write(`${id} was taken out of use; its table and its records stay.\n`);
    return EXIT.completed;
  });
}

const LIMITS = ['minLength', 'maxLength', 'min', 'max', 'above', 'below', 'pattern'];

function described({ name, target, key, keyIndex, fields, rules }: Dataset): string {
  const rows = fields.map((field) => [
    field.name + (field.name === field.column ? '' : ` (${field.column})`),
    field['precision'] === undefined
      ? field.type
      : `${field.type}(${field['precision']},${field['scale'] ?? 0})`,
    field.key ? 'key' : field.required ? 'required' : '',
    [
      ...LIMITS.filter((limit) => field[limit] !== undefined).map(
        (limit) => `${limit} ${String(field[limit])}`,
      ),
      ...(field.enum ? [`one of ${field.enum.join(', ')}`] : []),
    ].join('; '),
  ]);
  const said = rules.map(({ kind, ...parts }) => `  ${kind} ${JSON.stringify(parts)}\n`).join('');
  return (
    `${name}: ${target.schema}.${target.table}, key ${key.join(', ')} (${keyIndex})\n\n` +
    table(['FIELD', 'TYPE', '', 'LIMITS'], rows) +
    (rules.length > 0 ? `\nRules\n${said}` : '')
  );
}

function remarks({ keys, notes }: Introspection): string {
  const others = keys.slice(1).map(({ index, columns }) => `  --key ${index}  (${columns.join(', ')})\n`);
  return (
    (others.length > 0 ? `\nOther keys\n${others.join('')}` : '') +
    (notes.length > 0 ? `\nNotes\n${notes.map(({ message }) => `  ${message}\n`).join('')}` : '')
  );
}
