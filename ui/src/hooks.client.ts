import type { HandleClientError } from '@sveltejs/kit/hooks';
import { ApiError } from '#lib/services/http.ts';

/** Errors of the API keep their code and sentence on the error page. */
export const handleError: HandleClientError = ({ error }) => {
  if (error instanceof ApiError)
    return { status: error.status === 0 ? 503 : error.status, message: error.message, code: error.code };
  return error instanceof Error ? { message: error.message } : {};
};
