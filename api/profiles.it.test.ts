import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestApp, type TestApp } from '../test/api.ts';
import { reached, submit } from '../test/import.ts';
import { startTestWorker } from '../test/worker.ts';

/** Profiles through API, worker, store and database. */
let app: TestApp;
let worker: Awaited<ReturnType<typeof startTestWorker>>;

beforeAll(async () => {
  app = await startTestApp();
  worker = await startTestWorker({ databaseUrl: app.workerUrl, namespace: app.namespace });
});
afterAll(async () => {
  await worker.stop();
  await app.close();
});

const keep = (document: { dataset: string; [member: string]: unknown }) =>
  app.call('POST', `/api/datasets/${document.dataset}/profiles`, {
    body: { waybillProfile: 1, ...document },
  });
const load = async (dataset: string, text: string, options: object, ...until: string[]) => {
  const id = await submit(app, text, options, { dataset });
  await reached(app, id, 'completed', 'completed_with_issues', 'failed', ...until);
  return (await app.call('GET', `/api/imports/${id}`)).body;
};
const issues = async (id: string) =>
  (await app.call('GET', `/api/imports/${id}/issues`)).body.items as {
    code: string;
    line: number;
    suggestion: string | null;
  }[];

const nightly = {
  dataset: 'products',
  name: 'nightly',
  headers: ['Nr', 'Titel', 'Wert', 'Stand', 'Farbe'],
  nullWords: ['n/a'],
  unknownColumns: { keepIn: 'description' },
  fields: {
    sku: { column: 'Nr', case: 'upper' },
    name: { column: 'Titel' },
    price: { column: 'Wert', format: { decimal: ',' } },
    active: { column: 'Stand', values: { A: 'true', 有効: 'true', I: 'false' } },
  },
};

