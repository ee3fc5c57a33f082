import { spawn } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

interface ImportDocument {
  id?: string;
  status?: string;
  accounting?: Record<string, number>;
  errorReportUrl?: string | null;
  error?: { code: string; message: string } | null;
}

const COMPLETED = 0;
const WITH_ISSUES = 3;

/** The accounting in words, for a person: only what there is any of. */
function inWords(accounting: Record<string, number>): string {
  const { input = 0, ...fates } = accounting;
  const some = Object.entries(fates).filter(([, count]) => count > 0);
  return `${input} rows read: ${some.map(([fate, count]) => `${count} ${fate}`).join(', ') || 'nothing to do'}`;
}

/** Imports the sample that ships, once per data folder, by the command line that a user would use. */
export async function importSample(
  root: string,
  dataDir: string,
  env: NodeJS.ProcessEnv,
  log: (line: string) => void,
): Promise<void> {
  const done = join(dataDir, 'sample.imported');
  if (existsSync(done)) return;
  const file = join('dev', 'sample', 'products.csv');
  log(`Importing the sample (${file}) ...`);
  const args = [join(root, 'cli', 'main.ts'), 'import', file, '--dataset', 'products', '--json'];
  const child = spawn(process.execPath, args, { cwd: root, env, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  let errors = '';
  child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (errors += chunk.toString()));
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  let document: ImportDocument = {};
  try {
    document = JSON.parse(output) as ImportDocument;
  } catch {
    // No document: the command's own words below say why.
  }
  const duplicate = document.error?.code === 'duplicate_file';
  if (code === COMPLETED || code === WITH_ISSUES || duplicate) writeFileSync(done, document.id ?? '');
  if (duplicate) {
    log('The sample had been imported into this database before.');
  } else if (document.status && document.accounting) {
    log(`The sample import ended as "${document.status}". ${inWords(document.accounting)}.`);
    if (code === WITH_ISSUES) log(`What is wrong with the other rows: npx waybill errors ${document.id}`);
  } else {
    log(`The sample could not be imported (exit code ${code}): ${errors.trim() || output.trim()}`);
  }
}
