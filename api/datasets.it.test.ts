import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestApp, type TestApp } from '../test/api.ts';

let app: TestApp;
beforeAll(async () => {
  app = await startTestApp();
  await app.owner.unsafe(`
    create schema crm;
    create table crm.region (code text primary key);
    create table crm.account (
      no varchar(12) primary key, region text references crm.region, opened date, closed date,
      check (opened <= closed));
    create table crm.private (id text primary key);
    select waybill.grant_target('default', 'crm.account')`);
});
afterAll(() => app.close());

const post = (path: string, body: unknown, token?: string) =>
  app.call('POST', path, { body, ...(token === undefined ? {} : { token }) });
const propose = async () =>
  (await post('/api/datasets/introspect', { schema: 'crm', table: 'account', name: 'accounts' })).body;

describe('datasets of existing tables', () => {
  it('are proposed, saved, listed, changed in versions, removed', async () => {
    const proposal = await propose();
    expect(proposal).toMatchObject({
      dataset: { name: 'accounts', key: ['no'], keyIndex: 'account_pkey', builtIn: false },
      keys: [{ index: 'account_pkey', columns: ['no'] }],
      notes: [],
    });
    expect(proposal.dataset.fields[0]).toMatchObject({ name: 'no', column: 'no', maxLength: 12, key: true });
    // What was proposed is saved as it is.
    const made = await post('/api/datasets', proposal.dataset);
    expect(made).toMatchObject({ status: 201, body: { name: 'accounts', version: 1 } });
    expect(made.body.rules).toEqual(proposal.dataset.rules);
    expect(await post('/api/datasets', proposal.dataset)).toMatchObject({
      status: 409,
      body: { code: 'dataset_exists' },
    });
    const put = (body: unknown) => app.call('PUT', '/api/datasets/accounts', { body });
    expect((await put(made.body)).body).toMatchObject({ version: 1 });
    const changed = await put({ ...made.body, title: { en: 'Accounts', ja: '口座' } });
    expect(changed).toMatchObject({ status: 200, body: { version: 2, title: { ja: '口座' } } });
    expect((await app.call('GET', '/api/datasets/accounts')).body).toEqual(changed.body);
    const listed = (await app.call('GET', '/api/datasets')).body.items;
    expect(listed.map((one: { name: string }) => one.name)).toEqual([
      'products',
      'clients',
      'opening_stock',
      'price_list',
      'accounts',
    ]);
    await app.owner`insert into crm.account values ('A-1')`;
    expect((await app.call('GET', '/api/datasets/accounts/records')).body.items).toEqual([
      { no: 'A-1', region: null, opened: null, closed: null },
    ]);
    // A file for it can be announced; the import keeps the version it began with.
    const begun = await post('/api/imports/initiate', { file_name: 'a.csv', expected_schema: 'accounts' });
    expect(begun.status).toBe(201);
    const [stored] =
      await app.owner`select dataset_version from waybill.imports where import_id = ${begun.body.upload_id}`;
    expect(stored).toEqual({ dataset_version: 2 });

    expect((await app.call('DELETE', '/api/datasets/accounts')).status).toBe(204);
    expect((await app.call('DELETE', '/api/datasets/accounts')).status).toBe(404);
    expect((await app.call('GET', '/api/datasets/accounts')).status).toBe(404);
    expect((await post('/api/datasets', proposal.dataset)).body).toMatchObject({ version: 3 });
  });

  it('belong to one tenant, and to administrators', async () => {
    const { dataset } = await propose();
    const name = 'ours';
    expect((await post('/api/datasets', { ...dataset, name })).status).toBe(201);
    const { foreign, tokens } = app;
    expect((await app.call('GET', `/api/datasets/${name}`, { token: foreign.viewer })).status).toBe(404);
    expect((await post('/api/datasets', { ...dataset, name }, foreign.admin)).body.code).toBe(
      'target_refused',
    );
    expect(
      await post('/api/datasets/introspect', { schema: 'crm', table: 'account' }, foreign.admin),
    ).toMatchObject({ status: 422, body: { code: 'target_refused' } });
    expect((await post('/api/datasets', { ...dataset, name: 'x' }, tokens.approver)).status).toBe(403);
  });

  it('are refused where they do not fit the table', async () => {
    const { dataset } = await propose();
    const refused = async (change: object) => {
      const reply = await post('/api/datasets', { ...dataset, name: 'bad', ...change });
      expect(reply, JSON.stringify(change)).toMatchObject({
        status: 422,
        body: { code: 'definition_refused' },
      });
      return (reply.body.errors as { path: string }[]).map(({ path }) => path);
    };
    const [no, ...rest] = dataset.fields;
    expect(await refused({ key: ['region'] })).toEqual(['key']);
    expect(await refused({ fields: [{ ...no, column: 'nothing' }, ...rest] })).toEqual(['fields.no', 'key']);
    expect(await refused({ fields: [no, no, ...rest] })).toEqual(['fields.no', 'fields.no']);
    expect(await refused({ fields: [{ ...no, pattern: '(' }, ...rest] })).toEqual(['fields.no.pattern']);
    expect(await refused({ fields: [{ ...no, min: 'a' }, ...rest] })).toEqual(['fields.no.min']);
    expect(
      await refused({
        fields: dataset.fields.map((f: { name: string }) =>
          f.name === 'opened' ? { ...f, type: 'text' } : f,
        ),
      }),
    ).toEqual(['fields.opened', 'rules.0']);
    const rules = [
      { kind: 'compare', left: 'no', operator: '<', right: 'region' },
      { kind: 'compare', left: 'no', operator: '=', right: 'nothing' },
      { kind: 'unique', fields: ['region'], index: 'account_pkey' },
      { kind: 'reference', fields: ['region'], to: { dataset: 'price_list' } },
      { kind: 'reference', fields: ['region'], to: { schema: 'crm', table: 'private', columns: ['id'] } },
      {
        kind: 'reference',
        fields: ['region'],
        to: { schema: 'waybill', table: 'tokens', columns: ['name'] },
      },
      { kind: 'reference', fields: ['no'], to: { schema: 'catalog', table: 'products', columns: ['sku'] } },
      { kind: 'type', field: 'no', type: 'no_such_type' },
    ];
    expect(await refused({ rules })).toEqual(rules.map((_, n) => `rules.${n}`));
    // A name of one that comes with Waybill.
    expect((await post('/api/datasets', { ...dataset, name: 'products' })).body.code).toBe('built_in');
    expect((await app.call('PUT', '/api/datasets/products', { body: dataset })).body.code).toBe('built_in');
  });
});
