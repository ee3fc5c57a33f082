import { once } from 'node:events';
import { createServer } from 'node:http';
import type { RequestListener, Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { afterEach, expect, test } from 'vitest';
import { createOutbound, mayConnect, parseNetworks } from './outbound.ts';
import type { OutboundSettings } from './outbound.ts';

const servers: Server[] = [];
const closing: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    server.close();
  }
});

/** Listens on every address of this machine, and counts who connects. */
async function listen(handle: RequestListener, host = '::') {
  const server = createServer(handle).listen(0, host);
  servers.push(server);
  let connections = 0;
  server.on('connection', () => connections++);
  await once(server, 'listening');
  return { port: (server.address() as AddressInfo).port, connections: () => connections };
}

function outbound(allow = '', lookup?: OutboundSettings['lookup']) {
  const made = createOutbound({ allow: parseNetworks(allow), ...(lookup && { lookup }) });
  closing.push(made.close);
  return made;
}
const post = (address: string, allow = '', lookup?: OutboundSettings['lookup']) =>
  outbound(allow, lookup).post(address, {}, '{}', { timeoutMs: 3_000 });
const get = (address: string, allow: string) =>
  outbound(allow).get(address, {}, { timeoutMs: 3_000, silentMs: 1_000 });

test.each([
  'http://127.0.0.1',
  'http://2130706433',
  'http://0x7f.1',
  'http://017700000001',
  'http://127.0.0.1.',
  'http://localhost',
  'http://0.0.0.0',
  'http://[::1]',
  'http://[::]',
  'http://[::ffff:127.0.0.1]',
  'http://[::ffff:10.0.0.1]',
  'http://[64:ff9b::a00:1]',
  'http://[2002:7f00:1::]',
  'http://[fe80::1]',
  'http://[fd00::1]',
  'http://10.0.0.1',
  'http://172.16.0.1',
  'http://192.168.1.1',
  'http://100.64.0.1',
  'http://169.254.169.254',
  'http://198.18.0.1',
  'http://224.0.0.1',
])('%s is refused at connect', async (base) => {
  const server = await listen((_, response) => response.end());
  await expect(post(`${base}:${server.port}/hook`)).rejects.toMatchObject({ code: 'address_refused' });
  expect(server.connections()).toBe(0);
});

test.each(['file:///etc/passwd', 'gopher://127.0.0.1/', 'http://user:pass@example.com/', 'not a url', ''])(
  '%j is no address that is taken',
  async (address) => {
    await expect(post(address)).rejects.toMatchObject({ code: 'bad_url' });
  },
);

test('a public name that resolves to a private address is refused, also where only one of several is private', async () => {
  const server = await listen((_, response) => response.end());
  const resolved = (...addresses: string[]) =>
    ((_host: string, _options: object, done: (error: null, found: object[]) => void) =>
      done(
        null,
        addresses.map((address) => ({ address, family: 4 })),
      )) as unknown as OutboundSettings['lookup'];
  for (const addresses of [['127.0.0.1'], ['93.184.215.14', '127.0.0.1']]) {
    await expect(
      post(`http://public.example:${server.port}/`, '', resolved(...addresses)),
    ).rejects.toMatchObject({ code: 'address_refused' });
  }
  expect(server.connections()).toBe(0);
  expect(
    await post(`http://public.example:${server.port}/`, '127.0.0.0/8', resolved('127.0.0.1')),
  ).toMatchObject({ status: 200 });
});

test('a name that resolves to something else the second time is refused the second time', async () => {
  const server = await listen((_, response) => response.writeHead(200, { connection: 'close' }).end());
  let asked = 0;
  const rebinding = ((_host: string, _options: object, done: (error: null, found: object[]) => void) =>
    done(null, [
      { address: asked++ === 0 ? '127.0.0.1' : '127.0.0.2', family: 4 },
    ])) as unknown as OutboundSettings['lookup'];
  const one = outbound('127.0.0.1', rebinding);
  const address = `http://rebind.example:${server.port}/`;
  await one.post(address, {}, '{}', { timeoutMs: 3_000 });
  await expect(one.post(address, {}, '{}', { timeoutMs: 3_000 })).rejects.toMatchObject({
    code: 'address_refused',
  });
  expect(server.connections()).toBe(1);
});

