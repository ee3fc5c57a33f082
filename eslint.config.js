import tseslint from 'typescript-eslint';
import svelte from 'eslint-plugin-svelte';

/**
 * What each folder may import from, the arrows of docs/architecture.md. A folder may always import itself;
 * anything not listed is an error, so that a new arrow is a decision and not an accident.
 */
const arrows = {
  intake: [],
  datasets: ['intake'],
  storage: [],
  db: ['datasets', 'intake'],
  review: ['datasets', 'intake', 'db'],
  activities: ['datasets', 'intake', 'review', 'db', 'storage'],
  workflows: ['activities', 'intake'],
  temporal: ['workflows', 'activities', 'db', 'storage', 'datasets', 'intake'],
  api: ['datasets', 'intake', 'review', 'db', 'storage', 'temporal', 'workflows'],
  cli: ['intake'],
  ui: [],
};
const folders = [...Object.keys(arrows), 'dev', 'bench', 'test'];

const direction = (folder) => ({
  files: [`${folder}/**/*.{ts,svelte,js,mjs}`],
  ignores: ['**/*.test.ts'],
  rules: {
    'no-restricted-imports': [
      'error',
      {
        patterns: folders
          .filter((other) => other !== folder && !arrows[folder].includes(other))
          .map((other) => ({
            regex: `^(\\.\\./)+${other}/`,
            message: `${folder}/ must not import from ${other}/ (docs/architecture.md, Layout).`,
          })),
      },
    ],
  },
});

export default tseslint.config(
  {
    ignores: [
      'node_modules/**',
      '.waybill/**',
      'ui/build/**',
      'ui/.svelte-kit/**',
      'ui/src/lib/paraglide/**',
      'ui/src/lib/client/**',
    ],
  },
  ...tseslint.configs.recommended,
  ...svelte.configs.recommended,
  {
    rules: {
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }],
      'max-lines': ['warn', { max: 400, skipComments: true, skipBlankLines: true }],
      eqeqeq: 'error',
      'no-console': 'off',
    },
  },
  {
    files: ['**/*.svelte', '**/*.svelte.ts'],
    languageOptions: { parserOptions: { parser: tseslint.parser } },
    // The console is served at the root of its own origin: there is no base path to resolve.
    rules: { 'svelte/no-navigation-without-resolve': 'off' },
  },
  ...Object.keys(arrows).map(direction),
);
