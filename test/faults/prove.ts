import type { Case } from './case.ts';
export const breakages: Case[] = [];
