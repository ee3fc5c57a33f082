import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { findings } from './axe.ts';
import { openBrowser } from './browser.ts';
import { eitherDate, infected, oldMill, products, twoSheets, unclear, type TestFile } from './files.ts';
import { startInstance, type Instance } from './instance.ts';
import { addOrdersTable } from './tables.ts';

let instance: Instance;
let browser: Browser;
let context: BrowserContext;
let page: Page;
/** Everything the browser complained of: errors of scripts, refusals by the content security policy. */
const complaints: string[] = [];

beforeAll(async () => {
  [instance, browser] = await Promise.all([startInstance(), openBrowser()]);
  context = await browser.newContext({ viewport: { width: 1440, height: 900 }, locale: 'en-GB' });
  page = await context.newPage();
  page.on('pageerror', (error) => complaints.push(error.message));
  page.on('console', (message) => {
    if (message.type() === 'error') complaints.push(`${message.text()} (${message.location().url})`);
  });
}, 240_000);

afterAll(async () => {
  await browser?.close();
  await instance?.stop();
}, 60_000);

const status = () => page.locator('section [data-status]').first().getAttribute('data-status');
const headline = () => page.locator('[data-headline]').innerText();

async function until(wanted: string[], seconds: number): Promise<string> {
  await expect
    .poll(status, { timeout: seconds * 1000, interval: 100 })
    .toSatisfy((now) => wanted.includes(String(now)));
  return String(await status());
}

/** `path` where it matters that the same file, with the same time of change, is chosen twice. */
async function choose(file: TestFile, path?: string): Promise<void> {
  await page.goto(`${instance.url}/imports/new`);
  await page.setInputFiles('input[type=file]', path ?? file);
  await page.getByText(file.name, { exact: true }).waitFor();
}

async function start(
  file: TestFile,
  button: 'Check only' | 'Check and apply if clean',
  dataset?: string,
): Promise<string> {
  await choose(file);
  if (dataset) await page.getByLabel('Goes into').selectOption(dataset);
  await page.getByRole('button', { name: button, exact: true }).click();
  await page.waitForURL(/\/imports\/[0-9a-f-]{36}/);
  return new URL(page.url()).pathname.split('/')[2]!;
}

it('signs in with the link, once', async () => {
  await page.goto(instance.link);
  await page.getByRole('heading', { name: 'Imports', exact: true }).waitFor();
  expect(new URL(page.url()).pathname).toBe('/');
  await page.getByText('No imports yet').waitFor();

  const stranger = await (await browser.newContext({ locale: 'en-GB' })).newPage();
  await stranger.goto(instance.link);
  await stranger.getByText('This link has been used or is too old').waitFor();
  await stranger.goto(`${instance.url}/datasets`);
  await stranger.waitForURL(/sign-in\?next=%2Fdatasets/);
  await stranger.context().close();
  // The second use of the link is refused, as it must be: that page's 401 was not this page's.
  expect(complaints).toEqual([]);
});

