import { defineConfig } from '@hey-api/openapi-ts';

/** Types of the API, made from its contract: `npx openapi-ts` in this folder writes src/lib/client. */
export default defineConfig({
  input: '../api/openapi.json',
  output: { path: 'src/lib/client', clean: true },
  plugins: ['@hey-api/typescript'],
});
