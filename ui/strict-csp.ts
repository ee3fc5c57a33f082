import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import type { Adapter } from '@sveltejs/kit';
import type { Plugin } from 'vite';

const INLINE_SCRIPT = /<script>([\s\S]*?)<\/script>/g;

/**
 * Wraps an adapter so that the page it writes carries no inline script: SvelteKit's few starting lines move to a
 * file named by their hash. The API can then send `script-src 'self'` and needs to know nothing of the build.
 */
export function externalBootstrap(adapter: Adapter): Adapter {
  return {
    ...adapter,
    async adapt(builder) {
      await adapter.adapt(builder);
      const html = readFileSync('build/index.html', 'utf8');
      mkdirSync('build/_app/immutable/boot', { recursive: true });
      const rewritten = html.replace(INLINE_SCRIPT, (_, code: string) => {
        const name = createHash('sha256').update(code).digest('hex').slice(0, 10);
        const path = `_app/immutable/boot/${name}.js`;
        writeFileSync(`build/${path}`, code);
        return `<script src="/${path}"></script>`;
      });
      if (/<script>|\sstyle="|\son[a-z]+="/.test(rewritten)) {
        throw new Error('The page still holds inline code, which the content security policy would refuse.');
      }
      writeFileSync('build/index.html', rewritten);
      // Only now: the API serves the compressed copies, which must not be of the page as it was before.
      await builder.compress('build');
    },
  };
}

/** SvelteKit hides its live region with a style attribute, which `style-src 'self'` refuses; app.css hides it instead. */
export function announcerWithoutInlineStyle(): Plugin {
  return {
    name: 'waybill-announcer-without-inline-style',
    enforce: 'pre',
    transform: {
      filter: { id: /\/@sveltejs\/kit\/src\/runtime\/components\/root\.svelte$/ },
      handler(code) {
        const stripped = code.replace(/(id="svelte-announcer"[^>]*?)\s+style="[^"]*"/, '$1');
        if (stripped === code)
          throw new Error('SvelteKit no longer styles its announcer inline: drop this plugin.');
        return stripped;
      },
    },
  };
}
