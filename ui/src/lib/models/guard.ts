/** The sentences in what the guard said; it is stored as it came, so nothing of its shape is taken for granted. */
export function guardReasons(guard: unknown): string[] {
  if (typeof guard !== 'object' || guard === null) return [];
  const { reasons } = guard as { reasons?: unknown };
  if (!Array.isArray(reasons)) return [];
  return reasons.flatMap((reason: unknown) => {
    if (typeof reason === 'string') return [reason];
    const message = (reason as { message?: unknown } | null)?.message;
    return typeof message === 'string' ? [message] : [];
  });
}
