import { redirect } from '@sveltejs/kit';
import { loadMessages } from '#lib/i18n.ts';
import { whoAmI } from '#lib/services/access.ts';
import { ApiError } from '#lib/services/http.ts';
import type { LayoutLoad } from './$types';

export const ssr = false;
export const prerender = false;

/** Language first, then who is here: without a session there is only the sign-in page. */
export const load: LayoutLoad = async ({ fetch, url, untrack, depends }) => {
  depends('waybill:session');
  await loadMessages();
  const path = untrack(() => url.pathname);
  if (path === '/sign-in') return { session: null, away: false };
  try {
    return { session: await whoAmI({ fetch }), away: false };
  } catch (error) {
    // Thrown here it would end in SvelteKit's last-resort page, which never tries again.
    if (error instanceof ApiError && (error.status === 0 || error.status >= 500))
      return { session: null, away: true };
    if (!(error instanceof ApiError) || error.status !== 401) throw error;
    const next = untrack(() => url.pathname + url.search);
    redirect(307, next === '/' ? '/sign-in' : `/sign-in?next=${encodeURIComponent(next)}`);
  }
};
