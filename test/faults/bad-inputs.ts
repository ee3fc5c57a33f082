import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import ExcelJS from 'exceljs';
import { mintToken } from '../../db/access.ts';
import type { Bench, Case, Outcome } from './case.ts';
import { seedTarget } from './files.ts';
import { ApiRefused, type Answer, type ImportDocument, type Submit } from './instance.ts';
import { beginRun, orphans } from './oracle.ts';

/** What came of a bad input: an HTTP status or a run's end, and the code that says why. */
interface Ending {
  status: string;
  problems: string[];
}

const HEADER = 'sku,name,description,price,quantity\n';
const PNG = Buffer.from(
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==',
  'base64',
);
const PDF = Buffer.from('%PDF-1.7\n1 0 obj << /Type /Catalog >> endobj\ntrailer << /Root 1 0 R >>\n%%EOF\n');

/** Whatever came in: nothing of it may stay half-open, nothing may be written, and no answer may be a 500. */
function badInput(
  name: string,
  run: (bench: Bench) => Promise<Ending>,
  options: { writes?: true } = {},
): Case {
  return {
    name,
    ci: true,
    async run(bench): Promise<Outcome> {
      await seedTarget(bench.instance, bench.spec);
      await beginRun(bench.instance);
      const { status, problems } = await run(bench);
      const [written] = await bench.instance.sql<{ n: number }>(
        'select count(*)::int as n from public.write_log',
      );
      if (!options.writes && written!.n > 0) problems.push(`${written!.n} rows were written`);
      problems.push(...(await orphans(bench.instance)));
      return { inFlight: 'nothing', status, verdict: { lost: 0, doubled: 0, problems } };
    },
  };
}

const fileOf = (bench: Bench, name: string, content: string | Buffer): string => {
  const path = join(bench.instance.data, name);
  writeFileSync(path, content);
  return path;
};

/** An answer that has to have this status and code, with a sentence. */
function refused(answer: Answer, status: number, code: string): Ending {
  const problems: string[] = [];
  const { body } = answer;
  if (answer.status !== status || body['code'] !== code) {
    problems.push(
      `answered ${answer.status} ${String(body['code'])}, not ${status} ${code}: ${JSON.stringify(body)}`,
    );
  }
  if (typeof body['detail'] !== 'string' || body['detail'].length < 20)
    problems.push('no sentence that helps');
  return { status: `${answer.status} ${String(body['code'])}`, problems };
}

function ended(document: ImportDocument, status: string, code: string | null): Ending {
  const problems: string[] = [];
  const found = document.error?.code ?? null;
  if (document.status !== status || found !== code)
    problems.push(`ended ${document.status} ${found}, not ${status} ${code}`);
  if (code !== null && (document.error?.message ?? '').length < 20) problems.push('no sentence that helps');
  return { status: found === null ? document.status : `${document.status}: ${found}`, problems };
}

/** Uploads and completes; the API's refusal of either, or the run's end. */
async function send(
  bench: Bench,
  file: string,
  options?: Submit,
): Promise<{ answer: Answer } | { document: ImportDocument }> {
  try {
    const id = await bench.instance.submit(file, options);
    return {
      document: await bench.instance.ended(id, [
        'completed',
        'completed_with_issues',
        'failed',
        'waiting',
        'cancelled',
        'unproven',
      ]),
    };
  } catch (error) {
    if (error instanceof ApiRefused) return { answer: error.answer };
    throw error;
  }
}

async function failing(bench: Bench, file: string, code: string, options?: Submit): Promise<Ending> {
  const result = await send(bench, file, options);
  if ('answer' in result)
    return {
      status: `${result.answer.status}`,
      problems: [`refused at once: ${JSON.stringify(result.answer.body)}`],
    };
  return ended(result.document, 'failed', code);
}

async function refusing(
  bench: Bench,
  file: string,
  status: number,
  code: string,
  options?: Submit,
): Promise<Ending> {
  const result = await send(bench, file, options);
  if ('document' in result)
    return {
      status: result.document.status,
      problems: [`it was accepted and ended ${result.document.status}`],
    };
  return refused(result.answer, status, code);
}

/** What was begun and refused is called off, as a client would. */
async function callOff(bench: Bench, importId: unknown): Promise<void> {
  await bench.instance.api('POST', `/imports/${String(importId)}/cancel`);
}

async function workbook(bench: Bench): Promise<string> {
  const book = new ExcelJS.Workbook();
  book.addWorksheet('Products').addRows([
    ['sku', 'name', 'price'],
    ['XLSX-1', 'A product', 1.5],
    ['XLSX-2', 'Another', 2.5],
  ]);
  const path = join(bench.instance.data, 'workbook.csv');
  await book.xlsx.writeFile(path);
  return path;
}

