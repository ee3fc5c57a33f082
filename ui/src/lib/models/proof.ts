export interface ProofCheck {
  name: string;
  ok: boolean;
  detail: string;
}

/** The checks that the proof file lists; it is stored as it was written, so its shape is not taken for granted. */
export function proofChecks(proof: Record<string, unknown>): ProofCheck[] {
  const { checks } = proof;
  if (Array.isArray(checks)) {
    return checks.flatMap((check: unknown) => {
      if (typeof check !== 'object' || check === null) return [];
      const { name, code, ok, passed, message, detail } = check as Record<string, unknown>;
      const title = [name, code, message].find((text) => typeof text === 'string');
      if (typeof title !== 'string') return [];
      const more = [detail, message].find((text) => typeof text === 'string' && text !== title);
      return [
        { name: title, ok: ok === true || passed === true, detail: typeof more === 'string' ? more : '' },
      ];
    });
  }
  if (typeof checks !== 'object' || checks === null) return [];
  return Object.entries(checks).map(([name, value]) => ({
    name: name.replaceAll(/([a-z])([A-Z])/g, '$1 $2').replaceAll('_', ' '),
    ok: value === true || (value as { ok?: unknown } | null)?.ok === true,
    detail: '',
  }));
}