it('uploads, pauses, resumes, completes, and hands out the errors', async () => {
  const file = products('catalogue_nov.csv', 120_000, { brokenEvery: 1_000 });
  await choose(file);
  await page.getByText('Guessed from the header: 5 of 5 columns match').waitFor();
  await page.getByRole('button', { name: 'Check and apply if clean', exact: true }).click();
  await page.waitForURL(/\/imports\/[0-9a-f-]{36}/);

  await page.getByText('Writing rows').waitFor({ timeout: 60_000 });
  await page.getByRole('button', { name: 'Pause', exact: true }).click();
  expect(await until(['paused'], 5)).toBe('paused');
  expect(await headline()).toMatch(/^Paused by .+; nothing is held, resume whenever you like$/);
  const written = async () => Number((await page.locator('[data-written]').innerText()).replaceAll(',', ''));
  await page.reload();
  const resume = page.getByRole('button', { name: 'Resume', exact: true });
  await resume.waitFor();
  const held = await written();
  expect(held).toBeLessThan(119_880);
  // Nothing moves while it is paused: there is no condition to wait for, only time.
  await new Promise((resolve) => setTimeout(resolve, 2_000));
  await page.reload();
  await resume.waitFor();
  expect(await written()).toBe(held);

  await resume.click();
  expect(await until(['completed', 'completed_with_issues', 'failed'], 90)).toBe('completed_with_issues');
  expect(await headline()).toBe('119,880 created, 120 blocked');
  await page.getByText('Adds up to the 120,000 rows of the file').waitFor();
  expect(await page.locator('[role=progressbar]').getAttribute('aria-valuenow')).toBe('100');

  await page.getByRole('tab', { name: /Issues/ }).click();
  await page.getByRole('button', { name: /not_decimal/ }).waitFor();
  const [download] = await Promise.all([
    page.waitForEvent('download'),
    page.getByRole('link', { name: 'Download as CSV' }).click(),
  ]);
  const lines = readFileSync(await download.path(), 'utf8')
    .trim()
    .split(/\r?\n/);
  expect(lines).toHaveLength(121);
  expect(lines[1]).toContain('on request');

  await page.getByRole('tab', { name: 'Proof' }).click();
  await page.getByText('every batch has its receipt').waitFor();
  expect(complaints).toEqual([]);
});

it('never moves the bar backwards', async () => {
  await start(products('small.csv', 30_000, { round: 1 }), 'Check and apply if clean');
  const seen: number[] = [];
  const read = async () => {
    seen.push(Number(await page.locator('[role=progressbar]').getAttribute('aria-valuenow')));
    return status();
  };
  await expect
    .poll(read, { timeout: 60_000, interval: 40 })
    .toSatisfy((now) => ['completed', 'waiting', 'failed'].includes(String(now)));
  expect(seen.length).toBeGreaterThan(10);
  expect(seen.filter((value, index) => index > 0 && value < seen[index - 1]!)).toEqual([]);
});

it('goes on with an upload after a reload, with what is missing', async () => {
  const file = products('interrupted.csv', 150_000, { round: 2 });
  const folder = mkdtempSync(join(tmpdir(), 'waybill-e2e-'));
  const path = join(folder, file.name);
  writeFileSync(path, file.buffer);
  // The second part hangs until the page is gone.
  await page.route(/partNumber=2&/, (route) =>
    route.request().method() === 'PUT' ? undefined : route.continue(),
  );
  const arrived = page.waitForResponse(
    (response) =>
      /partNumber=1&/.test(response.url()) && response.request().method() === 'PUT' && response.ok(),
  );
  await choose(file, path);
  await page.getByRole('button', { name: 'Check only', exact: true }).click();
  await page.waitForURL(/\/imports\/[0-9a-f-]{36}/);
  const here = page.url();
  await arrived;
  page.once('dialog', (dialog) => void dialog.accept());
  await page.reload();
  await page.getByText('This upload was interrupted').waitFor();
  // Not before: a request that hangs goes through as soon as nobody holds it.
  await page.unroute(/partNumber=2&/);

  await page.setInputFiles('input[type=file]', products('interrupted.csv', 10));
  await page.getByText('That is not the same file').waitFor();
  let again = 0;
  await page.route(/partNumber=1&/, async (route) => {
    if (route.request().method() === 'PUT') again += 1;
    return route.continue();
  });
  await page.setInputFiles('input[type=file]', path);
  await until(['waiting'], 90);
  expect(page.url().split('?')[0]).toBe(here);
  // The part that had arrived was not sent again.
  expect(again).toBe(0);
  await page.unroute(/partNumber=1&/);
  rmSync(folder, { recursive: true });
});

it('compresses in the browser where the line is slow, and the import is the same', async () => {
  await page.goto(instance.url);
  await page.evaluate("localStorage.setItem('waybill.line', '1000000')");
  await start(products('slow_line.csv', 40_000, { round: 3 }), 'Check only');
  await until(['waiting'], 60);
  await page.getByRole('heading', { name: /^slow_line\.csv\.gz/ }).waitFor();
  await page.getByText('CSV (gzip)').waitFor();
  await page.evaluate("localStorage.removeItem('waybill.line')");
  expect(complaints).toEqual([]);
});

