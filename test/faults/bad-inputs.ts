import type { Case } from './case.ts';
export const badInputs: Case[] = [];
