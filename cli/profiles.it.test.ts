import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { startTestApp, type TestApp } from '../test/api.ts';
import { submit } from '../test/import.ts';

const main = fileURLToPath(new URL('./main.ts', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'waybill-profiles-'));
let app: TestApp;

beforeAll(async () => {
  app = await startTestApp();
});
afterAll(async () => {
  await app.close();
  rmSync(folder, { recursive: true });
});

async function profiles(...args: string[]) {
  const child = spawn(process.execPath, [main, 'profiles', ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, WAYBILL_URL: app.url, WAYBILL_TOKEN: app.tokens.operator },
  });
  const [stdout, stderr, [code]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, 'exit'),
  ]);
  return { code: code as number, stdout, stderr };
}

function fileOf(name: string, document: object): string {
  const path = join(folder, name);
  writeFileSync(path, JSON.stringify(document));
  return path;
}

const supplier = {
  waybillProfile: 1,
  dataset: 'products',
  name: 'supplier',
  headers: ['Nr', 'Stand'],
  fields: { sku: { column: 'Nr' }, active: { column: 'Stand' } },
};

it('a profile goes in, comes out, and is tried on an old file before anybody uses it', async () => {
  expect(await profiles('import', fileOf('one.json', supplier))).toMatchObject({
    code: 0,
    stdout: 'Kept as supplier, version 1.\n',
  });
  const better = {
    ...supplier,
    fields: { ...supplier.fields, active: { column: 'Stand', values: { A: 'true' } } },
  };
  expect(await profiles('import', fileOf('two.json', better))).toMatchObject({
    code: 0,
    stdout: 'Kept as supplier, version 2.\n',
  });

  const exported = await profiles('export', 'supplier', '-d', 'products', '--version', '1');
  expect(JSON.parse(exported.stdout)).toEqual({ ...supplier, version: 1 });
  writeFileSync(join(folder, 'again.json'), exported.stdout);
  expect((await profiles('import', join(folder, 'again.json'))).stdout).toBe(
    'supplier, version 1, says the same; it is the one in use.\n',
  );
  const listed = async () => (await profiles('list', '-d', 'products')).stdout;
  expect(await listed()).toMatch(/^NAME +VERSION.*\nsupplier +1 /u);
  await profiles('import', join(folder, 'two.json'));
  expect(await listed()).toMatch(/\nsupplier +2 /u);
  expect((await profiles('show', 'supplier', '-d', 'products')).stdout).toContain('"Stand"');

  const id = await submit(app, 'Nr,Stand\nk-1,A\nk-2,yes\nk-3,A\nk-4,maybe\n');
  const replayed = await profiles('replay', 'supplier', '-d', 'products', '--import', id, '--json');
  expect(replayed.stderr).toBe('');
  expect(JSON.parse(replayed.stdout)).toMatchObject({
    profile: 'supplier',
    from: { version: 1 },
    to: { version: 2 },
    before: { accepted: 1, blocked: 3, rejected: 0, issues: { not_boolean: 3 } },
    after: { accepted: 3, blocked: 1, rejected: 0, issues: { not_boolean: 1 } },
    changed: 2,
    differences: [
      {
        line: 2,
        fields: [
          { field: 'sku', after: 'k-1' },
          { field: 'active', before: null, after: 't' },
        ],
      },
      { line: 4 },
    ],
  });
  const said = await profiles('replay', 'supplier', '-d', 'products', '--import', id, '--limit', '1');
  expect(said.stdout).toContain('not_boolean: 3 -> 1');
  expect(said.stdout).toContain('2 rows come out differently, the first 1:');
  // It was read, and nothing else happened to it.
  expect(await app.owner`select count(*)::int as rows from catalog.products`).toEqual([{ rows: 0 }]);
});

it('what is wrong is said in a sentence', async () => {
  expect(
    await profiles('import', fileOf('wrong.json', { ...supplier, fields: { colour: { column: 'Nr' } } })),
  ).toMatchObject({ code: 2, stderr: expect.stringContaining('There is no field "colour"') });
  expect(await profiles('import', join(folder, 'none.json'))).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('There is no file'),
  });
  expect(await profiles('show', 'nobody', '-d', 'products')).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('no such profile'),
  });
  expect(await profiles('show', 'supplier')).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('--dataset NAME is missing'),
  });
});
