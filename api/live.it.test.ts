import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestApp, type TestApp } from '../test/api.ts';
import { startTestWorker } from '../test/worker.ts';
import type { Progress } from './progress.ts';

let app: TestApp;
let worker: Awaited<ReturnType<typeof startTestWorker>>;
beforeAll(async () => {
  app = await startTestApp();
  worker = await startTestWorker({ databaseUrl: app.workerUrl, namespace: app.namespace });
});
afterAll(async () => {
  await worker?.stop();
  await app?.close();
});

const ROWS = 200_000;
const csv = (rows: number, price: (n: number) => string = (n) => String(n % 100)): Buffer => {
  const lines = ['sku,name,description,price,quantity'];
  for (let n = 1; n <= rows; n++)
    lines.push(`S-${n},Product ${n},Something to say about it,${price(n)},${n % 7}`);
  return Buffer.from(lines.join('\n') + '\n');
};

async function importFile(content: Buffer, options: object = {}, dataset = 'products'): Promise<string> {
  const begun = await app.call('POST', '/api/imports/initiate', {
    body: { file_name: 'stock.csv', expected_schema: dataset, file_size: content.length },
  });
  const parts = await Promise.all(
    (begun.body.part_urls as { part_number: number; url: string; size: number }[]).map(
      async ({ part_number, url, size }) => {
        const from = (part_number - 1) * begun.body.max_part_size;
        const answer = await fetch(url, {
          method: 'PUT',
          body: new Uint8Array(content.subarray(from, from + size)),
        });
        return { part_number, etag: answer.headers.get('etag')! };
      },
    ),
  );
  const done = await app.call('POST', '/api/imports/complete', {
    body: { upload_id: begun.body.upload_id, file_key: begun.body.file_key, parts, options },
  });
  expect(done.status).toBe(200);
  return begun.body.upload_id;
}

interface Seen {
  at: number;
  event: string;
  data: Partial<Progress>;
}

/** The stream of events until the state is one that `until` wants; the state is what the deltas add up to. */
async function follow(id: string, until: (state: Progress) => boolean, each?: (state: Progress) => void) {
  const controller = new AbortController();
  const answer = await fetch(`${app.url}/api/imports/${id}/events`, {
    headers: { authorization: `Bearer ${app.tokens.viewer}` },
    signal: controller.signal,
  });
  expect(answer.headers.get('content-type')).toMatch(/^text\/event-stream/);
  const seen: Seen[] = [];
  let state = {} as Progress;
  let text = '';
  for await (const chunk of answer.body!.pipeThrough(new TextDecoderStream())) {
    text += chunk;
    for (let end = text.indexOf('\n\n'); end !== -1; end = text.indexOf('\n\n')) {
      const [, event, data] = /^event: (\w+)\ndata: (.*)$/.exec(text.slice(0, end)) ?? [];
      text = text.slice(end + 2);
      if (!event) continue;
      const part = JSON.parse(data!) as Partial<Progress>;
      seen.push({ at: Date.now(), event, data: part });
      state = { ...state, ...part };
      each?.(state);
      if (until(state)) {
        controller.abort();
        return { seen, state };
      }
    }
  }
  throw new Error('the stream ended');
}

const isOver = ({ phase }: Progress): boolean => phase === 'done' || phase === 'failed';
const waits = ({ status }: Progress): boolean => status === 'waiting' || status === 'failed';

