import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { findInstance } from './instance.ts';

const folder = mkdtempSync(join(tmpdir(), 'waybill-cli-'));
afterAll(() => rmSync(folder, { recursive: true }));

const describe = (text: string) => {
  writeFileSync(join(folder, 'run.json'), text);
  return { WAYBILL_DATA: folder };
};

test('the environment names an instance', () => {
  expect(findInstance({ WAYBILL_URL: 'https://waybill.example/', WAYBILL_TOKEN: 't' })).toEqual({
    url: 'https://waybill.example',
    token: 't',
    local: false,
  });
  expect(() => findInstance({ WAYBILL_URL: 'https://waybill.example' })).toThrow(/WAYBILL_TOKEN/);
  expect(() => findInstance({ WAYBILL_URL: 'waybill.example', WAYBILL_TOKEN: 't' })).toThrow(/http or https/);
});

test('run.json names the one that runs here', () => {
  const run = { url: 'http://127.0.0.1:3000', token: 't', pids: { supervisor: process.pid } };
  expect(findInstance(describe(JSON.stringify(run)))).toEqual({ url: run.url, token: 't', local: true });
});

test('a dead supervisor is no instance', async () => {
  const child = spawn('true');
  await once(child, 'exit');
  const run = { url: 'http://127.0.0.1:3000', token: 't', pids: { supervisor: child.pid } };
  expect(() => findInstance(describe(JSON.stringify(run)))).toThrow(
    expect.objectContaining({ code: 'not_running', exit: 2 }),
  );
});

test.each(['', '{', '[]', 'null', '{"url":"http://127.0.0.1:1"}'])(
  '%j in run.json is no instance',
  (text) => {
    expect(() => findInstance(describe(text))).toThrow(
      expect.objectContaining({ code: 'not_running', exit: 2 }),
    );
  },
);

test('no run.json is no instance', () => {
  expect(() => findInstance({ WAYBILL_DATA: join(folder, 'none') })).toThrow(/npm start/);
});
