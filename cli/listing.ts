import { parse, parseRun, usage } from './arguments.ts';
import { ApiError, readAll, withApi } from './client.ts';
import type { Client } from './client.ts';
import type { ImportDocument } from './follow.ts';
import { EXIT } from './refusal.ts';
import { rows } from './render.ts';
import { table } from './table.ts';

interface Page<T> {
  items: T[];
  nextCursor: string | null;
}

interface IssueItem {
  line: number;
  column: string | null;
  field: string | null;
  code: string;
  severity: string;
  value: string | null;
  message: string;
}

interface IssuePage extends Page<IssueItem> {
  counts: { code: string; severity: string; count: number }[];
}

/** `waybill imports`: the newest first. */
export async function importsCommand(argv: string[]): Promise<number> {
  const { values } = parse(
    'imports',
    argv,
    {
      status: { type: 'string' },
      dataset: { type: 'string', short: 'd' },
      limit: { type: 'string' },
      json: { type: 'boolean' },
    },
    [],
  );
  const limit = String(values['limit'] ?? '20');
  if (!/^[1-9]\d{0,2}$/.test(limit) || Number(limit) > 200)
    throw usage('imports', '--limit goes from 1 to 200.');
  const query = new URLSearchParams({ limit });
  for (const name of ['status', 'dataset']) if (values[name]) query.set(name, String(values[name]));
  return withApi(async (client) => {
    const page = await client.get<Page<ImportDocument & { createdAt: string; fileName: string }>>(
      `/imports?${query}`,
    );
    if (values['json']) {
      process.stdout.write(`${JSON.stringify(page, null, 2)}\n`);
      return EXIT.completed;
    }
    const body = page.items.map((doc) => [
      doc.id,
      doc.createdAt.slice(0, 19).replace('T', ' '),
      doc.dataset,
      doc.status.replaceAll('_', ' '),
      doc.accounting ? rows(doc.accounting['input'] ?? 0) : '',
      doc.fileName,
    ]);
    process.stdout.write(
      body.length === 0
        ? 'No imports.\n'
        : table(['ID', 'STARTED (UTC)', 'DATASET', 'STATUS', 'ROWS', 'FILE'], body),
    );
    return EXIT.completed;
  });
}

/** `waybill errors ID`: the issues as a table, or with --csv the whole report, to be corrected and imported again. */
export async function errorsCommand(argv: string[]): Promise<number> {
  const { id, json, values } = parseRun('errors', argv, {
    csv: { type: 'boolean' },
    limit: { type: 'string' },
  });
  const path = `/imports/${encodeURIComponent(id)}/issues`;
  if (values['csv']) return withApi((client) => download(client, `${path}.csv`, 'text/csv'));
  const limit = Number(values['limit'] ?? (json ? 1000 : 50));
  if (!Number.isInteger(limit) || limit < 1 || limit > 1000)
    throw usage('errors', '--limit goes from 1 to 1000.');
  return withApi(async (client) => {
    const items: IssueItem[] = [];
    let counts: IssuePage['counts'] = [];
    for (let cursor: string | null = ''; cursor !== null && items.length < limit;) {
      const query = new URLSearchParams({ limit: String(Math.min(200, limit - items.length)) });
      if (cursor) query.set('cursor', cursor);
      const page: IssuePage = await client.get<IssuePage>(`${path}?${query}`);
      items.push(...page.items);
      ({ counts } = page);
      cursor = page.nextCursor;
    }
    process.stdout.write(
      json ? `${JSON.stringify({ items, counts }, null, 2)}\n` : issueTable(id, items, counts),
    );
    return EXIT.completed;
  });
}

function issueTable(id: string, items: IssueItem[], counts: IssuePage['counts']): string {
  if (counts.length === 0) return 'No issues.\n';
  const total = counts.reduce((sum, { count }) => sum + count, 0);
  const body = items.map((item) => [
    String(item.line),
    item.severity,
    item.code,
    item.column ?? item.field ?? '',
    item.value ?? '',
    item.message,
  ]);
  const said = counts.map(({ code, count }) => `${code} ${rows(count)}`).join(', ');
  return (
    table(['LINE', 'SEVERITY', 'CODE', 'COLUMN', 'VALUE', 'MESSAGE'], body) +
    `\n${rows(total)} in all: ${said}\n` +
    (total > items.length ? `The whole report: waybill errors ${id} --csv\n` : '')
  );
}

/** Streams what the API answers to standard output. */
export async function download(client: Client, path: string, accept: string): Promise<number> {
  const response = await client.stream(path, accept);
  const status = response.statusCode ?? 0;
  if (status !== 200) {
    const text = await readAll(response);
    let body: Record<string, unknown>;
    try {
      body = JSON.parse(text) as Record<string, unknown>;
    } catch {
      body = { title: `${client.url} answered ${status}.` };
    }
    throw new ApiError(status, body);
  }
  for await (const chunk of response) {
    if (!process.stdout.write(chunk as Buffer))
      await new Promise((resolve) => process.stdout.once('drain', resolve));
  }
  return EXIT.completed;
}