describe('a run', () => {
  it('is told as it goes: never back, at most four times a second, right in the end', async () => {
    const id = await importFile(csv(ROWS));
    const states: Progress[] = [];
    const { seen, state } = await follow(id, isOver, (each) => states.push(each));
    expect(state).toMatchObject({
      status: 'completed',
      phase: 'done',
      rows_total: ROWS,
      rows_parsed: ROWS,
      rows_valid: ROWS,
      rows_written: ROWS,
      rows_failed: 0,
      fraction: 1,
      eta_seconds: null,
      accounting: { input: ROWS, created: ROWS, notProcessed: 0 },
    });
    expect(seen[0]!.event).toBe('status');
    expect(seen.slice(1).every((one) => one.event === 'delta')).toBe(true);
    // Whatever the network does to single ones.
    expect(seen.length).toBeLessThanOrEqual((seen.at(-1)!.at - seen[0]!.at) / 250 + 2);
    for (const field of ['rows_parsed', 'rows_valid', 'rows_written', 'bytes_read'] as const) {
      const values = states.map((one) => one[field]);
      expect(values, field).toEqual(values.toSorted((a, b) => a - b));
    }
    const fractions = states.flatMap((one) => (one.fraction === null ? [] : [one.fraction]));
    expect(fractions).toEqual(fractions.toSorted((a, b) => a! - b!));
    const steps = [...new Set(states.map((one) => one.step).filter(Boolean))];
    expect(steps).toEqual(
      ['download', 'inspect', 'map', 'validate', 'apply', 'notify'].filter((step) =>
        steps.includes(step as never),
      ),
    );
    expect(
      states.some((one) => one.step === 'apply' && one.rows_written > 0 && one.rows_written < ROWS),
    ).toBe(true);

    const { body } = await app.call('GET', `/api/imports/${id}`);
    expect(body).toMatchObject({
      status: 'completed',
      accounting: state.accounting,
      proofUrl: `/api/imports/${id}/proof`,
    });
    expect((await app.call('GET', `/api/imports/${id}/proof`)).body).toMatchObject({ ok: true, import: id });
    expect((await app.call('GET', '/api/datasets/products/records?q=s-199999')).body.items).toHaveLength(1);
    expect(await app.call('GET', '/readyz', { token: null })).toMatchObject({
      status: 200,
      body: { ready: true },
    });
  });

  it('of a file that was imported before is refused with a link', async () => {
    const content = csv(10);
    const first = await importFile(content);
    await follow(first, isOver);
    const { state } = await follow(await importFile(content), isOver);
    expect(state).toMatchObject({ status: 'failed', error: { code: 'duplicate_file', importId: first } });
  });

  it('reports refused rows, page by page and as a file', async () => {
    const id = await importFile(csv(1000, (n) => (n % 10 === 0 ? '=1+1' : '5')));
    const { state } = await follow(id, isOver);
    expect(state).toMatchObject({ status: 'completed_with_issues', rows_failed: 100 });
    const issues = (await app.call('GET', `/api/imports/${id}/issues?limit=10`)).body;
    expect(issues.items).toHaveLength(10);
    expect(issues.items[0]).toMatchObject({ line: 11, field: 'price', value: '=1+1', severity: 'error' });
    expect(issues.counts.reduce((sum: number, one: { count: number }) => sum + one.count, 0)).toBe(100);
    const report = (await app.call('GET', `/api/imports/${id}/issues.csv`)).body as string;
    expect(report.trim().split('\r\n')).toHaveLength(101);
    expect(report).toContain("'=1+1");
  });

  it('waits for approval of the very plan, and then goes on', async () => {
    const id = await importFile(
      csv(50, () => '77'),
      { policy: 'review' },
    );
    expect((await follow(id, waits)).state).toMatchObject({
      phase: 'validating',
      step: 'review',
      waiting_for: { what: 'approval' },
    });
    const { body } = await app.call('GET', `/api/imports/${id}`);
    expect(body).toMatchObject({ actions: ['approve', 'discard', 'cancel'], plan: { version: 1 } });
    const approve = (plan: object) =>
      app.call('POST', `/api/imports/${id}/approve`, { body: { plan }, token: app.tokens.approver });
    expect((await approve({ ...body.plan, digest: 'other' })).status).toBe(409);
    expect((await approve(body.plan)).status).toBe(200);
    expect((await follow(id, isOver)).state).toMatchObject({ status: 'completed', rows_written: 50 });
  });

  it('can be discarded instead, and nothing of it is written', async () => {
    const id = await importFile(
      csv(20, () => '78'),
      { policy: 'review' },
    );
    await follow(id, waits);
    expect((await app.call('POST', `/api/imports/${id}/discard`, { body: {} })).status).toBe(200);
    expect((await follow(id, isOver)).state).toMatchObject({ status: 'cancelled', rows_written: 0 });
  });

  it('asks which column is meant, and remembers the answer', async () => {
    const content = Buffer.from('thing,designation\nM-1,one\nM-2,two\n');
    const id = await importFile(content);
    expect((await follow(id, waits)).state).toMatchObject({ waiting_for: { what: 'mapping' } });
    const preview = (await app.call('GET', `/api/imports/${id}/preview`)).body;
    expect(preview).toMatchObject({
      confirmed: false,
      sample: [
        ['M-1', 'one'],
        ['M-2', 'two'],
      ],
    });
    expect(preview.mapping.questions.length).toBeGreaterThan(0);
    const fields = [
      { field: 'sku', column: 0 },
      { field: 'name', column: 1 },
    ];
    expect((await app.call('POST', `/api/imports/${id}/confirm-mapping`, { body: { fields } })).status).toBe(
      200,
    );
    expect((await follow(id, isOver)).state).toMatchObject({ status: 'completed', rows_written: 2 });
    const again = await importFile(Buffer.from('thing,designation\nM-3,three\n'));
    expect((await follow(again, isOver)).state).toMatchObject({ status: 'completed', rows_written: 1 });
  });

  it('is paused within a second in mid-apply, holds still, and goes on', async () => {
    const id = await importFile(csv(ROWS, () => '123.45'));
    await follow(id, (state) => (state.step === 'apply' && state.rows_written > 0) || isOver(state));
    const started = Date.now();
    const paused = await app.call('POST', `/api/imports/${id}/pause`, { body: {} });
    expect(Date.now() - started).toBeLessThan(1000);
    expect(paused.body.status).toBe('paused');
    const still = (await app.call('GET', `/api/imports/${id}/status`)).body;
    expect(still).toMatchObject({ status: 'paused', eta_seconds: null, throughput_rps: null });
    expect(still.rows_written).toBeLessThan(ROWS);
    await new Promise((resolve) => setTimeout(resolve, 1500));
    expect((await app.call('GET', `/api/imports/${id}/status`)).body.rows_written).toBe(still.rows_written);
    expect((await app.call('POST', `/api/imports/${id}/resume`, { body: {} })).status).toBe(200);
    expect((await follow(id, isOver)).state).toMatchObject({ status: 'completed', rows_written: ROWS });
  });

  it('shows itself to nobody whose token was revoked', async () => {
    const made = (await app.call('POST', '/api/tokens', { body: { name: 'short', role: 'viewer' } })).body;
    await app.call('DELETE', `/api/tokens/${made.id}`);
    const id = await app.makeImport();
    const answer = await fetch(`${app.url}/api/imports/${id}/events`, {
      headers: { authorization: `Bearer ${made.token}` },
    });
    expect(answer.status).toBe(401);
  });
});
