import { invalidateAll } from '$app/navigation';
import { t } from '../i18n.ts';
import { ApiError } from './http.ts';

/** The sentence that a person is to see of whatever was thrown. */
export const sentenceOf = (error: unknown): string =>
  error instanceof ApiError && error.status === 0
    ? t.error.offline
    : error instanceof Error
      ? error.message
      : String(error);

/** Does what was asked, reads the page anew, and keeps the sentence of what went wrong for it to be shown. */
export class Attempt {
  problem = $state<string | null>(null);

  run = async (work: () => Promise<unknown>): Promise<void> => {
    this.problem = null;
    try {
      await work();
      await invalidateAll();
    } catch (error) {
      this.problem = sentenceOf(error);
    }
  };
}