test('what the deployment allows is reached, and only that', async () => {
  const server = await listen((_, response) => response.end('thanks'));
  expect(await post(`http://127.0.0.1:${server.port}/`, '127.0.0.0/8')).toMatchObject({
    status: 200,
    excerpt: 'thanks',
  });
  expect(await post(`http://[::ffff:127.0.0.1]:${server.port}/`, '127.0.0.1')).toMatchObject({ status: 200 });
  await expect(post(`http://[::1]:${server.port}/`, '127.0.0.0/8')).rejects.toMatchObject({
    code: 'address_refused',
  });
});

test('a webhook follows no redirect; a download does, and each hop is checked', async () => {
  const target = await listen((_, response) => response.end('a,b\n1,2\n'));
  const there = (host: string) => `http://${host}:${target.port}/file.csv`;
  const { port } = await listen((request, response) => {
    const location = request.url === '/loop' ? '/loop' : there(request.url!.slice(1));
    response.writeHead(302, { location }).end();
  });
  const redirecting = (to: string) => `http://127.0.0.1:${port}/${to}`;

  expect(await post(redirecting('127.0.0.1'), '127.0.0.1')).toMatchObject({ status: 302 });
  expect(target.connections()).toBe(0);

  await expect(get(redirecting('127.0.0.2'), '127.0.0.1')).rejects.toMatchObject({ code: 'address_refused' });
  await expect(get(redirecting('[::1]'), '127.0.0.1')).rejects.toMatchObject({ code: 'address_refused' });
  await expect(get(redirecting('loop'), '127.0.0.1')).rejects.toMatchObject({ code: 'too_many_redirects' });
  expect(target.connections()).toBe(0);

  const found = await get(redirecting('127.0.0.1'), '127.0.0.1');
  expect(found).toMatchObject({ status: 200, url: there('127.0.0.1') });
  expect(await text(found.body)).toBe('a,b\n1,2\n');
});

test('a receiver that never answers, drips or never ends costs its time-out and a kilobyte', async () => {
  const silent = await listen(() => {});
  const started = Date.now();
  await expect(
    outbound('127.0.0.1').post(`http://127.0.0.1:${silent.port}/`, {}, '{}', { timeoutMs: 300 }),
  ).rejects.toMatchObject({ code: 'timeout' });
  expect(Date.now() - started).toBeLessThan(2_000);

  const endless = await listen((_, response) => {
    const flood = () => {
      while (response.write('x'.repeat(1000)));
    };
    response.on('drain', flood);
    flood();
  });
  const flooded = await post(`http://127.0.0.1:${endless.port}/`, '127.0.0.1');
  expect(flooded.excerpt).toHaveLength(1024);

  const dripping = await listen((_, response) => {
    response.write('d');
    const timer = setInterval(() => response.write('.'), 100);
    response.on('close', () => clearInterval(timer));
  });
  expect(await post(`http://127.0.0.1:${dripping.port}/`, '127.0.0.1')).toMatchObject({ status: 200 });
});

test('a body that ends before its length is an error', async () => {
  const { port } = await listen((_, response) => {
    response.writeHead(200, { 'content-length': 1000 });
    response.write('short', () => response.destroy());
  });
  const made = outbound('127.0.0.1');
  const source = await made.get(`http://127.0.0.1:${port}/`, {}, { timeoutMs: 3_000, silentMs: 1_000 });
  const error = await text(source.body).then(
    () => null,
    (thrown: unknown) => thrown,
  );
  expect(made.asError(error, 'host')).toMatchObject({ code: 'cut_off' });
});

test('networks are read from text, or refused in words', () => {
  const allowed = parseNetworks(' 10.0.0.0/8, fd00::/8 ,192.168.7.7 ');
  expect(mayConnect('10.200.3.4', allowed)).toBe(true);
  expect(mayConnect('::ffff:10.200.3.4', allowed)).toBe(true);
  expect(mayConnect('fd12::1', allowed)).toBe(true);
  expect(mayConnect('192.168.7.7', allowed)).toBe(true);
  expect(mayConnect('192.168.7.8', allowed)).toBe(false);
  expect(mayConnect('8.8.8.8', [])).toBe(true);
  expect(mayConnect('2606:4700::1111', [])).toBe(true);
  expect(mayConnect('no address', allowed)).toBe(false);
  expect(() => parseNetworks('10.0.0.0/33')).toThrow(/WAYBILL_ALLOW_NETWORKS/);
});