it('asks for a mapping, takes it, and applies what was approved', async () => {
  await start(unclear('Lagerliste.csv'), 'Check only', 'products');
  await until(['waiting'], 60);
  await expect.poll(headline).toMatch(/^Needs you: /);
  const confirm = page.getByRole('button', { name: 'Confirm and go on' });
  expect(await confirm.isDisabled()).toBe(true);
  await page.getByLabel('Column in the file: SKU').selectOption({ label: 'Dings' });
  await page.getByLabel('Column in the file: Name').selectOption({ label: 'Was es ist' });
  await page.getByLabel('Column in the file: Price').selectOption({ label: 'Betrag' });
  await confirm.click();
  await page.getByRole('button', { name: 'Approve and apply' }).click({ timeout: 60_000 });
  expect(await until(['completed', 'failed'], 60)).toBe('completed');
  expect(await headline()).toBe('40 created');

  await page.goto(`${instance.url}/datasets/products?q=A-10`);
  await page.getByText('A-1001', { exact: true }).waitFor();
});

it('reads a file as a person says, keeps it as a profile, and reads the next one so by itself', async () => {
  await start(oldMill('old_mill_nov.csv', 1), 'Check only', 'products');
  await until(['waiting'], 60);
  expect(await page.getByRole('button', { name: 'Confirm and go on' }).isDisabled()).toBe(true);
  await page.getByLabel('Encoding', { exact: true }).selectOption('windows-1250');
  await page.getByRole('cell', { name: 'Lampe Łódź' }).waitFor();
  // By keyboard from the field, by mouse from the column.
  await page.getByLabel('Column in the file: SKU').focus();
  await page.keyboard.type('Dings');
  await page.getByLabel('Field for Was es ist').selectOption({ label: 'Name' });
  await page.getByLabel('Field for Da').selectOption({ label: 'Active' });
  await page.getByLabel('Meaning of “da”').selectOption({ label: 'yes' });
  await page.getByLabel('Meaning of “weg”').selectOption({ label: 'no' });
  await page.getByLabel('Column in the file: Description').selectOption('=');
  await page.getByLabel('Value for every row: Description').fill('from the old mill');
  await page.getByText('the first 30 rows are fine').waitFor();
  await page.getByRole('checkbox', { name: 'Keep as a profile' }).check();
  await page.getByRole('textbox', { name: 'Keep as a profile' }).fill('old-mill');
  await page.getByRole('button', { name: 'Read again and go on' }).click();
  await page.getByRole('button', { name: 'Approve and apply' }).click({ timeout: 60_000 });
  expect(await until(['completed', 'failed'], 60)).toBe('completed');
  await page.getByRole('tab', { name: 'Mapping' }).click();
  await page.getByText('said by you').waitFor();
  expect(await page.getByRole('button', { name: /go on$/ }).count()).toBe(0);

  await choose(oldMill('old_mill_dec.csv', 100));
  await page.getByLabel('Goes into').selectOption('products');
  await page.getByLabel('Profile').selectOption('old-mill');
  await page.getByRole('button', { name: 'Check and apply if clean', exact: true }).click();
  await page.waitForURL(/\/imports\/[0-9a-f-]{36}/);
  expect(await until(['completed', 'waiting', 'failed'], 60)).toBe('completed');
  await page.goto(`${instance.url}/datasets/products?q=M-100`);
  await page.getByText('Lampe Łódź').waitFor();

  await page.goto(`${instance.url}/profiles`);
  await page.getByRole('link', { name: 'old-mill' }).click();
  await page.getByText('Windows-1250').waitFor();
  await page.getByText('always “from the old mill”').waitFor();
  expect(complaints).toEqual([]);
});

