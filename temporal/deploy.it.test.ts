/** A deploy while runs are open: what one version of the worker has begun, another one ends. */
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { startTestApp, type TestApp } from '../test/api.ts';
import { reached, submit } from '../test/import.ts';
import { startTestWorker } from '../test/worker.ts';

/** What a worker process is made of. */
const PARTS = ['activities', 'datasets', 'db', 'intake', 'review', 'storage', 'temporal', 'workflows'];
const PART_FILES = ['package.json', 'package-lock.json'];
const root = join(import.meta.dirname, '..');
const ROWS = 12_000;
/** docs/operating.md: a worker that is asked to stop has stopped by then. */
const DRAINED_WITHIN_MS = 20_000;

let app: TestApp;
let operator: pg.Client;
let next: string;
beforeAll(async () => {
  app = await startTestApp();
  operator = new pg.Client({ connectionString: app.ownerUrl });
  await operator.connect();
  next = nextVersion();
});
afterAll(async () => {
  await operator?.end();
  await app?.close();
  if (next) rmSync(next, { recursive: true, force: true });
});

/** The code as it could be after the next release: the run has a step more, and says so to the runs of before. */
function nextVersion(): string {
  const copy = mkdtempSync(join(tmpdir(), 'waybill-next-'));
  for (const part of [...PARTS, ...PART_FILES])
    cpSync(join(root, part), join(copy, part), { recursive: true });
  symlinkSync(join(root, 'node_modules'), join(copy, 'node_modules'));
  const path = join(copy, 'workflows', 'import-file.ts');
  const before = '  await applyAll(state);\n';
  const text = readFileSync(path, 'utf8');
  if (text.split(before).length !== 2) throw new Error('importFile no longer applies where this test looks');
  writeFileSync(
    path,
    text.replace(
      before,
      `  if (wf.patched('next')) await state.throughOutage(() => control('a step of the next version').pending(state.at()));\n${before}`,
    ),
  );
  return copy;
}

async function until(what: string, look: () => Promise<boolean>): Promise<void> {
  for (const deadline = Date.now() + 30_000; !(await look());) {
    if (Date.now() > deadline) throw new Error(`never saw ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

it(
  'a run that was paused under one version is resumed and ended by the next',
  { timeout: 120_000 },
  async () => {
    const settings = { databaseUrl: app.workerUrl, namespace: app.namespace };
    const old = await startTestWorker(settings);
    const sku = (n: number) => `deploy-${String(n).padStart(6, '0')}`;
    const csv = ['sku,name', ...Array.from({ length: ROWS }, (_, n) => `${sku(n + 1)},Thing`)].join('\n');
    // Somebody is about to add the last record: its batch waits, and the first one is done.
    await operator.query(
      `begin; insert into catalog.products (tenant_id, sku) values ('default', '${sku(ROWS)}')`,
    );
    let id: string;
    try {
      id = await submit(app, csv);
      await until('the first batch done', async () => {
        const [row] = await app.owner<{ n: number }[]>`
        select count(*)::int as n from waybill.receipts where import_id = ${id}`;
        return row!.n === 1;
      });
      await app.call('POST', `/api/imports/${id}/pause`, { body: {} });
      await reached(app, id, 'paused');
    } finally {
      const asked = Date.now();
      await old.stop();
      expect(Date.now() - asked).toBeLessThan(DRAINED_WITHIN_MS);
      await operator.query('rollback');
    }

    const worker = await startTestWorker({ ...settings, root: next });
    try {
      await app.call('POST', `/api/imports/${id}/resume`, { body: {} });
      expect(await reached(app, id, 'completed', 'completed_with_issues', 'failed')).toMatchObject({
        status: 'completed',
        accounting: { input: ROWS, created: ROWS },
      });
    } finally {
      await worker.stop();
    }

    const { events } = await app.client.workflow.getHandle(id).fetchHistory();
    const bundles = new Set(
      events!.flatMap(({ workflowTaskCompletedEventAttributes: done }) => {
        const build =
          done?.workerVersion?.buildId || done?.deploymentVersion?.buildId || done?.binaryChecksum;
        return build ? [build] : [];
      }),
    );
    const workers = new Set(
      events!.flatMap((event) => event.workflowTaskCompletedEventAttributes?.identity ?? []),
    );
    expect([workers.size, bundles.size], [...workers, ...bundles].join(', ')).toEqual([2, 2]);
    expect(
      events!.filter((event) => event.markerRecordedEventAttributes?.markerName === 'core_patch'),
    ).toHaveLength(1);
  },
);

it(
  'asked to stop while its statement waits for a locked table, a worker lets go of it and ends as it says',
  { timeout: 60_000 },
  async () => {
    const settings = { databaseUrl: app.workerUrl, namespace: app.namespace };
    const held = await startTestWorker({ ...settings, env: { WAYBILL_DRAIN_SECONDS: '1' } });
    const waits = async () =>
      (
        await app.owner<{ n: number }[]>`select count(*)::int as n from pg_stat_activity
          where datname = current_database() and application_name = 'waybill worker' and wait_event_type = 'Lock'`
      )[0]!.n;
    await operator.query('begin; lock table catalog.products in access exclusive mode');
    try {
      await submit(app, 'sku,name\nstuck-1,Thing');
      await until('a statement that waits for the table', async () => (await waits()) > 0);
      expect(await held.stop()).toBe(0);
      expect(held.lines().filter((line) => line.includes('"level":50'))).toEqual([]);
      expect(await waits()).toBe(0);
    } finally {
      await operator.query('rollback');
    }
  },
);
