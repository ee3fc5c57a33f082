import { basename } from 'node:path';
import { parseImport } from './arguments.ts';
import type { ImportArguments } from './arguments.ts';
import { ApiError, withApi } from './client.ts';
import type { Client } from './client.ts';
import { bar, bytes, ProgressLine } from './render.ts';
import { noteUpload } from './resume.ts';
import { watchToEnd } from './runs.ts';
import { uploadFile } from './upload.ts';
import type { Upload, Uploaded } from './upload.ts';

/** `waybill import FILE --dataset NAME`: uploads, starts, and stays until the run ends or waits for a person. */
export async function importCommand(argv: string[]): Promise<number> {
  const args = parseImport('import', argv);
  return withApi((client) => run(client, args));
}

/** `waybill plan FILE --dataset NAME`: an import that stops before anything is written. */
export async function planCommand(argv: string[]): Promise<number> {
  const args = parseImport('plan', argv);
  return withApi((client) => run(client, args));
}

async function run(client: Client, args: ImportArguments): Promise<number> {
  const line = new ProgressLine(args.json);
  const note = noteUpload(client.url, args.dataset, args.file);
  const begin = (size: number) => beginUpload(client, args, note.key, size, note.resumed);
  let id: string;
  try {
    const uploaded = await uploadFile(client, args.file, begin, (sent, size) =>
      line.show(bar(size === 0 ? 1 : sent / size, `upload  ${bytes(sent)} of ${bytes(size)}`), 'upload'),
    );
    id = await complete(client, args, uploaded);
  } catch (error) {
    // What the API has refused once it refuses again: the next command begins anew.
    if (error instanceof ApiError && error.status < 500) note.forget();
    throw error;
  } finally {
    line.clear();
  }
  note.forget();
  return watchToEnd(client, id, { json: args.json, line });
}

async function beginUpload(
  client: Client,
  args: ImportArguments,
  key: string,
  size: number,
  resumed: boolean,
) {
  const upload = await client.post<Upload>(
    '/imports/initiate',
    { file_name: basename(args.file), expected_schema: args.dataset, file_size: size, idempotency_key: key },
    { 'idempotency-key': key },
  );
  const arrived = new Map<number, string>();
  if (resumed) {
    const found = await client.post<{
      arrived: { part_number: number; etag: string }[];
      missing: Upload['part_urls'];
    }>(`/imports/${encodeURIComponent(upload.upload_id)}/parts`);
    for (const part of found.arrived) arrived.set(part.part_number, part.etag);
    upload.part_urls = found.missing;
  }
  return { upload, arrived };
}

async function complete(client: Client, args: ImportArguments, uploaded: Uploaded): Promise<string> {
  const { upload } = uploaded;
  const job = await client.post<{ job_id: string }>(
    '/imports/complete',
    {
      upload_id: upload.upload_id,
      file_key: upload.file_key,
      file_size: uploaded.size,
      file_sha256: uploaded.sha256,
      parts: uploaded.parts,
      idempotency_key: upload.idempotency_key,
      options: args.options,
    },
    { 'idempotency-key': upload.idempotency_key },
  );
  return job.job_id;
}