it('asks which sheet is meant, and which day', async () => {
  await start(await twoSheets('spring.xlsx'), 'Check and apply if clean', 'products');
  await until(['waiting'], 60);
  await page.getByLabel('Sheet', { exact: true }).selectOption('Prices');
  await page.getByText('2 lines above the table are skipped').waitFor();
  await page.getByText('Everything is settled').waitFor();
  await page.getByRole('button', { name: 'Read again and go on' }).click();
  expect(await until(['completed', 'failed'], 60)).toBe('completed');
  expect(await headline()).toBe('25 created');

  await start(eitherDate('prices_2026.csv'), 'Check and apply if clean', 'price_list');
  await until(['waiting'], 60);
  const confirm = page.getByRole('button', { name: 'Confirm and go on' });
  await expect.poll(() => confirm.isDisabled()).toBe(true);
  await page.getByRole('button', { name: '2 March 2026' }).click();
  await page.getByText('Everything is settled').waitFor();
  await confirm.click();
  expect(await until(['completed', 'failed'], 60)).toBe('completed');
  await page.goto(`${instance.url}/datasets/price_list?q=P-1`);
  await page.getByText('2026-03-02', { exact: true }).first().waitFor();
  expect(complaints).toEqual([]);
});

it('undoes an import when the number has been typed', async () => {
  await start(products('to_undo.csv', 50, { prefix: 'UNDO' }), 'Check and apply if clean');
  expect(await until(['completed', 'failed'], 60)).toBe('completed');
  const [download] = await Promise.all([
    page.waitForEvent('download'),
    page.getByRole('link', { name: /^Written 50/ }).click(),
  ]);
  expect(
    readFileSync(await download.path(), 'utf8')
      .trim()
      .split(/\r?\n/),
  ).toHaveLength(51);
  await page.getByRole('button', { name: 'Undo …' }).click();
  await page.getByText('50 records that it created are removed').waitFor();
  const yes = page.getByRole('button', { name: 'Undo the import' });
  expect(await yes.isDisabled()).toBe(true);
  await page.getByLabel('Type 50 to undo so many records').fill('50');
  await yes.click();
  expect(await until(['reverted', 'failed'], 60)).toBe('reverted');
  await page.getByText('50 removed, 0 given back their values.').waitFor();
  await page.goto(`${instance.url}/datasets/products?q=UNDO`);
  await page.getByText('No record matches').waitFor();
  expect(complaints).toEqual([]);
});

it('is walked by keyboard', async () => {
  await page.goto(instance.url);
  await page.getByRole('link', { name: 'catalogue_nov.csv' }).waitFor();
  await page.keyboard.press('j');
  const current = page.locator('tr.current a').first();
  const name = await current.innerText();
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { name }).waitFor();
  await page.keyboard.press('n');
  await page.getByRole('heading', { name: 'New import' }).waitFor();
  await page.goto(instance.url);
  await page.getByRole('link', { name: 'catalogue_nov.csv' }).waitFor();
  await page.keyboard.press('/');
  await page.keyboard.type('catalogue');
  await page.waitForURL(/q=catalogue/);
  await expect.poll(() => page.locator('tbody tr.link').count()).toBe(1);
});

