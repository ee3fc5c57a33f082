import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

const root = fileURLToPath(new URL('..', import.meta.url));
const ignored = ['**/node_modules/**', '.waybill/**', 'ui/build/**'];

export default defineConfig({
  root,
  test: {
    pool: 'forks',
    projects: [
      {
        root,
        test: {
          name: 'unit',
          include: ['**/*.test.ts'],
          exclude: [...ignored, '**/*.it.test.ts', '**/*.e2e.test.ts'],
        },
      },
      {
        root,
        test: {
          name: 'integration',
          include: ['**/*.it.test.ts'],
          exclude: ignored,
          globalSetup: ['./test/services.ts'],
          // Two at once also on two cores: most of a file's time is waiting for servers.
          maxWorkers: 2,
          testTimeout: 60_000,
          hookTimeout: 120_000,
        },
      },
      {
        root,
        // One browser at a time on a whole instance that the test starts itself.
        test: {
          name: 'e2e',
          include: ['test/e2e/**/*.e2e.test.ts'],
          fileParallelism: false,
          testTimeout: 180_000,
          hookTimeout: 240_000,
        },
      },
    ],
  },
});
