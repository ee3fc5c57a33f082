import { listTokens, listWebhooks } from '#lib/services/access.ts';
import { listDatasets } from '#lib/services/datasets.ts';
import { listSyncs } from '#lib/services/syncs.ts';
import type { PageLoad } from './$types';

export const load: PageLoad = async ({ fetch, parent }) => {
  const { session } = await parent();
  const admin = session?.role === 'admin';
  const [tokens, webhooks, syncs, datasets] = await Promise.all([
    admin ? listTokens({ fetch }) : null,
    listWebhooks({ fetch }),
    listSyncs({ fetch }),
    listDatasets({ fetch }),
  ]);
  return {
    admin,
    operator: session !== null && session.role !== 'viewer',
    tokens,
    webhooks,
    syncs,
    datasets,
  };
};