it('makes a dataset of a table that is there, and takes it out of use again', async () => {
  await addOrdersTable(instance);
  await page.goto(`${instance.url}/datasets`);
  await page.getByRole('link', { name: 'Add a dataset' }).click();
  const table = page.getByRole('textbox', { name: 'Table' });
  await table.fill('shop.missing');
  await page.getByRole('button', { name: 'Look at the table' }).click();
  await page.getByRole('alert').getByText('shop.missing').waitFor();
  complaints.splice(0);

  await table.fill('shop.orders');
  await page.getByRole('button', { name: 'Look at the table' }).click();
  await page.getByText('at most 12 characters').waitFor();
  await page.getByText('one of open, sent, paid').waitFor();
  await page.getByText('ordered_on ≤ paid_on').waitFor();
  await page.getByRole('button', { name: 'Add it' }).click();
  await page.waitForURL(/\/datasets\/orders\?tab=fields/);

  await start(
    {
      name: 'orders.csv',
      mimeType: 'text/csv',
      buffer: Buffer.from('no,sku,quantity,ordered_on\n1,A,2,2026-01-31\n2,B,1,2026-02-28\n'),
    },
    'Check and apply if clean',
    'orders',
  );
  expect(await until(['completed', 'waiting', 'failed'], 60)).toBe('completed');
  await page.goto(`${instance.url}/datasets/orders`);
  await page.getByRole('button', { name: 'Remove' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Remove' }).click();
  await page.waitForURL(/\/datasets$/);
  await page.getByRole('link', { name: 'Products' }).waitFor();
  expect(await page.getByRole('link', { name: 'orders' }).count()).toBe(0);
  expect(complaints).toEqual([]);
});

it('shows what the virus scanner found, and deletes it', async () => {
  await page.goto(`${instance.url}/quarantine`);
  await page.getByText('Nothing in quarantine').waitFor();
  await start(infected('invoice_scan.csv'), 'Check and apply if clean', 'products');
  expect(await until(['failed'], 60)).toBe('failed');
  await page.goto(`${instance.url}/settings`);
  await page.getByRole('link', { name: 'Files that the virus scanner did not pass' }).click();
  await page.getByText('Eicar-Test-Signature').waitFor();
  expect(await findings(page)).toEqual([]);
  await page.getByRole('button', { name: 'Delete: invoice_scan.csv' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Delete' }).click();
  await page.getByText('Nothing in quarantine').waitFor();
  expect(complaints).toEqual([]);
});

it('shows nothing serious to axe, on any page, light and dark', async () => {
  await page.goto(instance.url);
  const href = await page.getByRole('link', { name: 'catalogue_nov.csv' }).getAttribute('href');
  const open = `/imports/${await start(unclear('Lagerliste_2.csv'), 'Check only', 'opening_stock')}`;
  await until(['waiting'], 60);
  const pages = [
    '/',
    '/imports/new',
    href!,
    `${href}?tab=rows`,
    `${href}?tab=mapping`,
    `${href}?tab=issues`,
    `${href}?tab=activity`,
    `${href}?tab=proof`,
    `${open}?tab=mapping`,
    '/datasets',
    '/datasets/products',
    '/datasets/products?tab=fields',
    '/datasets/new',
    '/quarantine',
    '/profiles',
    '/profiles/products/old-mill',
    '/settings',
    '/sign-in',
    '/nowhere',
  ];
  const found: string[] = [];
  // Two at a time: each page is a process of the browser's own.
  const walk = async (view: Page): Promise<void> => {
    for (let path = pages.shift(); path !== undefined; path = pages.shift()) {
      await view.goto(instance.url + path);
      await view.locator('h1, h2').first().waitFor();
      await view.locator('.skeleton, .loading, .dim').first().waitFor({ state: 'detached' });
      for (const { scheme, rule, impact, html } of await findings(view))
        if (impact === 'serious' || impact === 'critical') found.push(`${scheme} ${path}: ${rule}: ${html}`);
    }
  };
  await Promise.all([walk(page), walk(await context.newPage())]);
  expect(found).toEqual([]);
});

it('loads less than 250 KB of compressed JavaScript on the first page', async () => {
  const session = await context.newCDPSession(page);
  await session.send('Network.enable');
  await session.send('Network.setCacheDisabled', { cacheDisabled: true });
  const scripts = new Set<string>();
  let bytes = 0;
  session.on('Network.responseReceived', ({ requestId, type }) => {
    if (type === 'Script') scripts.add(requestId);
  });
  session.on('Network.loadingFinished', ({ requestId, encodedDataLength }) => {
    if (scripts.has(requestId)) bytes += encodedDataLength;
  });
  await page.goto(instance.url, { waitUntil: 'networkidle' });
  expect(bytes).toBeGreaterThan(10_000);
  expect(bytes).toBeLessThan(250_000);
});
