import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

const root = fileURLToPath(new URL('..', import.meta.url));
const ignored = ['**/node_modules/**', '.waybill/**', 'ui/build/**', 'test/e2e/**', 'test/faults/**'];

export default defineConfig({
  root,
  test: {
    pool: 'forks',
    projects: [
      {
        root,
        test: { name: 'unit', include: ['**/*.test.ts'], exclude: [...ignored, '**/*.it.test.ts'] },
      },
      {
        root,
        test: {
          name: 'integration',
          include: ['**/*.it.test.ts'],
          exclude: ignored,
          globalSetup: ['./test/services.ts'],
          testTimeout: 60_000,
          hookTimeout: 120_000,
        },
      },
    ],
  },
});
