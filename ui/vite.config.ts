import { sveltekit } from '@sveltejs/kit/vite';
import adapter from '@sveltejs/adapter-static';
import { defineConfig } from 'vite';
import { announcerWithoutInlineStyle, externalBootstrap } from './strict-csp.ts';

export default defineConfig({
  plugins: [
    announcerWithoutInlineStyle(),
    sveltekit({
      adapter: externalBootstrap(adapter({ pages: 'build', assets: 'build', fallback: 'index.html' })),
      compilerOptions: { runes: true },
      paths: { relative: false },
      version: { pollInterval: 300_000 },
    }),
  ],
  // Express brings an older `cookie` to the top of node_modules; SvelteKit's own copy has to go into its bundle.
  ssr: { noExternal: ['cookie'] },
  worker: { format: 'es' },
  build: { target: 'es2023' },
  server: { proxy: { '/api': process.env.WAYBILL_URL ?? 'http://127.0.0.1:3000' } },
});
