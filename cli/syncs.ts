import { parse, parseRun, usage } from './arguments.ts';
import { withApi } from './client.ts';
import { EXIT } from './refusal.ts';
import { table } from './table.ts';

interface Sync {
  id: string;
  name: string;
  url: string;
  dataset: string;
  cron: string;
  timeZone: string;
  paused: boolean;
  note: string | null;
  lastRun: SyncRun | null;
  nextRuns: string[];
}

interface SyncRun {
  id: string;
  outcome: string | null;
  message: string | null;
  importId: string | null;
  startedAt: string;
  finishedAt: string | null;
}

const print = (value: unknown) => process.stdout.write(`${JSON.stringify(value, null, 2)}\n`);
const pathOf = (id: string, action = '') => `/syncs/${encodeURIComponent(id)}${action && `/${action}`}`;
const minute = (time: string | undefined) => time?.slice(0, 16).replace('T', ' ') ?? '';

/** `waybill syncs add|list|run|pause|resume|remove|history`. */
export async function syncsCommand([verb, ...argv]: string[]): Promise<number> {
  switch (verb) {
    case 'add':
      return add(argv);
    case 'list':
      return list(argv);
    case 'history':
      return history(argv);
    case 'run':
    case 'pause':
    case 'resume':
      return act(verb, argv);
    case 'remove':
      return remove(argv);
    default:
      throw usage(
        'syncs',
        verb
          ? `There is no "syncs ${verb}".`
          : 'Say what to do: list, add, run, pause, resume, history or remove.',
      );
  }
}

function add(argv: string[]): Promise<number> {
  const text = { type: 'string' } as const;
  const { values, positionals } = parse(
    'syncs',
    argv,
    {
      url: text,
      dataset: { type: 'string', short: 'd' },
      cron: text,
      'time-zone': text,
      profile: text,
      policy: text,
      mode: text,
      json: { type: 'boolean' },
    },
    ['NAME'],
  );
  for (const name of ['url', 'dataset', 'cron'])
    if (!values[name]) throw usage('syncs', `--${name} is missing.`);
  return withApi(async (client) => {
    const made = await client.post<Sync>(
      '/syncs',
      {
        name: positionals[0],
        url: values['url'],
        dataset: values['dataset'],
        cron: values['cron'],
        ...(values['time-zone'] && { timeZone: values['time-zone'] }),
        ...(values['profile'] && { profile: values['profile'] }),
        ...(values['policy'] && { policy: values['policy'] }),
        ...(values['mode'] && { mode: values['mode'] }),
      },
      { 'idempotency-key': crypto.randomUUID() },
    );
    if (values['json']) print(made);
    else {
      process.stdout.write(
        `Sync ${made.id} fetches ${made.url} at "${made.cron}" (${made.timeZone}).\n` +
          `Run it now: waybill syncs run ${made.id}\n`,
      );
    }
    return EXIT.completed;
  });
}

function list(argv: string[]): Promise<number> {
  const { values } = parse('syncs', argv, { json: { type: 'boolean' } }, []);
  return withApi(async (client) => {
    const page = await client.get<{ items: Sync[] }>('/syncs');
    if (values['json']) print(page);
    else if (page.items.length === 0) process.stdout.write('No syncs.\n');
    else {
      const body = page.items.map((sync) => [
        sync.id,
        sync.name,
        sync.paused ? `paused${sync.note ? `: ${sync.note}` : ''}` : `${sync.cron} ${sync.timeZone}`,
        sync.dataset,
        sync.lastRun ? `${sync.lastRun.outcome ?? 'running'} ${minute(sync.lastRun.startedAt)}` : 'never',
        minute(sync.nextRuns[0]),
      ]);
      process.stdout.write(table(['ID', 'NAME', 'WHEN', 'DATASET', 'LAST RUN (UTC)', 'NEXT (UTC)'], body));
    }
    return EXIT.completed;
  });
}

function history(argv: string[]): Promise<number> {
  const { id, json } = parseRun('syncs', argv);
  return withApi(async (client) => {
    const page = await client.get<{ items: SyncRun[] }>(pathOf(id, 'runs'));
    if (json) print(page);
    else if (page.items.length === 0) process.stdout.write('No runs yet.\n');
    else {
      const body = page.items.map((run) => [
        minute(run.startedAt),
        run.outcome ?? 'running',
        run.importId ?? '',
        run.message ?? '',
      ]);
      process.stdout.write(table(['STARTED (UTC)', 'OUTCOME', 'IMPORT', 'MESSAGE'], body));
    }
    return EXIT.completed;
  });
}

function act(verb: 'run' | 'pause' | 'resume', argv: string[]): Promise<number> {
  const { id, json, values } = parseRun('syncs', argv, verb === 'pause' ? { note: { type: 'string' } } : {});
  return withApi(async (client) => {
    const sync = await client.post<Sync>(pathOf(id, verb), values['note'] ? { note: values['note'] } : {});
    if (json) print(sync);
    else if (verb === 'run')
      process.stdout.write(`Started. "waybill syncs history ${id}" shows how it went.\n`);
    return EXIT.completed;
  });
}

function remove(argv: string[]): Promise<number> {
  const { id } = parseRun('syncs', argv);
  return withApi(async (client) => {
    await client.request('DELETE', pathOf(id));
    return EXIT.completed;
  });
}
