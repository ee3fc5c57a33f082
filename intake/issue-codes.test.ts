import { globSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { LIMIT_CODES } from './rules/types.ts';
import { REJECT_CODES } from './scan.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const read = (path: string) => readFileSync(`${root}/${path}`, 'utf8');
const sources = globSync(
  ['intake/**/*.ts', 'datasets/*.ts', 'db/*.ts', 'db/migrations/*.sql', 'activities/*.ts', 'workflows/*.ts'],
  {
    cwd: root,
  },
)
  .filter((path) => !/\.(?:test|fixture)\.ts$/.test(path))
  .map((path) => ({ path, text: read(path) }));
const documented = new Set(
  Array.from(
    read('docs/issue-codes.md').matchAll(/`([a-z][a-z0-9]*(?:_[a-z0-9]+)*)`/g),
    (match) => match[1]!,
  ),
);

/** Codes as each folder writes them: of issues, of notes and warnings, of what ends a run. */
const WRITTEN: [folder: RegExp, code: RegExp][] = [
  [/^intake\//, /(?:code: |FileError\(\s*|fault\(\s*)'([a-z][a-z_0-9]*)'/gu],
  [/^datasets\//, /(?:\bnote\(\s*|code = )'([a-z][a-z_0-9]*)'/gu],
  [/^db\/.*\.ts$/, /(?:\bissue\((?:rule, [^']*)?|code = )'([a-z][a-z_0-9]*)'/gu],
  // What apply says of a row: the target's refusals, and outcomes that differ from the decision.
  [
    /^db\/.*\.sql$/,
    /when '[0-9A-Z]{5}' then '([a-z_]+)'|else '([a-z_]+)' end;\n\s*message := case|(?:'(?:create|update|unchanged)'|decision),\s*'(?:stale|failed|unchanged)',\s*'([a-z_]+)',/gu,
  ],
  [/^activities\//, /(?:ImportRefused\(\s*|code: )'([a-z][a-z_0-9]*)'/gu],
  [/^workflows\//, /code: '([a-z][a-z_0-9]*)'/gu],
];
const emitted = new Set([
  ...REJECT_CODES.slice(1),
  ...LIMIT_CODES,
  ...sources.flatMap(({ path, text }) =>
    WRITTEN.filter(([folder]) => folder.test(path)).flatMap(([, code]) =>
      Array.from(text.matchAll(code), (match) => match.slice(1).find((found) => found !== undefined)!),
    ),
  ),
]);

it('every code that is emitted is documented', () => {
  expect(emitted.size).toBeGreaterThan(100);
  const missing = [...emitted].filter((code) => !documented.has(code));
  expect(missing).toEqual([]);
});

it('every code that is documented is emitted', () => {
  const gone = [...documented].filter((code) => !sources.some(({ text }) => text.includes(`'${code}'`)));
  expect(gone).toEqual([]);
});
