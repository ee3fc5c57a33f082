/** A transaction should hold the lock for about this long: a pause waits for it. */
const TRANSACTION_MS = 200;
const MOST_BATCHES = 4;

/** Does the batches first..last in their order, several in one transaction where they are quick. */
export async function paced(
  batches: { first: number; last: number },
  signal: AbortSignal,
  transaction: (first: number, last: number) => Promise<void>,
  /** Between two transactions: where there are ceilings, until the next one may begin. */
  rest?: (batches: number) => Promise<void>,
): Promise<void> {
  let size = 1;
  for (let batch = batches.first; batch <= batches.last;) {
    signal.throwIfAborted();
    const last = Math.min(batch + size - 1, batches.last);
    const started = performance.now();
    await transaction(batch, last);
    const each = (performance.now() - started) / (last - batch + 1);
    await rest?.(last - batch + 1);
    size = Math.max(1, Math.min(MOST_BATCHES, Math.floor(TRANSACTION_MS / each)));
    batch = last + 1;
  }
}
