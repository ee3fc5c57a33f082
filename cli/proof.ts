import { parseRun, usage } from './arguments.ts';
import { withApi } from './client.ts';
import { download } from './listing.ts';
import { EXIT } from './refusal.ts';
import { plain, rows } from './render.ts';

interface Checked {
  ok: boolean;
  checks: {
    name: string;
    sql: string;
    expected: number;
    found: number | null;
    ok: boolean;
    error: string | null;
  }[];
}

/**
 * `waybill proof ID`: checks the proof of a run against the database, now, and prints each check; --sql prints the
 * statements for anybody to run, --json the proof file as it was written when the run ended.
 */
export async function proofCommand(argv: string[]): Promise<number> {
  const { id, json, values } = parseRun('proof', argv, { sql: { type: 'boolean' } });
  const path = `/imports/${encodeURIComponent(id)}/proof`;
  return withApi(async (client) => {
    if (json) {
      process.stdout.write(`${JSON.stringify(await client.get<unknown>(path), null, 2)}\n`);
      return EXIT.completed;
    }
    const proof = await client.get<Checked>(`${path}/checks`);
    if (values['sql']) {
      for (const { name, expected, sql } of proof.checks)
        process.stdout.write(`-- ${plain(name)}: ${expected}\n${sql};\n\n`);
      return EXIT.completed;
    }
    for (const { name, ok, found, expected, error } of proof.checks) {
      const said = ok ? rows(expected) : (error ?? `${rows(found ?? 0)}, not ${rows(expected)}`);
      process.stdout.write(`${ok ? 'ok  ' : 'NOT '}  ${plain(name)}: ${plain(said)}\n`);
    }
    const wrong = proof.checks.filter(({ ok }) => !ok).length;
    process.stdout.write(
      wrong === 0
        ? `\nProven: ${proof.checks.length} checks, each counted anew from the rows. The statements: waybill proof ${id} --sql\n`
        : `\nNOT proven: ${wrong} of ${proof.checks.length} checks failed.\n`,
    );
    return proof.ok ? EXIT.completed : EXIT.failed;
  });
}

const KINDS = ['written', 'failed', 'not-processed', 'unchanged', 'duplicate', 'missing'];

/** `waybill results ID --kind K`: those rows of the file, in its own columns, to standard output. */
export async function resultsCommand(argv: string[]): Promise<number> {
  const { id, values } = parseRun('results', argv, { kind: { type: 'string' } });
  const kind = String(values['kind'] ?? '');
  if (!KINDS.includes(kind)) throw usage('results', `--kind takes one of ${KINDS.join(', ')}.`);
  return withApi((client) =>
    download(client, `/imports/${encodeURIComponent(id)}/results/${kind}`, 'text/csv'),
  );
}
