import { proxyActivities, setCurrentDetails, sleep } from '@temporalio/workflow';
import type { AttemptResult, createDeliveryActivities } from '../activities/deliver.ts';
import { queues } from './messages.ts';
import { delayBefore, RETRY_OFFSETS_MS } from './retry-schedule.ts';

export interface DeliverWebhookInput {
  eventId: number;
  endpointId: string;
  /** For tests and for the test button, which tries once. */
  offsetsMs?: number[];
}

export interface DeliverWebhookResult {
  outcome: 'delivered' | 'given_up' | 'gone' | 'stopped';
  attempts: number;
  last: AttemptResult;
}

// A queue with slots of its own: receivers that do not answer hold nothing but these.
const { attemptDelivery, noteNextAttempt } = proxyActivities<ReturnType<typeof createDeliveryActivities>>({
  taskQueue: queues.delivery,
  startToCloseTimeout: '1 minute',
  retry: { initialInterval: '1 second', maximumInterval: '1 minute' },
});

/** Brings one event to one endpoint: at least once, under one id, for up to a day. */
export async function deliverWebhook(input: DeliverWebhookInput): Promise<DeliverWebhookResult> {
  const { eventId, endpointId, offsetsMs = RETRY_OFFSETS_MS } = input;
  const began = Date.now();
  for (let attempt = 1; ; attempt++) {
    const last = await attemptDelivery({ eventId, endpointId, attempt });
    if (last.outcome !== 'retry') {
      setCurrentDetails(`**${last.outcome}** after ${attempt} attempts`);
      return { outcome: last.outcome, attempts: attempt, last };
    }
    const wait = delayBefore(offsetsMs, attempt, Date.now() - began, last.retryAfterMs, Math.random());
    const next = wait === null ? null : Date.now() + wait;
    await noteNextAttempt({ eventId, endpointId, next });
    if (wait === null) {
      setCurrentDetails(`**given up** after ${attempt} attempts: ${last.error}`);
      return { outcome: 'given_up', attempts: attempt, last };
    }
    setCurrentDetails(`Attempt ${attempt}: ${last.error} Next try at ${new Date(next!).toISOString()}.`);
    await sleep(wait);
  }
}
