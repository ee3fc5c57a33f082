/** For tests: whole imports through the API. */
import type { TestApp } from './api.ts';

/** Uploads a file in one part and starts its import. */
export async function submit(
  app: TestApp,
  content: string | Buffer,
  options: object = {},
  file: { name?: string; dataset?: string } = {},
): Promise<string> {
  const bytes = Buffer.from(content);
  const begun = await app.call('POST', '/api/imports/initiate', {
    body: {
      file_name: file.name ?? 'stock.csv',
      expected_schema: file.dataset ?? 'products',
      file_size: bytes.length,
    },
  });
  const [part] = begun.body.part_urls as { part_number: number; url: string }[];
  const answer = await fetch(part!.url, { method: 'PUT', body: new Uint8Array(bytes) });
  const parts = [{ part_number: part!.part_number, etag: answer.headers.get('etag')! }];
  const done = await app.call('POST', '/api/imports/complete', {
    body: { upload_id: begun.body.upload_id, file_key: begun.body.file_key, parts, options },
  });
  if (done.status !== 200) throw new Error(`complete answered ${done.status}: ${JSON.stringify(done.body)}`);
  return begun.body.upload_id as string;
}

/** Waits until the import is in one of these statuses. */
export async function reached(app: TestApp, id: string, ...statuses: string[]): Promise<TestImport> {
  const deadline = Date.now() + 45_000;
  for (;;) {
    const { body } = await app.call('GET', `/api/imports/${id}`);
    if (statuses.includes(body.status)) return body as TestImport;
    if (Date.now() > deadline)
      throw new Error(`import ${id} is ${body.status}: ${JSON.stringify(body.error ?? body.waitingFor)}`);
    await new Promise((resolve) => setTimeout(resolve, 30));
  }
}

interface TestImport {
  id: string;
  status: string;
  actions: string[];
  accounting: Record<string, number>;
}
