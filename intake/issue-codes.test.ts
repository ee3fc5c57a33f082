import { readdirSync, readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { REJECT_CODES } from './scan.ts';

const here = new URL('.', import.meta.url);

it('every code of intake is documented', () => {
  const sources = ['./', './xlsx/', './json/'].flatMap((folder) =>
    readdirSync(new URL(folder, here))
      .filter((name) => name.endsWith('.ts') && !name.endsWith('.test.ts'))
      .map((name) => readFileSync(new URL(folder + name, here), 'utf8')),
  );
  const used = sources.flatMap((source) =>
    Array.from(source.matchAll(/(?:code: |FileError\(\s*)'([a-z_0-9]+)'/gu), (match) => match[1]!),
  );
  expect(used.length).toBeGreaterThan(50);
  const documented = readFileSync(new URL('../docs/issue-codes.md', here), 'utf8');
  const missing = [...used, ...REJECT_CODES.slice(1)].filter((code) => !documented.includes(`\`${code}\``));
  expect([...new Set(missing)]).toEqual([]);
});
