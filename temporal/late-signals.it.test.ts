/** Signals as Temporal may bring them: late, twice, out of order. What the database was told counts, and only once. */
import pg from 'pg';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { startTestApp, type TestApp } from '../test/api.ts';
import { reached, submit } from '../test/import.ts';
import { startTestWorker } from '../test/worker.ts';

let app: TestApp;
let worker: Awaited<ReturnType<typeof startTestWorker>>;
let locker: pg.Client;
beforeAll(async () => {
  app = await startTestApp();
  worker = await startTestWorker({ databaseUrl: app.workerUrl, namespace: app.namespace });
  locker = new pg.Client({ connectionString: app.ownerUrl });
  await locker.connect();
});
afterAll(async () => {
  await worker?.stop();
  await locker?.end();
  await app?.close();
});

const csv = (name: string): string =>
  ['sku,name', ...Array.from({ length: 50 }, (_, n) => `${name}-${n},Thing ${n}`)].join('\n');

const act = async (id: string, action: string): Promise<void> => {
  const answer = await app.call('POST', `/api/imports/${id}/${action}`, { body: {} });
  if (answer.status !== 200) throw new Error(`${action}: ${answer.status} ${JSON.stringify(answer.body)}`);
};
const epoch = async (id: string): Promise<number> =>
  (await app.owner<{ epoch: number }[]>`select epoch from waybill.imports where import_id = ${id}`)[0]!.epoch;
const signal = (id: string, name: string, message: object) =>
  app.client.workflow.getHandle(id).signal(name, message);
/** What the workflow says once it has taken in every signal sent before. */
const heard = async (id: string): Promise<string> =>
  (await app.client.workflow.getHandle(id).query<{ status: string }>('progress')).status;

async function until(what: string, found: () => Promise<boolean>): Promise<void> {
  for (const deadline = Date.now() + 20_000; !(await found());) {
    if (Date.now() > deadline) throw new Error(`never saw ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** A batch of the import has begun and cannot go on: the table is locked. */
const writing = (id: string) =>
  until('a batch that waits for the table', async () => {
    const { count } =
      await app.owner`select from pg_locks where relation = 'catalog.products'::regclass and not granted`;
    return count > 0 && (await heard(id)) === 'running';
  });

/** A run that is held in the middle of its first batch while `work` is done to it. */
async function heldRun(name: string, work: (id: string) => Promise<void>): Promise<string> {
  await locker.query('begin; lock table catalog.products in share mode');
  try {
    const id = await submit(app, csv(name));
    await writing(id);
    await work(id);
    return id;
  } finally {
    await locker.query('rollback');
  }
}

it('a pause and a cancel that come after the resume do nothing', async () => {
  const id = await heldRun('late', async (id) => {
    await act(id, 'pause');
    const paused = await epoch(id);
    await act(id, 'resume');
    const resumed = await epoch(id);
    // The batch of before the pause may be seen waiting still.
    await until('the run beginning again', async () => (await epoch(id)) > resumed);
    await writing(id);
    const now = await epoch(id);
    for (const name of ['pause', 'pause', 'cancel', 'resume']) await signal(id, name, { epoch: paused });
    expect(await heard(id)).toBe('running');
    // Not even begun again, which would give the turn away.
    expect(await epoch(id)).toBe(now);
  });
  expect((await reached(app, id, 'completed', 'cancelled', 'paused')).accounting).toMatchObject({
    input: 50,
    created: 50,
  });
  const { rows } = await locker.query(
    `select action from waybill.audit where import_id = $1 and action in ('pause', 'resume', 'cancel') order by audit_id`,
    [id],
  );
  expect(rows.map((row: { action: string }) => row.action)).toEqual(['pause', 'resume']);
});

it('a resume that comes after the next pause leaves the run paused', async () => {
  const id = await heldRun('again', async (id) => {
    await act(id, 'pause');
    await act(id, 'resume');
    const resumed = await epoch(id);
    await act(id, 'pause');
    const paused = await epoch(id);
    await until('the workflow pausing', async () => (await heard(id)) === 'paused');
    // The database's own word stands against both, whichever comes last.
    await signal(id, 'resume', { epoch: resumed });
    await signal(id, 'pause', { epoch: paused });
    await signal(id, 'resume', { epoch: resumed });
    await until('the workflow pausing', async () => (await heard(id)) === 'paused');
    // Not its epoch: the first resume may only now be heard, and what begins again for it finds the import paused.
    expect((await app.call('GET', `/api/imports/${id}`)).body.status).toBe('paused');
  });
  await act(id, 'resume');
  expect((await reached(app, id, 'completed', 'cancelled')).accounting).toMatchObject({ created: 50 });
});

it('a cancel that comes after the retry does nothing', async () => {
  const id = await heldRun('retried', async (id) => {
    await act(id, 'cancel');
    const cancelled = await epoch(id);
    await act(id, 'retry');
    await signal(id, 'cancel', { epoch: cancelled });
    await writing(id);
    await signal(id, 'cancel', { epoch: cancelled });
    expect(await heard(id)).toBe('running');
  });
  expect((await reached(app, id, 'completed', 'cancelled')).status).toBe('completed');
});

it('a bare signal, as somebody sends it from Temporal, pauses and goes on', async () => {
  const id = await heldRun('bare', async (id) => {
    await signal(id, 'pause', {});
    await reached(app, id, 'paused');
    await until('the workflow pausing', async () => (await heard(id)) === 'paused');
    await signal(id, 'resume', {});
    await writing(id);
  });
  expect((await reached(app, id, 'completed')).accounting).toMatchObject({ created: 50 });
});

it('paused right behind its planning it loses none of its warnings', async () => {
  await app.call('POST', '/api/datasets/clients/profiles', {
    body: {
      waybillProfile: 1,
      dataset: 'clients',
      name: 'suggests',
      headers: ['email', 'company', 'contact'],
      suggest: [{ field: 'contact_name', from: 'company' }],
      fields: {
        email: { column: 'email' },
        company: { column: 'company' },
        contact_name: { column: 'contact' },
      },
    },
  });
  const file = 'email,company,contact\na@warned.example,Acme,\nb@warned.example,Bolt,Bea\n';
  const planned = async (id: string) =>
    (await app.owner`select from waybill.plans where import_id = ${id}`).count > 0;
  for (const policy of ['auto', 'review']) {
    // The plan is there; to say what is wrong with its rows is what does not come through.
    await locker.query('begin; lock table waybill.issues in share mode');
    let id;
    try {
      id = await submit(
        app,
        file,
        { policy, profile: 'suggests', allow_duplicate: true },
        { dataset: 'clients' },
      );
      await until('the plan', () => planned(id!));
      await act(id, 'pause');
      await until('the workflow pausing', async () => (await heard(id!)) === 'paused');
    } finally {
      await locker.query('rollback');
    }
    await act(id, 'resume');
    await reached(app, id, policy === 'auto' ? 'completed' : 'waiting');
    const { body } = await app.call('GET', `/api/imports/${id}/issues`);
    expect(body.items).toMatchObject([{ code: 'may_be_filled', line: 2, suggestion: 'Acme' }]);
  }
});
