import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { startTestApp, type TestApp } from '../test/api.ts';

const at = (path: string) => fileURLToPath(new URL(`../${path}`, import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'waybill-datasets-'));
let app: TestApp;
beforeAll(async () => {
  app = await startTestApp();
});
afterAll(async () => {
  await app.close();
  rmSync(folder, { recursive: true });
});

async function run(script: string, ...args: string[]) {
  const child = spawn(process.execPath, [at(script), ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: {
      ...process.env,
      WAYBILL_URL: app.url,
      WAYBILL_TOKEN: app.tokens.admin,
      DATABASE_URL: app.ownerUrl,
    },
  });
  const [stdout, stderr, [code]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, 'exit'),
  ]);
  return { code: code as number, stdout, stderr };
}
const datasets = (...args: string[]) => run('cli/main.ts', 'datasets', ...args);

it('a table is given, looked at, made a dataset, changed and taken out of use', async () => {
  await app.owner.unsafe(
    `create table public.parts (no varchar(8) primary key, weight numeric(6,2) check (weight > 0), tags text[])`,
  );
  expect(await datasets('introspect', 'parts')).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('grant_target'),
  });
  const given = await run('dev/grant-target.ts', 'public.parts');
  expect(given).toMatchObject({ code: 0, stdout: expect.stringContaining('may load into public.parts now') });

  const looked = await datasets('introspect', 'public.parts');
  expect(looked).toMatchObject({ code: 0, stderr: '' });
  expect(looked.stdout).toMatch(/parts: public\.parts, key no \(parts_pkey\)/);
  expect(looked.stdout).toMatch(/weight +decimal\(6,2\) +above 0/);
  expect(looked.stdout).toMatch(/Notes\n.*tags is of type text\[\]/);
  const proposal = JSON.parse((await datasets('introspect', 'parts', '--json')).stdout);
  const path = join(folder, 'parts.json');
  writeFileSync(path, JSON.stringify({ ...proposal, title: { en: 'Spare parts', ja: '部品' } }));

  const added = await datasets('add', path);
  expect(added).toMatchObject({
    code: 0,
    stdout: expect.stringMatching(/^parts, version 1: 3 fields, 0 rules\./),
  });
  expect(await datasets('add', 'parts')).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('--replace'),
  });
  expect((await datasets('add', 'parts', '--replace')).stdout).toMatch(/^parts, version 2/);
  expect((await datasets('list')).stdout).toMatch(/parts +version 2 +public\.parts +no/);
  expect(JSON.parse((await datasets('show', 'parts', '--json')).stdout)).toMatchObject({
    name: 'parts',
    version: 2,
  });
  expect((await datasets('remove', 'parts')).code).toBe(0);
  expect(await datasets('show', 'parts')).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('no such dataset'),
  });
  expect((await run('dev/grant-target.ts', 'public.parts', '--revoke')).code).toBe(0);
  expect((await datasets('introspect', 'parts')).code).toBe(2);
  writeFileSync(path, 'no json');
  expect(await datasets('add', path)).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('is not JSON'),
  });
}, 60_000);
