import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect, it } from 'vitest';

/** Every file that a file loads, itself included, and the packages that they name; what is only a type is not loaded. */
function loaded(path: string, seen = new Set<string>(), packages = new Set<string>()): Set<string> {
  if (seen.has(path)) return packages;
  seen.add(path);
  const source = readFileSync(path, 'utf8');
  for (const [, from] of source.matchAll(/^(?:import|export)\s(?!type\b)[^;]*?from\s+'([^']+)';/gmu)) {
    if (from!.startsWith('.')) loaded(join(dirname(path), from!), seen, packages);
    else packages.add(from!);
  }
  return packages;
}

it('the worker does without the schemas of the API: they take 5 MB, resident', () => {
  const packages = loaded(join(import.meta.dirname, 'worker.ts'));
  expect(packages).toContain('@temporalio/worker');
  expect([...packages].filter((name) => /^(zod|express)/.test(name))).toEqual([]);
});
