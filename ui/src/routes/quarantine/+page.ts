import { redirect } from '@sveltejs/kit';
import { listQuarantine } from '#lib/services/quarantine.ts';
import type { PageLoad } from './$types';

export const load: PageLoad = async ({ fetch, parent, url }) => {
  const { session } = await parent();
  if (session !== null && session.role !== 'admin') redirect(307, '/');
  const cursor = url.searchParams.get('cursor');
  return { files: await listQuarantine({ limit: 50, ...(cursor && { cursor }) }, { fetch }), cursor };
};
