import { listTokens, listWebhooks } from '#lib/services/access.ts';
import type { PageLoad } from './$types';

export const load: PageLoad = async ({ fetch, parent }) => {
  const { session } = await parent();
  const admin = session?.role === 'admin';
  const [tokens, webhooks] = await Promise.all([
    admin ? listTokens({ fetch }) : null,
    listWebhooks({ fetch }),
  ]);
  return { admin, tokens, webhooks };
};
