import { once } from 'node:events';
import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { Client } from './client.ts';
import { events, follow } from './follow.ts';
import type { Progress } from './follow.ts';

const chunks = async function* (text: string, size: number) {
  const bytes = Buffer.from(text);
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
};

test.each([1, 2, 3, 7, 1000])('server-sent events come out whole in chunks of %i bytes', async (size) => {
  const text =
    ': hello\n\nevent: status\ndata: {"a":"日本"}\n\ndata:1\r\ndata: 2\r\n\r\nid: 3\n\ndata: cut off';
  const seen: string[] = [];
  for await (const data of events(chunks(text, size))) seen.push(data);
  expect(seen).toEqual(['{"a":"日本"}', '1\n2']);
});

let server: Server | undefined;
afterEach(() => {
  server?.closeAllConnections();
  server?.close();
});

async function serve(handle: (request: IncomingMessage, response: ServerResponse) => void, port = 0) {
  server = createServer(handle).listen(port, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}
const client = (port: number) => new Client({ url: `http://127.0.0.1:${port}`, token: 't', local: false });
const json = (response: ServerResponse, body: object, status = 200) =>
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));

test('a run is watched through an API that goes away and comes back elsewhere in the run', async () => {
  let status = 'running';
  const seen: Progress[] = [];
  let streams = 0;
  const handle = (request: IncomingMessage, response: ServerResponse) => {
    expect(request.headers.authorization).toBe('Bearer t');
    if (request.url!.endsWith('/events')) {
      streams++;
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.write(`event: status\ndata: ${JSON.stringify({ status, rows_written: 10 * streams })}\n\n`);
      if (streams === 1) {
        setTimeout(async () => {
          server!.closeAllConnections();
          await new Promise((resolve) => server!.close(resolve));
          setTimeout(() => void serve(handle, port), 700);
        }, 50);
      } else {
        status = 'completed';
        response.write('event: delta\ndata: {"status":"completed"}\n\n');
      }
    } else if (request.url!.endsWith('/status')) {
      json(response, { status, rows_written: 15 });
    } else {
      json(response, { id: 'x', status, accounting: { input: 20 } });
    }
  };
  const port = await serve(handle);
  const doc = await follow(client(port), 'x', (progress) => seen.push({ ...progress }));
  expect(doc).toMatchObject({ status: 'completed', accounting: { input: 20 } });
  expect(streams).toBe(2);
  expect(seen.at(-1)).toEqual({ status: 'completed', rows_written: 20 });
});

test('where no stream can be had, the status is asked for', async () => {
  let asked = 0;
  const port = await serve((request, response) => {
    if (request.url!.endsWith('/events')) json(response, { title: 'no' }, 503);
    else if (request.url!.endsWith('/status')) json(response, { status: ++asked < 3 ? 'paused' : 'waiting' });
    else json(response, { id: 'x', status: 'waiting' });
  });
  expect(await follow(client(port), 'x', () => {})).toMatchObject({ status: 'waiting' });
  expect(asked).toBe(3);
});

test('an unknown import ends the watch at once', async () => {
  const port = await serve((_, response) =>
    json(response, { code: 'not_found', detail: 'There is none.' }, 404),
  );
  await expect(follow(client(port), 'x', () => {})).rejects.toMatchObject({ status: 404, code: 'not_found' });
});

test('an API that stays away ends the watch after its patience', async () => {
  const port = await serve((_, response) => response.destroy());
  await expect(follow(client(port), 'x', () => {}, 200)).rejects.toThrow();
});
