import { parse, parseRun, usage } from './arguments.ts';
import { withApi } from './client.ts';
import { EXIT } from './refusal.ts';
import { table } from './table.ts';

interface Webhook {
  id: string;
  url: string;
  events: string[];
  datasets: string[] | null;
  enabled: boolean;
  disabledReason: string | null;
}

/** What an endpoint is told of unless it asks for something else. */
const EVENTS = ['import.started', 'import.waiting', 'import.completed', 'import.failed', 'import.cancelled'];

const print = (value: unknown) => process.stdout.write(`${JSON.stringify(value, null, 2)}\n`);
const pathOf = (id: string) => `/webhooks/${encodeURIComponent(id)}`;

/** `waybill webhooks add|list|remove|test`. */
export async function webhooksCommand([verb, ...argv]: string[]): Promise<number> {
  switch (verb) {
    case 'add':
      return add(argv);
    case 'list':
      return list(argv);
    case 'remove':
      return remove(argv);
    case 'test':
      return test(argv);
    default:
      throw usage(
        'webhooks',
        verb ? `There is no "webhooks ${verb}".` : 'Say what to do: list, add, test or remove.',
      );
  }
}

function add(argv: string[]): Promise<number> {
  const { values, positionals } = parse(
    'webhooks',
    argv,
    {
      event: { type: 'string', multiple: true },
      dataset: { type: 'string', multiple: true },
      description: { type: 'string' },
      json: { type: 'boolean' },
    },
    ['URL'],
  );
  const many = (name: string) => values[name] as string[] | undefined;
  return withApi(async (client) => {
    const made = await client.post<Webhook & { secret: string }>(
      '/webhooks',
      {
        url: positionals[0],
        events: many('event') ?? EVENTS,
        ...(many('dataset') && { datasets: many('dataset') }),
        ...(values['description'] && { description: values['description'] }),
      },
      { 'idempotency-key': crypto.randomUUID() },
    );
    if (values['json']) print(made);
    else {
      process.stdout.write(
        `Webhook ${made.id} will be told of ${made.events.join(', ')}.\n` +
          `Secret, shown this once: ${made.secret}\n` +
          `Try it: waybill webhooks test ${made.id}\n`,
      );
    }
    return EXIT.completed;
  });
}

function list(argv: string[]): Promise<number> {
  const { values } = parse('webhooks', argv, { json: { type: 'boolean' } }, []);
  return withApi(async (client) => {
    const page = await client.get<{ items: Webhook[] }>('/webhooks');
    if (values['json']) print(page);
    else if (page.items.length === 0) process.stdout.write('No webhooks.\n');
    else {
      const body = page.items.map((hook) => [
        hook.id,
        hook.enabled ? 'on' : `off${hook.disabledReason ? `: ${hook.disabledReason}` : ''}`,
        hook.url,
        hook.events.join(', '),
      ]);
      process.stdout.write(table(['ID', 'STATE', 'URL', 'EVENTS'], body));
    }
    return EXIT.completed;
  });
}

function remove(argv: string[]): Promise<number> {
  const { id } = parseRun('webhooks', argv);
  return withApi(async (client) => {
    await client.request('DELETE', pathOf(id));
    return EXIT.completed;
  });
}

interface TestAnswer {
  ok: boolean;
  status: number | null;
  durationMs: number;
  error: string | null;
}

function test(argv: string[]): Promise<number> {
  const { id, json } = parseRun('webhooks', argv);
  return withApi(async (client) => {
    const answer = await client.post<TestAnswer>(`${pathOf(id)}/test`);
    if (json) print(answer);
    else {
      const said = answer.status === null ? 'no answer' : `answered ${answer.status}`;
      const why = answer.error ? `: ${answer.error}` : '.';
      process.stdout.write(
        `${answer.ok ? 'Accepted' : 'Not accepted'}: ${said} in ${answer.durationMs} ms${why}\n`,
      );
    }
    return answer.ok ? EXIT.completed : EXIT.failed;
  });
}
