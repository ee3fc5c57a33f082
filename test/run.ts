/** `npm test`: every check and test there is; the last line says how many passed. */
import { AsyncLocalStorage } from 'node:async_hooks';
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, globSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const root = join(import.meta.dirname, '..');
const reports = mkdtempSync(join(tmpdir(), 'waybill-report-'));

interface Count {
  passed: number;
  failed: number;
}

interface Step {
  name: string;
  run: () => Promise<Count>;
  /** Where this says no, there is nothing to run yet or nothing to run it on. */
  when?: () => boolean;
}

/** What steps that run side by side print is kept, and shown when each has ended. */
const kept = new AsyncLocalStorage<Buffer[]>();

function execute(args: string[], cwd = root): Promise<number> {
  const output = kept.getStore();
  return new Promise((resolve, reject) => {
    const to = output ? 'pipe' : 'inherit';
    const child = spawn(process.execPath, args, { cwd, stdio: ['ignore', to, to] });
    for (const stream of [child.stdout, child.stderr])
      stream?.on('data', (chunk: Buffer) => output!.push(chunk));
    child.once('error', reject);
    child.once('close', (code) => resolve(code ?? 1));
  });
}

const one = (code: number): Count => (code === 0 ? { passed: 1, failed: 0 } : { passed: 0, failed: 1 });
const script =
  (...args: string[]): Step['run'] =>
  async () =>
    one(await execute(args));
const tool = (path: string, ...args: string[]): Step['run'] => script(join('node_modules', path), ...args);

/** The types of routes are made first: svelte-check reads them. */
async function checkConsole(): Promise<Count> {
  const ui = join(root, 'ui');
  const sync = await execute([join(root, 'node_modules/@sveltejs/kit/svelte-kit.js'), 'sync'], ui);
  if (sync !== 0) return one(sync);
  return one(
    await execute([join(root, 'node_modules/svelte-check/bin/svelte-check'), '--threshold', 'error'], ui),
  );
}

const vitest =
  (project: string): Step['run'] =>
  async () => {
    const report = join(reports, `${project}.json`);
    const config = ['--config', 'test/vitest.config.ts', '--project', project];
    const output = ['--reporter=default', '--reporter=json', `--outputFile.json=${report}`];
    const code = await execute(['node_modules/vitest/vitest.mjs', 'run', ...config, ...output]);
    if (!existsSync(report)) return { passed: 0, failed: 1 };
    const { numPassedTests: passed, numFailedTests: failed } = JSON.parse(readFileSync(report, 'utf8')) as {
      numPassedTests: number;
      numFailedTests: number;
    };
    // A file that cannot be loaded, or an error outside every test, fails no test but the run.
    const elsewhere = (code !== 0 || passed + failed === 0) && failed === 0;
    return { passed, failed: elsewhere ? 1 : failed };
  };

const CHROMIUM = ['chromium', 'chromium-browser', 'google-chrome'];

async function withChromium(): Promise<Count> {
  const present = (): boolean => CHROMIUM.some((name) => spawnSync(name, ['--version']).status === 0);
  if (!present() && process.getuid?.() === 0) {
    const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
    const options = { stdio: ['ignore', 'ignore', 'inherit'] as 'ignore'[], env };
    console.log('Installing chromium ...');
    spawnSync('apt-get', ['update', '-qq'], options);
    spawnSync('apt-get', ['install', '-qq', '-y', '--no-install-recommends', 'chromium'], options);
  }
  if (!present()) {
    console.error('The browser tests need Chromium: install it ("apt-get install chromium").');
    return { passed: 0, failed: 1 };
  }
  return vitest('e2e')();
}

const exists = (pattern: string) => (): boolean => globSync(pattern, { cwd: root }).length > 0;

const checks: Step[] = [
  { name: 'types', run: tool('typescript/bin/tsc', '--noEmit') },
  {
    name: 'types of the console',
    run: checkConsole,
    when: exists('ui/tsconfig.json'),
  },
  { name: 'lint', run: tool('eslint/bin/eslint.js', '.') },
  { name: 'format', run: tool('prettier/bin/prettier.cjs', '--check', '.', '--log-level', 'warn') },
  { name: 'unused code', run: tool('knip/bin/knip.js') },
];
const unit: Step = { name: 'unit tests', run: vitest('unit') };
const integration: Step = { name: 'integration tests', run: vitest('integration') };
const onInstances: Step[] = [
  { name: 'faults', run: script('test/faults/run.ts', '--ci'), when: exists('test/faults/run.ts') },
  { name: 'browser tests', run: withChromium, when: exists('test/e2e/*.e2e.test.ts') },
];

const total: Count = { passed: 0, failed: 0 };
const summary: string[] = [];

async function take({ name, run, when }: Step): Promise<void> {
  if (when?.() === false) {
    summary.push(`  ${name}: none yet`);
    return;
  }
  const output = kept.getStore();
  if (!output) console.log(`\n== ${name}`);
  const begin = Date.now();
  const { passed, failed } = await run();
  if (output) process.stdout.write(Buffer.concat([Buffer.from(`\n== ${name}\n`), ...output.splice(0)]));
  total.passed += passed;
  total.failed += failed;
  const seconds = ((Date.now() - begin) / 1000).toFixed(1);
  summary.push(`  ${name}: ${passed} passed, ${failed} failed (${seconds} s)`);
}

const inTurn = async (steps: Step[]): Promise<void> => {
  for (const step of steps) await take(step);
};
const sideBySide = (...parts: Step[][]): Promise<unknown> =>
  Promise.all(parts.map((steps) => kept.run([], () => inTurn(steps))));

// Neither waits for a clock, and each keeps one of two cores busy.
await sideBySide(checks, [unit]);
await take(integration);
// Each on an instance of its own, and what they wait for may take a minute: a fault's time is mostly waiting.
await sideBySide(...onInstances.map((step) => [step]));
rmSync(reports, { recursive: true, force: true });
console.log(`\n${summary.join('\n')}\n`);
console.log(`${total.passed} passed, ${total.failed} failed`);
process.exitCode = total.failed > 0 ? 1 : 0;
