import { Context } from '@temporalio/activity';
import type { Sql } from 'postgres';
import { Webhook } from 'standardwebhooks';
import * as webhooks from '../db/webhooks.ts';
import { OutboundError } from './outbound.ts';
import type { Outbound } from './outbound.ts';

export interface DeliveryDeps {
  sql: Sql;
  outbound: Outbound;
  /** A receiver has so long to answer. */
  timeoutMs?: number;
}

export interface AttemptResult {
  /** `stopped`: the endpoint was switched off or removed, or the delivery has ended before. */
  outcome: 'delivered' | 'retry' | 'gone' | 'stopped';
  status: number | null;
  durationMs: number;
  error: string | null;
  excerpt: string | null;
  /** What the receiver asked for by Retry-After. */
  retryAfterMs: number | null;
}

const TIMEOUT_MS = 20_000;

/** The exact bytes of an event; the same for every attempt. */
export function eventBody(event: webhooks.DueDelivery['event']): string {
  return JSON.stringify({
    type: event.type,
    timestamp: event.createdAt.toISOString(),
    number: event.eventId,
    data: event.data,
  });
}

/** Headers of the Standard Webhooks specification; one signature for each secret that is valid now. */
export function signedHeaders(id: string, at: Date, body: string, secrets: string[]): Record<string, string> {
  return {
    'webhook-id': id,
    'webhook-timestamp': String(Math.floor(at.getTime() / 1000)),
    'webhook-signature': secrets.map((secret) => new Webhook(secret).sign(id, at, body)).join(' '),
  };
}

/** Seconds or a date, as RFC 9110 has it; null where it says nothing that can be read. */
export function retryAfterMs(header: string | string[] | undefined, now: number): number | null {
  const text = Array.isArray(header) ? header[0] : header;
  if (text === undefined) return null;
  const ms = /^\s*\d+\s*$/.test(text) ? Number(text) * 1000 : Date.parse(text) - now;
  return Number.isFinite(ms) ? Math.max(0, ms) : null;
}

export function createDeliveryActivities({ sql, outbound, timeoutMs = TIMEOUT_MS }: DeliveryDeps) {
  return {
    /** One attempt, kept in the list of attempts whatever comes of it. */
    async attemptDelivery(input: {
      eventId: number;
      endpointId: string;
      attempt: number;
    }): Promise<AttemptResult> {
      const { eventId, endpointId, attempt } = input;
      const nothing = { status: null, durationMs: 0, error: null, excerpt: null, retryAfterMs: null };
      const due = await webhooks.findDelivery(sql, eventId, endpointId);
      const isTest = due?.event.type === webhooks.TEST_EVENT;
      if (!due || due.state !== 'pending') return { outcome: 'stopped', ...nothing };
      if (!due.enabled && !isTest) {
        await webhooks.scheduleAttempt(sql, eventId, endpointId, null);
        return { outcome: 'stopped', ...nothing };
      }

      const at = new Date();
      const body = eventBody(due.event);
      const result: AttemptResult = { outcome: 'retry', ...nothing };
      try {
        const headers = {
          'content-type': 'application/json',
          'user-agent': 'Waybill-Webhooks/1',
          ...signedHeaders(`evt_${eventId}`, at, body, due.secrets),
        };
        const signal = Context.current().cancellationSignal;
        const answer = await outbound.post(due.url, headers, body, { timeoutMs, signal });
        const { status } = answer;
        result.status = status;
        result.excerpt = answer.excerpt;
        if (status >= 200 && status < 300) result.outcome = 'delivered';
        else if (status === 410) result.outcome = 'gone';
        else {
          result.error = explain(status);
          result.retryAfterMs = retryAfterMs(answer.headers['retry-after'], Date.now());
        }
      } catch (error) {
        if (!(error instanceof OutboundError)) throw error;
        result.error = error.message;
      }
      result.durationMs = Date.now() - at.getTime();
      if (result.outcome === 'gone') {
        result.error = 'The receiver says that this endpoint is gone (410); it is switched off.';
        await webhooks.disableEndpoint(sql, endpointId, result.error);
      }
      await webhooks.recordAttempt(
        sql,
        eventId,
        endpointId,
        {
          attempt,
          at,
          durationMs: result.durationMs,
          status: result.status,
          error: result.error,
          responseExcerpt: result.excerpt,
        },
        result.outcome === 'delivered' ? 'delivered' : result.outcome === 'gone' ? 'given_up' : 'pending',
      );
      return result;
    },

    /** Says when the next attempt is due, or that there will be none. */
    async noteNextAttempt(input: {
      eventId: number;
      endpointId: string;
      next: number | null;
    }): Promise<void> {
      const next = input.next === null ? null : new Date(input.next);
      await webhooks.scheduleAttempt(sql, input.eventId, input.endpointId, next);
    },
  };
}

function explain(status: number): string {
  if (status >= 300 && status < 400)
    return `It answered ${status}: redirects are not followed. Enter the final address.`;
  return `It answered ${status}; only 2xx counts as accepted.`;
}
