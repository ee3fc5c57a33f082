import { redirect } from '@sveltejs/kit';
import type { PageLoad } from './$types';

export const load: PageLoad = async ({ parent, url }) => {
  const { session } = await parent();
  if (session !== null && session.role !== 'admin') redirect(307, '/datasets');
  return { table: url.searchParams.get('table') ?? '' };
};