export const badInputs: Case[] = [
  badInput('empty file', (bench) => refusing(bench, fileOf(bench, 'empty.csv', ''), 422, 'empty_file')),
  badInput('empty file that said it was not', async (bench) => {
    const { body } = await bench.instance.api('POST', '/imports/initiate', {
      file_name: 'empty.csv',
      expected_schema: 'products',
    });
    const [part] = body['part_urls'] as { url: string }[];
    const put = await fetch(part!.url, { method: 'PUT', body: '' });
    const etag = put.headers.get('etag')!.replaceAll('"', '');
    const answer = await bench.instance.api('POST', '/imports/complete', {
      upload_id: body['upload_id'],
      file_key: body['file_key'],
      parts: [{ part_number: 1, etag }],
    });
    await callOff(bench, body['upload_id']);
    return refused(answer, 422, 'empty_file');
  }),
  badInput('header only', async (bench) => {
    const result = await send(bench, fileOf(bench, 'header.csv', HEADER));
    if ('answer' in result) return refused(result.answer, 200, '');
    const ending = ended(result.document, 'completed', null);
    if (result.document.accounting?.['input'] !== 0) ending.problems.push('it counted rows');
    return ending;
  }),
  badInput('unknown type: PNG', (bench) =>
    refusing(bench, fileOf(bench, 'picture.png', PNG), 415, 'unknown_type'),
  ),
  badInput('unknown type: PDF', (bench) =>
    refusing(bench, fileOf(bench, 'list.pdf', PDF), 415, 'unknown_type'),
  ),
  badInput('wrong extension: PNG named .csv', (bench) =>
    failing(bench, fileOf(bench, 'picture.csv', PNG), 'image'),
  ),
  badInput('wrong extension: PDF named .csv', (bench) =>
    failing(bench, fileOf(bench, 'list.csv', PDF), 'pdf'),
  ),
  badInput(
    'wrong extension: XLSX named .csv',
    async (bench) => {
      const result = await send(bench, await workbook(bench));
      if ('answer' in result) return refused(result.answer, 200, '');
      const ending = ended(result.document, 'completed', null);
      if (result.document.accounting?.['created'] !== 2) ending.problems.push('its two rows did not go in');
      return ending;
    },
    { writes: true },
  ),
  badInput('missing required column', async (bench) => {
    const result = await send(bench, fileOf(bench, 'no-key.csv', 'colour,weight\nred,1\nblue,2\n'));
    if ('answer' in result) return refused(result.answer, 200, '');
    const ending = ended(result.document, 'waiting', null);
    if (result.document.waitingFor?.what !== 'mapping')
      ending.problems.push(`it waits for ${result.document.waitingFor?.what}`);
    await callOff(bench, result.document.id);
    const after = await bench.instance.ended(result.document.id);
    return {
      ...ending,
      status: `${ending.status} for ${result.document.waitingFor?.what}, then ${after.status}`,
    };
  }),
  badInput('oversized, and says so', (bench) =>
    refusing(bench, fileOf(bench, 'small.csv', `${HEADER}A,a,a,1,1\n`), 413, 'file_too_large', {
      size: 101 * 1024 * 1024,
    }),
  ),
  badInput('larger than it said', async (bench) => {
    const { instance } = bench;
    const { upload, complete } = await instance.upload(fileOf(bench, 'small.csv', `${HEADER}A,a,a,1,1\n`), {
      size: 10,
    });
    const answer = await instance.api('POST', '/imports/complete', complete);
    await callOff(bench, upload['upload_id']);
    return refused(answer, 413, 'larger_than_declared');
  }),
  badInput('wrong sha256', (bench) =>
    failing(bench, fileOf(bench, 'small.csv', `${HEADER}A,a,a,1,1\n`), 'sha256_mismatch', {
      sha256: '0'.repeat(64),
    }),
  ),
  badInput('expired upload', async (bench) => {
    const { instance } = bench;
    const { upload, complete } = await instance.upload(fileOf(bench, 'small.csv', `${HEADER}A,a,a,1,1\n`));
    const id = upload['upload_id'];
    await instance.sql(
      `update waybill.uploads set expires_at = now() - interval '2 days' where import_id = $1`,
      [id],
    );
    const ending = refused(await instance.api('POST', '/imports/complete', complete), 410, 'upload_expired');
    const document = await instance.ended(String(id));
    return { ...ending, status: `${ending.status}, ${document.status}` };
  }),
  badInput(
    "foreign tenant's id",
    async (bench) => {
      const { instance } = bench;
      const id = await instance.submit(bench.narrow);
      await instance.sql(`insert into waybill.tenants values ('rival', 'Rival') on conflict do nothing`);
      const token = await mintToken(instance.run().databaseUrl, {
        tenantId: 'rival',
        role: 'admin',
        name: 'fault test',
      });
      const problems: string[] = [];
      const paths: [string, string][] = [
        ['GET', ''],
        ['GET', '/status'],
        ['GET', '/events'],
        ['GET', '/preview'],
        ['GET', '/issues'],
        ['GET', '/proof'],
        ['POST', '/pause'],
        ['POST', '/resume'],
        ['POST', '/cancel'],
        ['POST', '/retry'],
      ];
      for (const [method, path] of paths) {
        const foreign = await instance.api(method, `/imports/${id}${path}`, {}, { token });
        const unknown = await instance.api(method, `/imports/no-such-import${path}`, {}, { token });
        if (foreign.status !== 404 || unknown.status !== 404)
          problems.push(`${method} ${path} answered ${foreign.status}, for an unknown id ${unknown.status}`);
        if (
          JSON.stringify(foreign.body).replaceAll(id, '') !==
          JSON.stringify(unknown.body).replaceAll('no-such-import', '')
        )
          problems.push(`${method} ${path} tells a foreign id from an unknown one`);
      }
      const document = await instance.ended(id);
      if (document.status !== 'completed_with_issues')
        problems.push(`the owner's run ended as ${document.status}`);
      return { status: '404', problems };
    },
    { writes: true },
  ),
  badInput('malformed JSON', async (bench) => {
    const problems: string[] = [];
    let status = '';
    for (const path of ['/imports/initiate', '/imports/complete']) {
      for (const raw of ['{"file_name": ', '[]', 'null', '"text"', '{"__proto__": {}}', '{"upload_id": 7}']) {
        const answer = await bench.instance.api('POST', path, undefined, { raw });
        if (answer.status !== 400) problems.push(`${path} answered ${answer.status} to ${raw}`);
        status = `${answer.status} ${String(answer.body['code'])}`;
      }
    }
    return { status, problems };
  }),
  badInput(
    'rows of the wrong type, rows with too many columns',
    async (bench) => {
      const { instance } = bench;
      const lines = [
        'GOOD-1,a,a,1,1',
        'BAD-1,a,a,cheap,1',
        'BAD-2,a,a,1,1,2,3',
        'GOOD-2,"two\nlines",a,1,1',
        'BAD-3,a,a,1,many',
      ];
      const result = await send(bench, fileOf(bench, 'rows.csv', `${HEADER}${lines.join('\n')}\n`));
      if ('answer' in result) return refused(result.answer, 200, '');
      const { document } = result;
      const ending = ended(document, 'completed_with_issues', null);
      if (document.accounting?.['created'] !== 2 || document.accounting['blocked'] !== 3)
        ending.problems.push(`accounted ${JSON.stringify(document.accounting)}`);
      const { body } = await instance.api<{ items: { line: number; code: string; message: string }[] }>(
        'GET',
        `/imports/${document.id}/issues`,
      );
      const found = body.items
        .map((issue) => `${issue.line} ${issue.code}`)
        .sort()
        .join(', ');
      if (found !== '3 not_decimal, 4 too_many_columns, 7 not_decimal')
        ending.problems.push(`its issues are ${found}`);
      return ending;
    },
    { writes: true },
  ),
  badInput(
    'complete sent twice, and once more',
    async (bench) => {
      const { instance } = bench;
      const { complete } = await instance.upload(fileOf(bench, 'small.csv', `${HEADER}A,a,a,1,1\n`));
      const answers = await Promise.all([
        instance.api('POST', '/imports/complete', complete),
        instance.api('POST', '/imports/complete', complete),
      ]);
      const document = await instance.ended(String(complete['upload_id']));
      const late = await instance.api('POST', '/imports/complete', complete);
      const ending = ended(document, 'completed', null);
      for (const { status } of [...answers, late])
        if (![200, 409].includes(status)) ending.problems.push(`answered ${status}`);
      if (late.status !== 200) ending.problems.push('the late one was not answered as the first');
      const [runs] = await instance.sql<{ n: number }>(`select count(*)::int as n from public.write_log`);
      if (runs!.n !== 1) ending.problems.push(`${runs!.n} rows were written`);
      return ending;
    },
    { writes: true },
  ),
  badInput('wrong bytes for a part', async (bench) => {
    const { instance } = bench;
    const { upload, complete } = await instance.upload(fileOf(bench, 'small.csv', `${HEADER}A,a,a,1,1\n`));
    const parts = [{ part_number: 1, etag: 'd41d8cd98f00b204e9800998ecf8427e' }];
    const answer = await instance.api('POST', '/imports/complete', { ...complete, parts });
    await callOff(bench, upload['upload_id']);
    return refused(answer, 409, 'parts_differ');
  }),
];