describe('a profile', () => {
  it('is kept, shown as it was sent, and is the same version when it says the same', async () => {
    expect((await keep(nightly)).body).toEqual({ name: 'nightly', version: 1, created: true });
    expect((await keep({ ...nightly, fields: { ...nightly.fields } })).body).toEqual({
      name: 'nightly',
      version: 1,
      created: false,
    });
    const shown = await app.call('GET', '/api/datasets/products/profiles/nightly');
    expect(shown.body.profile).toEqual({ waybillProfile: 1, version: 1, ...nightly });
    const changed = { ...nightly, fields: { ...nightly.fields, quantity: { constant: '1' } } };
    expect((await keep(changed)).body).toMatchObject({ version: 2, created: true });
    expect((await keep(shown.body.profile)).body).toMatchObject({ version: 1, created: false });
    const { items } = (await app.call('GET', '/api/datasets/products/profiles')).body;
    // What was said last is what counts.
    expect(items).toMatchObject([{ name: 'nightly', version: 1, versions: 2, byPerson: true }]);
    expect((await app.call('GET', '/api/datasets/products/profiles/nightly?version=9')).status).toBe(404);
  });

  it('that cannot be meant is refused with every reason', async () => {
    const wrong = await keep({
      ...nightly,
      name: 'wrong',
      fields: { colour: { column: 'Farbe' }, sku: null },
    });
    expect(wrong).toMatchObject({ status: 422, body: { code: 'profile_refused' } });
    expect(wrong.body.errors.map((one: { path: string }) => one.path)).toEqual([
      'fields.colour',
      'fields.sku',
    ]);
    expect((await keep({ ...nightly, colums: 1 })).status).toBe(400);
  });

  it('decides how a file is read, stays the version that it is, and keeps what it does not know', async () => {
    const name = 'reading';
    await keep({ ...nightly, name });
    const file =
      'Farbe,Nr,Titel,Wert,Stand\nred,a-1,Bolt,"1.234,50",A\n,a-2,n/a,"0,5",有効\nblue,a-3,Nut,1,i\n';
    const done = await load('products', file, { profile: name });
    expect(done).toMatchObject({
      status: 'completed',
      profile: { name, version: 1 },
      accounting: { created: 3 },
    });
    expect(
      await app.owner`select sku, name, price::float8, active, description from catalog.products order by sku`,
    ).toEqual([
      { sku: 'A-1', name: 'Bolt', price: 1234.5, active: true, description: '{"Farbe":"red"}' },
      { sku: 'A-2', name: null, price: 0.5, active: true, description: null },
      { sku: 'A-3', name: 'Nut', price: 1, active: false, description: '{"Farbe":"blue"}' },
    ]);
    const again = await load('products', file, { profile: name });
    expect(again).toMatchObject({ status: 'failed', error: { code: 'duplicate_file' } });
  });

  it('that no longer fits stops the run with what has changed; nothing is loaded as null', async () => {
    await keep({ ...nightly, name: 'strict' });
    const file = 'Nr,Titel,Preis,Stand,Farbe\nb-1,Bolt,"2,50",A,red\n';
    const waiting = await load('products', file, { profile: 'strict' }, 'waiting');
    expect(waiting).toMatchObject({ status: 'waiting', waitingFor: { what: 'mapping' } });
    const { mapping } = (await app.call('GET', `/api/imports/${waiting.id}/preview`)).body;
    expect(mapping.drift).toMatchObject([
      { kind: 'renamed', header: 'Wert', now: 'Preis', field: 'price', stops: true },
    ]);
    expect(mapping.questions).toMatchObject([{ field: 'price', code: 'drift' }]);
    expect(await app.owner`select 1 from catalog.products where sku = 'B-1'`).toEqual([]);

    const fields = mapping.fields
      .filter(({ field }: { field: string }) => field !== 'description')
      .map(({ field, column, format, values, case: letters, nullWords }: Record<string, unknown>) => ({
        field,
        column,
        format,
        values,
        case: letters,
        nullWords,
      }));
    const confirmed = await app.call('POST', `/api/imports/${waiting.id}/confirm-mapping`, {
      body: { fields },
    });
    expect(confirmed.status, JSON.stringify(confirmed.body)).toBe(200);
    const done = await reached(app, waiting.id, 'completed', 'completed_with_issues', 'failed');
    expect(done).toMatchObject({ status: 'completed', profile: { name: 'strict', version: 2 } });
    expect(await app.owner`select price::float8, active from catalog.products where sku = 'B-1'`).toEqual([
      { price: 2.5, active: true },
    ]);
    // The next file of this kind passes, by the version that the person has made.
    const next = await load('products', file.replaceAll('b-1', 'b-2'), { profile: 'strict' });
    expect(next).toMatchObject({ status: 'completed', profile: { name: 'strict', version: 2 } });
  });

  it('may take none of the records of a key', async () => {
    await keep({
      dataset: 'products',
      name: 'once',
      duplicates: 'refuse',
      fields: { sku: { column: 'sku' }, name: { column: 'name' } },
    });
    const done = await load('products', 'sku,name\nx-1,one\nx-2,two\nX-1,other\n', { profile: 'once' });
    expect(done).toMatchObject({
      status: 'completed_with_issues',
      accounting: { created: 1, blocked: 2, duplicates: 0 },
    });
    expect((await issues(done.id)).map(({ code, line }) => [code, line])).toEqual([
      ['duplicate_key', 2],
      ['duplicate_key', 4],
    ]);
  });

  it('may take the first of them', async () => {
    await keep({
      dataset: 'products',
      name: 'first',
      duplicates: 'first',
      fields: { sku: { column: 'sku' }, name: { column: 'name' } },
    });
    const done = await load('products', 'sku,name\ny-1,one\ny-1,other\n', { profile: 'first' });
    expect(done).toMatchObject({ accounting: { created: 1, duplicates: 1 } });
    expect(await app.owner`select name from catalog.products where sku = 'y-1'`).toEqual([{ name: 'one' }]);
  });

  it('may find a record by its company where the e-mail is missing, with a warning', async () => {
    await app.owner`insert into catalog.clients (tenant_id, email, company) values
      ('default', 'a@acme.example', 'Acme Ltd'), ('default', 'x@twin.example', 'Twin'), ('default', 'y@twin.example', 'Twin'),
      ('other', 'b@borg.example', 'Borg')`;
    await keep({
      dataset: 'clients',
      name: 'by-company',
      provisionalKey: ['company'],
      suggest: [{ field: 'contact_name', from: 'company' }],
      fields: {
        email: { column: 'email' },
        company: { column: 'company' },
        contact_name: { column: 'contact' },
        phone: { column: 'phone' },
      },
    });
    const file =
      'email,company,contact,phone\n,ACME ltd ,Ann,0301234567\n,Twin,Tom,0301234568\n,Borg,Bo,0301234569\nnew@new.example,New,,0301234560\n';
    const done = await load('clients', file, { profile: 'by-company' });
    expect(done).toMatchObject({
      status: 'completed_with_issues',
      accounting: { created: 1, updated: 1, blocked: 2 },
    });
    expect(
      await app.owner`select phone, contact_name from catalog.clients where email = 'a@acme.example'`,
    ).toEqual([{ phone: '0301234567', contact_name: 'Ann' }]);
    expect(await app.owner`select contact_name from catalog.clients where email = 'new@new.example'`).toEqual(
      [{ contact_name: null }],
    );
    expect((await issues(done.id)).map(({ code, line, suggestion }) => [line, code, suggestion])).toEqual([
      [2, 'matched_provisionally', 'a@acme.example'],
      [3, 'key_empty', null],
      [4, 'key_empty', null],
      [5, 'may_be_filled', 'New'],
    ]);
  });

  it('its source can be fetched again, by whoever may', async () => {
    const done = await load('products', 'sku,name\nz-1,one\n', {});
    const { url, fileName } = (await app.call('GET', `/api/imports/${done.id}/source`)).body;
    expect(await (await fetch(url)).text()).toBe('sku,name\nz-1,one\n');
    expect(fileName).toBe('stock.csv');
  });
});
