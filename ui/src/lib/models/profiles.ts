import type { ProfileSummary } from '../client/index.ts';

/** One that somebody has given a name; the others are remembered for a header by themselves. */
export const isNamed = ({ name }: Pick<ProfileSummary, 'name'>): boolean =>
  !/^header-[0-9a-f]{12}$/.test(name);
