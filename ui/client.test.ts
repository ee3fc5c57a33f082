import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createClient } from '@hey-api/openapi-ts';
import { expect, it } from 'vitest';

it('has types made from the contract as it is now', async () => {
  const path = mkdtempSync(join(tmpdir(), 'waybill-client-'));
  try {
    await createClient({
      input: join(import.meta.dirname, '..', 'api', 'openapi.json'),
      output: { path, clean: false },
      plugins: ['@hey-api/typescript'],
      logs: { level: 'silent' },
    });
    const committed = readFileSync(join(import.meta.dirname, 'src', 'lib', 'client', 'types.gen.ts'), 'utf8');
    // After a change of the API: `npx openapi-ts` in ui/.
    expect(readFileSync(join(path, 'types.gen.ts'), 'utf8')).toBe(committed);
  } finally {
    rmSync(path, { recursive: true });
  }
}, 30_000);
